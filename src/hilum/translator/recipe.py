"""All that makes a translator, as values: it goes to another process once, and every copy made of it does the same."""

from __future__ import annotations

from msgspec import Struct

from hilum.mapping import Workbook, compile_workbook
from hilum.translator.routing import Rule, make_route
from hilum.translator.translate import Translator

__all__ = ["Recipe", "translator_of"]


class Recipe(Struct, frozen=True):
    """What was read from the folder when the engine started. A folder that is edited meanwhile changes nothing."""

    book: Workbook
    params: dict[str, str | int | float | bool] = {}
    rules: tuple[Rule, ...] = ()
    owners: dict[str, str] = {}  # by source


def translator_of(recipe: Recipe) -> Translator:
    """Compile it. Raises ConfigError or MappingError with findings."""
    plan = compile_workbook(recipe.book, params=recipe.params)
    return Translator(plan, make_route(recipe.rules), recipe.owners)
