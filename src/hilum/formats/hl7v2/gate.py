"""The gate: what becomes of a message before it is stored, decided from its bytes alone, cheap enough for all."""

from __future__ import annotations

import difflib
from functools import lru_cache

from msgspec import Struct

from hilum.errors import ConfigError, FormatError
from hilum.formats.hl7v2.charset import canonical
from hilum.formats.hl7v2.checks import inspect
from hilum.formats.hl7v2.codes import CODES, UNREADABLE, finding
from hilum.formats.hl7v2.envelope import envelope_of, header_of
from hilum.formats.hl7v2.message import Hl7Message
from hilum.formats.hl7v2.path import compile_path
from hilum.formats.hl7v2.reader import parse
from hilum.formats.hl7v2.shape import PLACES, Found
from hilum.model import Disposition, Envelope, Finding

__all__ = ["Admission", "Rules", "admit"]

_RANK = {disposition: rank for rank, disposition in enumerate(Disposition)}


class Rules(Struct, frozen=True):
    """What a source says about its messages.

    `default_charset` is a Python codec, used where MSH-18 is empty or unknown. `key` is the path of the identifier that
    orders messages. `tolerances` maps a code of this package to the disposition it shall have: accept says nothing,
    warning says it, hold keeps the message for a person, AE and AR refuse it. Raises ConfigError with all findings.
    """

    default_charset: str = "utf-8"
    key: str = "PID-3[1]"
    tolerances: dict[str, Disposition] = {}

    def __post_init__(self) -> None:
        found = [*_charset_findings(self.default_charset), *_key_findings(self.key)]
        for code, disposition in self.tolerances.items():
            found += _tolerance_findings(code, disposition)
        if found:
            raise ConfigError("the rules of a source cannot be used", found, code=found[0].code)


class Admission(Struct, frozen=True):
    """The decision on one message. `message` is None when it could not be read.

    `findings` are worst first, with at most ten places for one code.
    """

    envelope: Envelope
    findings: tuple[Finding, ...]
    message: Hl7Message | None
    disposition: Disposition

    @property
    def worst(self) -> Finding | None:
        """The finding behind the disposition: what a NAK speaks of."""
        return self.findings[0] if self.findings else None


def admit(raw: bytes, rules: Rules, *, source: str, received_at: int) -> Admission:
    """Decide on one message as it came in; never raises for what is in it. `received_at`: microseconds since 1970."""
    try:
        message = parse(raw, default_charset=rules.default_charset)
    except FormatError as error:
        return _unreadable(raw, error, rules, source, received_at)
    found = inspect(message, received_at)
    if not found:
        envelope = envelope_of(message, rules.key, source, received_at, Disposition.ACCEPT, ())
        return Admission(envelope, (), message, Disposition.ACCEPT)
    if len(found) > PLACES:
        found = _first_of_each(found)
    disposition, findings, codes = _judge(tuple(found), tuple(rules.tolerances.items()))
    envelope = envelope_of(message, rules.key, source, received_at, disposition, codes)
    return Admission(envelope, findings, message, disposition)


@lru_cache(maxsize=1024)
def _judge(
    found: tuple[Found, ...], tolerances: tuple[tuple[str, Disposition], ...]
) -> tuple[Disposition, tuple[Finding, ...], tuple[str, ...]]:
    """The worst disposition, the findings worst first, and their codes. A feed errs in the same way all day."""
    policies = dict(tolerances)
    judged: list[tuple[Disposition, Finding]] = []
    for code, location in found:
        policy = policies.get(code) or CODES[code].policy
        if policy is not Disposition.ACCEPT:
            judged.append((policy, finding(code, location, policy is not Disposition.WARNING)))
    judged.sort(key=lambda pair: -_RANK[pair[0]])
    findings = tuple([item for _, item in judged])
    worst = judged[0][0] if judged else Disposition.ACCEPT
    return worst, findings, tuple(dict.fromkeys([item.code for item in findings]))


def _first_of_each(found: list[Found]) -> list[Found]:
    """The first places of each code."""
    seen: dict[str, int] = {}
    kept = []
    for code, location in found:
        seen[code] = seen.get(code, 0) + 1
        if seen[code] <= PLACES:
            kept.append((code, location))
    return kept


def _unreadable(raw: bytes, error: FormatError, rules: Rules, source: str, received_at: int) -> Admission:
    policy = rules.tolerances.get(error.code) or CODES[error.code].policy
    said = finding(error.code, error.location, True, error.message)
    header = header_of(raw)
    if header is None:
        envelope = Envelope(source, received_at, charset="", disposition=policy, codes=(error.code,))
    else:
        envelope = envelope_of(header, "", source, received_at, policy, (error.code,))
    return Admission(envelope, (said,), None, policy)


def _charset_findings(codec: str) -> list[Finding]:
    try:
        canonical(codec)
    except LookupError:
        return [Finding("charset-not-a-codec", f"Python has no codec named {codec!r}", "default_charset")]
    return []


def _key_findings(key: str) -> list[Finding]:
    try:
        compile_path(key)
    except FormatError as error:
        return [Finding(error.code, error.message, "key")]
    return []


def _tolerance_findings(code: str, disposition: Disposition) -> list[Finding]:
    location = f"tolerances.{code}"
    if code not in CODES:
        near = difflib.get_close_matches(code, CODES, 1)
        hint = f"did you mean `{near[0]}`?" if near else ""
        return [Finding("tolerance-unknown", "there is no such code", location, hint=hint)]
    if code in UNREADABLE and disposition in (Disposition.ACCEPT, Disposition.WARNING):
        text = "what cannot be read cannot be let through: choose hold, AE or AR"
        return [Finding("tolerance-impossible", text, location)]
    return []
