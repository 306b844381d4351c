"""A ViewDefinition (SQL on FHIR v2) as values, and everything that is wrong with one, with its place.

Places are written as JSON paths: `$.select[0].column[1].path`. All findings are reported at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from msgspec import Struct

from hilum.errors import ConfigError
from hilum.fhirpath import r4_model
from hilum.model import Finding
from hilum.views.tags import asked_type, fitted

__all__ = ["Column", "Constant", "Select", "View", "invalid", "read_view"]

DEEPEST = 8  # selects inside of selects
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_VIEW = {
    *(
        "resourceType",
        "id",
        "meta",
        "url",
        "identifier",
        "name",
        "title",
        "status",
        "experimental",
        "date",
        "publisher",
    ),
    *("contact", "description", "useContext", "copyright", "resource", "resourceVersion", "fhirVersion", "constant"),
    *("select", "where", "extension", "text", "profile", "jurisdiction", "purpose", "copyrightLabel", "version"),
}
_SELECT = {"id", "extension", "column", "select", "forEach", "forEachOrNull", "repeat", "unionAll"}
_COLUMN = {"id", "extension", "name", "path", "description", "collection", "type", "tag"}
_LOOPS = ("forEach", "forEachOrNull", "repeat")


class Column(Struct, frozen=True):
    """One column. `type` is the FHIR type that was declared, `sql` the ANSI type; "" for none. `at`: its place."""

    name: str
    path: str
    at: str
    type: str = ""
    is_collection: bool = False
    sql: str = ""


class Select(Struct, frozen=True):
    """One select. At most one of `for_each`, `for_each_or_null`, `repeat` is set."""

    at: str
    columns: tuple[Column, ...] = ()
    selects: tuple[Select, ...] = ()
    unions: tuple[Select, ...] = ()
    for_each: str = ""
    for_each_or_null: str = ""
    repeat: tuple[str, ...] = ()

    def names(self) -> Iterator[tuple[str, str]]:
        """(name, place) of every column that it gives, in order; a union gives those of its first part."""
        for column in self.columns:
            yield column.name, column.at
        for select in self.selects:
            yield from select.names()
        if self.unions:
            yield from self.unions[0].names()


class Constant(Struct, frozen=True):
    """`%name` in the paths of a view. `type` is the FHIR type that `value[x]` says."""

    name: str
    type: str
    value: Any


class View(Struct, frozen=True):
    """A whole ViewDefinition."""

    name: str  # "" when it has none
    resource: str
    select: Select
    where: tuple[tuple[str, str], ...] = ()  # (path, place)
    constants: tuple[Constant, ...] = ()
    title: str = ""
    description: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its columns, in order."""
        return tuple(name for name, _ in self.select.names())


def invalid(findings: list[Finding]) -> ConfigError:
    """The error of a view with findings."""
    count = f"{len(findings)} errors" if len(findings) > 1 else "an error"
    return ConfigError(f"the ViewDefinition has {count}", findings, code="view-invalid")


def read_view(body: Any) -> View:
    """A ViewDefinition from parsed JSON. Raises ConfigError `view-invalid` with all findings."""
    reader = _Reader()
    view = reader.view(body)
    if reader.findings or view is None:
        raise invalid(reader.findings)
    return view


