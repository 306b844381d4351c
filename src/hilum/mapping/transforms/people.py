"""XPN, XCN and CNN as HumanName, XAD as Address, XTN as ContactPoint, XON and PL as words."""

from __future__ import annotations

from collections.abc import Callable

from hilum.mapping.transforms.frame import NOTHING, Env, Evaluator, Spec, json_text, register
from hilum.mapping.transforms.identifiers import location_display, person_display, shifted
from hilum.mapping.transforms.times import moment, period_json

__all__: list[str] = []

_USES = {
    # HL7 tables 0200, 0190 and 0201 to NameUse, AddressUse and ContactPointUse, where no map is named.
    "XPN": {"L": "official", "D": "usual", "M": "maiden", "N": "nickname", "S": "anonymous", "T": "temp", "U": ""},
    "XAD": {"H": "home", "O": "work", "B": "work", "C": "temp", "BA": "old", "P": "home", "V": "temp"},
    "XTN": {"PRN": "home", "ORN": "home", "WPN": "work", "VHN": "temp", "PRS": "mobile"},
}
_FHIR_USES = {
    "XPN": frozenset(["usual", "official", "temp", "nickname", "anonymous", "old", "maiden"]),
    "XAD": frozenset(["home", "work", "temp", "old", "billing"]),
    "XTN": frozenset(["home", "work", "temp", "old", "mobile"]),
}


def _use(spec: Spec, env: Env, kind: str) -> Callable[[str], str]:
    """From the code in the field to a FHIR `use`; "" for none."""
    default = env.constant(spec, "use")
    known, allowed = _USES[kind], _FHIR_USES[kind]

    def find(code: str) -> str:
        if not code:
            return default
        if not spec.map:
            return known.get(code.upper()) or (code.lower() if code.lower() in allowed else default)
        entry = env.mapped(spec.map, code)
        if entry is not None:
            return entry.target
        if spec.unmapped.startswith("fixed:"):
            return spec.unmapped[6:]
        if spec.unmapped in ("exception", "reject"):
            hold = spec.unmapped == "reject"
            message = f"the code `{code}` is not in the map {spec.map}"
            env.report(spec, "code-unmapped", message, f"{spec.map}|{code}", hold=hold, warn=True)
        return default

    return find


def _members(pairs: list[tuple[bytes, bytes]]) -> bytes:
    return b",".join([b'"%b":%b' % pair for pair in pairs])


def _texts(values: list[str]) -> bytes:
    return b"[%b]" % b",".join([json_text(value) for value in values if value])


@register("XPN", "XCN", "CNN")
def as_human_name(spec: Spec, env: Env) -> Evaluator:
    """HumanName {use, family, given, prefix, suffix, period}."""
    person = spec.type in ("XCN", "CNN") or (spec.transform in ("XCN", "CNN") and spec.type != "XPN")
    start = 1 if person else 0
    short = spec.type == "CNN"
    use = _use(spec, env, "XPN")
    make = moment(env, spec, whole=False)

    def evaluate(raw: str, *_: str) -> bytes:
        if short and env.component not in raw:
            raw = raw.replace(env.subcomponent, env.component)  # a CNN inside an NDL is split by sub-components
        parts = env.parts(raw, 14 + start)
        if person and shifted(env, parts):
            parts = ["", *parts]
        family, given, middle, suffix, prefix, degree = (
            env.text(part.split(env.subcomponent, 1)[0]) for part in parts[start : start + 6]
        )
        if not (family or given or middle):
            return NOTHING
        pairs = [(b"family", json_text(family))] if family else []
        if given or middle:
            pairs.append((b"given", _texts([given, *middle.split()])))
        if prefix:
            pairs.append((b"prefix", _texts([prefix])))
        if suffix or degree:
            pairs.append((b"suffix", _texts([suffix, degree])))
        code = use(env.text(parts[9] if person else parts[6]))
        if code:
            pairs.insert(0, (b"use", json_text(code)))
        if not person and (parts[11] or parts[12]):
            period = period_json(make(parts[11]) if parts[11] else "", make(parts[12]) if parts[12] else "")
            pairs += [(b"period", period)] if period else []
        return b"{%b}" % _members(pairs)

    return evaluate


_POSTAL = {"M": "postal", "SH": "postal"}


