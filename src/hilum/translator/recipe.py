"""All that makes a translator, as values: it goes to another process once, and every copy made of it does the same."""

from __future__ import annotations

from msgspec import Struct

from hilum.config import ValidationPolicy
from hilum.definitions import open_pack, r4
from hilum.mapping import Workbook, compile_workbook
from hilum.translator.routing import Rule, make_route
from hilum.translator.translate import Judge, Translator
from hilum.validation import Validator

__all__ = ["Recipe", "translator_of"]


class Recipe(Struct, frozen=True):
    """What was read from the folder when the engine started. A folder that is edited meanwhile changes nothing."""

    book: Workbook
    params: dict[str, str | int | float | bool] = {}
    rules: tuple[Rule, ...] = ()
    owners: dict[str, str] = {}  # by source
    validation: ValidationPolicy = ValidationPolicy.OFF
    packages: dict[str, bytes] = {}  # FHIR packages in the order in which they were added: SHA-256 -> content
    learn_days: int = 7  # of a sender, before anything new of it is news


def translator_of(recipe: Recipe) -> Translator:
    """Compile it. Raises ConfigError or MappingError with findings."""
    plan = compile_workbook(recipe.book, params=recipe.params)
    return Translator(plan, make_route(recipe.rules), recipe.owners, _judge(recipe), recipe.learn_days)


def _judge(recipe: Recipe) -> Judge | None:
    if recipe.validation is ValidationPolicy.OFF:
        return None
    packs = [open_pack(content, sha256) for sha256, content in recipe.packages.items()]
    validator = Validator(r4().with_packs(packs))
    return Judge(validator.errors, holds=recipe.validation is ValidationPolicy.HOLD)
