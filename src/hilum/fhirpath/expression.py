"""The one way in: text to expression, expression and resource to result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from hilum.errors import FormatError
from hilum.fhirpath.code import Code, truth
from hilum.fhirpath.compiler import Compiler, Scope
from hilum.fhirpath.failure import FhirPathError
from hilum.fhirpath.frame import Checker, Frame, Member, Resolver, Tracer
from hilum.fhirpath.model import Model, r4_model
from hilum.fhirpath.navigation import lift
from hilum.fhirpath.parser import parse
from hilum.fhirpath.shapes import ANY, Shape
from hilum.fhirpath.syntax import Node
from hilum.fhirpath.values import Element, system_value

__all__ = ["Expression", "compile_expression", "decode"]

Json = Any
_WRAPPED = frozenset({Element, float})
_NOTHING: Mapping[str, Any] = {}


class Expression:
    """A compiled expression; call it as often as you like, also from several threads.

    `expression(resource)` gives the items of the result. Items are Python values: `bool`, `int`, `Decimal`, `str`,
    `Temporal`, `Quantity`, and `dict` for parts of resources; FHIR primitives come as JSON has them, dates as texts.
    `boolean(resource)` gives the result as a condition: None where it is empty.
    """

    __slots__ = ("_codes", "_model", "_node", "_strict", "_variables", "text", "type")

    def __init__(
        self, text: str, node: Node, type_: str, model: Model | None, *, strict: bool, variables: frozenset[str] | None
    ) -> None:
        self.text, self.type = text, type_
        self._node, self._model, self._strict, self._variables = node, model, strict, variables
        self._codes: dict[str, Code] = {}
        if type_:
            self._code(type_)

    def __call__(
        self,
        resource: Json,
        resolve: Resolver | None = None,
        env: Mapping[str, Any] = _NOTHING,
        *,
        root: Json = None,
        member_of: Member | None = None,
        conforms_to: Checker | None = None,
        trace: Tracer | None = None,
    ) -> list[Any]:
        """The items of the result.

        `resolve`: reference text to resource. `env`: values of `%name`, one each or a list. `root`: the resource that
        holds this element (`%resource`) or contains this resource (`%rootResource`); else it is itself. `member_of`:
        (code, value set URL) to yes, no or None. `conforms_to`: (resource, profile URL) to yes, no or None. `trace`:
        takes what `trace()` shows.

        Raises FhirPathError.
        """
        items = self.items(resource, resolve, env, root, member_of, conforms_to, trace)
        return [_plain(item) if type(item) in _WRAPPED else item for item in items]

    def items(
        self,
        resource: Json,
        resolve: Resolver | None = None,
        env: Mapping[str, Any] = _NOTHING,
        root: Json = None,
        member_of: Member | None = None,
        conforms_to: Checker | None = None,
        trace: Tracer | None = None,
    ) -> list[Any]:
        """As a call, but items that know their FHIR type come as `Element`."""
        code = self._code_for(resource)
        frame = self._frame(resource, env, root)
        frame.resolver, frame.member, frame.conforms, frame.trace = resolve, member_of, conforms_to, trace
        try:
            return code.run(frame.context, frame)
        except FhirPathError as error:
            raise error.within(self.text) from None
        except RecursionError:
            raise self._too_deep() from None

    def typed(self, resource: Json, resolve: Resolver | None = None, env: Mapping[str, Any] = _NOTHING) -> list[Any]:
        """As a call, with every FHIR item as an `Element` that says its type."""
        shape = self._code_for(resource).shape
        items = self.items(resource, resolve, env)
        is_bare = shape.fhir and not (self._model is not None and self._model.is_resource(shape.fhir))
        return lift(shape.fhir)(items) if is_bare else items

    def boolean(
        self,
        resource: Json,
        resolve: Resolver | None = None,
        env: Mapping[str, Any] = _NOTHING,
        *,
        root: Json = None,
        member_of: Member | None = None,
        conforms_to: Checker | None = None,
    ) -> bool | None:
        """The result as a condition: None where it is empty, true for one item that is no boolean.

        Raises FhirPathError, `fhirpath-not-single` for several items.
        """
        code = self._code_for(resource)
        frame = self._frame(resource, env, root)
        frame.resolver, frame.member, frame.conforms = resolve, member_of, conforms_to
        try:
            return truth(code, 0)(frame.context, frame)
        except FhirPathError as error:
            raise error.within(self.text) from None
        except RecursionError:
            raise self._too_deep() from None

    def _too_deep(self) -> FhirPathError:
        message = "the resource is nested deeper than a comparison can follow"
        return FhirPathError(message, code="fhirpath-too-deep", expression=self.text)

    def _frame(self, resource: Json, env: Mapping[str, Any], root: Json) -> Frame:
        """`%resource` is the resource itself, or for a part of one the root; `%rootResource` is the root."""
        here = [resource]
        if root is None:
            return Frame(here, here, env)
        outer = [root]
        frame = Frame(here if type(resource) is dict and "resourceType" in resource else outer, here, env)
        frame.root = outer
        return frame

    def _code_for(self, resource: Json) -> Code:
        """The code for the type of a resource; each type is compiled when it is first met."""
        type_ = self.type
        if not type_ and type(resource) is dict:
            said = resource.get("resourceType")
            type_ = said if type(said) is str else ""
        code = self._codes.get(type_)
        return self._code(type_) if code is None else code

    def _code(self, type_: str) -> Code:
        known = bool(type_) and self._model is not None and self._model.has(type_)
        if not known and self.type:
            raise FhirPathError(f"there is no type `{type_}`", code="fhirpath-unknown-type", expression=self.text)
        shape = Shape(fhir=type_, is_single=True) if known else ANY.single()
        compiler = Compiler(self._model, strict=self._strict, variables=self._variables)
        try:
            code = compiler.node(self._node, Scope(shape, self._root(type_, shape), shape))
        except FhirPathError as error:
            raise error.within(self.text) from None
        if known or not type_:
            self._codes[type_] = code
        return code

    def _root(self, type_: str, shape: Shape) -> Shape:
        """The shape of `%resource`: for `Patient.contact` a Patient, for a datatype any resource."""
        if self._model is None or self._model.is_resource(type_):
            return shape
        owner = type_.partition(".")[0]
        return Shape(fhir=owner, is_single=True) if self._model.is_resource(owner) else ANY.single()

    def __repr__(self) -> str:
        return f"Expression({self.text!r}, type={self.type!r})"


def _plain(item: Any) -> Any:
    """What a caller gets of an item: JSON values of FHIR primitives, not their types."""
    if type(item) is Element:
        return item.value
    return system_value(item) if type(item) is float else item


def compile_expression(
    text: str,
    *,
    type: str | None = None,  # noqa: A002 - the word of the field
    model: Model | None = None,
    strict: bool | None = None,
    variables: Iterable[str] | None = None,
) -> Expression:
    """Compile an expression. The same arguments give the same Expression, compiled once.

    `type`: the FHIR type of what it will be called with; a datatype or `Patient.contact` will do. With it names are
    checked now; without it the type is read from `resourceType`, and elements that a type does not have are empty.
    `strict` says so explicitly. `variables`: the `%names` that calls will give; None leaves that check to the call.
    `model`: R4 as it ships with hilum unless told.

    Raises FhirPathError with line and column.
    """
    names = None if variables is None else frozenset(variables)
    return _compiled(text, type or "", model or r4_model(), bool(type) if strict is None else strict, names)


@lru_cache(maxsize=4096)
def _compiled(text: str, type_: str, model: Model, strict: bool, variables: frozenset[str] | None) -> Expression:
    return Expression(text, parse(text), type_, model, strict=strict, variables=variables)


_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def decode(raw: bytes | str) -> Any:
    """JSON with decimals as `Decimal`, so that `1.50` keeps its nought. Raises FormatError `fhir-json-invalid`."""
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise FormatError(f"this is no JSON: {error}", code="fhir-json-invalid") from None
