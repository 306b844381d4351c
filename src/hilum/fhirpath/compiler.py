"""From a tree to closures: paths, variables and chains. Operators and functions are in their own modules.

The compiler follows types from the root: where it knows that `name` holds `HumanName`, the closure for `given` reads
JSON directly. Where it cannot know (choices, `children()`, `resolve()`), items carry their type and steps look at it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from hilum.fhirpath import navigation, typenames
from hilum.fhirpath.code import Applied, Code, Items, Run, Step, constant
from hilum.fhirpath.environment import CONSTANTS, ROOTS, url_of
from hilum.fhirpath.failure import FhirPathError, fail
from hilum.fhirpath.frame import Frame
from hilum.fhirpath.functions import FUNCTIONS
from hilum.fhirpath.model import Field, Model
from hilum.fhirpath.operators import binary, polarity, type_test
from hilum.fhirpath.quantity import QUANTITY_TYPES
from hilum.fhirpath.shapes import ANY, INTEGER, Shape, one_of
from hilum.fhirpath.syntax import (
    Binary,
    Call,
    Chain,
    Empty,
    Environment,
    Index,
    Link,
    Literal,
    Member,
    Node,
    Polarity,
    TypeTest,
    Variable,
)
from hilum.fhirpath.values import TEMPORAL_TYPES, Element, convert, system_type, system_values

__all__ = ["Compiler", "Scope"]

Reach = navigation.Reach


@dataclass(frozen=True, slots=True)
class Scope:
    """What `$this`, `$total`, `%resource` and `%context` are where a node stands, and what was defined before it."""

    this: Shape
    root: Shape
    context: Shape
    in_loop: bool = False
    total: Shape | None = None
    defined: frozenset[str] = frozenset()

    def within(self, this: Shape) -> Scope:
        """Inside the criteria of a function: `$this` is one item of its input."""
        return replace(self, this=this.single(), in_loop=True)


class Compiler:
    """Compiles nodes. `strict`: a name that a known type does not have is an error; otherwise it is empty.

    `variables` are the `%names` that the caller will give; None when that is seen only at evaluation.
    """

    def __init__(self, model: Model | None, *, strict: bool, variables: frozenset[str] | None) -> None:
        self.model, self.strict, self.variables = model, strict, variables

    def node(self, node: Node, scope: Scope) -> Code:
        """The code of a node. Raises FhirPathError."""
        match node:
            case Member() | Call():
                return self._head(node, scope)
            case Chain():
                return self._chain(node, scope)
            case Binary():
                return binary(self, node, scope)
            case Literal():
                return constant((node.value,), one_of(system_type(node.value)))
            case Empty():
                return constant((), ANY.single())
            case Variable():
                return self._variable(node, scope)
            case Environment():
                return self._environment(node, scope)
            case Polarity():
                return polarity(self, node, scope)
            case TypeTest():
                return self._type_test(node, scope)

    def _type_test(self, node: TypeTest, scope: Scope) -> Code:
        if node.operator == "is":
            return type_test(self, node, scope)
        parts = [Member(part, node.at) for part in node.type]
        name: Node = parts[0] if len(parts) == 1 else Chain(parts[0], (parts[1],), node.at)
        call = Call("as", (name,), node.at)
        if isinstance(node.operand, Chain):
            return self._chain(Chain(node.operand.head, (*node.operand.links, call), node.at), scope)
        return self._chain(Chain(node.operand, (call,), node.at), scope)

    def _variable(self, node: Variable, scope: Scope) -> Code:
        if node.name == "this":
            return Code(lambda this, _frame: this, scope.this)
        if node.name == "index":
            if not scope.in_loop:
                raise fail("$index is known inside of where(), select() and the like", "fhirpath-semantic", node.at)
            return Code(lambda _this, frame: [frame.index], INTEGER)
        if scope.total is None:
            raise fail("$total is known inside of aggregate()", "fhirpath-semantic", node.at)
        return Code(lambda _this, frame: frame.total, scope.total)

    def _environment(self, node: Environment, scope: Scope) -> Code:
        name = node.name
        if name in ROOTS:
            shapes = {"resource": scope.root, "context": scope.context}
            return Code(ROOTS[name], shapes.get(name, ANY))
        if name in scope.defined:
            return Code(lambda _this, frame: frame.env[name], ANY)
        url = CONSTANTS.get(name) or url_of(name)
        if url:
            return constant((url,), one_of("String"))
        if self.variables is not None and name not in self.variables:
            near = get_close_matches(name, [*self.variables, *ROOTS, *CONSTANTS], n=1)
            hint = f"; did you mean `%{near[0]}`?" if near else ""
            raise fail(f"nobody defined %{name}{hint}", "fhirpath-unknown-variable", node.at)

        def run(_this: Items, frame: Frame) -> Items:
            if name not in frame.env:
                raise fail(f"nobody defined %{name}", "fhirpath-unknown-variable", node.at)
            given = frame.env[name]
            return list(given) if isinstance(given, list | tuple) else [given]

        return Code(run, ANY)

    # Paths

    def _head(self, node: Member | Call, scope: Scope) -> Code:
        """A name or a function at the start: it applies to `$this`."""
        if isinstance(node, Call):
            return _on_this(self.call(node, scope.this, scope))
        if node.name[:1].isupper() and self.model is not None and self.model.has(node.name):
            return self._type_head(node, scope)
        applied, key = self._member(node, scope.this)
        return replace(_on_this(applied), key=key)

    def _type_head(self, node: Member, scope: Scope) -> Code:
        """`Patient` at the start: the resource, where it is one."""
        name = typenames.TypeName(fhir=node.name)
        known = typenames.matches_shape(name, scope.this, self.model, exact=False)
        if known:
            return Code(lambda this, _frame: this, scope.this)
        if known is False:
            if self.strict:
                raise fail(
                    f"this is a {scope.this.fhir or scope.this.system}, not a {node.name}", "fhirpath-semantic", node.at
                )
            return constant((), scope.this)
        test = typenames.matches(name, self.model, exact=False)
        return Code(lambda this, _frame: [item for item in this if test(item)], self.narrowed(name, scope.this))

    def narrowed(self, name: typenames.TypeName, shape: Shape) -> Shape:
        """The shape of what is left when only items of a type are kept; they still say their type."""
        return replace(shape, possible=(name.fhir,) if name.fhir else ())

    def _chain(self, node: Chain, scope: Scope) -> Code:
        code = self.node(node.head, scope)
        links, position = node.links, 0
        steps: list[Step] = []
        shape, applied = code.shape, None
        while position < len(links):
            taken, applied = self._two(links[position : position + 2], shape) or (
                1,
                self._link(links[position], shape, scope),
            )
            scope = _defining(links[position], scope)
            steps.append(applied.step)
            shape = applied.shape
            position += taken
        assert applied is not None
        return _joined(code.run, steps, applied)

    def _two(self, links: tuple[Link, ...], shape: Shape) -> tuple[int, Applied] | None:
        """`value.ofType(Quantity)` in one step: reads `valueQuantity`."""
        match links:
            case (Member() as member, Call(name="ofType" | "as", arguments=(argument,))):
                field = self.field(shape, member.name)
                if field is None or not field.is_choice:
                    return None
                name = typenames.resolve_type(typenames.name_in(argument), self.model, argument.at)
                key = next((key for key, type_ in field.keys.items() if type_ == name.fhir), "")
                if not key:
                    return None
                applied = self._reading(key, name.fhir, replace(shape, is_single=shape.is_single and not field.is_list))
                return 2, applied
        return None

    def _link(self, link: Link, shape: Shape, scope: Scope) -> Applied:
        if isinstance(link, Member):
            return self._member(link, shape)[0]
        if isinstance(link, Call):
            return self.call(link, shape, scope)
        return self._index(link, shape, scope)

    def _index(self, node: Index, shape: Shape, scope: Scope) -> Applied:
        index = self.node(node.index, scope)
        at = node.at

        def step(items: Items, this: Items, frame: Frame) -> Items:
            found = system_values(index.run(this, frame))
            if not found:
                return []
            if len(found) > 1 or type(found[0]) is not int:
                raise fail("an index is one whole number", "fhirpath-type", at)
            return items[found[0] : found[0] + 1] if found[0] >= 0 else []

        return Applied(step, shape.single())

    def call(self, node: Call, shape: Shape, scope: Scope) -> Applied:
        """A function on an input of some shape."""
        build = FUNCTIONS.get(node.name)
        if build is None:
            near = get_close_matches(node.name, FUNCTIONS, n=1)
            hint = f"; did you mean `{near[0]}()`?" if near else ""
            raise fail(f"there is no function `{node.name}`{hint}", "fhirpath-unknown-function", node.at)
        try:
            return build(self, node, shape, scope)
        except FhirPathError as error:
            raise error if error.at >= 0 else fail(error.message, error.code, node.at) from None

    def field(self, shape: Shape, name: str) -> Field | None:
        """The element of a known type; None for what has no known type, and for primitives."""
        if not shape.fhir or self.model is None or self.model.is_primitive(shape.fhir):
            return None
        return self.model.fields(shape.fhir).get(name)

    def _member(self, node: Member, shape: Shape) -> tuple[Applied, str]:
        """A step to an element, and its JSON name where it is one primitive that does not repeat."""
        if shape.system and shape.system != "Quantity":
            self._refuse(node, f"a {shape.system}", ())
            return Applied(lambda _items, _this, _frame: [], ANY), ""
        model = self.model
        if not shape.fhir or model is None:
            self._check_possible(node, shape)
            return _reaching(navigation.child(model, node.name), replace(ANY, is_ordered=shape.is_ordered)), ""
        if model.is_primitive(shape.fhir):
            return self._below_primitive(node, shape), ""
        fields = model.fields(shape.fhir)
        field = fields.get(node.name)
        if field is None:
            self._refuse(node, shape.fhir, fields)
            return _reaching(navigation.child(None, node.name), ANY), ""
        single = shape.is_single and not field.is_list
        if field.is_choice:
            out = Shape(possible=field.types, is_single=single, is_ordered=shape.is_ordered)
            return _reaching(navigation.choice(field), out), ""
        applied = self._reading(node.name, field.types[0], replace(shape, is_single=single))
        is_plain = model.is_primitive(field.types[0]) and not field.is_list
        return applied, node.name if is_plain else ""

    def member(self, node: Member, shape: Shape) -> Applied:
        """A step to an element."""
        return self._member(node, shape)[0]

    def _reading(self, key: str, type_: str, shape: Shape) -> Applied:
        """JSON under one name that has one type."""
        out = Shape(fhir=type_, is_single=shape.is_single, is_ordered=shape.is_ordered)
        assert self.model is not None
        if self.model.is_primitive(type_):
            return _reaching(navigation.primitive_child(key, type_), out)
        if self.model.is_resource(type_):
            out = replace(out, fhir="")
        return _reaching(navigation.complex_child(key), out)

    def _below_primitive(self, node: Member, shape: Shape) -> Applied:
        reach = navigation.of_primitive(node.name)
        if reach is None:
            self._refuse(node, shape.fhir, ("extension", "id", "value"))
            return Applied(lambda _items, _this, _frame: [], ANY)
        if node.name == "extension":
            return _reaching(reach, Shape(fhir="Extension"))
        if node.name == "value":
            reach = self.values(shape)
        return _reaching(reach, replace(ANY, is_single=shape.is_single))

    def _check_possible(self, node: Member, shape: Shape) -> None:
        """In strict mode one of the types of a choice must have the element."""
        if not shape.possible or self.model is None or not self.strict:
            return
        model = self.model
        fields = [model.fields(one) for one in shape.possible]
        primitive = any(model.is_primitive(one) for one in shape.possible)
        if any(node.name in one for one in fields) or (primitive and navigation.of_primitive(node.name)):
            return
        if any(model.is_resource(one) for one in shape.possible):
            return
        self._refuse(node, " or ".join(shape.possible[:3]), [name for one in fields for name in one])

    def _refuse(self, node: Member, owner: str, names: Mapping[str, Field] | Sequence[str]) -> None:
        """In strict mode, the error of a name that its owner does not have."""
        if not self.strict:
            return
        near = get_close_matches(node.name, list(names), n=1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        for field in names.values() if isinstance(names, Mapping) else ():
            if node.name in field.keys:
                hint = f"; write `{field.name}.ofType({field.keys[node.name]})`"
        raise fail(f"{owner} has no element `{node.name}`{hint}", "fhirpath-semantic", node.at)

    # What functions and operators ask for

    def values(self, shape: Shape) -> Reach:
        """How items of a shape become system values."""
        if shape.system:
            return _as_is
        if not shape.fhir or self.model is None:
            return system_values
        fhir = shape.fhir
        if fhir in TEMPORAL_TYPES or fhir in QUANTITY_TYPES or fhir == "decimal":
            return lambda items: [
                value
                for item in items
                if (value := convert(fhir, item.value if type(item) is Element else item)) is not None
            ]
        if self.model.is_primitive(fhir):
            return _unwrapped
        return _as_is

    def lift(self, shape: Shape) -> Reach:
        """How items of a shape come to say their type."""
        if not shape.fhir or (self.model is not None and self.model.is_resource(shape.fhir)):
            return _as_is
        return navigation.lift(shape.fhir)

    def lifted(self, code: Code) -> Code:
        """Code whose items say their type."""
        reach, run = self.lift(code.shape), code.run
        if reach is _as_is:
            return code
        return replace(code, run=lambda this, frame: reach(run(this, frame)), shape=_dynamic(code.shape), constant=None)

    def lifting(self, shape: Shape) -> tuple[Reach, Shape]:
        """How an input comes to say its type, and its shape then."""
        reach = self.lift(shape)
        return reach, shape if reach is _as_is else _dynamic(shape)

    def merged(self, left: Shape, right: Shape) -> Shape | None:
        """The shape of items of both; None where they must say their types first."""
        is_ordered = left.is_ordered and right.is_ordered
        if left.fhir == right.fhir and left.system == right.system:
            return Shape(left.fhir, left.system, (), is_single=False, is_ordered=is_ordered)
        return None

    def system(self, code: Code) -> Run:
        """The system values of code."""
        reach, run = self.values(code.shape), code.run
        return run if reach is _as_is else lambda this, frame: reach(run(this, frame))


def _dynamic(shape: Shape) -> Shape:
    return Shape(possible=(shape.fhir,), is_single=shape.is_single, is_ordered=shape.is_ordered)


def _as_is(items: Items) -> Items:
    return items


def _unwrapped(items: Items) -> Items:
    if len(items) == 1 and type(items[0]) is not Element:
        return items
    return [value for item in items if (value := item.value if type(item) is Element else item) is not None]


def _reaching(reach: Reach, shape: Shape) -> Applied:
    return Applied(_Reaching(reach), shape)


class _Reaching:
    """A step that needs its input only; chains of them are joined without frames between."""

    __slots__ = ("reach",)

    def __init__(self, reach: Reach) -> None:
        self.reach = reach

    def __call__(self, items: Items, _this: Items, _frame: Frame) -> Items:
        return self.reach(items)


def _on_this(applied: Applied) -> Code:
    step, test = applied.step, applied.test
    if isinstance(step, _Reaching):
        reach = step.reach
        return Code(lambda this, _frame: reach(this), applied.shape)
    if test is not None:
        return Code(
            lambda this, frame: step(this, this, frame), applied.shape, lambda this, frame: test(this, this, frame)
        )
    return Code(lambda this, frame: step(this, this, frame), applied.shape)


def _joined(first: Run, steps: list[Step], last: Applied) -> Code:
    """One closure for a chain; the last step answers as a test where it can."""
    run = first
    for step in steps[:-1]:
        run = _after(run, step)
    whole, test = _after(run, steps[-1]), last.test
    if test is None:
        return Code(whole, last.shape)
    return Code(whole, last.shape, lambda this, frame: test(run(this, frame), this, frame))


def _after(run: Run, step: Step) -> Run:
    if isinstance(step, _Reaching):
        reach = step.reach
        return lambda this, frame: reach(run(this, frame))
    return lambda this, frame: step(run(this, frame), this, frame)


def _defining(link: Link, scope: Scope) -> Scope:
    """After `defineVariable('x')` the chain knows `%x`."""
    match link:
        case Call(name="defineVariable", arguments=(Literal(value=str() as name), *_)):
            return replace(scope, defined=scope.defined | {name})
    return scope
