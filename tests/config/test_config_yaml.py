"""YAML 1.2 core schema, marks, and refusals: what stands in the file is what is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.config.composer import MAX_DEPTH, MAX_NODES, read_document
from hilum.config.document import Node, locate, plain
from hilum.config.scalars import NumberOutOfRange, resolve_plain

printable = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=12)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | printable
)
values = st.recursive(
    scalars,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(printable, children, max_size=4),
    max_leaves=20,
)


def read(text: str) -> Any:
    document = read_document(text, "f.yaml")
    assert document.findings == []
    assert document.root is not None
    return plain(document.root)


def codes(text: str) -> list[str]:
    return [finding.code for finding in read_document(text, "f.yaml").findings]


@given(values.filter(lambda value: "<<" not in str(value)))
def test_json_is_read_as_what_it_says(value: Any) -> None:
    assert read(json.dumps(value, ensure_ascii=False)) == value


@given(st.text(max_size=200))
def test_any_text_gives_a_tree_or_a_finding_inside_the_file_and_never_an_exception(text: str) -> None:
    document = read_document(text, "f.yaml")
    assert document.root is not None or document.findings
    lines = text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + text.count("\u2029")
    for finding in document.findings:
        file, line, column = finding.location.split(":")
        assert file == "f.yaml"
        assert 1 <= int(line) <= lines + 2
        assert int(column) >= 1


@given(st.text("-:{}[]&*!|>'\"%@`,#? \n\tab01", max_size=60))
def test_any_arrangement_of_indicators_is_survived(text: str) -> None:
    read_document(text, "f.yaml")


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.integers(), min_size=1))
def test_every_value_and_every_key_knows_its_line(value: dict[str, int]) -> None:
    text = "".join(f"{key}: {number}\n" for key, number in value.items())
    document = read_document(text, "f.yaml")
    assert document.root is not None
    for index, key in enumerate(value, 1):
        assert (locate(document.root, (key,)).line, document.root.keys[key].line) == (index, index)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("Off", "Off"), ("y", "y"),
        ("012", 12), ("0o14", 12), ("0x1F", 31), ("+7", 7), ("-0", 0), ("0b1", "0b1"), ("1_000", "1_000"),
        ("22:30", "22:30"), ("1:30:00", "1:30:00"), ("2026-01-01", "2026-01-01"), ("=", "="),
        ("1.", 1.0), (".5", 0.5), ("1e3", 1000.0), ("-1.5E-2", -0.015), ("1.2.3", "1.2.3"), (".", "."),
        ("true", True), ("TRUE", True), ("tRUE", "tRUE"), ("null", None), ("~", None), ("NULL", None), ("nULL", "nULL"),
        ("PID-3[1]", "PID-3[1]"), ("٣", "٣"), ("0o8", "0o8"), ("0x", "0x"),
    ],
)  # fmt: skip
def test_plain_scalars_mean_what_yaml_1_2_says(written: str, meant: object) -> None:
    value = resolve_plain(written)
    assert (value, type(value)) == (meant, type(meant))
    assert read(f"a: {written}") == {"a": meant}
    assert read(f"a: '{written}'") == {"a": written}


@pytest.mark.parametrize("written", [".inf", "-.INF", ".nan", "1e999", "9" * 5000, str(2**63), "0x" + "f" * 17])
def test_a_number_that_does_not_fit_is_refused(written: str) -> None:
    with pytest.raises(NumberOutOfRange):
        resolve_plain(written)
    assert codes(f"a: {written}") == ["yaml-number-range"]


def test_an_empty_value_is_null_and_an_empty_file_is_a_finding() -> None:
    assert read("a:\nb: ''\n") == {"a": None, "b": ""}
    assert codes("") == codes("# only a comment\n") == ["yaml-empty"]


def test_all_findings_of_a_file_come_at_once() -> None:
    assert codes("a: !!str 1\na: 2\n<<: {b: 1}\nc: .inf\n") == [
        "yaml-tag",
        "yaml-duplicate-key",
        "yaml-merge-key",
        "yaml-number-range",
    ]


def test_a_duplicate_key_is_refused_and_the_first_value_stays() -> None:
    document = read_document("a: 1\nb: 2\n'a': {c: [3]}\n", "f.yaml")
    assert [(f.code, f.location) for f in document.findings] == [("yaml-duplicate-key", "f.yaml:3:1")]
    assert document.root is not None
    assert plain(document.root) == {"a": 1, "b": 2}


def test_a_key_keeps_its_text() -> None:
    assert read("1: a\nno: b\nnull: c\n") == {"1": "a", "no": "b", "null": "c"}


@pytest.mark.parametrize("text", ["{a: 1}: b", "[a]: b", "? [a]\n: b", "x: &y 1\n*y : 2"])
def test_a_complex_key_is_refused(text: str) -> None:
    assert codes(text) == ["yaml-key-not-text"]


def test_aliases_work_and_share_their_place() -> None:
    document = read_document("a: &x {b: no}\nc: [*x, *x]\n", "f.yaml")
    assert document.findings == []
    assert document.root is not None
    assert plain(document.root) == {"a": {"b": "no"}, "c": [{"b": "no"}, {"b": "no"}]}
    assert str(locate(document.root, ("c", 1, "b"))) == "f.yaml:1:11"


def test_an_alias_without_anchor_and_one_inside_its_own_anchor_are_refused() -> None:
    assert codes("a: *x\n") == ["yaml-alias-unknown"]
    assert codes("a: &x [*x]\n") == ["yaml-alias-recursive"]


def test_a_billion_laughs_is_refused_before_it_unfolds() -> None:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 20)]
    assert codes("\n".join(lines)) == ["yaml-too-large"]


def test_nesting_has_a_limit_also_through_aliases() -> None:
    assert codes("[" * 100_000) == ["yaml-too-deep"]
    half = MAX_DEPTH // 2
    deep = "a: &a " + "[" * half + "]" * half + "\nb: " + "[" * half + "*a" + "]" * half
    assert codes(deep) == ["yaml-too-deep"]
    assert codes("[" * MAX_DEPTH + "]" * MAX_DEPTH) == []


def test_many_values_have_a_limit() -> None:
    assert codes("[" + "1," * (MAX_NODES + 1) + "]") == ["yaml-too-large"]


def test_two_documents_are_refused_and_one_with_markers_is_not() -> None:
    assert codes("---\na: 1\n---\nb: 2\n") == ["yaml-many-documents"]
    assert read("%YAML 1.2\n---\na: 1\n...\n") == {"a": 1}


def test_a_tab_is_named_as_such() -> None:
    (finding,) = read_document("a:\n\tb: 1\n", "f.yaml").findings
    assert (finding.code, finding.location, finding.hint) == ("yaml-tab", "f.yaml:2:1", "use spaces")


def test_a_control_character_is_a_syntax_finding_with_its_place() -> None:
    (finding,) = read_document("a: 1\nbc: x\x01\n", "f.yaml").findings
    assert (finding.code, finding.location) == ("yaml-syntax", "f.yaml:2:6")


def test_a_syntax_finding_does_not_repeat_the_text() -> None:
    for text in ("a: b: hunter2", "a: 'hunter2", "- hunter2\nb: 1", "a: @hunter2"):
        (finding,) = read_document(text, "f.yaml").findings
        assert finding.code == "yaml-syntax"
        assert "hunter2" not in str(finding)


def test_marks_count_characters_not_bytes() -> None:
    root = read_document("é: {ü: 1, ñ: [x, 日]}\n", "f.yaml").root
    assert isinstance(root, Node)
    assert str(locate(root, ("é", "ñ", 1))) == "f.yaml:1:18"
