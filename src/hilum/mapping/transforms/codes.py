"""Coded datatypes (CWE, CE, CNE, CF, IS, ID, JCC) as CodeableConcept, Coding, code and boolean."""

from __future__ import annotations

from hilum.mapping.syntax import Word
from hilum.mapping.tables import MapEntry
from hilum.mapping.transforms.frame import NOTHING, Env, Evaluator, Spec, json_text, register

__all__ = ["codeable", "unmapped"]

_V2 = "http://terminology.hl7.org/CodeSystem/v2-"


def unmapped(spec: Spec, env: Env, code: str) -> str:
    """What the row's `unmapped` policy makes of a code without a map entry: `x` of `fixed:x`, else "" (and an item)."""
    if spec.unmapped.startswith("fixed:"):
        return spec.unmapped[6:]
    if spec.unmapped in ("exception", "reject"):
        table = spec.map or spec.location
        env.report(
            spec,
            "code-unmapped",
            f"the code `{code}` is not in the map {table}",
            f"{table}|{code}",
            hold=spec.unmapped == "reject",
        )
    return ""


def _coding(system: str, code: str, display: str, version: str = "") -> bytes:
    """Coding. What is no `code` of R4 (line breaks, several blanks in a row) is its words."""
    parts = []
    if code and not code.isalnum() and code != " ".join(code.split()):
        code, display = "", display or code
    if system:
        parts.append(b'"system":' + json_text(system))
    if version:
        parts.append(b'"version":' + json_text(version))
    if code:
        parts.append(b'"code":' + json_text(code))
    if display:
        parts.append(b'"display":' + json_text(display))
    return b"{%b}" % b",".join(parts)


def _entry_coding(entry: MapEntry) -> bytes:
    return _coding(entry.system, entry.target, entry.display)


_Texts = tuple[str, str, str, str]  # code, display, system and version as a field states them


class _Local:
    """The codings that a field itself states."""

    def __init__(self, spec: Spec, env: Env) -> None:
        self._spec, self._env = spec, env
        table = env.constant(spec, "table")
        self.default = env.constant(spec, "system") or (f"{_V2}{int(table):04d}" if table.isdecimal() else "")

    def coding(self, code: str, display: str, system: str, version: str) -> bytes:
        if not code:
            return b""
        uri = self._uri(system) if system else self.default
        return _coding(uri, code, display, version)

    def add(self, codings: list[bytes], first: _Texts, other: _Texts) -> None:
        """Add both codings. Beside a mapped coding a local code says something only when its system is named."""
        if first[2] or self.default or not codings:
            _add(codings, self.coding(*first))
        if other[2] or not codings:
            _add(codings, self.coding(*other))

    def add_second(self, codings: list[bytes], parts: list[str]) -> None:
        """The second alternate (CWE.10 to .13), which came with v2.7."""
        code, words, system, version = (self._env.text(part) for part in parts[9:13])
        if system or not codings:
            _add(codings, self.coding(code, words, system, version))

    def _uri(self, system: str) -> str:
        uri, known = self._env.codesystems.find(system)
        if not known:
            message = f"no coding system is known by the name `{system}`"
            self._env.report(self._spec, "codesystem-unknown", message, system, warn=True)
        return uri


_NAMED = {"system": 2, "text": 8, "display": 1}  # where a named argument stands in


def codeable(spec: Spec, env: Env) -> Evaluator:
    """CodeableConcept: the mapped coding first, then the codings of the field, then its text (CWE.9, or what shows)."""
    if spec.args == (Word("text"),):
        return _words_only(env)
    local = _Local(spec, env)
    simple = spec.type in ("IS", "ID", "ST", "JCC", "")
    names = spec.path_arguments()
    named_text, named_display = "text" in names, "display" in names

    def evaluate(raw: str, *extra: str) -> bytes:
        parts = env.parts(raw, 9)
        if len(parts) > 9:
            parts = _late(parts, simple=simple)
        for name, text in zip(names, extra, strict=False):
            if not parts[_NAMED[name]]:
                parts[_NAMED[name]] = env.first(text) if name == "system" else text
        code, display, system, other, other_text, other_system = (env.text(part) for part in parts[:6])
        if simple:
            other = other_text = other_system = ""
            system = system if "system" in names else ""
        beside = other if same_table(system, other_system) else ""
        codings, stop = _mapped_codings(spec, env, code or display, beside, other or other_text)
        if stop:
            return NOTHING
        if codings or spec.unmapped not in ("exception", "reject"):
            versions = ("", "") if simple else (env.text(parts[6]), env.text(parts[7]))
            local.add(codings, (code, display, system, versions[0]), (other, other_text, other_system, versions[1]))
            if len(parts) > 9:
                local.add_second(codings, parts)
        words = env.text(parts[8]) if named_text or not simple else ""
        text = words or ("" if named_display else display) or other_text or (code if not codings else "")
        if not codings and not text:
            return NOTHING
        inner = b'"coding":[%b]' % b",".join(codings) if codings else b""
        if text:
            inner += (b',"text":' if inner else b'"text":') + json_text(text)
        return b"{%b}" % inner

    return evaluate


