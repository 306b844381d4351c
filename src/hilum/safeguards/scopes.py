"""SMART scopes as values (SMART App Launch 2.2, "Scopes and Launch Context"; version 1 of them, too).

`patient/Observation.rs?category=laboratory` is level, type, verbs and terms. A word that is no scope hilum knows is
kept apart as `unknown`: it opens nothing, and the answer to an app says which scopes it got.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from urllib.parse import quote, unquote

from msgspec import Struct

__all__ = [
    "PLAIN",
    "Interaction",
    "Level",
    "ResourceScope",
    "Scopes",
    "Term",
    "parse_scope",
    "parse_scopes",
    "print_scope",
    "print_scopes",
]

MAX_TEXT = 4_096  # characters of a whole scope parameter
MAX_SCOPES = 200

# in the order in which they are shown
PLAIN = ("openid", "fhirUser", "profile", "launch", "launch/patient", "offline_access", "online_access")

Term = tuple[str, tuple[str, ...]]  # a search parameter and its alternatives, as in a URL after percent-decoding


class Level(StrEnum):
    """Whose data."""

    PATIENT = "patient"  # of the patient in context
    USER = "user"  # what the person who signed in may see
    SYSTEM = "system"  # of everybody, for a program by itself


class Interaction(StrEnum):
    """The verbs of a scope, in the order in which they are written."""

    CREATE = "c"
    READ = "r"  # read, vread, history of one resource
    UPDATE = "u"  # update and patch
    DELETE = "d"
    SEARCH = "s"


VERBS = "".join(Interaction)
_V1 = {"read": "rs", "write": "cud", "*": VERBS}
_V1_NAMES = {verbs: name for name, verbs in _V1.items()}


class ResourceScope(Struct, frozen=True):
    """`level/type.verbs?terms`. `type` "*" is every type; all `terms` must hold. `is_v1`: written as `.read`."""

    level: Level
    type: str
    verbs: str
    terms: tuple[Term, ...] = ()
    is_v1: bool = False

    def allows(self, interaction: Interaction, type_: str) -> bool:
        """Whether it speaks of this verb and type."""
        return interaction.value in self.verbs and self.type in ("*", type_)


class Scopes(Struct, frozen=True):
    """What a scope parameter says, in its order, each once."""

    plain: tuple[str, ...] = ()
    resources: tuple[ResourceScope, ...] = ()
    unknown: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.plain or self.resources)

    def levels(self) -> frozenset[Level]:
        """The levels that are spoken of."""
        return frozenset(one.level for one in self.resources)


_SCOPE = re.compile(r"(patient|user|system)/([A-Z][A-Za-z]{1,63}|\*)\.([a-z]{1,5}|\*)(?:\?(.+))?", re.DOTALL)
_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 3.3
_NAME = re.compile(r"_?[a-z][A-Za-z0-9-]{0,63}")  # no modifier, no chain: what one resource alone can tell
_VALUES = re.compile(r"(?:[^\\,]|\\.|\\$)+", re.DOTALL)
_SAFE = ":/|-._~"


def parse_scope(text: str) -> ResourceScope | None:
    """A resource scope, or None when this is none."""
    match = _SCOPE.fullmatch(text) if _TOKEN.fullmatch(text) else None
    if match is None:
        return None
    level, type_, written, query = match.groups()
    verbs = _V1.get(written, written)
    if not verbs or verbs != "".join(verb for verb in VERBS if verb in verbs):
        return None  # SMART: "cruds" in this order
    terms = _terms(query) if query else ()
    if terms is None or (written in _V1 and terms):
        return None
    return ResourceScope(Level(level), type_, verbs, terms, written in _V1)


def parse_scopes(text: str) -> Scopes:
    """The words of a scope parameter. One that is too long, or has too many words, is unknown as a whole."""
    words = list(dict.fromkeys(text.split(" ")))
    if len(text) > MAX_TEXT or len(words) > MAX_SCOPES:
        return Scopes(unknown=("...",))
    plain: list[str] = []
    resources: list[ResourceScope] = []
    unknown: list[str] = []
    for word in filter(None, words):
        found = parse_scope(word)
        if found is not None:
            resources.append(found)
        else:
            (plain if word in PLAIN else unknown).append(word)
    return Scopes(tuple(plain), tuple(resources), tuple(unknown))


def print_scope(scope: ResourceScope) -> str:
    """As SMART writes it: in its version 1 only where it was asked for so and still says the same."""
    if scope.is_v1 and not scope.terms and scope.verbs in _V1_NAMES:
        return f"{scope.level}/{scope.type}.{_V1_NAMES[scope.verbs]}"
    query = "&".join(f"{name}={','.join(quote(value, safe=_SAFE) for value in values)}" for name, values in scope.terms)
    return f"{scope.level}/{scope.type}.{scope.verbs}{'?' if query else ''}{query}"


def print_scopes(scopes: Scopes) -> str:
    """The scope parameter; what is unknown is left out."""
    return " ".join([*scopes.plain, *map(print_scope, scopes.resources)])


def ordered(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Terms are a set: the same ones are the same scope in any order."""
    return tuple(sorted(set(terms)))


def _terms(query: str) -> tuple[Term, ...] | None:
    found: list[Term] = []
    for part in query.split("&"):
        name, equals, raw = part.partition("=")
        try:
            value = unquote(raw, errors="strict")
        except UnicodeDecodeError:
            return None
        values = tuple(_VALUES.findall(value))
        if not equals or not _NAME.fullmatch(name) or not values or not value.isprintable():
            return None
        found.append((name, values))
    return ordered(found)
