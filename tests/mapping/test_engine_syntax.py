"""The languages of the cells: what they read, and that nothing else than SyntaxProblem ever comes out of them."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.mapping.places import Anchor, Step, parse_anchor, parse_applies, parse_target
from hilum.mapping.syntax import (
    Binary,
    Call,
    Literal,
    Membership,
    Negation,
    Param,
    Path,
    SyntaxProblem,
    Word,
    parse_condition,
    parse_source,
    parse_transform,
)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("PID-5", Path("PID", 0, 5)),
        ("PID-5[1].1.2", Path("PID", 0, 5, 1, 1, 2)),
        ("PID-3[*]", Path("PID", 0, 3, -1)),
        ("NTE[*]-3", Path("NTE", -1, 3)),
        ("OBX[2]-5.1", Path("OBX", 2, 5, 0, 1)),
        ("ZP1-12", Path("ZP1", 0, 12)),
        ("@.4.2", Path("", component=4, sub=2)),
    ],
)
def test_a_path_reads_as_people_write_it_and_back(text: str, path: Path) -> None:
    assert parse_source(text) == (path,)
    assert str(path) == text


def test_alternatives_and_concat_keep_their_order() -> None:
    first, second = parse_source('OBX-21|concat(OBR-3, "x", OBX-3.1, sep="/")')
    assert first == Path("OBX", 0, 21)
    assert isinstance(second, Call)
    assert second.args[1] == Literal("x")
    assert second.named == (("sep", Literal("/")),)


def test_a_condition_binds_and_closer_than_or() -> None:
    tree = parse_condition('OBX-2 in ("CE","CWE") and not (OBX-11 = "X") or count(PID-11) > 1')
    assert tree is not None
    either = tree
    both, more = either.parts  # type: ignore[union-attr]
    membership, negation = both.parts
    assert isinstance(membership, Membership)
    assert negation == Negation(Binary("=", Path("OBX", 0, 11), Literal("X")))
    assert more.operator == ">"


def test_doubled_not_and_not_in_read_as_they_say() -> None:
    assert parse_condition("not not valued(PID-3)") == Negation(Negation(Call("valued", (Path("PID", 0, 3),))))
    found = parse_condition('PID-8 not in ("M")')
    assert isinstance(found, Membership)
    assert found.negated


@pytest.mark.parametrize(
    "text", ["PID-3", "PID-3 =", "(valued(PID-3)", "valued(PID-3) valued(PID-4)", "= 1", 'a "', "PID-0 = 1"]
)
def test_a_condition_that_does_not_follow_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(SyntaxProblem):
        parse_condition(text)


def test_transforms_take_paths_params_words_and_json() -> None:
    assert parse_transform("quantity(unit=OBX-6)").named == (("unit", Path("OBX", 0, 6)),)
    assert parse_transform("datetime(zone=param.zone)").named == (("zone", Param("zone")),)
    assert parse_transform("ref(Practitioner:lead)").args == (Word("Practitioner:lead"),)
    assert parse_transform('const({"a": [1]})').args == (Word('{"a": [1]}'),)
    assert parse_transform("") == Call("text")
    assert parse_transform("XPN") == Call("XPN")  # three letters are a datatype here, not a segment


def test_anchors_are_chains_or_fields_and_do_not_mix() -> None:
    assert parse_anchor("OBR>OBX") == (Anchor(("OBR", "OBX")),)
    assert parse_anchor("PV1-7[*]|OBR-16") == (Anchor(("PV1",), 7, True), Anchor(("OBR",), 16, False))
    with pytest.raises(SyntaxProblem):
        parse_anchor("PID|PV1-7")


def test_kinds_are_listed_by_type() -> None:
    assert parse_applies("ADT^A01|A04 ORU^R01; SIU^*") == ("ADT^A01", "ADT^A04", "ORU^R01", "SIU^*")
    assert parse_applies("*") == ()
    with pytest.raises(SyntaxProblem):
        parse_applies("admissions")


def test_targets_know_keys_defaults_extensions_and_items() -> None:
    assert parse_target("Patient.id").role == "key"
    assert parse_target("merge(Patient)").role == "merge"
    assert parse_target("unmerge(Patient)").role == "unmerge"
    assert parse_target("Encounter.status?").default
    birth = parse_target("Patient.birthDate.extension(patient-birthTime).valueDateTime").steps
    assert birth[1].url == "http://hl7.org/fhir/StructureDefinition/patient-birthTime"
    race = parse_target("Patient.extension(us-core-race).extension(text).valueString").steps
    assert [step.url for step in race] == ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-race", "text", ""]
    assert parse_target("Encounter.participant[+lead].type[+]").steps == (
        Step("participant", "+lead"),
        Step("type", "+"),
    )


@pytest.mark.parametrize(
    "text", ["", "Patient", "patient.name", "Patient.", "Patient.name[]", "Patient.Name", "merge()", "unmerge()"]
)
def test_a_target_that_names_no_element_is_refused(text: str) -> None:
    with pytest.raises(SyntaxProblem):
        parse_target(text)


PARSERS = (parse_source, parse_condition, parse_transform, parse_anchor, parse_applies, parse_target)
SHARDS = st.sampled_from(
    [
        "PID-3",
        "[*]",
        ".",
        "(",
        ")",
        '"',
        "and",
        "or",
        "not",
        "in",
        ",",
        "|",
        "@",
        "concat",
        "=",
        "param.",
        "{",
        "x",
        "1",
        " ",
    ]
)


@given(st.lists(SHARDS, max_size=20).map("".join) | st.text(max_size=40))
def test_any_text_parses_or_is_a_syntax_problem(text: str) -> None:
    for parse in PARSERS:
        with suppress(SyntaxProblem):
            parse(text)