@register("XAD", "SAD")
def as_address(spec: Spec, env: Env) -> Evaluator:
    """Address {use, type, line, city, district, state, postalCode, country, period}."""
    use = _use(spec, env, "XAD")
    make = moment(env, spec, whole=False)

    def evaluate(raw: str, *_: str) -> bytes:
        parts = env.parts(raw, 14)
        street = [env.text(part) for part in parts[0].split(env.subcomponent)]
        lines = [street[0], env.text(parts[1])]
        if not street[0]:
            lines[0] = " ".join(text for text in (*street[2:3], *street[1:2]) if text)
        words = (
            (b"city", env.text(parts[2])),
            (b"district", env.text(parts[8])),
            (b"state", env.text(parts[3])),
            (b"postalCode", env.text(parts[4])),
            (b"country", env.text(parts[5])),
        )
        pairs = [(b"line", _texts(lines))] if any(lines) else []
        pairs += [(name, json_text(text)) for name, text in words if text]
        if not pairs:
            return NOTHING
        code = env.text(parts[6])
        kind, where = use(code), _POSTAL.get(code)
        if where:
            pairs.insert(0, (b"type", json_text(where)))
        if kind:
            pairs.insert(0, (b"use", json_text(kind)))
        if parts[12] or parts[13]:
            period = period_json(make(parts[12]) if parts[12] else "", make(parts[13]) if parts[13] else "")
            pairs += [(b"period", period)] if period else []
        return b"{%b}" % _members(pairs)

    return evaluate


_EQUIPMENT = {
    # HL7 table 0202 to ContactPointSystem
    "PH": "phone",
    "CP": "phone",
    "SAT": "phone",
    "FX": "fax",
    "BP": "pager",
    "INTERNET": "email",
    "X.400": "email",
    "TDD": "other",
    "TTY": "other",
    "MD": "other",
}


def _number(env: Env, parts: list[str]) -> str:
    """The number as its components say (v2.5 and later, XTN.5 to .8), else unformatted (.12), else as text (.1)."""
    country, area, local, extension = (env.text(part) for part in parts[4:8])
    if not local:
        return env.text(parts[11]) or env.text(parts[0])
    text = f"{area} {local}" if area else local
    if country:
        text = f"+{country.lstrip('+')} {text}"
    return f"{text} ext. {extension}" if extension else text


@register("XTN")
def as_contact_point(spec: Spec, env: Env) -> Evaluator:
    """ContactPoint {system, value, use}; two of them (a list) where one XTN holds a number and an e-mail address."""
    use = _use(spec, env, "XTN")

    def one(system: str, value: str, kind: str) -> bytes:
        tail = b',"use":' + json_text(kind) if kind else b""
        return b'{"system":%b,"value":%b%b}' % (json_text(system), json_text(value), tail)

    def evaluate(raw: str, *_: str) -> bytes | list[bytes]:
        if env.component not in raw:
            value = env.text(raw)
            return one("email" if "@" in value else "phone", value, use("")) if value else NOTHING
        parts = env.parts(raw, 12)
        number, mail = _number(env, parts), env.text(parts[3])
        code, equipment = env.text(parts[1]), env.text(parts[2]).upper()
        kind = use("" if code in ("NET", "BPN", "EMR", "ASN") else code)
        if not mail and ("@" in number or (number and (code == "NET" or _EQUIPMENT.get(equipment) == "email"))):
            number, mail = "", number
        if not number and not mail:
            return NOTHING
        found = [one("email", mail, kind)] if mail else []
        if number:
            system = "pager" if code == "BPN" else _EQUIPMENT.get(equipment, "phone")
            system = "phone" if system == "email" else system
            found.insert(0, one(system, number, "mobile" if equipment == "CP" else kind))
        return found[0] if len(found) == 1 else found

    return evaluate


def words_of(spec: Spec, env: Env) -> Callable[[str], str]:
    """What a person would read aloud of a datatype: a name, a place, a text."""
    if spec.type == "XON":
        return env.first
    if spec.type in ("XCN", "CNN"):

        def person(raw: str) -> str:
            parts = env.parts(raw, 14)
            return person_display(env, ["", *parts] if shifted(env, parts) else parts) or env.text(parts[0])

        return person
    if spec.type == "XPN":
        return lambda raw: person_display(env, ["", *env.parts(raw, 7)])
    if spec.type == "PL":
        return lambda raw: location_display(env, env.parts(raw, 11))
    if spec.type in ("CWE", "CE", "CNE", "CF"):

        def coded(raw: str) -> str:
            parts = env.parts(raw, 9)
            return env.text(parts[8]) or env.text(parts[1]) or env.text(parts[4]) or env.text(parts[0])

        return coded
    return env.first


@register("display", "location")
def as_display(spec: Spec, env: Env) -> Evaluator:
    """Reference with nothing but its display."""
    words = words_of(spec, env)

    def evaluate(raw: str, *_: str) -> bytes:
        text = words(raw)
        return b'{"display":%b}' % json_text(text) if text else NOTHING

    return evaluate