class _Reader:
    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def report(self, code: str, message: str, at: str, hint: str = "") -> None:
        self.findings.append(Finding(code, message, at, hint=hint))

    def view(self, body: Any) -> View | None:
        if not isinstance(body, dict):
            self.report("view-wrong-shape", "a ViewDefinition is a JSON object", "$")
            return None
        self.keys(body, _VIEW, "$")
        if body.get("resourceType", "ViewDefinition") != "ViewDefinition":
            self.report("view-wrong-shape", "resourceType is not ViewDefinition", "$.resourceType")
        resource = self.resource(body)
        selects = self.selects(body, "$", "select", 0)
        if not selects and "select" not in body:
            self.report("view-missing", "a view has a `select` with at least one column", "$.select")
        select = Select("$", selects=selects)
        self.distinct(select)
        name = self.text(body, "name", "$")
        if name and not NAME.fullmatch(name):
            self.report("view-bad-name", "a name has letters, digits and _, and begins with a letter", "$.name")
        constants = tuple(self.constants(body))
        where = tuple(self.where(body))
        texts = self.text(body, "title", "$"), self.text(body, "description", "$")
        return View(name, resource, select, where, constants, *texts)

    def keys(self, body: dict[str, Any], known: set[str], at: str) -> None:
        for key in body:
            if key not in known and not key.startswith("_"):
                near = get_close_matches(key, known, n=1)
                self.report(
                    "view-unknown-key",
                    f"`{key}` is not known here",
                    f"{at}.{key}",
                    f"did you mean `{near[0]}`?" if near else "",
                )

    def resource(self, body: dict[str, Any]) -> str:
        found = self.text(body, "resource", "$", needed=True)
        if found and not r4_model().is_resource(found):
            self.report("view-unknown-resource", f"R4 has no resource type `{found}`", "$.resource")
        return found

    def text(self, body: dict[str, Any], key: str, at: str, *, needed: bool = False) -> str:
        found = body.get(key)
        if found is None and not needed:
            return ""
        if found is None:
            self.report("view-missing", f"`{key}` is missing", f"{at}.{key}")
        elif not isinstance(found, str) or not found.strip():
            self.report("view-wrong-shape", f"`{key}` is a text", f"{at}.{key}")
        else:
            return found
        return ""

    def items(self, body: dict[str, Any], key: str, at: str) -> Iterator[tuple[dict[str, Any], str]]:
        """The objects of a list, each with its place."""
        found = body.get(key, [])
        if not isinstance(found, list) or (key in body and not found):
            self.report("view-wrong-shape", f"`{key}` is a list with at least one entry", f"{at}.{key}")
            return
        for index, one in enumerate(found):
            place = f"{at}.{key}[{index}]"
            if isinstance(one, dict):
                yield one, place
            else:
                self.report("view-wrong-shape", "a JSON object is expected", place)

    def selects(self, body: dict[str, Any], at: str, key: str, depth: int) -> tuple[Select, ...]:
        if depth >= DEEPEST:
            self.report("view-too-deep", f"selects are nested at most {DEEPEST} deep", at)
            return ()
        return tuple(self.select(one, place, depth + 1) for one, place in self.items(body, key, at))

    def select(self, body: dict[str, Any], at: str, depth: int) -> Select:
        self.keys(body, _SELECT, at)
        loops = [key for key in _LOOPS if key in body]
        if len(loops) > 1:
            self.report("view-two-loops", f"{' and '.join(f'`{key}`' for key in loops)} exclude each other", at)
        unions = self.selects(body, at, "unionAll", depth)
        found = Select(
            at,
            tuple(self.columns(body, at)),
            self.selects(body, at, "select", depth),
            unions,
            self.text(body, "forEach", at),
            self.text(body, "forEachOrNull", at),
            tuple(self.paths(body, at)),
        )
        if not (found.columns or found.selects or found.unions):
            self.report("view-missing", "a select has `column`, `select` or `unionAll`", at)
        self.alike(unions)
        return found

    def paths(self, body: dict[str, Any], at: str) -> Iterator[str]:
        found = body.get("repeat")
        if found is None:
            return
        if not isinstance(found, list) or not found or not all(isinstance(one, str) and one.strip() for one in found):
            self.report("view-wrong-shape", "`repeat` is a list of paths", f"{at}.repeat")
            return
        yield from found

    def columns(self, body: dict[str, Any], at: str) -> Iterator[Column]:
        for one, place in self.items(body, "column", at):
            self.keys(one, _COLUMN, place)
            name, path = (self.text(one, key, place, needed=True) for key in ("name", "path"))
            if name and not NAME.fullmatch(name):
                self.report(
                    "view-bad-name",
                    "a column name has letters, digits and _, and begins with a letter",
                    f"{place}.name",
                )
            collection = one.get("collection", False)
            if not isinstance(collection, bool):
                self.report("view-wrong-shape", "`collection` is true or false", f"{place}.collection")
            asked = asked_type(tag for tag, _ in self.items(one, "tag", place))
            if asked and fitted("t", asked, "x") is None:
                self.report("view-unknown-type", f"`{asked}` is no ANSI type that is known here", f"{place}.tag")
            yield Column(name, path, place, self.type(one, place), collection is True, asked)

    def type(self, body: dict[str, Any], at: str) -> str:
        found = self.text(body, "type", at).removeprefix("http://hl7.org/fhir/StructureDefinition/")
        found = found.removeprefix("http://hl7.org/fhirpath/System.").removeprefix("FHIR.")
        if (
            found
            and found != "integer64"
            and not r4_model().has(found)
            and found not in ("String", "Boolean", "Integer", "Decimal")
        ):
            self.report("view-unknown-type", f"R4 has no type `{found}`", f"{at}.type")
        return found[:1].lower() + found[1:] if found in ("String", "Boolean", "Integer", "Decimal") else found

    def constants(self, body: dict[str, Any]) -> Iterator[Constant]:
        seen = set[str]()
        for one, at in self.items(body, "constant", "$"):
            name = self.text(one, "name", at, needed=True)
            values = [key for key in one if key.startswith("value")]
            if len(values) != 1:
                self.report("view-constant", "a constant has one value[x], as in `valueString`", at)
                continue
            type_ = values[0].removeprefix("value")
            type_ = type_ if r4_model().has(type_) else type_[:1].lower() + type_[1:]
            value = one[values[0]]
            if not r4_model().is_primitive(type_) or isinstance(value, dict | list) or value is None:
                self.report("view-constant", "a constant is of a primitive type of R4", f"{at}.{values[0]}")
            if name in seen:
                self.report("view-duplicate", f"the constant `{name}` is there twice", f"{at}.name")
            seen.add(name)
            yield Constant(name, type_, value)

    def where(self, body: dict[str, Any]) -> Iterator[tuple[str, str]]:
        for one, at in self.items(body, "where", "$"):
            self.keys(one, {"path", "description", "id", "extension"}, at)
            yield self.text(one, "path", at, needed=True), f"{at}.path"

    def alike(self, unions: tuple[Select, ...]) -> None:
        """The parts of a union give the same columns in the same order."""
        wanted = [name for name, _ in unions[0].names()] if unions else []
        for union in unions[1:]:
            names = [name for name, _ in union.names()]
            if names != wanted:
                self.report(
                    "view-union-columns",
                    f"this part gives {', '.join(names)}; the first gives {', '.join(wanted)}",
                    union.at,
                )

    def distinct(self, select: Select) -> None:
        seen = set[str]()
        for name, at in select.names():
            if name in seen:
                self.report("view-duplicate", f"the column `{name}` is there twice", f"{at}.name")
            seen.add(name)
