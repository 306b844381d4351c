"""Approvals of owners, each bound to what one line says (`approvals.csv`), and the keys of people (`signers.csv`).

An approval holds while the hash of the line is the one that was approved. Its signature (Ed25519, RFC 8032) is over
the name of the line, its owner, who approved it, when, the hash, and the integration that it was approved for.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)
from msgspec import Struct, structs

from hilum.errors import ConfigError
from hilum.mapping import table_text
from hilum.model import Finding, Severity
from hilum.workbook.documents import Document, edited, new_document, parse_document
from hilum.workbook.sheets import SIGNED_TABLES, Entry, Review, content_hash

__all__ = [
    "APPROVALS",
    "SIGNERS",
    "Approval",
    "Approvals",
    "PersonKey",
    "SignerLine",
    "Standing",
    "State",
    "person_key",
    "read_approvals",
    "standing_of",
    "standings",
]

APPROVALS, SIGNERS = "approvals.csv", "signers.csv"
APPROVAL_COLUMNS = ("name", "owner", "by", "at", "hash", "signature")
SIGNER_COLUMNS = ("by", "owners", "key", "since", "note")


class Approval(Struct, frozen=True):
    """`by` approved for `owner` the line `name` as it was at `at` (UTC, ISO 8601); `signature` is base64, or ""."""

    name: str
    owner: str
    by: str
    at: str
    hash: str
    signature: str = ""
    line: int = 0

    def statement(self, scope: str) -> bytes:
        """What is signed; `scope` is the `use` of the integration."""
        said = [scope, self.name, self.owner, self.by, self.at, self.hash]
        return b"hilum approval 1\x00" + msgspec.json.encode(said)


class SignerLine(Struct, frozen=True):
    """A person and the public key (base64 of 32 bytes) that stands for them; `owners` empty: may sign for all."""

    by: str
    key: str
    owners: tuple[str, ...] = ()
    line: int = 0


class PersonKey:
    """The private key of a person."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = base64.b64encode(raw).decode("ascii")

    def sign(self, approval: Approval, scope: str) -> Approval:
        """The approval with its signature."""
        signature = base64.b64encode(self._key.sign(approval.statement(scope))).decode("ascii")
        return structs.replace(approval, signature=signature)


def person_key(text: str) -> PersonKey:
    """An Ed25519 private key as PEM (PKCS 8) or as OpenSSH writes it. Raises ConfigError `signing-key-invalid`."""
    load = load_ssh_private_key if "OPENSSH" in text else load_pem_private_key
    try:
        key = load(text.strip().encode() + b"\n", None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a passphrase
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            "this is no Ed25519 private key without a passphrase: `openssl genpkey -algorithm ed25519` makes one",
            code="signing-key-invalid",
        )
    return PersonKey(key)


class Standing(StrEnum):
    """Where a line stands with its owner."""

    DRAFT = "draft"  # nobody approved it
    APPROVED = "approved"  # approved exactly as it is
    CHANGED = "changed"  # approved, and changed afterwards: a draft again
    RETIRED = "retired"  # switched off; see `State.waits`


class State(Struct, frozen=True):
    """Where a line stands. `waits`: its owner has to look at it. `approval`: the last one, whether it holds or not."""

    standing: Standing
    waits: bool
    approval: Approval | None = None

    @property
    def is_signed(self) -> bool:
        """Whether its approval holds and carries a signature (which was checked)."""
        return not self.waits and self.approval is not None and bool(self.approval.signature)

    @property
    def words(self) -> str:
        """`approved by ann, 2026-03-02`."""
        if self.approval is None or self.standing is Standing.DRAFT:
            return str(self.standing)
        when = self.approval.at[:10]
        if self.standing is Standing.CHANGED:
            return f"changed since {self.approval.by} approved it, {when}"
        return f"{self.standing} by {self.approval.by}, {when}" if not self.waits else str(self.standing)


class Approvals(Struct, frozen=True):
    """The two files, read and checked. `valid`: by name, only approvals whose signature (if any) is good."""

    documents: dict[str, Document]
    valid: dict[str, Approval]
    signers: dict[str, SignerLine]
    findings: tuple[Finding, ...] = ()


def read_approvals(tables: Path | None, scope: str) -> Approvals:
    """`tables` is the folder `workbook`; None has no approvals. Raises ConfigError `table-unreadable`."""
    documents = {
        file: new_document(file, columns) if tables is None else _document(tables / file, columns)
        for file, columns in ((APPROVALS, APPROVAL_COLUMNS), (SIGNERS, SIGNER_COLUMNS))
    }
    signers = {one.by: one for one in _signers(documents[SIGNERS])}
    valid: dict[str, Approval] = {}
    findings: list[Finding] = []
    for approval in _approvals(documents[APPROVALS]):
        finding = _problem(approval, signers, scope)
        if finding is not None:
            findings.append(finding)
        else:
            valid[approval.name] = approval
    return Approvals(documents, valid, signers, tuple(findings))


def _document(path: Path, columns: tuple[str, ...]) -> Document:
    if not path.is_file():
        return new_document(path.name, columns)
    document = parse_document(path.name, table_text(path.read_bytes(), path.name))
    if document.columns and not set(document.columns) >= set(columns[:3]):
        raise ConfigError(
            f"{path.name} has the columns {', '.join(document.columns)}, and needs {', '.join(columns)}",
            code="table-unreadable",
        )
    return document if document.columns else new_document(path.name, columns)


def _approvals(document: Document) -> Iterable[Approval]:
    for record in document.lines:
        cells = document.cells_of(record)
        yield Approval(**{name: cells.get(name, "") for name in APPROVAL_COLUMNS}, line=record.line)


