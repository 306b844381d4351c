"""How functions are built: what they check of their arguments, and the few forms that most of them have."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hilum.fhirpath.code import Applied, Code, Items, Test, truth
from hilum.fhirpath.failure import fail
from hilum.fhirpath.frame import Frame
from hilum.fhirpath.shapes import Shape, one_of
from hilum.fhirpath.syntax import Call, Node, Variable, walk
from hilum.fhirpath.values import system_type

if TYPE_CHECKING:
    from hilum.fhirpath.compiler import Compiler, Scope

__all__ = [
    "Build",
    "criterion",
    "expect",
    "of_texts",
    "of_value",
    "one",
    "projection",
    "refuse_parts",
    "uses_index",
]

Build = Callable[["Compiler", Call, Shape, "Scope"], Applied]


def expect(node: Call, least: int, most: int) -> tuple[Node, ...]:
    """The arguments. Raises FhirPathError `fhirpath-arguments` for too few or too many."""
    count = len(node.arguments)
    if not least <= count <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise fail(f"{node.name}() takes {wanted} arguments, and here are {count}", "fhirpath-arguments", node.at)
    return node.arguments


def one(items: Items, name: str, at: int) -> Any:
    """The one item; None for none. Raises FhirPathError `fhirpath-not-single`."""
    if len(items) > 1:
        raise fail(f"{name}() takes one item, and here are several", "fhirpath-not-single", at)
    return items[0] if items else None


def uses_index(node: Node) -> bool:
    """Whether `$index` is asked for."""
    return any(isinstance(part, Variable) and part.name == "index" for part in walk(node))


def criterion(compiler: Compiler, node: Node, shape: Shape, scope: Scope) -> Test:
    """A condition on each item of an input; `$this` is the item."""
    return truth(compiler.node(node, scope.within(shape)), node.at)


def projection(compiler: Compiler, node: Node, shape: Shape, scope: Scope) -> Code:
    """What is made of each item of an input; `$this` is the item."""
    return compiler.node(node, scope.within(shape))


def refuse_parts(compiler: Compiler, node: Call, shape: Shape) -> None:
    """In strict mode, the error of a text function on a part of a resource."""
    model = compiler.model
    if compiler.strict and model is not None and shape.fhir and not model.is_primitive(shape.fhir):
        raise fail(f"{node.name}() takes a text, and {shape.fhir} is none", "fhirpath-semantic", node.at)


def of_value(least: int, most: int, work: Callable[..., Any], out: str = "", kinds: tuple[type, ...] = ()) -> Build:
    """A function of one system value and of one value per argument; nothing in, or in an argument, gives nothing.

    `kinds`: what the input may be; anything else raises FhirPathError `fhirpath-type`. `work` returns None for nothing.
    """

    def build(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
        arguments = [compiler.system(compiler.node(part, scope)) for part in expect(node, least, most)]
        if kinds == (str,):
            refuse_parts(compiler, node, shape)
        values, name, at = compiler.values(shape), node.name, node.at

        def step(items: Items, this: Items, frame: Frame) -> Items:
            value = one(values(items), name, at)
            given = [one(run(this, frame), name, at) for run in arguments]
            if value is None or None in given:
                return []
            if kinds and type(value) not in kinds:
                raise fail(f"{name}() does not go with {_named(value)}", "fhirpath-type", at)
            found = work(value, *given)
            return [] if found is None else found if type(found) is list else [found]

        return Applied(step, one_of(out) if out else Shape(is_single=True))

    return build


def of_texts(least: int, most: int, work: Callable[..., Any], out: str = "String") -> Build:
    """A function of a text and of arguments that are texts (or whole numbers, where `work` takes them)."""
    return of_value(least, most, work, out, (str,))


def _named(value: Any) -> str:
    return system_type(value) or "a part of a resource"
