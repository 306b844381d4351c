"""Reading expressions: trees, places of errors, limits, and text that means nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.fhirpath import FhirPathError, Quantity, compile_expression, parse, parse_temporal, render
from hilum.fhirpath.syntax import (
    Binary,
    Call,
    Chain,
    Empty,
    Environment,
    Index,
    Literal,
    Member,
    Node,
    Polarity,
    TypeTest,
    Variable,
)

NAMES = st.one_of(
    st.sampled_from(["name", "given", "value", "is", "contains", "day", "and", "div"]), st.text(min_size=1)
)
TEMPORALS = [
    parse_temporal(text, kind)
    for text, kind in (
        ("2018-03", "date"),
        ("2018", "dateTime"),
        ("2018-03-01T10:30:00.5Z", "dateTime"),
        ("10:30", "time"),
    )
]
LITERALS = st.one_of(
    st.booleans(),
    st.integers(0, 10**30),
    st.decimals(0, 10**9, places=3).map(lambda value: abs(value)),
    st.text(),
    st.sampled_from(TEMPORALS),
    st.builds(Quantity, st.decimals(0, 999, places=1).map(abs), st.sampled_from(["mg", "1", "10*3/uL"])),
    st.builds(Quantity, st.integers(0, 99).map(Decimal), st.sampled_from(["day", "weeks"]), st.just(True)),
).map(Literal)
LEAVES = st.one_of(
    LITERALS,
    st.just(Empty()),
    st.sampled_from(["this", "index", "total"]).map(Variable),
    NAMES.map(Environment),
    NAMES.map(Member),
)
OPERATORS = [
    "+",
    "-",
    "&",
    "*",
    "/",
    "div",
    "mod",
    "|",
    "<",
    ">=",
    "=",
    "!~",
    "in",
    "contains",
    "and",
    "or",
    "xor",
    "implies",
]


def grown(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    calls = st.builds(Call, NAMES, st.lists(nodes, max_size=3).map(tuple))
    links = st.one_of(NAMES.map(Member), calls, nodes.map(Index))
    return st.one_of(
        calls,
        st.builds(Chain, nodes, st.lists(links, min_size=1, max_size=4).map(tuple)),
        st.builds(Polarity, st.sampled_from(["+", "-"]), nodes),
        st.builds(Binary, st.sampled_from(OPERATORS), nodes, nodes),
        st.builds(TypeTest, st.sampled_from(["is", "as"]), nodes, st.lists(NAMES, min_size=1, max_size=2).map(tuple)),
    )


@settings(max_examples=150, deadline=None)
@given(st.recursive(LEAVES, grown, max_leaves=12))
def test_a_tree_that_is_rendered_is_read_back_as_it_was(tree: Node) -> None:
    assert parse(render(tree)) == tree


FRAGMENTS = [
    "name",
    ".",
    "(",
    ")",
    "[",
    "]",
    "1",
    "1.5",
    "'a",
    "'",
    "`",
    "@2018",
    "@T",
    "%",
    "$this",
    "+",
    "is",
    "and",
    "{}",
    ",",
    " ",
    "\\",
    "/*",
    "//",
]


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(FRAGMENTS), max_size=20).map("".join)))
def test_text_that_means_nothing_is_a_coded_error(text: str) -> None:
    try:
        expression = compile_expression(text, type="Patient")
        expression({"resourceType": "Patient", "name": [{"given": ["Una"]}]})
    except FhirPathError as error:
        found = error.code, error.expression
    else:
        found = "fhirpath-none", text
    assert found[0].startswith("fhirpath-")
    assert found[1] == text


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("name.", "fhirpath-syntax", "1:6"),
        ("name.where(use = 'x'", "fhirpath-syntax", "1:21"),
        ("name\n  .nmae", "fhirpath-semantic", "2:4"),
        ("name.frist()", "fhirpath-unknown-function", "1:6"),
        ("'never closed", "fhirpath-syntax", "1:1"),
        ("'\\q'", "fhirpath-syntax", "1:1"),
        ("@2018-02-30", "fhirpath-syntax", "1:1"),
        ("name ~ /* open", "fhirpath-syntax", "1:8"),
        ("1 2", "fhirpath-syntax", "1:3"),
        ("%nobody", "fhirpath-unknown-variable", "1:1"),
        ("name is Nmae", "fhirpath-unknown-type", "1:6"),
        ("name.first(1)", "fhirpath-arguments", "1:6"),
        ("deceasedBoolean", "fhirpath-semantic", "1:1"),
        ("$total", "fhirpath-semantic", "1:1"),
        ("name.matches('(')", "fhirpath-semantic", "1:6"),
    ],
)
def test_errors_name_code_line_and_column(text: str, code: str, place: str) -> None:
    with pytest.raises(FhirPathError) as raised:
        compile_expression(text, type="Patient", variables=())
    assert (raised.value.code, raised.value.location) == (code, place)


def test_a_choice_that_is_written_as_json_has_it_is_told_how_to_write_it() -> None:
    with pytest.raises(FhirPathError, match=r"write `value.ofType\(string\)`"):
        compile_expression("valueString", type="Observation")


@pytest.mark.parametrize(
    "text", ["(" * 5000 + "1" + ")" * 5000, "-" * 5000 + "1", "a(" * 5000, " + ".join(["1"] * 5000), "a[" * 5000]
)
def test_deep_nesting_is_refused_before_the_stack_ends(text: str) -> None:
    with pytest.raises(FhirPathError) as raised:
        parse(text)
    assert raised.value.code == "fhirpath-too-deep"


def test_a_long_flat_path_is_no_deep_one() -> None:
    long = compile_expression("name" + ".select($this)" * 500, type="Patient")
    assert long({"resourceType": "Patient", "name": [{"family": "Testcase"}]}) == [{"family": "Testcase"}]


def test_an_expression_of_more_than_100_000_characters_is_refused() -> None:
    with pytest.raises(FhirPathError) as raised:
        parse("a" * 100_001)
    assert raised.value.code == "fhirpath-too-long"


def test_every_code_of_fhirpath_and_views_is_documented() -> None:
    import re
    from pathlib import Path

    root = Path(__file__).resolve().parents[2]
    for package, pages in (("fhirpath", ("fhirpath.md",)), ("views", ("views.md",))):
        said = {
            code
            for path in (root / "src" / "hilum" / package).rglob("*.py")
            for code in re.findall(rf'"({package.rstrip("s")}-[a-z]+(?:-[a-z]+)*)"', path.read_text(encoding="utf-8"))
        }
        told = {
            code
            for page in pages
            for code in re.findall(
                r"^## (\S+)$", (root / "docs" / "codes" / page).read_text(encoding="utf-8"), re.MULTILINE
            )
        }
        assert len(said) > 8
        assert said <= told, said - told
