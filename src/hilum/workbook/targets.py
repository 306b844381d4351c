"""What rows write, against the definitions of R4: paths at every depth, lists, data types, required bindings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from hilum.definitions import Element, children, element, types, value_set
from hilum.mapping import Literal, Rule
from hilum.model import Finding
from hilum.workbook.sheets import Entry

__all__ = ["target_findings"]

# What transforms give, by the names of R4 datatypes; one that chooses for itself is not here.
_GIVEN = """
CX EI DLN PLN XON_ID XCN_ID CWE_ID PL_ID HD EIP identifier: Identifier
XPN XCN CNN: HumanName
XAD SAD: Address
XTN: ContactPoint
CWE CE CNE CF IS ID JCC: CodeableConcept
coding: Coding
code text: string markdown code id uri url base64Binary canonical oid
note: Annotation
boolean: boolean
integer: integer positiveInt unsignedInt decimal
minutes: integer positiveInt unsignedInt
decimal: decimal
quantity: Quantity SimpleQuantity Duration Age Count Distance
range: BackboneElement
Range: Range
Ratio: Ratio
date: date dateTime
datetime: dateTime date
instant received: instant dateTime
time: time
period DR: Period
attachment ED RP: Attachment
timing TQ RI RPT: Timing
MO CP: Money
uri url oid: uri url canonical oid
ref display location logical targets: Reference
"""
_GIVES = {
    name: frozenset(made.split())
    for names, _, made in (line.partition(":") for line in _GIVEN.strip().splitlines())
    for name in names.split()
}
_USE = frozenset({"XPN", "XCN", "CNN", "XAD", "SAD", "XTN"})  # their map gives the `use` of what they make


def path_of(rule: Rule) -> str:
    """The target below its type: `contact.telecom`, `birthDate.extension.valueDateTime`."""
    return ".".join(step.name for step in rule.target.steps)


def target_findings(
    rules: Sequence[Rule], entries: Mapping[str, Entry], maps: Mapping[str, Sequence[Entry]]
) -> Iterator[Finding]:
    """Everything that R4 says about targets. `entries` are rows by row_id, `maps` the entries of each map."""
    said: set[tuple[str, str]] = set()
    for rule in rules:
        if not rule.target.steps or rule.target.is_cell:
            continue
        entry = entries[rule.row.row_id]
        found, problem = _walk(rule, entry)
        if problem is not None:
            yield problem
        elif found is not None:
            yield from _type_findings(rule, entry, found)
            for finding in _binding_findings(rule, entry, found, maps.get(rule.row.map, ())):
                if (finding.location, finding.message) not in said:
                    said.add((finding.location, finding.message))
                    yield finding


def _walk(rule: Rule, entry: Entry) -> tuple[Element | None, Finding | None]:
    """The element at the end of the target, or what is wrong on the way."""
    type_, path = rule.target.type, ""
    if element(type_) is None:
        near = get_close_matches(type_, types("resource"), 1)
        hint = f"did you mean `{near[0]}`?" if near else ""
        message = f"R4 has no resource type `{type_}`"
        return None, Finding("target-unknown", message, entry.location("target"), hint=hint)
    found: Element | None = None
    for step in rule.target.steps:
        above, path = path, f"{path}.{step.name}" if path else step.name
        found = element(type_, path)
        if found is None:
            near = get_close_matches(step.name, list(children(type_, above)), 1)
            hint = f"did you mean `{near[0]}`?" if near else ""
            return None, Finding("target-unknown", f"R4 has no {type_}.{path}", entry.location("target"), hint=hint)
        if step.name != "extension" and step.item is not None and not found.is_list:
            message = f"R4 has {type_}.{path} as no list"
            return None, Finding("target-invalid", message, entry.location("target"), hint="leave the [..] out")
    return found, None


def _type_findings(rule: Rule, entry: Entry, found: Element) -> Iterator[Finding]:
    gives = _GIVES.get(rule.transform.name)
    wanted = {one.code for one in found.types}
    if gives is None or not wanted or wanted & gives or _is_open_choice(rule):
        return
    message = (
        f"`{rule.transform.name}` gives {_or(gives)}, and R4 has {rule.target.type}.{path_of(rule)} as {_or(wanted)}"
    )
    fitting = sorted(name for name, made in _GIVES.items() if made & wanted)
    hint = f"transforms that fit: {', '.join(fitting[:6])}" if fitting else "write a part of it, for example its .text"
    yield Finding("target-type-differs", message, entry.location("transform"), hint=hint)


def _is_open_choice(rule: Rule) -> bool:
    """`value[x]`: the transform chooses the type."""
    return rule.target.steps[-1].name.endswith("[x]")


def _or(names: Sequence[str] | set[str] | frozenset[str]) -> str:
    return " or ".join(sorted(names)[:4])


def _binding_findings(rule: Rule, entry: Entry, found: Element, codes: Sequence[Entry]) -> Iterator[Finding]:
    """Codes that a required binding does not have: of the map, of the policies, of a constant."""
    name = rule.transform.name
    below = "use" if name in _USE else "type" if name in ("CX", "EI", "DLN") else ""
    bound = element(rule.target.type, f"{path_of(rule)}.{below}") if below else found
    if bound is None or bound.binding is None or bound.binding.strength != "required":
        return
    where = f"{rule.target.type}.{path_of(rule)}{'.' + below if below else ''}"
    for code in codes:
        yield from _code(code.cells["target"], code.cells["system"], bound, where, code.location("target"), name)
    if below or name != "code":
        written = [("transform", _constant(rule))]
    else:
        written = [(column, _after(getattr(rule.row, column))) for column in ("missing", "unmapped")]
    for column, text in written:
        yield from _code(text, "", bound, where, entry.location(column), "code")


def _code(text: str, system: str, bound: Element, where: str, location: str, name: str) -> Iterator[Finding]:
    known = value_set(bound.binding.value_set) if bound.binding else None
    if not text or text.startswith("{") or known is None:
        return
    is_plain = name in _USE or name == "code"
    if known.has(text, None if is_plain else system or None) is not False:
        return
    listed = sorted(code for codes in known.codes.values() for code in codes)
    near = get_close_matches(text, listed, 1, 0.5)
    hint = f"did you mean `{near[0]}`?" if near else f"one of: {', '.join(listed[:12])}"
    yield Finding("code-outside-binding", f"R4 does not allow `{text}` in {where}", location, hint=hint)


def _constant(rule: Rule) -> str:
    argument = rule.transform.args[0] if rule.transform.name == "const" and rule.transform.args else None
    return argument.text if isinstance(argument, Literal) and not argument.number else ""


def _after(policy: str) -> str:
    """`x` of `default:x` and `fixed:x`."""
    word, _, text = policy.partition(":")
    return text if word in ("default", "fixed") else ""
