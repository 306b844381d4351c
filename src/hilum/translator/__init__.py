"""One journaled message to what it does: parse, map, route. Pure, and run in processes of its own.

There it uses other cores than those that answer senders, and a row that never ends or brings the interpreter down holds
one message instead of stopping the feed.
"""

from hilum.translator.processes import Processes
from hilum.translator.recipe import Recipe, translator_of
from hilum.translator.routing import BUNDLE, MADE, RAW, Format, Rule, make_route, refs_of
from hilum.translator.seam import InProcess, Turner
from hilum.translator.translate import Translator, hold

__all__ = [
    "BUNDLE",
    "MADE",
    "RAW",
    "Format",
    "InProcess",
    "Processes",
    "Recipe",
    "Rule",
    "Translator",
    "Turner",
    "hold",
    "make_route",
    "refs_of",
    "translator_of",
]
