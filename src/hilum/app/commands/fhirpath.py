"""`hilum fhirpath`: what an expression gives on a FHIR resource, with types."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from hilum.app.printing import print_table
from hilum.errors import FormatError, HilumError
from hilum.fhirpath import Element, Expression, Quantity, Temporal, compile_expression, decode, system_type

__all__ = ["command"]

FINDINGS = 1
LONGEST = 200  # characters of a value in the table
_JSON = msgspec.json.Encoder(decimal_format="number")
_NDJSON = (".ndjson", ".jsonl")


def command(
    expression: Annotated[
        str, Parameter(help="FHIRPath, in quotes: \"name.where(use = 'official').given\".", allow_leading_hyphen=True)
    ],
    file: Annotated[
        str,
        Parameter(
            help="A JSON file with one resource, an NDJSON file, or - for standard input.", allow_leading_hyphen=True
        ),
    ],
    *,
    type: Annotated[  # noqa: A002 - the word of the option
        str | None, Parameter(help="The type that the file holds, where it is no resource: HumanName, for example.")
    ] = None,
    lenient: Annotated[
        bool, Parameter(help="Take names that the type does not have as empty, not as errors.", negative="")
    ] = False,
    json: Annotated[bool, Parameter(help="One JSON object for each resource.", negative="")] = False,
) -> int:
    """Show what a FHIRPath expression gives on a resource: each item with its type and value.

    Names are checked against R4; a name that the type does not have is an error that says which one may be meant. The
    values are printed: they are patient data where the file holds them.

    References are resolved among contained resources and the entries of a Bundle.
    """
    many = file.endswith(_NDJSON)
    lines = _lines(file, many=many)
    compiled: dict[str, Expression] = {}
    status = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{file}:{number}" if many else file
        try:
            items = _evaluate(compiled, expression, _decoded(line, place), type, lenient=lenient)
        except HilumError as error:
            if not many:
                raise
            print(f"hilum: {place}: {error}", file=sys.stderr)
            status = FINDINGS
            continue
        _show(items, place if many else "", as_json=json)
    return status


def _decoded(line: bytes, place: str) -> Any:
    try:
        return decode(line)
    except FormatError as error:
        raise FormatError(error.message, code=error.code, location=place) from None


def _lines(file: str, *, many: bool) -> list[bytes]:
    raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    return raw.splitlines() if many else [raw]


def _evaluate(
    compiled: dict[str, Expression], text: str, resource: Any, type_: str | None, *, lenient: bool
) -> list[Any]:
    """The items, each knowing its type. One Expression for each type that is met."""
    said = resource.get("resourceType") if isinstance(resource, dict) else None
    name = type_ or (said if isinstance(said, str) else "")
    if not name:
        raise HilumError("this has no resourceType; say its type with --type", code="resource-type-missing")
    if name not in compiled:
        compiled[name] = compile_expression(text, type=name, strict=not lenient)
    return compiled[name].typed(resource)


def _show(items: list[Any], place: str, *, as_json: bool) -> None:
    shown = [(_type(item), _value(item)) for item in items]
    if as_json:
        body: dict[str, Any] = {"place": place} if place else {}
        body |= {"count": len(shown), "items": [{"type": type_, "value": value} for type_, value in shown]}
        print(_JSON.encode(body).decode())
        return
    if place:
        print(place)
    rows = [(index, type_, _text(value)) for index, (type_, value) in enumerate(shown)]
    print_table(("item", "type", "value"), rows, empty="nothing: the result is empty")


def _type(item: Any) -> str:
    if isinstance(item, Element):
        return f"FHIR.{item.type}"
    if isinstance(item, dict):
        found = item.get("resourceType")
        return f"FHIR.{found}" if isinstance(found, str) else "System.Any"
    return f"System.{system_type(item)}"


def _value(item: Any) -> Any:
    if isinstance(item, Element):
        return item.value
    if isinstance(item, Temporal):
        return item.text
    return item.text() if isinstance(item, Quantity) else item


def _text(value: Any) -> str:
    """A value for people: one line, not too long, nothing that moves the cursor."""
    text = value if isinstance(value, str) else _JSON.encode(value).decode()
    shown = "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text[:LONGEST])
    return shown if len(text) <= LONGEST else f"{shown}… ({len(text):,} characters)"
