"""A query string or form -> what is asked. Pure.

R4 search.html. Parameters that only shape the answer (`_count`, `_sort`, `_summary`...) are taken out here; the others
become SearchTerms, which the repository judges. What cannot be honoured is listed as ignored, never dropped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, quote

from msgspec import Struct
from msgspec.structs import replace

from hilum.app.api.outcomes import Problem
from hilum.app.api.projections import WHOLE, Projection
from hilum.formats.fhir import Kind, find_parameter, is_resource_type
from hilum.repository import Query, SearchTerm

__all__ = [
    "DEFAULT_COUNT",
    "MAX_HEAD",
    "MAX_QUERY",
    "MAX_URL",
    "SHAPING",
    "Asked",
    "Ignored",
    "Pairs",
    "ask",
    "condition",
    "parse_pairs",
    "projection_of",
    "query_part",
    "self_query",
    "terms_named",
    "whole_number",
    "without",
]

Pairs = Sequence[tuple[str, str]]

DEFAULT_COUNT = 50
MAX_PARAMETERS = 100
MAX_QUERY = 8_192  # bytes of one search, in the URL or in a form
MAX_HEAD = 32_768  # bytes of request line and headers
MAX_URL = 16_384  # a sealed paging link holds such a search, its place and 4/3 for base64
MAX_ALTERNATIVES = 200  # values of one parameter

_COMMA = re.compile(r"(?:[^\\,]|\\.|\\$)+", re.DOTALL)
_COUNT = re.compile(r"[0-9]{1,9}")
_SORT = re.compile(r"-?[A-Za-z_][A-Za-z0-9_-]*")
_INCLUDE = re.compile(r"\*|[A-Za-z]+:[A-Za-z_*][A-Za-z0-9_-]*(?::[A-Za-z]+)?")
_ELEMENT = re.compile("[A-Za-z][A-Za-z0-9]*")

# They shape the answer in ways that hilum does not offer; an app that depends on one must be told.
_NOT_OFFERED = frozenset({"_contained", "_containedType", "_text", "_content", "_filter", "_list", "_query"})
# they order and surround what is found, and never narrow it
SHAPING = frozenset(
    {"_contained", "_containedType", "_include", "_revinclude", "_sort", *("_count", "_elements", "_summary", "_total")}
)
_ONCE = frozenset({"_count", "_sort", "_summary", "_elements", "_total", "_cursor", "_format"})


class Ignored(Struct, frozen=True):
    """A parameter that changed nothing, and why."""

    name: str
    why: str
    value: str = ""  # of a parameter that may repeat: only this one


class Asked(Struct, frozen=True):
    """One search as asked: what is looked for, what of it is shown, and what is not honoured."""

    query: Query
    ignored: tuple[Ignored, ...] = ()
    projection: Projection = WHOLE


def parse_pairs(raw: bytes, *, status: int = 414) -> list[tuple[str, str]]:
    """`a=1&b=2` as (name, value), percent-decoded as UTF-8. A paging link may be longer than a search.

    Raises Problem `query-malformed` (400) and `query-too-long` (`status`).
    """
    limit = MAX_URL if b"_cursor=" in raw else MAX_QUERY
    if len(raw) > limit:
        raise Problem(
            "query-too-long", status, "too-long", f"a search is at most {limit} bytes long; split it into several"
        )
    try:
        return parse_qsl(
            raw.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except UnicodeDecodeError:
        text = "the query is not UTF-8 after percent-decoding; encode it as UTF-8"
    except ValueError:
        text = f"the query has more than {MAX_PARAMETERS} parameters; ask for less at once"
    raise Problem("query-malformed", 400, "invalid", text)


def ask(type_: str, pairs: Pairs, *, max_count: int) -> Asked:
    """Read the parameters of a search over one type. Raises Problem 400 `parameter-invalid`, `parameter-repeated`."""
    _check_once(pairs)
    query = Query(type=type_, count=min(DEFAULT_COUNT, max_count))
    projection = WHOLE
    ignored: list[Ignored] = []
    for name, value in pairs:
        if not value.strip():
            ignored.append(Ignored(name, "it has no value"))
        elif name in _NOT_OFFERED:
            ignored.append(Ignored(name, "this server does not offer it"))
        elif name in _SHAPES or name in _PARTS:
            query = _SHAPES[name](query, value, ignored) if name in _SHAPES else query
            projection = _PARTS[name](projection, value) if name in _PARTS else projection
        elif name not in ("_format", "_pretty"):
            query = replace(query, terms=(*query.terms, _term(name, value)))
    if query.count > max_count:
        query = replace(query, count=max_count)
    return Asked(query, tuple(ignored), projection)


def condition(type_: str, pairs: Pairs) -> Query:
    """A condition (R4 http.html#ccreate): a search of which nothing may be ignored. Raises Problem 400."""
    asked = ask(type_, pairs, max_count=2)
    if asked.ignored or not asked.query.terms:
        why = f"{asked.ignored[0].name}: {asked.ignored[0].why}" if asked.ignored else "it has no search parameter"
        raise Problem("condition-unusable", 400, "invalid", f"the condition cannot be used: {why}")
    return replace(asked.query, include=(), revinclude=(), sort=(), total_only=False)


def query_part(written: str, type_: str) -> str:
    """The query of an If-None-Exist: clients write it alone, after `?`, after `Type?`, or as a whole URL."""
    head, mark, query = written.partition("?")
    return query if mark and (not head or head.rpartition("/")[2] == type_) else written


def terms_named(query: Query) -> str:
    """`Type?names` for the audit: never a value."""
    return f"{query.type}?{','.join(sorted({written_name(term) for term in query.terms}))}"


def projection_of(given: Mapping[str, str]) -> Projection:
    """`_summary` and `_elements` of a read. Raises Problem 400 `parameter-invalid`."""
    projection = WHOLE
    for name, read in _PARTS.items():
        if given.get(name):
            projection = read(projection, given[name])
    return projection


def whole_number(name: str, value: str, most: int) -> int:
    """The number, `most` where it is more. Raises Problem 400 `parameter-invalid`."""
    if not _COUNT.fullmatch(value):
        raise _invalid(name, "it is a whole number, 0 or more")
    return min(int(value), most)


def without(query: Query, parameter: str) -> Query:
    """The same search without a parameter that the repository does not know: `gender`, `gender:exact`, `_sort`..."""
    if parameter == "_sort":
        return replace(query, sort=())
    kept = tuple(term for term in query.terms if parameter not in (term.name, written_name(term)))
    return replace(query, terms=kept)


def written_name(term: SearchTerm) -> str:
    """The name of a term as it stood in the URL."""
    return f"{term.name}:{term.modifier}" if term.modifier else term.name


def self_query(pairs: Pairs, ignored: Sequence[Ignored]) -> str:
    """What was honoured, written as a query string for the self link."""
    dropped = {(item.name, item.value) for item in ignored}
    kept = [(name, value) for name, value in pairs if not {(name, ""), (name, value)} & dropped]
    return "&".join(f"{quote(name, safe=':')}={quote(value, safe=':,|/')}" for name, value in kept)


def _check_once(pairs: Pairs) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in _ONCE and name in seen:
            raise Problem("parameter-repeated", 400, "invalid", f"{name} stands twice; send it once", parameter=name)
        seen.add(name)


def _term(name: str, value: str) -> SearchTerm:
    values = split_values(value)
    if len(values) > MAX_ALTERNATIVES:
        raise _invalid(name, f"it has more than {MAX_ALTERNATIVES} values; split the search")
    base, _, modifier = name.partition(":")
    return SearchTerm(base, values, modifier)


def split_values(value: str) -> tuple[str, ...]:
    """Alternatives at commas that no backslash escapes. The other escapes stay: a token is split at | after them."""
    return tuple(part.replace("\\,", ",") for part in _COMMA.findall(value))


def _count(query: Query, value: str, _: list[Ignored]) -> Query:
    if not _COUNT.fullmatch(value):
        raise _invalid("_count", "it is a whole number, 0 or more")
    # R4 search.html 3.1.1.5.5: _count=0 is treated as _summary=count
    return replace(query, total_only=True) if int(value) == 0 else replace(query, count=int(value))


def _summary(query: Query, value: str, _: list[Ignored]) -> Query:
    return replace(query, total_only=True) if value == "count" else query


def _shown(projection: Projection, value: str) -> Projection:
    if value not in ("true", "text", "data", "count", "false"):
        raise _invalid("_summary", "it is true, text, data, count or false")
    return replace(projection, summary=value) if value in ("true", "text", "data") else projection


def _elements(projection: Projection, value: str) -> Projection:
    names = tuple(value.split(","))
    if not all(_ELEMENT.fullmatch(name) for name in names):
        raise _invalid("_elements", "it is a list of top-level elements, as in name,birthDate")
    return replace(projection, elements=names)


def _total(query: Query, value: str, _: list[Ignored]) -> Query:
    if value not in ("none", "estimate", "accurate"):
        raise _invalid("_total", "it is none, estimate or accurate; estimates are counted, too")
    return replace(query, with_total=value != "none")


def _sort(query: Query, value: str, _: list[Ignored]) -> Query:
    keys = tuple(value.split(","))
    if not all(_SORT.fullmatch(key) for key in keys):
        raise _invalid("_sort", "it is a list of parameter names, each with - before it to turn the order")
    return replace(query, sort=keys)


def _include(query: Query, value: str, ignored: list[Ignored]) -> Query:
    return replace(query, include=query.include + _followed("_include", value, ignored))


def _revinclude(query: Query, value: str, ignored: list[Ignored]) -> Query:
    return replace(query, revinclude=query.revinclude + _followed("_revinclude", value, ignored))


def _include_again(query: Query, value: str, ignored: list[Ignored]) -> Query:
    return replace(query, include=query.include + _again(_followed("_include:iterate", value, ignored)))


def _revinclude_again(query: Query, value: str, ignored: list[Ignored]) -> Query:
    return replace(query, revinclude=query.revinclude + _again(_followed("_revinclude:iterate", value, ignored)))


def _again(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"iterate|{one}" for one in values)


def _followed(name: str, value: str, ignored: list[Ignored]) -> tuple[str, ...]:
    if not _INCLUDE.fullmatch(value):
        raise _invalid(name, "it is written Type:parameter, as in Observation:subject")
    if value == "*" or (value.endswith(":*") and is_resource_type(value[:-2])):
        return (value,)
    parameter = find_parameter(*value.split(":")[:2])
    if parameter is not None and parameter.kind is Kind.REFERENCE and parameter.is_indexed:
        return (value,)
    ignored.append(Ignored(name, f"{value} is no reference parameter of this server", value))
    return ()


def _invalid(name: str, why: str) -> Problem:
    return Problem("parameter-invalid", 400, "value", f"{name} cannot be used: {why}", parameter=name)


_SHAPES = {
    "_count": _count,
    "_summary": _summary,
    "_total": _total,
    "_sort": _sort,
    "_include": _include,
    "_revinclude": _revinclude,
    "_include:iterate": _include_again,
    "_include:recurse": _include_again,
    "_revinclude:iterate": _revinclude_again,
    "_revinclude:recurse": _revinclude_again,
}
_PARTS = {"_summary": _shown, "_elements": _elements}
