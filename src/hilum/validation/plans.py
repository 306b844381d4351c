"""Which checks are made where: a plan per structure, made lazily. It is walked by spots.py.

A plan of R4 covers all that R4 says of a type and its datatypes. A plan of a profile covers only what the profile adds:
its invariants and bindings; the profile is looked at beside R4, never instead of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from hilum.definitions import Constraint, Definitions, Element, Structure, TypeRef, choice_name

from .invariants import ELSEWHERE, Invariant, by_hand
from .nodes import Node, tree_of
from .points import Modifiers, Narrative, Order, References
from .run import Check
from .schema import conforming
from .spots import InSlice, Spot
from .telling import tell
from .terminology import BoundCode, BoundConcept, KnownCoding, NotLoaded

__all__ = ["Plans"]

Fallback = Callable[[Constraint, str], Check | None]
_CODED = {"CodeableConcept", "Coding", "Quantity"}
_WORDS = {"code", "uri", "string", "canonical"}


def _type_name(element: Element, type_: TypeRef) -> str:
    """What FHIRPath calls the type of an element: its own path where it has no other name."""
    return element.content or (element.path if type_.code in ("", "BackboneElement", "Element") else type_.code)


class Plans:
    """Makes plans and keeps them. `fallback` gives a check for an invariant that is not compiled by hand."""

    def __init__(self, definitions: Definitions, fallback: Fallback, of_types: Mapping[str, Check]) -> None:
        """`of_types`: a further check for each value of some types."""
        self._definitions, self._fallback, self._of_types = definitions, fallback, of_types
        self._plans: dict[str, Spot] = {}
        self._spots: dict[tuple[str, str, str], Spot] = {}
        self._trees: dict[str, tuple[Node, dict[str, Node]]] = {}
        self._coding, self._modifiers = KnownCoding(definitions), Modifiers(definitions)
        self._order, self._narrative = Order(), Narrative()

    def plan(self, structure: Structure) -> Spot:
        """The plan of a type or a profile."""
        found = self._plans.get(structure.name)
        if found is None:
            root, _ = self._tree(structure)
            if structure.is_profile:
                checks = tuple(self._invariants(root.element.constraints, structure.type))
                found = Spot(checks, lambda: self._added(structure, root))
            else:
                found = Spot(self._of_type(structure.name), lambda: self._children(structure, root))
            self._plans[structure.name] = found
        return found

    def _tree(self, structure: Structure) -> tuple[Node, dict[str, Node]]:
        found = self._trees.get(structure.name)
        if found is None:
            found = self._trees[structure.name] = tree_of(structure)
        return found

    def _children(self, home: Structure, node: Node) -> dict[str, Spot]:
        """The places below an element that a type writes itself."""
        below: dict[str, Spot] = {}
        for child in node.children.values():
            element = child.element
            for type_ in element.types or (TypeRef(""),):
                name = choice_name(element.name, type_.code) if element.is_choice else element.name
                spot = self._spot(home, child, type_)
                if spot is not None:
                    below[name] = spot
                if self._is_primitive(type_.code) and element.name != "id":
                    below[f"_{name}"] = self._sibling()
        return below

    def _spot(self, home: Structure, node: Node, type_: TypeRef) -> Spot | None:
        element = node.element
        key = (home.name, element.path, type_.code)
        if key in self._spots:
            return self._spots[key]
        checks = (*self._of_element(element, type_), *self._of_type(type_.code))
        if self._is_primitive(type_.code):
            return Spot(checks, None) if checks else None
        spot = self._spots[key] = Spot(checks, lambda: self._inside(home, node, type_))
        return spot

    def _inside(self, home: Structure, node: Node, type_: TypeRef) -> dict[str, Spot]:
        if node.element.content:
            return self._children(home, self._tree(home)[1][node.element.content])
        if node.children:
            return self._children(home, node)
        structure = self._definitions.structure(type_.code)
        if structure is None or structure.kind == "resource":
            return {}  # resources inside are validated by themselves
        return self._children(structure, self._tree(structure)[0])

    def _sibling(self) -> Spot:
        structure = self._definitions.structure("Element")
        assert structure is not None
        key = ("Element", "", "")
        if key not in self._spots:
            self._spots[key] = Spot((), lambda: self._children(structure, self._tree(structure)[0]))
        return self._spots[key]

    def _is_primitive(self, code: str) -> bool:
        structure = self._definitions.structure(code)
        return structure is not None and structure.kind == "primitive-type"

    def _of_type(self, code: str) -> tuple[Check, ...]:
        """What every value of a type must hold."""
        checks: list[Check] = []
        if code == "Period":
            checks.append(self._order)
        elif code == "Coding":
            checks.append(self._coding)
        elif code == "xhtml":
            checks.append(self._narrative)
        elif code in self._of_types:
            checks.append(self._of_types[code])
        own = (one for path, one in self._definitions.constraints(code) if not path)
        return (*checks, *self._invariants(own, code))

    def _of_element(self, element: Element, type_: TypeRef) -> Iterator[Check]:
        """What this element asks beyond its type."""
        if element.name == "modifierExtension":
            yield self._modifiers
        if type_.code == "Reference":
            yield References(self._allowed(type_))
        yield from self._binding(element, type_)
        yield from self._invariants(element.constraints, _type_name(element, type_))

    def _allowed(self, type_: TypeRef) -> frozenset[str] | None:
        structures = [self._definitions.structure(target) for target in type_.targets]
        if not structures or any(one is None or one.is_abstract for one in structures):
            return None
        return frozenset(one.type for one in structures if one is not None)

    def _binding(self, element: Element, type_: TypeRef) -> Iterator[Check]:
        binding = element.binding
        if binding is None or (binding.strength not in ("required", "extensible") and not binding.maximum):
            return
        url = binding.maximum or binding.value_set
        value_set = self._definitions.value_set(url)
        if value_set is None and url:
            yield NotLoaded(url)
        if value_set is None or not (value_set.codes or value_set.whole or value_set.open):
            return
        if type_.code in _CODED:
            yield BoundConcept(value_set, binding)
        elif type_.code in _WORDS and value_set.is_complete and not self._in_schema(element, type_):
            yield BoundCode(value_set, binding)

    @staticmethod
    def _in_schema(element: Element, type_: TypeRef) -> bool:
        return type_.code == "code" and element.binding is not None and element.binding.strength == "required"

    def _invariants(self, constraints: Iterable[Constraint], path: str) -> Iterator[Check]:
        for one in constraints:
            if one.key in ELSEWHERE or one.best_practice or not one.expression:
                continue
            test = by_hand(one)
            check = Invariant(one, test) if test is not None else self._fallback(one, path)
            if check is not None:
                yield check

    def _added(self, home: Structure, node: Node) -> dict[str, Spot]:
        """The places below an element of a profile where the profile adds something."""
        below: dict[str, Spot] = {}
        for child in node.children.values():
            element = child.element
            for type_ in element.types:
                name = choice_name(element.name, type_.code) if element.is_choice else element.name
                said = child.of_type(name, type_.code) if element.is_choice else child
                checks = (*self._added_at(said, type_), *self._in_slices(home, child))
                if checks or said.children:
                    below[name] = Spot(checks, lambda said=said: self._added(home, said))  # type: ignore[misc]
        return below

    def _added_at(self, node: Node, type_: TypeRef) -> Iterator[Check]:
        yield from self._binding(node.element, type_)
        yield from self._invariants(node.element.constraints, _type_name(node.element, type_))

    def _in_slices(self, home: Structure, sliced: Node) -> Iterator[Check]:
        """What only the items of a slice of a list must hold."""
        for one in sliced.slices.values() if sliced.element.is_list else ():
            told = tell(self._definitions, sliced, one, lambda url: conforming(self._definitions, url, (home.name,)))
            own = tuple(check for type_ in one.element.types[:1] for check in self._added_at(one, type_))
            if told is not None and told.surely is not None and (own or one.children):
                yield InSlice(told.surely, Spot(own, lambda one=one: self._added(home, one)))  # type: ignore[misc]
