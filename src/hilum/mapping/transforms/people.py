"""XPN, XCN and CNN as HumanName, XAD as Address, XTN as ContactPoint, XON and PL as words."""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Raw

from hilum.mapping.transforms.frame import NOTHING, Env, Evaluator, Spec, json_text, register
from hilum.mapping.transforms.identifiers import location_display, person_display, shifted
from hilum.mapping.transforms.times import periods

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
    of_organization = spec.resource.startswith("Organization") and spec.element in ("address", "telecom")

    answers: dict[str, str] = {}

    def find(code: str) -> str:
        if not code:
            return default
        found = answers.get(code)
        if found is None or env.entries is not None:
            before = len(env.pending)
            found = look_up(code)
            if found == "home" and of_organization:  # R4 org-2, org-3
                found = default
            if len(env.pending) == before and len(answers) < 1000:
                answers[code] = found
        return found

    def look_up(code: str) -> str:
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


Members = dict[str, object]
Period = Callable[[str, str], bytes]  # from the DTM texts of its ends
_encode = json_text  # encodes any value


def _period(make: Period, start: str, end: str) -> Members:
    """The member `period` when one of the two texts is a time."""
    found = make(start, end)
    return {"period": Raw(found)} if found else {}


_SURNAMES = ("own-prefix", "own-name", "partner-prefix", "partner-name")  # FN.2 to FN.5
_EXTENSION = "http://hl7.org/fhir/StructureDefinition/"


def _extension(name: str, value: str) -> Members:
    return {"url": _EXTENSION + name, "valueString": value}


def _surnames(env: Env, raw: str) -> Members:
    """The parts of a family name (FN.2 to FN.5) as extensions of it."""
    parts = [env.text(part) for part in raw.split(env.subcomponent)[1:5]]
    found = [_extension(f"humanname-{name}", part) for name, part in zip(_SURNAMES, parts, strict=False) if part]
    return {"_family": {"extension": found}} if found else {}


def _validity(env: Env, make: Period, parts: list[str], range_at: int, period_at: int) -> Members:
    """The period of a name or address: effective and expiration date, else the validity range (a DR, deprecated)."""
    found = [*parts[period_at : period_at + 2], "", ""]
    if not found[0] and not found[1] and range_at < len(parts):
        found = [*parts[range_at].split(env.subcomponent), "", ""]
    return _period(make, found[0], found[1]) if found[0] or found[1] else {}


def _further_name(env: Env, make: Period, *, person: bool) -> Callable[[Members, list[str]], bytes | list[bytes]]:
    """What v2.3 and later added to names: order, validity, professional suffix, the name one is called by (XPN.15)."""
    # Where the validity range (a DR), the assembly order, the period's start and the professional suffix stand.
    range_at, order_at, period_at, suffix_at = (16, 17, 18, 20) if person else (9, 10, 11, 13)

    def further(members: Members, parts: list[str]) -> bytes | list[bytes]:
        order = env.text(parts[order_at]) if len(parts) > order_at else ""
        if order in ("F", "G"):  # HL7 table 0444, which the extension is bound to
            members["extension"] = [{"url": _EXTENSION + "humanname-assembly-order", "valueCode": order}]
        suffix = env.text(parts[suffix_at]) if len(parts) > suffix_at else ""
        if suffix:
            before = members.get("suffix", [])
            assert isinstance(before, list)
            members["suffix"] = [*before, suffix]
        members |= _validity(env, make, parts, range_at, period_at)
        called = env.first(parts[14]) if len(parts) > 14 and not person else ""
        name = _encode(members)
        return [name, _encode({"use": "nickname", "given": [called]})] if called else name

    return further


@register("XPN", "XCN", "CNN")
def as_human_name(spec: Spec, env: Env) -> Evaluator:
    """HumanName {use, family, given, prefix, suffix, period}; with a name of address (XPN.15) a list of two."""
    person = spec.type in ("XCN", "CNN") or (spec.transform in ("XCN", "CNN") and spec.type != "XPN")
    start = 1 if person else 0
    short = spec.type == "CNN"
    use = _use(spec, env, "XPN")
    make = periods(env, spec)
    first, component, subcomponent = env.first, env.component, env.subcomponent
    later = 16 if person else 9
    further = _further_name(env, make, person=person)

    def evaluate(raw: str, *_: str) -> bytes | list[bytes]:
        if short and component not in raw:
            raw = raw.replace(env.subcomponent, component)  # a CNN inside an NDL is split by sub-components
        parts = raw.split(component)
        if person and len(parts) > 1 and shifted(env, parts):
            parts = ["", *parts]
        size = len(parts) - start
        names = [first(part) for part in parts[start : start + 6]] + ["", "", "", "", "", ""][max(size, 0) :]
        family, given, middle, suffix, prefix, degree = names
        if not (family or given or middle):
            return NOTHING
        code = use(env.text(parts[9 if person else 6])) if size > 6 and len(parts) > (9 if person else 6) else use("")
        members: Members = {"use": code} if code else {}
        if family:
            members["family"] = family
            if subcomponent in parts[start]:
                members |= _surnames(env, parts[start])
        if middle:
            members["given"] = [given, *middle.split()] if given else middle.split()
        elif given:
            members["given"] = [given]
        if prefix:
            members["prefix"] = [prefix]
        if suffix or degree:
            members["suffix"] = [text for text in (suffix, degree) if text]
        return _encode(members) if len(parts) <= later else further(members, parts)

    return evaluate


