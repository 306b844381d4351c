"""What a package declares so that its part of the folder is read, checked and documented."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias, Union, get_args

from msgspec import Struct

from hilum.model import Finding

if TYPE_CHECKING:
    from hilum.config.tree import Tree

__all__ = ["Check", "Section", "structs_of", "tag_of"]

Check: TypeAlias = "Callable[[Tree], Iterable[Finding]]"


class Section(Struct, frozen=True):
    """Files of one shape. Sections that share a pattern with `*` are told apart by the tag of their Structs.

    `pattern` is `integration.yaml` (one file) or `sources/*.yaml` (each file one value, named after the file). `type`
    is a Struct, or a union of Structs with tags. A field is described by `Annotated[..., Meta(description=...)]`,
    a Struct by its docstring. `checks` see the whole tree, as far
    as its files could be read; those of one file only where that one could.
    """

    pattern: str
    type: Any
    checks: tuple[Check, ...] = ()

    @property
    def is_many(self) -> bool:
        """Whether any number of files may match."""
        return "*" in self.pattern


def structs_of(kind: Any) -> tuple[type[Struct], ...]:
    """The Structs of a Struct or of a union of them."""
    return tuple(get_args(kind)) if get_args(kind) else (kind,)


def tag_of(struct: type[Struct]) -> tuple[str, str] | None:
    """The tag's key and value (`("kind", "mllp")`), or None for a Struct without a tag."""
    config = struct.__struct_config__
    if config.tag_field is None or config.tag is None:
        return None
    return config.tag_field, str(config.tag)


def union_of(structs: Iterable[type[Struct]]) -> Any:
    """One type for all of them, as msgspec wants it."""
    return Union[tuple(structs)]  # noqa: UP007 - built at run time
