"""What of a stored resource a message wrote: compared by element, wherever its items stand now."""

from __future__ import annotations

from hilum.app.stored_values import StoredValues

BODY = b"""{"resourceType": "Patient", "birthDate": "1970",
"_birthDate": {"extension": [{"url": "x", "valueCode": "a"}]},
"telecom": [{"value": "1", "use": "home"}, {"value": "2"}], "multipleBirthInteger": 2, "weight": 0.10}"""


def test_a_value_is_held_in_whatever_item_of_its_list() -> None:
    stored = StoredValues(BODY)
    assert stored.holds("telecom[0].value", '"2"')
    assert not stored.holds("telecom[0].value", '"3"')
    assert stored.holds("telecom[1]", '{"use": "home"}'), "other rows write into the same item"
    assert stored.holds("_birthDate.extension[0].valueCode", '"a"')


def test_the_value_at_the_path_is_shown_else_all_with_their_digits() -> None:
    stored = StoredValues(BODY)
    assert stored.at("telecom[1].value") == '"2"'
    assert stored.at("telecom[7].value") == '["1","2"]'
    assert stored.at("weight") == "0.10"


def test_nothing_is_held_by_what_was_deleted() -> None:
    stored = StoredValues(None)
    assert not stored.has("telecom")
    assert not stored.holds("telecom", '"1"')
