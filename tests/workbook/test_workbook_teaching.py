"""A code without a map: what it may mean, and the line that says so."""

from __future__ import annotations

import pytest

from hilum.errors import ConfigError
from hilum.mapping import load_base
from hilum.workbook import MissingCode, candidates, missing_code, open_review, targets_of, taught
from workbook_tables import review, table

MAPS = table(
    "maps",
    [
        {"map": "Class", "code": "E", "target": "EMER", "system": "urn:act", "display": "emergency", "owner": "reg"},
        {"map": "Class", "code": "I", "target": "IMP", "system": "urn:act", "display": "inpatient", "owner": "reg"},
        {"map": "Class", "code": "X", "sender": "LAB|*", "target": "AMB", "system": "urn:act", "display": "ambulatory"},
        {"map": "Class", "code": "N", "target": "", "owner": "reg"},
        {"map": "Other", "code": "ER", "target": "wrong", "system": "urn:other", "display": "emergency room"},
    ],
)
MISSING = MissingCode("EPIC|HOSP", "Class", "ER")


def test_an_item_names_sender_map_and_code() -> None:
    assert missing_code("code-unmapped|EPIC|HOSP|Class|ER") == MISSING
    assert missing_code("code-unmapped|EPIC|HOSP|Class|A|B") == MissingCode("EPIC|HOSP", "Class", "A|B")
    assert missing_code("namespace-unknown|EPIC|HOSP|NHS") is None
    assert missing_code("") is None


def test_candidates_are_alike_in_words_or_code_and_the_best_comes_first() -> None:
    book = review([("maps.csv", MAPS)]).book
    found = candidates(book, MISSING, "Emergency room visit")
    assert [one.target for one in found][:1] == ["EMER"]
    assert "wrong" not in {one.target for one in found}, "of another map"
    assert "IMP" not in {one.target for one in found}, "nothing speaks for it"
    assert all(0 < one.alike <= 1 and one.why for one in found)


def test_the_same_code_of_another_sender_counts_most() -> None:
    book = review([("maps.csv", MAPS)]).book
    (best, *_) = candidates(book, MissingCode("EPIC|HOSP", "Class", "x"), "emergency")
    assert (best.target, best.alike) == ("AMB", 1.0)


def test_nothing_is_proposed_where_nothing_is_alike() -> None:
    book = review([("maps.csv", MAPS)]).book
    assert candidates(book, MissingCode("EPIC|HOSP", "Class", "Q9"), "") == []
    assert candidates(book, MissingCode("EPIC|HOSP", "NoSuchMap", "E"), "emergency") == []


def test_the_shipped_maps_propose_what_a_person_would() -> None:
    (best, *_) = candidates(load_base(), MissingCode("A|B", "AdministrativeSex", "female"), "")
    assert best.target == "female"


def test_the_line_is_for_its_sender_a_draft_and_takes_what_the_map_knows_of_its_target() -> None:
    files = taught(review([("maps.csv", MAPS)]), MISSING, "EMER", note="E1, said by ann")
    (text,) = [document.text for document in files.values()]
    (line,) = [line for line in text.splitlines() if line.startswith("Class,EPIC|HOSP,ER")]
    assert line == 'Class,EPIC|HOSP,ER,EMER,urn:act,emergency,,,draft,"E1, said by ann"'
    assert text.startswith(MAPS.rstrip("\n").rpartition("\n")[0][:40]), "the lines before stay"


def test_a_code_that_means_nothing_on_purpose_has_an_empty_target() -> None:
    (document,) = taught(review([("maps.csv", MAPS)]), MISSING, "", note="n", owner="reg").values()
    assert "Class,EPIC|HOSP,ER,,,,reg,,draft,n" in document.text


def test_a_second_line_for_the_same_code_is_refused() -> None:
    once = taught(review([("maps.csv", MAPS)]), MISSING, "EMER", note="n")
    again = review([(name, document.text) for name, document in once.items()])
    with pytest.raises(ConfigError, match="says something else") as caught:
        taught(again, MISSING, "IMP", note="n")
    assert caught.value.code == "map-taught"


def test_the_same_line_said_again_changes_no_file() -> None:
    """Whoever was killed after the line was written, and before messages ran again, says it once more."""
    once = taught(review([("maps.csv", MAPS)]), MISSING, "EMER", note="n")
    again = review([(name, document.text) for name, document in once.items()])
    assert taught(again, MISSING, "EMER", note="another note") == {}


def test_a_target_that_no_line_of_the_map_has_is_said_twice() -> None:
    shipped = review([("maps.csv", MAPS)])
    assert targets_of(shipped.book, "Class") == ["AMB", "EMER", "IMP"]
    with pytest.raises(ConfigError, match="it has AMB, EMER, IMP") as caught:
        taught(shipped, MISSING, "EMRE", note="n")
    assert caught.value.code == "map-target-unknown"
    (document,) = taught(shipped, MISSING, "VR", display="virtual", note="n").values()
    assert "Class,EPIC|HOSP,ER,VR,urn:act,virtual" in document.text


def test_a_target_that_r4_forbids_is_refused_whatever_is_said() -> None:
    missing = MissingCode("EPIC|HOSP", "AdministrativeSex", "K")
    with pytest.raises(ConfigError, match="one of: female, male, other, unknown") as caught:
        taught(open_review(None), missing, "diverse", display="diverse", note="n")
    assert caught.value.code == "code-outside-binding"
    assert taught(open_review(None), missing, "other", note="n")
