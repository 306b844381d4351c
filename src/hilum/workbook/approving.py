"""What an owner is about to approve, and the files that say so."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from msgspec import Struct

from hilum.errors import ConfigError
from hilum.model import Finding
from hilum.workbook.changes import Edit, apply_edits
from hilum.workbook.pinning import LOCK, Pin, base_hash, lock_text, pin_of
from hilum.workbook.sheets import SIGNED_TABLES, Entry, Review, content_hash, entry_name, parse_name
from hilum.workbook.signing import SIGNERS, Approval, Approvals, PersonKey, SignerLine, standings, with_approvals

__all__ = ["Approving", "plan_approval"]


class Approving(Struct, frozen=True):
    """The lines, and the texts of the files to write. `new_signer`: their key is trusted from now on."""

    entries: tuple[Entry, ...]
    texts: dict[str, str]
    new_signer: bool = False


def plan_approval(
    review: Review,
    approvals: Approvals,
    pin: Pin | None,
    *,
    owner: str,
    names: Sequence[str],
    by: str,
    at: str,
    scope: str,
    key: PersonKey | None,
) -> Approving:
    """Approve the lines `names` of `owner`, or all that wait for them when `names` is empty. Writes nothing.

    Raises ConfigError `approval-refused` with every reason.
    """
    refuse_other_base(review, pin)
    signer = _signer(approvals, owner, by, key)
    states = standings(review, approvals)
    if names:
        entries = _named(review, owner, names)
    else:
        entries = [one for one in review.merged.values() if one.owner == owner and states.get(one.name)]
        _refuse_unknown_owner(review, owner, entries)
    waiting = [one for one in entries if states[one.name].waits or (key and not states[one.name].is_signed)]
    new = [
        key.sign(approval, scope) if key else approval
        for approval in (Approval(one.name, owner, by, at, content_hash(one, review.decided)) for one in waiting)
    ]
    if not new:
        return Approving((), {})
    said = with_approvals(approvals, new, signer, at)
    edits = [edit for edit in (_written(review, one, by) for one in waiting) if edit is not None]
    # The approvals last: who is killed before them approved nothing, and the same command does it all again.
    texts = {LOCK: lock_text(pin_of(review))} if review.site.entries else {}
    texts |= {file: document.text for file, document in apply_edits(review, edits).items()}
    return Approving(tuple(waiting), texts | said, SIGNERS in said)


def refuse_other_base(review: Review, pin: Pin | None) -> None:
    """Raise ConfigError `base-changed` when the site's tables were written against another base."""
    if pin is not None and pin.hash != base_hash(review.base.entries.values()):
        raise ConfigError(
            f"these tables were written against the base of hilum {pin.version}, and another one runs now: "
            "`hilum workbook upgrade` first",
            code="base-changed",
        )


def _refuse(findings: Sequence[Finding]) -> None:
    if findings:
        raise ConfigError("nothing was approved", findings, code="approval-refused")


def _signer(approvals: Approvals, owner: str, by: str, key: PersonKey | None) -> SignerLine | None:
    if key is None:
        return None
    known = approvals.signers.get(by)
    if known is None:
        return SignerLine(by, key.public)
    place = f"{SIGNERS}:{known.line}:1"
    if known.key != key.public:
        message = f"`{by}` is known by another key than the one given"
        _refuse([Finding("signer-key-differs", message, place, hint=f"a new key replaces the old one in {SIGNERS}")])
    if known.owners and owner not in known.owners:
        hint = f"{SIGNERS} says {' '.join(known.owners)}"
        _refuse([Finding("signer-not-owner", f"`{by}` may not sign for `{owner}`", place, hint=hint)])
    return known


def _refuse_unknown_owner(review: Review, owner: str, entries: Sequence[Entry]) -> None:
    owners = sorted({one.owner for one in review.merged.values() if one.owner})
    if not entries:
        near = get_close_matches(owner, owners, 1)
        hint = f"did you mean `{near[0]}`?" if near else f"owners are {', '.join(owners)}"
        _refuse([Finding("owner-unknown", f"no line has the owner `{owner}`", "", hint=hint)])


def _named(review: Review, owner: str, names: Sequence[str]) -> list[Entry]:
    findings, found = [], []
    merged = review.merged
    known = {entry_name(key): key for key in merged}
    for name in names:
        entry = merged.get(parse_name(name))
        if entry is None:
            near = get_close_matches(name, [*known, *(one.removeprefix("rows:") for one in known)], 1)
            hint = f"did you mean `{near[0]}`?" if near else "`hilum workbook status` lists what waits"
            findings.append(Finding("line-unknown", f"there is no line `{name}`", "", hint=hint))
        elif entry.table not in SIGNED_TABLES or entry.owner != owner:
            says = f"is owned by `{entry.owner}`" if entry.owner else "has no owner"
            findings.append(Finding("line-not-owned", f"`{name}` {says}, not by `{owner}`", entry.location("owner")))
        else:
            found.append(entry)
    _refuse(findings)
    return found


def _written(review: Review, entry: Entry, by: str) -> Edit | None:
    """The words in the site's own line that tell readers of the approval; lines of the base stay as they ship."""
    own = review.site.entries.get(entry.key)
    if own is None or "status" not in own.cells:
        return None
    cells = {**own.cells, "status": own.cells["status"] if own.is_retired else "approved"}
    if "approver" in cells:
        cells["approver"] = by
    return Edit(entry.key, cells) if cells != own.cells else None