def _signers(document: Document) -> Iterable[SignerLine]:
    for record in document.lines:
        cells = document.cells_of(record)
        owners = tuple(cells.get("owners", "").split())
        yield SignerLine(cells.get("by", ""), cells.get("key", ""), owners, record.line)


def _problem(approval: Approval, signers: Mapping[str, SignerLine], scope: str) -> Finding | None:
    """Why an approval with a signature does not count; one without is taken for what it is."""
    place = f"{APPROVALS}:{approval.line}"
    if not approval.signature:
        return None
    signer = signers.get(approval.by)
    if signer is None:
        message = f"the approval of `{approval.name}` is signed by `{approval.by}`, whose key is not in {SIGNERS}"
        return Finding("signer-unknown", message, f"{place}:3")
    if signer.owners and approval.owner not in signer.owners:
        message = f"`{approval.by}` may not sign for `{approval.owner}`"
        return Finding("signer-not-owner", message, f"{place}:2", hint=f"{SIGNERS} says {' '.join(signer.owners)}")
    if not _is_good(approval, signer, scope):
        message = f"the signature under `{approval.name}` is not one of `{approval.by}` over this line of {APPROVALS}"
        return Finding("signature-invalid", message, f"{place}:6", hint="let the owner sign again")
    return None


def _is_good(approval: Approval, signer: SignerLine, scope: str) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(signer.key, validate=True))
        key.verify(base64.b64decode(approval.signature, validate=True), approval.statement(scope))
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def standing_of(entry: Entry, approvals: Approvals, decided: Mapping[str, str] | None = None) -> State:
    """Where one line stands. A line of the base that is retired there waits for nobody.

    A line of the site that says `draft` is one, whoever approved it before: signing writes `approved` into it, so
    somebody, or an upgrade, took that back.
    """
    approval = approvals.valid.get(entry.name)
    holds = approval is not None and approval.hash == content_hash(entry, decided) and approval.owner == entry.owner
    if entry.is_retired:
        return State(Standing.RETIRED, not holds and entry.layer == "site", approval)
    if holds and (entry.layer == "base" or entry.cells.get("status") != Standing.DRAFT):
        return State(Standing.APPROVED, waits=False, approval=approval)
    return State(Standing.DRAFT if approval is None or holds else Standing.CHANGED, waits=True, approval=approval)


def standings(review: Review, approvals: Approvals) -> dict[str, State]:
    """By name, for every line of a table that has owners."""
    return {
        entry.name: standing_of(entry, approvals, review.decided)
        for entry in review.merged.values()
        if entry.table in SIGNED_TABLES
    }


def with_approvals(approvals: Approvals, new: Iterable[Approval], signer: SignerLine | None, at: str) -> dict[str, str]:
    """The texts of the files that change when `new` is added; an earlier approval of the same line is replaced.

    In the order in which they are to be written: who signs is known before anything is signed.
    """
    document = approvals.documents[APPROVALS]
    lines = {one.name: one.line for one in _approvals(document)}
    changed: dict[int, dict[str, str]] = {}
    added: list[dict[str, str]] = []
    for one in new:
        cells = {name: str(getattr(one, name)) for name in APPROVAL_COLUMNS}
        if one.name in lines:
            changed[lines[one.name]] = cells
        else:
            added.append(cells)
    texts: dict[str, str] = {}
    if signer is not None and signer.by not in approvals.signers:
        cells = {"by": signer.by, "owners": " ".join(signer.owners), "key": signer.key, "since": at}
        texts[SIGNERS] = edited(approvals.documents[SIGNERS], added=[cells]).text
    return texts | {APPROVALS: edited(document, changed=changed, added=added).text}


def approval_findings(review: Review, approvals: Approvals) -> list[Finding]:
    """What is wrong between lines and their approvals; nothing where nobody has begun to approve."""
    found = list(approvals.findings)
    merged = {entry.name: entry for entry in review.merged.values()}
    states = standings(review, approvals)
    for name, state in states.items():
        entry, approval = merged[name], state.approval
        is_outdated = state.standing is Standing.CHANGED or (state.standing is Standing.RETIRED and state.waits)
        if is_outdated and approval is not None:
            how = "retired" if entry.is_retired else "changed"
            after = f"after {approval.by} approved it on {approval.at[:10]}"
            message = f"`{name}` was {how} {after}: it {'waits' if entry.is_retired else 'is a draft'} again"
            hint = f"`hilum workbook sign` once {entry.owner or 'its owner'} has seen it"
            found.append(Finding("approval-outdated", message, entry.location("status"), Severity.WARNING, hint))
        elif entry.cells.get("status") == "approved" and state.standing is Standing.DRAFT:
            message = f"`{name}` says approved, and nobody has signed it"
            hint = "`hilum workbook sign` does; the word alone approves nothing"
            found.append(Finding("approval-missing", message, entry.location("status"), Severity.WARNING, hint))
        elif approval is not None and not state.waits and not approval.signature:
            message = f"the approval of `{name}` by {approval.by} carries no signature: anybody could have written it"
            place = f"{APPROVALS}:{approval.line}:6"
            found.append(Finding("approval-unsigned", message, place, Severity.WARNING, "sign with --key"))
    found += [
        Finding(
            "approval-orphaned",
            f"there is no line `{one.name}`",
            f"{APPROVALS}:{one.line}:1",
            Severity.WARNING,
            "take this line out of the file",
        )
        for one in approvals.valid.values()
        if one.name not in merged
    ]
    return found