def _add(codings: list[bytes], found: bytes) -> None:
    """Add a coding, unless it is there already under another display."""
    if found and found.split(b',"display":', 1)[0] not in {one.split(b',"display":', 1)[0] for one in codings}:
        codings.append(found)


def _late(parts: list[str], *, simple: bool) -> list[str]:
    """A CWE of v2.7 and later: the OIDs of coding systems (.14, .17, .20) stand in where a name is missing."""
    if simple:
        return parts[:9]
    parts = [*parts, *[""] * (20 - len(parts))]
    for name, oid in ((2, 13), (5, 16), (11, 19)):
        parts[name] = parts[name] or parts[oid]
    return parts


def _words_only(env: Env) -> Evaluator:
    """`CWE(text)`: words without a code: those of CWE.9 or .2, else the text itself."""

    def evaluate(raw: str, *_: str) -> bytes:
        parts = env.parts(raw, 9)
        text = env.text(parts[8]) or env.text(parts[1]) or env.text(parts[0])
        return b'{"text":%b}' % json_text(text) if text else NOTHING

    return evaluate


def same_table(system: str, other: str) -> bool:
    """Whether an alternate code (CWE.4) may be looked up in the map of the field: it is of the same or an HL7 table."""
    return not other or other == system or other.startswith("HL7")


def _mapped_codings(spec: Spec, env: Env, code: str, other: str, alone: str) -> tuple[list[bytes], bool]:
    """(codings by the map, whether to write nothing at all); `other` is an alternate of the same table.

    `alone` is an alternate of any table, or its words: what the map does not have where the field says no other.
    """
    if not spec.map or not (code or alone):
        return [], False
    entry = env.mapped(spec.map, code) if code else None
    if entry is not None and not entry.target:
        return [], True
    found = [_entry_coding(entry)] if entry is not None else []
    alternate = env.mapped(spec.map, other) if other else None
    if alternate is not None and alternate.target:
        _add(found, _entry_coding(alternate))
    if found:
        return found, False
    fixed = unmapped(spec, env, code or alone)
    if spec.unmapped == "fixed:":
        return [], True
    if fixed:
        known = env.mapped(spec.map, fixed)
        return [_entry_coding(known) if known and known.target else _coding("", fixed, "")], False
    return [], spec.unmapped in ("exception", "reject")


@register("CWE", "CE", "CNE", "CF", "IS", "ID", "JCC", "CodeableConcept")
def as_codeable(spec: Spec, env: Env) -> Evaluator:
    """CodeableConcept."""
    return codeable(spec, env)


@register("coding", "Coding")
def as_coding(spec: Spec, env: Env) -> Evaluator:
    """Coding: the mapped one, else the first of the field."""
    local = _Local(spec, env)

    def evaluate(raw: str, *_: str) -> bytes:
        parts = env.parts(raw, 6)
        code, display, system, other, other_system = (env.text(parts[at]) for at in (0, 1, 2, 3, 5))
        codings, stop = _mapped_codings(spec, env, code, other if same_table(system, other_system) else "", other)
        if codings or stop:
            return codings[0] if codings else NOTHING
        return local.coding(code, display, system, "")

    return evaluate


@register("code")
def as_code(spec: Spec, env: Env) -> Evaluator:
    """The code that the map gives; `code(raw)` takes the text itself."""
    raw_code = not spec.map
    answers: dict[str, bytes] = {}

    def evaluate(raw: str, *_: str) -> bytes:
        known = answers.get(raw)
        if known is not None and env.entries is None:
            return known
        code = env.first(raw)
        entry = env.mapped(spec.map, code) if code and not raw_code else None
        other = ""
        if entry is None and not raw_code:
            other, entry = _alternate(spec, env, raw)
        if not code and not other:
            return NOTHING
        target = code if raw_code else entry.target if entry is not None else unmapped(spec, env, code or other)
        found = json_text(target) if target else NOTHING
        if found and len(answers) < 4096:
            answers[raw] = found
        return found

    return evaluate


def _alternate(spec: Spec, env: Env, raw: str) -> tuple[str, MapEntry | None]:
    """The alternate code, and its entry when it is of the same table: for a code that the map does not have."""
    if env.component not in raw:
        return "", None
    parts = env.parts(raw, 6)
    system, other, other_system = (env.text(parts[at]) for at in (2, 3, 5))
    return other, env.mapped(spec.map, other) if other and same_table(system, other_system) else None


_YES, _NO = frozenset({"Y", "1", "T", "YES", "TRUE"}), frozenset({"N", "0", "F", "NO", "FALSE"})


@register("boolean")
def as_boolean(spec: Spec, env: Env) -> Evaluator:
    """True or false: through the map when there is one, else Y and N."""

    def evaluate(raw: str, *_: str) -> bytes:
        code = env.first(raw)
        entry = env.mapped(spec.map, code) if spec.map and code else None
        text = (entry.target if entry is not None else code).upper()
        if text in _YES or text in _NO:
            return b"true" if text in _YES else b"false"
        fixed = unmapped(spec, env, code) if text else ""
        return fixed.encode() if fixed in ("true", "false") else NOTHING

    return evaluate
