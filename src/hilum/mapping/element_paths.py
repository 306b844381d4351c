"""Source paths of FHIR rows: FHIRPath, read so that every value says which leaves of the resource it comes from.

A path is navigation first (`name.where(use = 'official').given[0]`), which knows its places, and what is computed from
what was found after that (`.replace(..)`, `.count()`), which has none of its own: it speaks for the places before it.
What does not begin with navigation (`iif(..)`) speaks for every path that stands in it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from msgspec import Struct

from hilum.fhirpath import Expression, FhirPathError, compile_expression, parse, r4_model, render
from hilum.fhirpath.syntax import Call, Chain, Environment, Index, Literal, Member, Node, walk
from hilum.mapping.resource_tree import Part, ResourceTree, text_of
from hilum.mapping.syntax import SyntaxProblem

__all__ = ["ElementPath", "Found", "Resolve", "element_path"]

Resolve = Callable[[str], Mapping[str, Any] | None]  # reference text -> resource
Ranges = list[tuple[int, int]]


class Found(Struct):
    """What a path gives of one resource: texts, and the leaves that it speaks for as ranges."""

    texts: list[str]
    ranges: Ranges


class _Here(Struct):
    """Where navigation is: parts, whether they are of this resource, and what conditions on the way have read."""

    parts: list[Part]
    ranges: Ranges
    resolve: Resolve | None
    own: bool = True


_Step = Callable[[_Here], None]


class ElementPath(Struct, frozen=True):
    """A compiled path. `types`: what R4 says that it gives; () where nobody knows, as for what is computed."""

    text: str
    types: tuple[str, ...]
    steps: tuple[_Step, ...]
    rest: Expression | None = None  # of `%found`
    whole: Expression | None = None  # of the resource, with `chains`
    chains: tuple[tuple[str, ...], ...] = ()

    @property
    def is_complex(self) -> bool:
        """Whether it gives parts with members, such as a HumanName."""
        return bool(self.types) and not any(r4_model().is_primitive(one) for one in self.types)

    def read(self, tree: ResourceTree, resolve: Resolve | None = None) -> Found:
        """What it gives. An expression that cannot be computed on this resource gives nothing: its leaves are left."""
        try:
            if self.whole is not None:
                return self._computed(tree, resolve, self.whole)
            here = _Here([tree.root], [], resolve)
            for step in self.steps:
                step(here)
            return self._found(here)
        except FhirPathError:
            return Found([], [])

    def _found(self, here: _Here) -> Found:
        ranges = here.ranges
        if here.own:
            ranges += [(one.start, one.end if isinstance(one.value, dict) else one.start + 1) for one in here.parts]
        if self.rest is not None:
            values = [part.value for part in here.parts if part.value is not None]
            items = self.rest({}, here.resolve, {"found": values}) if values else []
            return Found([text_of(_plain(one)) for one in items], ranges)
        fitting = [part.value for part in here.parts if part.value is not None and self._fits(part.value)]
        return Found(list(map(text_of, fitting)), ranges if fitting else [])

    def _fits(self, value: Any) -> bool:
        return not self.types or isinstance(value, dict) == self.is_complex or len(self.types) > 1

    def _computed(self, tree: ResourceTree, resolve: Resolve | None, whole: Expression) -> Found:
        items = whole(tree.root.value, resolve)
        ranges = [one for chain in self.chains for one in _below(tree.root, chain)]
        return Found([text_of(_plain(one)) for one in items], ranges)


def _plain(item: Any) -> Any:
    """A computed day or quantity is shown as it is written."""
    return item if isinstance(item, str | bool | int | dict) or hasattr(item, "as_tuple") else str(item)


@lru_cache(4096)
def element_path(type_: str, text: str) -> ElementPath:
    """A path of resources of one type. Raises SyntaxProblem: no FHIRPath, or elements that R4 does not have."""
    try:
        return _Compiler(type_, text).compile()
    except FhirPathError as error:
        raise SyntaxProblem(f"`{text}` is no path of {type_}: {error.message}") from None


class _Compiler:
    def __init__(self, type_: str, text: str) -> None:
        self._type, self._text, self._model = type_, text, r4_model()
        if not self._model.is_resource(type_):
            raise SyntaxProblem(f"R4 has no resource type `{type_}`")
        self._types: tuple[str, ...] = (type_,)
        self._steps: list[_Step] = []

    def compile(self) -> ElementPath:
        node = parse(self._text)
        links: list[Any] = [node.head, *node.links] if isinstance(node, Chain) else [node]
        if len(links) > 1 and links[0] == Member(self._type):
            links = links[1:]
        taken = 0
        for link in links:
            step = self._step(link)
            if step is None:
                break
            self._steps.append(step)
            taken += 1
        if not taken:
            return self._whole(node)
        rest = links[taken:]
        if not rest:
            return ElementPath(self._text, self._types, tuple(self._steps))
        computed = render(Chain(Environment("found"), tuple(rest)))
        expression = compile_expression(computed, variables=("found",))
        return ElementPath(self._text, (), tuple(self._steps), expression)

    def _whole(self, node: Node) -> ElementPath:
        expression = compile_expression(self._text, type=self._type)
        return ElementPath(self._text, (), (), None, expression, tuple(_chains(node, self._type)))

    def _step(self, link: Any) -> _Step | None:
        if isinstance(link, Member):
            return self._member(link.name)
        if isinstance(link, Index):
            return _at(link.index.value) if isinstance(link.index, Literal) else None
        if isinstance(link, Call):
            return self._call(link)
        return None

    def _member(self, name: str) -> _Step:
        if self._types:
            self._types = self._below(name)
        return lambda here: _into(here, name)

    def _below(self, name: str) -> tuple[str, ...]:
        """Types of what stands below; `value` and `valueQuantity` are both understood."""
        found: dict[str, None] = {}
        names: list[str] = []
        for type_ in self._types:
            fields = self._model.fields(type_)
            names += fields
            if name in fields:
                found.update(dict.fromkeys(fields[name].types))
            for field in fields.values():
                if name in field.keys:
                    found[field.keys[name]] = None
        if not found:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise SyntaxProblem(f"R4 has no element `{name}` in {' or '.join(self._types[:3])}{hint}")
        return () if "Resource" in found else tuple(found)

    def _call(self, call: Call) -> _Step | None:
        arguments = call.arguments
        if call.name in ("first", "last") and not arguments:
            return _at(0 if call.name == "first" else -1)
        if call.name == "where" and len(arguments) == 1:
            return self._where(arguments[0])
        if call.name == "extension" and len(arguments) == 1 and isinstance(arguments[0], Literal):
            self._types = ("Extension",)
            url = arguments[0].value
            return lambda here: _extension(here, url)
        if call.name in ("ofType", "as") and len(arguments) == 1 and isinstance(arguments[0], Member):
            return self._of_type(arguments[0].name)
        if call.name == "resolve" and not arguments:
            self._types = ()
            return _resolved
        return None

    def _where(self, criterion: Node) -> _Step:
        only = self._types[0] if len(self._types) == 1 and self._model.has(self._types[0]) else None
        test = compile_expression(render(criterion), type=only)
        chains = tuple(_chains(criterion, ""))
        kind = dict if only is not None and not self._model.is_primitive(only) else object

        def step(here: _Here) -> None:
            here.parts = [
                part for part in here.parts if isinstance(part.value, kind) and test.boolean(part.value, here.resolve)
            ]
            if here.own:
                here.ranges += [one for part in here.parts for chain in chains for one in _below(part, chain)]

        return step

    def _of_type(self, name: str) -> _Step:
        if not self._model.has(name):
            raise SyntaxProblem(f"R4 has no type `{name}`")
        before, self._types = self._types, (name,)
        if not before or not self._steps:  # a resource says its own type
            return lambda here: _keep(here, lambda part: _said(part) == name)
        return _typed(self._steps.pop(), name)


def _typed(last: _Step, name: str) -> _Step:
    """`value.ofType(Quantity)`: JSON says the type of a choice in its name."""
    suffix = name[:1].upper() + name[1:]

    def step(here: _Here) -> None:
        owners = here.parts
        last(here)
        named = (ones for part in owners for key, ones in part.members.items() if key.endswith(suffix))
        wanted = {id(one) for ones in named for one in ones}
        here.parts = [part for part in here.parts if id(part) in wanted]

    return step


def _keep(here: _Here, test: Callable[[Part], bool]) -> None:
    here.parts = [part for part in here.parts if test(part)]


def _said(part: Part) -> str:
    return str(part.value.get("resourceType", "")) if isinstance(part.value, dict) else ""


def _at(index: Any) -> _Step:
    def step(here: _Here) -> None:
        parts = here.parts
        here.parts = [parts[index]] if parts and -1 <= index < len(parts) else []

    return step


def _into(here: _Here, name: str) -> None:
    here.parts = [below for part in here.parts for below in _named(part, name)]


def _named(part: Part, name: str) -> list[Part]:
    found = part.members.get(name)
    if found is not None:
        return found
    size = len(name)
    return [
        one
        for key, ones in part.members.items()
        if key.startswith(name) and key[size : size + 1].isupper()
        for one in ones
    ]


def _extension(here: _Here, url: Any) -> None:
    found = (one for part in here.parts for one in part.members.get("extension", ()))
    here.parts = [one for one in found if isinstance(one.value, dict) and one.value.get("url") == url]


def _resolved(here: _Here) -> None:
    """References to resources. The reference itself is read; what it leads to is not of this resource."""
    if here.own:
        here.ranges += [(part.start, part.end) for part in here.parts]
        here.own = False
    found = []
    for part in here.parts:
        reference = part.value.get("reference") if isinstance(part.value, dict) else part.value
        resource = here.resolve(reference) if here.resolve is not None and isinstance(reference, str) else None
        if resource is not None:
            found.append(ResourceTree(dict(resource)).root)
    here.parts = found


def _below(part: Part, chain: Sequence[str]) -> Ranges:
    """The leaves at a chain of names below a part; () is the part itself."""
    parts = [part]
    for name in chain:
        parts = [one for each in parts for one in _named(each, name)]
    return [(one.start, one.end) for one in parts]


def _chains(node: Node, type_: str) -> Iterator[tuple[str, ...]]:
    """The plain paths that stand in an expression: names up to the first call or index."""
    heads: set[int] = set()
    for one in walk(node):
        if isinstance(one, Chain):
            heads.update(map(id, (one.head, *one.links)))
            if isinstance(one.head, Member):
                yield _names(one, type_)
        elif isinstance(one, Member) and id(one) not in heads:
            yield (one.name,)


def _names(chain: Chain, type_: str) -> tuple[str, ...]:
    assert isinstance(chain.head, Member)
    found = [] if chain.head.name == type_ else [chain.head.name]
    for link in chain.links:
        if not isinstance(link, Member):
            break
        found.append(link.name)
    return tuple(found)
