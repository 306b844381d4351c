"""CX, EI, XON, XCN, CNN, PL, HD, EIP and DLN as identifiers, and the keys of resources.

An identifier always has a system: that of its assigning authority (namespaces), else it holds the message.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct

from hilum.mapping.identity import resource_id
from hilum.mapping.lookup import local_uri
from hilum.mapping.syntax import Word
from hilum.mapping.transforms.frame import NOTHING, Env, Evaluator, Spec, json_text, register
from hilum.mapping.transforms.times import periods

__all__ = ["Identity", "identity_of", "key_evaluator"]

_TYPE_SYSTEM = b"http://terminology.hl7.org/CodeSystem/v2-0203"
_LICENCE = "urn:oid:2.16.840.1.113883.4.3."  # HL7 OID registry: driver's licence number by FIPS state code
_STATES = (
    "AL:1 AK:2 AZ:4 AR:5 CA:6 CO:8 CT:9 DE:10 DC:11 FL:12 GA:13 HI:15 ID:16 IL:17 IN:18 IA:19 KS:20 KY:21 LA:22 ME:23"
    " MD:24 MA:25 MI:26 MN:27 MS:28 MO:29 MT:30 NE:31 NV:32 NH:33 NJ:34 NM:35 NY:36 NC:37 ND:38 OH:39 OK:40 OR:41"
    " PA:42 RI:44 SC:45 SD:46 TN:47 TX:48 UT:49 VT:50 VA:51 WA:53 WV:54 WI:55 WY:56"
)
_FIPS = dict(re.findall(r"(\w+):(\d+)", _STATES))


class Identity(Struct, frozen=True):
    """What a datatype says of who or what is meant. `system` is "" only when the message is to be held."""

    value: str
    system: str = ""
    type: str = ""
    start: str = ""
    end: str = ""
    display: str = ""
    check: str = ""  # check digit and its scheme
    scheme: str = ""


Reader = Callable[[str], Identity | None]


def _constant_system(spec: Spec, env: Env) -> str:
    return env.constant(spec, "system")


def _cx(spec: Spec, env: Env) -> Reader:
    fixed = _constant_system(spec, env)
    systems: dict[str, str] = {}

    def authority(raw: str) -> str:
        before = len(env.pending)
        found = env.system(spec, *env.hierarchic(raw))
        if len(env.pending) == before and len(systems) < 1000:
            systems[raw] = found
        return found

    def read(raw: str) -> Identity | None:
        if env.component not in raw:
            value = env.text(raw)
            return Identity(value, fixed or env.system(spec, "")) if value else None
        parts = env.parts(raw, 8)
        value = env.text(parts[0])
        if not value:
            return None
        system = fixed or systems.get(parts[3]) or authority(parts[3])
        type_, start, end = env.text(parts[4]), env.text(parts[6]), env.text(parts[7])
        if parts[1]:
            return Identity(value, system, type_, start, end, "", env.text(parts[1]), env.text(parts[2]))
        return Identity(value, system, type_, start, end)

    return read


def _ei(spec: Spec, env: Env) -> Reader:
    fixed = _constant_system(spec, env)

    def read(raw: str) -> Identity | None:
        value, namespace, universal, type_ = (env.text(part) for part in env.parts(raw, 4)[:4])
        if not value:
            return None
        return Identity(value, fixed or env.system(spec, namespace, universal, type_))

    return read


def _eip(spec: Spec, env: Env) -> Reader:
    fixed = _constant_system(spec, env)
    part = max(int(env.constant(spec, "part", "1")), 1) - 1

    def read(raw: str) -> Identity | None:
        inner = env.parts(raw, 2)[part].split(env.subcomponent)
        value, namespace, universal, type_ = (env.text(text) for text in (*inner, "", "", "")[:4])
        return Identity(value, fixed or env.system(spec, namespace, universal, type_)) if value else None

    return read


def _xon(spec: Spec, env: Env) -> Reader:
    fixed = _constant_system(spec, env)

    def read(raw: str) -> Identity | None:
        parts = env.parts(raw, 10)
        name, value = env.first(parts[0]), env.text(parts[9]) or env.text(parts[2])
        if value:
            system = fixed or env.system(spec, *env.hierarchic(parts[5]))
            check, scheme = ("", "") if parts[9] else (env.text(parts[3]), env.text(parts[4]))
            return Identity(value, system, env.text(parts[6]), "", "", name, check, scheme)
        if not name or spec.transform == "XON_ID":
            return None  # a name is a key of last resort, but no identifier
        return Identity(name.casefold(), local_uri("organization", env.facility), display=name)

    return read


def person_display(env: Env, parts: list[str]) -> str:
    """`Dr Jane Doe` from the name components of an XCN, CNN or (shifted by one) XPN."""
    found = (parts[5], parts[2], parts[3], parts[1], parts[4])
    return " ".join(text for text in (env.text(part.split(env.subcomponent, 1)[0]) for part in found) if text)


def shifted(env: Env, parts: list[str]) -> bool:
    """Whether an XCN holds a name one part too early (`SMITH^JOHN`): letters for an id, no given name, no authority."""
    head = env.text(parts[0].split(env.subcomponent, 1)[0])
    if not head or any(character.isdigit() for character in head):
        return False
    return bool(parts[1]) and not any(parts[at] for at in (2, 7, 8, 12) if at < len(parts))


def _xcn(spec: Spec, env: Env) -> Reader:
    fixed = _constant_system(spec, env)
    short = spec.type == "CNN"

    def read(raw: str) -> Identity | None:
        if short and env.component not in raw:
            raw = raw.replace(env.subcomponent, env.component)  # a CNN inside an NDL is split by sub-components
        parts = env.parts(raw, 14)
        value = env.text(parts[0])
        if not value:
            return None
        if shifted(env, parts):
            env.report(spec, "name-shifted", "a name where the identifier of a person belongs: nobody was identified")
            return None
        authority = (env.text(parts[8]), env.text(parts[9]), env.text(parts[10])) if short else env.hierarchic(parts[8])
        shown = person_display(env, parts)
        if short:
            return Identity(value, fixed or env.system(spec, *authority), display=shown)
        type_, check, scheme = (env.text(parts[at]) for at in (12, 10, 11))
        return Identity(value, fixed or env.system(spec, *authority), type_, "", "", shown, check, scheme)

    return read


def location_display(env: Env, parts: list[str]) -> str:
    """`Ward 3, Room 12, Bed A` as written: point of care, room, bed, then building and facility."""
    found = [env.first(parts[at]) for at in (0, 1, 2)] + [env.text(parts[6]), env.first(parts[3])]
    return env.text(parts[8]) or " ".join(text for text in found if text)


def _pl(spec: Spec, env: Env) -> Reader:
    fixed = _constant_system(spec, env)

    local: dict[str, str] = {}

    def read(raw: str) -> Identity | None:
        parts = env.parts(raw, 11)
        places = [env.first(parts[at]) for at in (0, 1, 2, 6, 7)]
        facility = env.first(parts[3])
        if not any(places) and not facility:
            return None
        value = "|".join(places).rstrip("|") or facility
        system = fixed or local.get(facility)
        if system is None:
            if len(local) > 1000:
                local.clear()
            system = local[facility] = local_uri("pl", facility or env.facility)
        return Identity(value, system, display=location_display(env, parts))

    return read


def _hd(spec: Spec, env: Env) -> Reader:
    fixed, universal_only = _constant_system(spec, env), spec.args == (Word("universal"),)

    def read(raw: str) -> Identity | None:
        namespace, universal, type_ = (env.text(part) for part in env.parts(raw, 3)[:3])
        uri = env.namespaces.find("", universal, type_) if universal else ""
        if uri and not fixed:
            return Identity(uri, "urn:ietf:rfc:3986", display=namespace)
        if universal_only:
            return None
        value = namespace or universal
        return Identity(value, fixed or local_uri("hd", env.facility), display=value) if value else None

    return read


def _cwe(spec: Spec, env: Env) -> Reader:
    fixed = _constant_system(spec, env)

    def read(raw: str) -> Identity | None:
        code, text, system = (env.text(part) for part in env.parts(raw, 3)[:3])
        if not code and (not text or spec.transform == "CWE_ID"):
            return None
        uri = env.codesystems.find(system)[0] if system else local_uri("code", env.facility)
        return Identity(code or text.casefold(), fixed or uri, display=text or code)

    return read


def _dln(spec: Spec, env: Env) -> Reader:
    fixed = _constant_system(spec, env)

    def read(raw: str) -> Identity | None:
        value, state, end = (env.first(part) for part in env.parts(raw, 3)[:3])
        if not value:
            return None
        number = _FIPS.get(state.upper())
        return Identity(value, fixed or (_LICENCE + number if number else env.system(spec, state)), "DL", end=end)

    return read


def _text(spec: Spec, env: Env) -> Reader:
    system = _constant_system(spec, env) or local_uri("key", spec.resource or spec.row_id)

    def read(raw: str) -> Identity | None:
        value = env.first(raw)
        return Identity(value, system) if value else None

    return read


def _pln(spec: Spec, env: Env) -> Reader:
    """PLN: number^type^state^expiration; the type (a licence of a state, a DEA number) is the authority."""
    fixed = _constant_system(spec, env)

    def read(raw: str) -> Identity | None:
        value, type_, _, end = (env.first(part) for part in env.parts(raw, 4)[:4])
        return Identity(value, fixed or env.system(spec, type_), type_, end=end) if value else None

    return read


_READERS: dict[str, Callable[[Spec, Env], Reader]] = {
    "CX": _cx,
    "EI": _ei,
    "EIP": _eip,
    "XON": _xon,
    "XCN": _xcn,
    "CNN": _xcn,
    "PL": _pl,
    "HD": _hd,
    "CWE": _cwe,
    "CE": _cwe,
    "CNE": _cwe,
    "CF": _cwe,
    "DLN": _dln,
    "PLN": _pln,
}


def identity_of(spec: Spec, env: Env, type_: str = "") -> Reader:
    """How a datatype says who is meant: (system, value), its type and a name to show. Plain texts are their own key."""
    return _READERS.get(type_ or spec.type, _text)(spec, env)


@register("CX", "EI", "EIP", "DLN", "XON_ID", "XCN_ID", "PL_ID", "CWE_ID", "PLN", "HD")
def as_identifier(spec: Spec, env: Env) -> Evaluator:
    """Identifier {use, type, system, value, period}.

    `type=` is the type whatever the field says, `untyped=` where it says none, `type_text=` the words beside it.
    """
    named = spec.transform.removesuffix("_ID")
    read = identity_of(spec, env, spec.type if spec.type in _READERS else named)
    return _identifier(spec, env, read)


@register("logical")
def as_logical_reference(spec: Spec, env: Env) -> Evaluator:
    """Reference with nothing but an identifier: of something that is not here (R4 references.html#logical)."""
    make = _identifier(spec, env, identity_of(spec, env))

    def evaluate(raw: str, *_: str) -> bytes:
        found = make(raw)
        return b'{"identifier":%b}' % found if found else NOTHING

    return evaluate


@register("identifier")
def as_plain_identifier(spec: Spec, env: Env) -> Evaluator:
    """Identifier whose value is the text and whose system is `system=`."""
    read = _text(spec, env)
    return _identifier(spec, env, read)


def _identifier(spec: Spec, env: Env, read: Reader) -> Evaluator:
    use = env.constant(spec, "use")
    fixed_type, untyped = env.constant(spec, "type"), env.constant(spec, "untyped")
    words = env.constant(spec, "type_text")
    period_of = periods(env, spec)
    use_json = b'"use":%b,' % json_text(use) if use else b""
    types: dict[str, bytes] = {}

    def type_json(code: str) -> bytes:
        known = types.get(code)
        if known is None:
            known = _type_json(spec, env, code, words)
            if not env.pending and env.entries is None:
                types[code] = known
        return known

    def evaluate(raw: str, *_: str) -> bytes:
        found = read(raw)
        if found is None or not found.system:
            return NOTHING
        code = fixed_type or found.type or untyped
        type_ = type_json(code) if code else b""
        if found.start or found.end:
            period = period_of(found.start, found.end)
            tail = b',"period":' + period if period else b""
        else:
            tail = b""
        if found.check:
            tail += _checks(found)
        return b'{%b%b"system":%b,"value":%b%b}' % (
            use_json,
            type_,
            json_text(found.system),
            json_text(found.value),
            tail,
        )

    return evaluate


def _checks(found: Identity) -> bytes:
    """Check digit and its scheme as the extensions of the official tables (CX.2, CX.3)."""
    pairs = (("identifier-checkDigit", found.check), ("namingsystem-checkDigit", found.scheme))
    made = [
        b'{"url":"http://hl7.org/fhir/StructureDefinition/%b","valueString":%b}' % (name.encode(), json_text(text))
        for name, text in pairs
        if text
    ]
    return b',"extension":[%b]' % b",".join(made)


def _type_json(spec: Spec, env: Env, code: str, text: str = "") -> bytes:
    system, display = _TYPE_SYSTEM.decode(), ""
    if spec.map:
        entry = env.mapped(spec.map, code)
        if entry is None:
            return _unmapped_type(spec, env, code)
        if not entry.target:
            return b""
        code, system, display = entry.target, entry.system or system, entry.display
    words = b',"display":' + json_text(display) if display else b""
    said = b',"text":' + json_text(text) if text else b""
    return b'"type":{"coding":[{"system":%b,"code":%b%b}]%b},' % (json_text(system), json_text(code), words, said)


def _unmapped_type(spec: Spec, env: Env, code: str) -> bytes:
    if spec.unmapped in ("exception", "reject"):
        env.report(
            spec,
            "code-unmapped",
            f"the code `{code}` is not in the map {spec.map}",
            f"{spec.map}|{code}",
            hold=spec.unmapped == "reject",
            warn=True,
        )
    return b'"type":{"text":%b},' % json_text(code)


def key_evaluator(spec: Spec, env: Env, type_: str, *, whole: bool = False) -> Callable[..., str]:
    """For `Type.id` and `merge(Type)`: raw text to resource id; "" when the datatype names nobody.

    `whole`: the text has been cut already, and is taken as it is.
    """
    read = identity_of(spec, env)
    # A text that is no identifier of its own is only known to the one who sent it.
    scope = f"{env.sender}|" if spec.type not in _READERS and not (spec.has("of") or spec.has("system")) else ""
    if spec.type not in _READERS:
        system = _constant_system(spec, env) or local_uri("key", spec.resource or spec.row_id)

        def evaluate_text(raw: str, owner: str = "") -> str:
            value = env.text(raw) if whole else env.first(raw)
            return resource_id(type_, system, f"{owner}|{value}" if owner else scope + value) if value else ""

        return evaluate_text

    def evaluate(raw: str, owner: str = "") -> str:
        found = read(raw)
        if found is None or not found.system:
            return ""
        value = f"{owner}|{found.value}" if owner else scope + found.value
        return resource_id(type_, found.system, value)

    return evaluate
