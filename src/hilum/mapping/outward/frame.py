"""What every inverse works with: the row it reads backwards (`Spec`), its surroundings (`Out`), and the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from hilum.mapping.outward.lookup import Ambiguous, Authorities, CodesOut, SystemsOut
from hilum.mapping.outward.resources import View
from hilum.mapping.outward.values import Receiver
from hilum.mapping.syntax import Literal, Param, Word
from hilum.mapping.tables import Workbook
from hilum.mapping.transforms.frame import Spec
from hilum.model import ExceptionItem

__all__ = ["Inverse", "Inverted", "Out", "Parts", "inverse_of", "inverts", "one"]

Parts = dict[tuple[int, int], str]  # (component, sub-component) to text
INVERTIBLE_CODES = ("exception", "reject")


class Inverted(Struct):
    """What a value is in HL7 v2: the repetitions of the field, and of the row's path arguments by their names."""

    repetitions: list[Parts]
    extra: dict[str, Parts] = {}


Inverse = Callable[[View, Spec, "Out"], Inverted | None]
_REGISTRY: dict[str, Inverse] = {}


def inverts(*transforms: str) -> Callable[[Inverse], Inverse]:
    """Register the inverse of transforms under their names: the `transform` cell of a row."""

    def keep(inverse: Inverse) -> Inverse:
        for name in transforms:
            _REGISTRY[name] = inverse
        return inverse

    return keep


def inverse_of(name: str) -> Inverse | None:
    """The inverse of the transform of that name; None when it has none."""
    return _REGISTRY.get(name)


def one(text: str, extra: dict[str, Parts] | None = None) -> Inverted | None:
    """A field with nothing but this text; None for none."""
    return Inverted([{(1, 1): text}], extra or {}) if text else None


class Report(Struct, frozen=True):
    """An item that came up; `hold`: the message is not to be sent."""

    item: ExceptionItem
    hold: bool


class Out:
    """The surroundings of one receiver. Collects reports in `pending`."""

    def __init__(self, book: Workbook, params: Mapping[str, str], receiver: Receiver) -> None:
        self.receiver = receiver
        self.params = params
        self.codes = CodesOut(book.maps, receiver.name)
        self.systems = SystemsOut(book.codesystems)
        self.authorities = Authorities(book.namespaces, receiver.name)
        self.pending: list[Report] = []
        self.start = ""  # text of the field in which a duration begins

    def report(self, spec: Spec, code: str, message: str, detail: str = "", *, hold: bool = True) -> None:
        """Note an item for the row's owner. `detail` tells groups apart."""
        group = f"{code}|{self.receiver.name}|{detail or spec.location}"
        self.pending.append(Report(ExceptionItem(code, message, spec.location, spec.owner, spec.row_id, group), hold))

    def constant(self, spec: Spec, name: str) -> str:
        """The text of a constant named argument of the row."""
        for key, value in spec.named:
            if key == name:
                return self.literal(value)
        return ""

    def literal(self, value: Any) -> str:
        """The text of a literal, parameter or bare word."""
        if isinstance(value, Literal):
            return value.text
        if isinstance(value, Param):
            return self.params.get(value.name, "")
        return value.name if isinstance(value, Word) else ""

    def code(self, spec: Spec, target: str, system: str = "", *, name: str = "", quiet: bool = False) -> str:
        """The v2 code of a FHIR code by the row's map; "" (and an item that holds, unless `quiet`) without one."""
        name = name or spec.map
        try:
            found = self.codes.find(name, target, system)
        except Ambiguous:
            message = f"several codes of the map {name} mean `{target}`, and {name}.out does not say which one to send"
            self.report(spec, "code-ambiguous", message, f"{name}|{target}")
            return ""
        if not found and not quiet:
            message = f"no code of the map {name} means `{target}`"
            self.report(spec, "code-not-sendable", message, f"{name}|{target}")
        return found

    def authority(self, spec: Spec, system: str) -> tuple[str, str, str]:
        """The HD of an identifier's system; three empty texts (and an item that holds) without one."""
        found = self.authorities.find(system)
        if not any(found):
            message = "an identifier without a system that HL7 v2 can name: whose number it is cannot be said"
            self.report(spec, "authority-not-sendable", message, system)
        return found
