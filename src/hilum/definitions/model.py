"""What definitions are made of: structures, elements, search parameters, value sets, code systems.

Names are those of R4 elementdefinition.html, searchparameter.html, valueset.html and codesystem.html, shortened. The
URL prefix `http://hl7.org/fhir/StructureDefinition/` is taken off everywhere: `Patient`, not its URL; other URLs stay
whole. Versions after `|` are taken off everywhere.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

__all__ = [
    "MANY",
    "Binding",
    "CodeSystem",
    "Component",
    "Constraint",
    "Discriminator",
    "Element",
    "SearchParameter",
    "Slicing",
    "Structure",
    "TypeRef",
    "ValueSet",
]

MANY = 2**31 - 1  # `max` of an element with max "*"


class TypeRef(Struct, frozen=True, omit_defaults=True):
    """One type that an element may have."""

    code: str  # "HumanName", "Reference", "dateTime"; System types are written as the FHIR type that they stand for
    targets: tuple[str, ...] = ()  # Reference, canonical: types or profile URLs that may be pointed at; () is any
    profiles: tuple[str, ...] = ()  # profiles that the value meets, one of them


class Binding(Struct, frozen=True, omit_defaults=True):
    """Where codes come from (R4 terminologies.html#binding)."""

    strength: str  # required, extensible, preferred, example
    value_set: str = ""  # its URL; "" where R4 describes it in words only
    maximum: str = ""  # URL of the value set that no code may leave (elementdefinition-maxValueSet)


class Constraint(Struct, frozen=True, omit_defaults=True):
    """An invariant."""

    key: str  # "pat-1"
    human: str
    expression: str = ""  # FHIRPath; "" for the few that have none
    severity: str = "error"  # or "warning"
    best_practice: bool = False  # a recommendation, not a rule


class Discriminator(Struct, frozen=True):
    """How slices are told apart (R4 profiling.html#discriminator)."""

    type: str  # value, exists, pattern, type, profile
    path: str


class Slicing(Struct, frozen=True, omit_defaults=True):
    """That an element is cut into slices."""

    discriminators: tuple[Discriminator, ...] = ()
    rules: str = "open"  # open, closed, openAtEnd
    ordered: bool = False


class Element(Struct, frozen=True, omit_defaults=True):
    """One element of a structure. `path` is as R4 writes it: `Observation.value[x]`; `id` also tells slices apart."""

    path: str
    min: int = 0
    max: int = 1  # MANY for "*", 0 where a profile forbids it
    types: tuple[TypeRef, ...] = ()
    is_list: bool = False  # whether JSON holds an array: what R4 says, however few a profile allows
    short: str = ""
    binding: Binding | None = None
    content: str = ""  # contentReference: the path whose children these are, "Questionnaire.item"
    constraints: tuple[Constraint, ...] = ()  # its own; those of its type are found at its type
    fixed: Any = None
    pattern: Any = None
    min_value: Any = None
    max_value: Any = None
    max_length: int = 0  # 0 is no limit
    regex: str = ""  # of the text of this element, beyond that of its type
    is_modifier: bool = False
    is_summary: bool = False
    must_support: bool = False
    id: str = ""  # only where it differs from `path`
    slice: str = ""
    slicing: Slicing | None = None

    @property
    def name(self) -> str:
        """The last part of the path: `given`, `value[x]`."""
        return self.path.rpartition(".")[2]

    @property
    def is_choice(self) -> bool:
        """Whether JSON writes the type into the name: `value[x]` -> `valueQuantity`."""
        return self.path.endswith("[x]")

    @property
    def is_required(self) -> bool:
        """Whether at least one must be there."""
        return self.min > 0


class Structure(Struct, frozen=True, omit_defaults=True):
    """A resource type, a datatype, or a profile of one."""

    name: str  # "Patient"; for a profile its URL
    kind: str  # resource, complex-type, primitive-type
    type: str  # what it describes: "Patient", also for a profile of it
    elements: tuple[Element, ...]  # in order, parents before their children
    base: str = ""  # "DomainResource"; the URL of the profile that a profile narrows
    is_abstract: bool = False
    is_profile: bool = False
    title: str = ""
    regex: str = ""  # primitive types: what the text looks like
    contexts: tuple[str, ...] = ()  # extensions: FHIRPath of the elements where they may stand
    package: str = ""  # "hl7.fhir.us.core#7.0.0"; "" for R4 itself

    @property
    def root(self) -> Element:
        """The element that stands for the whole."""
        return self.elements[0]


class Component(Struct, frozen=True):
    """One part of a composite search parameter."""

    definition: str  # URL of the search parameter
    expression: str  # FHIRPath from where the composite's own expression leads


class SearchParameter(Struct, frozen=True, omit_defaults=True):
    """A search parameter. As given by `search_parameters(type)`, `expression` holds the parts for that type alone."""

    url: str
    name: str  # as in the query: "birthdate" (`code` of the R4 resource)
    kind: str  # number, date, string, token, reference, composite, quantity, uri, special
    base: tuple[str, ...]  # types that it searches; "Resource" and "DomainResource" stand for all
    expression: str = ""  # FHIRPath; "" for the few that have none
    targets: tuple[str, ...] = ()  # reference: types pointed at
    components: tuple[Component, ...] = ()
    modifiers: tuple[str, ...] = ()
    comparators: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    multiple_or: bool = True
    multiple_and: bool = True
    package: str = ""


class CodeSystem(Struct, frozen=True, omit_defaults=True):
    """A code system as far as it is known here."""

    url: str
    content: str  # complete, example, fragment, not-present, supplement
    codes: frozenset[str] = frozenset()
    is_case_sensitive: bool = True
    package: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether a code that is not in `codes` is wrong."""
        return self.content == "complete" and bool(self.codes)


class ValueSet(Struct, frozen=True, omit_defaults=True):
    """A value set, enumerated as far as its code systems are known."""

    url: str
    codes: dict[str, frozenset[str]] = {}  # system -> codes in it
    whole: frozenset[str] = frozenset()  # systems of which every code belongs to it, though they are not listed here
    open: frozenset[str] = frozenset()  # systems of which some codes belong to it, not known which; "*" is any system
    missing: frozenset[str] = frozenset()  # URLs of value sets that it includes and that are not loaded
    title: str = ""
    package: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether `has` always knows."""
        return not self.open and not self.whole

    def has(self, code: str, system: str | None = None) -> bool | None:
        """Whether a code belongs to it; None where that cannot be known. Without `system`, in any of its systems."""
        if system is None:
            if any(code in codes for codes in self.codes.values()):
                return True
            return None if self.open or self.whole else False
        if code in self.codes.get(system, ()) or system in self.whole:
            return True
        return None if system in self.open or "*" in self.open else False