_POSTAL = {"M": "postal", "SH": "postal"}


@register("XAD", "SAD")
def as_address(spec: Spec, env: Env) -> Evaluator:
    """Address {use, type, line, city, district, state, postalCode, country, period}.

    Lines are the street (XAD.1), other designation (.2) and addressee (.19).
    """
    use = _use(spec, env, "XAD")
    make = periods(env, spec)
    text, component = env.text, env.component

    def evaluate(raw: str, *_: str) -> bytes:
        parts = raw.split(component)
        size = len(parts)
        words = [text(part) for part in parts[1:7]] + ["", "", "", "", "", ""][size - 1 :]
        other, city, state, code, country, kind = words
        street = _street(env, parts[0])
        district, addressee = _county(env, parts[8]) if size > 8 else "", text(parts[18]) if size > 18 else ""
        if not (street or other or city or state or code or country or district):
            return NOTHING
        temporary = size > 15 and text(parts[15]) == "Y"
        where, postal = use(kind) or ("temp" if temporary else ""), _POSTAL.get(kind)
        members: Members = {"use": where} if where else {}
        if postal:
            members["type"] = postal
        if street or other or addressee:
            members["line"] = [line for line in (*street, other, addressee) if line]
        if city:
            members["city"] = city
        if district:
            members["district"] = district
        if state:
            members["state"] = state
        if code:
            members["postalCode"] = code
        if country:
            members["country"] = country
        if size > 9:
            members |= _tract(env, parts) | _validity(env, make, parts, 11, 12)
        return _encode(members)

    return evaluate


def _tract(env: Env, parts: list[str]) -> Members:
    tract = env.text(parts[9])
    return {"extension": [_extension("iso21090-ADXP-censusTract", tract)]} if tract else {}


def _street(env: Env, raw: str) -> list[str]:
    """The lines of an SAD: its address, then street name and dwelling number where the address does not say them.

    Official table SAD[Address]: SAD.1, SAD.2 and SAD.3 are lines. By HL7 v2 the address says them all.
    """
    if env.subcomponent not in raw:
        text = env.text(raw)
        return [text] if text else []
    address, *rest = (env.text(part) for part in raw.split(env.subcomponent)[:3])
    found = [address] if address else []
    return found + [text for text in rest if text and text.casefold() not in address.casefold()]


def _county(env: Env, raw: str) -> str:
    """The words of a county, else its code (a CWE since v2.7)."""
    if env.subcomponent not in raw:
        return env.text(raw)
    code, words = [env.text(part) for part in raw.split(env.subcomponent)][:2]
    return words or code


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


_NUMBER_PARTS = (("country", 4), ("area", 5), ("local", 6), ("extension", 7))


def _number(env: Env, parts: list[str]) -> str:
    """The number as it is dialled (XTN.12), else as its components say (.5 to .8, since v2.5), else as text (.1)."""
    country, area, local, extension = [env.text(part) if part else "" for part in parts[4:8]]
    if parts[11] or not local:
        return env.text(parts[11]) or env.text(parts[0])
    text = f"{area} {local}" if area else local
    if country:
        text = f"+{country.lstrip('+')} {text}"
    return f"{text} ext. {extension}" if extension else text


@register("XTN")
def as_contact_point(spec: Spec, env: Env) -> Evaluator:
    """ContactPoint {system, value, use, rank, period}; a list of two where one XTN holds a number and an e-mail."""
    use = _use(spec, env, "XTN")

    make = periods(env, spec)

    def one(system: str, value: str, kind: str, rest: Members | None = None) -> bytes:
        members: Members = {"system": system, "value": value}
        if kind:
            members["use"] = kind
        return _encode(members | rest if rest else members)

    def further(parts: list[str]) -> Members:
        """Preference (XTN.18), period (.13, .14), the parts of a number (.5 to .8) and any text (.9)."""
        rank = env.text(parts[17]) if len(parts) > 17 else ""
        members: Members = {"rank": int(rank)} if re.fullmatch(r"[1-9]\d{0,8}", rank, re.ASCII) else {}
        if len(parts) > 12:
            members |= _period(make, parts[12], parts[13] if len(parts) > 13 else "")
        said = [(name, env.text(parts[at])) for name, at in (*_NUMBER_PARTS, ("comment", 8))]
        found = [_extension(f"contactpoint-{name}", text) for name, text in said if text]
        if found:
            members["extension"] = found
        return members

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
        rest = further(parts) if len(parts) > 12 or any(parts[4:9]) else None
        found = [one("email", mail, kind, rest)] if mail else []
        if number:
            system = _EQUIPMENT.get(equipment) or ("pager" if code == "BPN" else "phone")
            system = "phone" if system == "email" else system
            found.insert(0, one(system, number, "mobile" if equipment == "CP" else kind, rest))
        return found[0] if len(found) == 1 else found

    return evaluate


def words_of(spec: Spec, env: Env) -> Callable[[str], str]:
    """What a person would read aloud of a datatype: a name, a place, a text."""
    if spec.type == "XON":
        return env.first
    if spec.type == "HD":
        return lambda raw: env.first(raw) or env.text(env.parts(raw, 2)[1]) or env.text(env.parts(raw, 1)[0])
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
