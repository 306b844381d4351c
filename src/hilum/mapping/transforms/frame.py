"""What every transform works with: the row it serves (`Spec`), its surroundings (`Env`), and the registry of names."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from hilum.mapping.lookup import CodeMaps, CodeSystems, Namespaces, local_uri
from hilum.mapping.syntax import Expression, Literal, Param, Path, Word
from hilum.mapping.tables import MapEntry
from hilum.model import ExceptionItem

__all__ = [
    "COMBINATORS",
    "NOTHING",
    "Env",
    "Evaluator",
    "Report",
    "Spec",
    "Typed",
    "json_text",
    "names",
    "register",
    "registered",
]

# Takes the raw text of one repetition (still escaped) and of each path argument; gives JSON, or NOTHING.
Evaluator = Callable[..., Any]
Typed = tuple[str, bytes]  # ("Quantity", JSON) for a target value[x]
NOTHING = b""

json_text: Callable[[object], bytes] = msgspec.json.Encoder().encode


class Spec(Struct, frozen=True):
    """One compiled row as its transform sees it."""

    row_id: str
    owner: str
    location: str  # "PV1-2", for items
    type: str  # v2 datatype of the source
    transform: str
    args: tuple[Expression, ...] = ()
    named: tuple[tuple[str, Expression], ...] = ()
    map: str = ""
    unmapped: str = ""
    element: str = ""  # top-level element written
    resource: str = ""  # "Patient", "Practitioner:attending"
    simple: bool = False  # R4 allows the quantity written no comparator

    def path_arguments(self) -> tuple[str, ...]:
        """Names of the arguments that are paths, in the order in which their texts are handed to the evaluator."""
        positional = tuple(str(at) for at, value in enumerate(self.args) if isinstance(value, Path))
        return positional + tuple(name for name, value in self.named if isinstance(value, Path))

    def has(self, name: str) -> bool:
        """Whether a named argument is given."""
        return any(key == name for key, _ in self.named)


class Report(Struct, frozen=True):
    """An item that came up while a row ran. `hold`: the message is held whatever else is written.

    `failed`: the row could not write what it read, which is said as the reason where the element must be there.
    """

    item: ExceptionItem
    hold: bool
    failed: bool
    element: str
    resource: str


class Env:
    """The surroundings of one sender: delimiters, lookups, params. Collects reports in `pending`."""

    __slots__ = (
        "_controls",
        "_escape",
        "_sighted",
        "_systems",
        "app_facility",
        "codesystems",
        "component",
        "entries",
        "maps",
        "namespaces",
        "params",
        "pending",
        "repetition",
        "sender",
        "sighted",
        "subcomponent",
        "unescape",
    )

    def __init__(
        self,
        *,
        delimiters: tuple[str, str, str, str],
        sender: str,
        maps: CodeMaps,
        codesystems: CodeSystems,
        namespaces: Namespaces,
        params: dict[str, str],
    ) -> None:
        self.component, self.repetition, self._escape, self.subcomponent = delimiters
        self.sender = sender
        self.maps = maps
        self.codesystems = codesystems
        self.namespaces = namespaces
        self.params = params
        self.pending: list[Report] = []
        self.entries: list[MapEntry] | None = None  # map entries used, while tracing
        self.sighted: list[str] = []  # what this sender was not seen to use before
        self._sighted: set[tuple[str, str]] = set()
        self.unescape: Callable[[str], str] = str
        app, _, facility = sender.partition("|")
        self.app_facility = (app, facility)
        self._systems: dict[tuple[str, str, str], str] = {}
        # Readers of records refuse control characters themselves: what they let through comes out as it is.
        self._controls = _CONTROLS if self.escapes_formatting else {}

    @property
    def escapes_formatting(self) -> bool:
        """Whether `\\.br\\` is a line break here, as in HL7 v2; in a record it is what it looks like."""
        return not "\ufdd0" <= self._escape <= "\ufdd4"

    @property
    def facility(self) -> str:
        """MSH-4.1, or MSH-3.1 when that is empty."""
        return self.app_facility[1] or self.app_facility[0]

    def text(self, raw: str) -> str:
        """A component's text: unescaped (after the last split), outer blanks off; `""` is no text.

        Control characters, which no string of FHIR should hold (R4, datatypes), are blanks, page feeds line breaks.
        """
        if not raw or raw.isalnum():
            return raw
        if self._escape in raw:
            raw = self.unescape(raw)
        if not raw.isprintable():
            raw = raw.translate(self._controls)
        return "" if raw == '""' else raw.strip()

    def first(self, raw: str) -> str:
        """The first sub-component of the first component."""
        if not raw or raw.isalnum():
            return raw
        return self.text(raw.split(self.component, 1)[0].split(self.subcomponent, 1)[0])

    def parts(self, raw: str, count: int) -> list[str]:
        """At least `count` components, raw."""
        found = raw.split(self.component)
        if len(found) < count:
            found.extend([""] * (count - len(found)))
        return found

    def report(
        self, spec: Spec, code: str, message: str, detail: str = "", *, hold: bool = False, warn: bool = False
    ) -> None:
        """Note an item for the row's owner. `detail` tells groups apart; `warn`: the value is written all the same."""
        group = f"{code}|{self.sender}|{detail or spec.location}"
        item = ExceptionItem(code, message, spec.location, spec.owner, spec.row_id, group)
        self.pending.append(Report(item, hold, not warn, spec.element, spec.resource))

    def constant(self, spec: Spec, name: str, default: str = "") -> str:
        """The text of a constant named argument."""
        for key, value in spec.named:
            if key == name:
                return self.literal(value)
        return default

    def literal(self, value: Expression) -> str:
        """The text of a literal, parameter or bare word."""
        if isinstance(value, Literal):
            return value.text
        if isinstance(value, Param):
            return self.params.get(value.name, "")
        return value.name if isinstance(value, Word) else ""

    def mapped(self, name: str, code: str) -> MapEntry | None:
        """The map entry of a code, noted when tracing."""
        entry = self.maps.find(name, code)
        if entry is None:
            return None
        if self.entries is not None:
            self.entries.append(entry)
        elif (name, entry.code) not in self._sighted:
            self._sighted.add((name, entry.code))
            self.sighted.append(f"code {name} {entry.code}")
        return entry

    def system(self, spec: Spec, namespace: str, universal: str = "", type_: str = "") -> str:
        """The system URI of an assigning authority. "" means that the message is to be held (and is reported)."""
        if not namespace and not universal:
            default = self.params.get("default_authority", "MSH-4")
            namespace = self.facility if default == "MSH-4" else default
            detail = f"{spec.location}"
            if not namespace and self.params.get("unknown_namespace") == "local":
                namespace = "unknown"  # nobody says who sent it, and the reader wants to see it all the same
            if not namespace:
                self.report(
                    spec, "authority-missing", "an identifier without an assigning authority", detail, hold=True
                )
                return ""
            self.report(
                spec,
                "authority-missing",
                "an identifier without an assigning authority: the default was taken",
                detail,
                warn=True,
            )
        key = (namespace, universal, type_)
        found = self._systems.get(key)
        if found is None:
            found = self._systems[key] = self._find_system(*key)
        if not found:
            authority = namespace or universal
            self.report(
                spec,
                "namespace-unknown",
                f"no namespace for the assigning authority `{authority}` of this sender",
                authority,
                hold=True,
            )
        return found

    def _find_system(self, namespace: str, universal: str, type_: str) -> str:
        found = self.namespaces.find(namespace, universal, type_)
        if not found and self.params.get("unknown_namespace", "hold") == "local":
            return local_uri("ns", namespace or universal)
        return found

    def hierarchic(self, raw: str) -> tuple[str, str, str]:
        """An HD inside a component: (namespace, universal id, type)."""
        found = raw.split(self.subcomponent)
        return (
            self.text(found[0]),
            self.text(found[1]) if len(found) > 1 else "",
            self.text(found[2]) if len(found) > 2 else "",
        )


_CONTROLS = {number: " " for number in range(32) if chr(number) not in "\t\n\r"} | dict.fromkeys(b"\x0b\x0c", "\n")

# What rows do beside transforming a value: no package brings one of these.
COMBINATORS = ("const", "ref", "key", "targets", "received", "clear")

Factory = Callable[[Spec, Env], Evaluator]
_REGISTRY: dict[str, Factory] = {}


def register(*transforms: str) -> Callable[[Factory], Factory]:
    """Register a transform under its names: the `transform` cell of a row."""

    def keep(factory: Factory) -> Factory:
        for name in transforms:
            _REGISTRY[name] = factory
        return factory

    return keep


def registered(name: str) -> Factory | None:
    """hilum's own transform of that name."""
    return _REGISTRY.get(name)


def names() -> tuple[str, ...]:
    """Every transform there is, sorted."""
    return tuple(sorted(_REGISTRY))


def json_object(text: str) -> bytes:
    """Canonical JSON of a `const({..})` cell. Raises ValueError."""
    return msgspec.json.encode(json.loads(text))
