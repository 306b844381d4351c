"""A partial snapshot over what is stored."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from clinical_samples import draft, raw
from hypothesis import given
from hypothesis import strategies as st

from hilum.model import Draft
from hilum.repository.patch import NOTHING, Stated, patch


def elements(stated: Stated) -> dict[str, Any]:
    return {name: msgspec.json.decode(value) for name, value in stated.elements.items()}


def after(*messages: tuple[int, Draft]) -> Stated:
    stated = NOTHING
    for at, one in messages:
        stated = patch(stated, one, at)
    return stated


def slotted(at: int, cleared: tuple[str, ...] = (), **slots: list[str]) -> tuple[int, Draft]:
    items = list(itertools.chain.from_iterable(slots.values()))
    counts = tuple((slot, len(values)) for slot, values in slots.items())
    return at, Draft(
        "Patient", "p", {"telecom": raw(items)} if slots else {}, {}, cleared, {"telecom": counts} if slots else {}
    )


def test_an_absent_element_changes_nothing() -> None:
    stated = after(
        (1, draft("Patient", "p", gender="female", birthDate="1970")), (2, draft("Patient", "p", gender="male"))
    )
    assert elements(stated) == {"gender": "male", "birthDate": "1970"}


def test_a_cleared_element_is_deleted_and_not_brought_back_by_an_older_message() -> None:
    told = (1, draft("Patient", "p", gender="female"))
    cleared = (3, draft("Patient", "p", cleared=("gender",)))
    older = (2, draft("Patient", "p", gender="other"))
    newer = (4, draft("Patient", "p", gender="male"))
    assert elements(after(told, cleared)) == {}
    assert elements(after(told, cleared, older)) == {}
    assert elements(after(cleared, older)) == {}
    assert elements(after(told, cleared, newer)) == {"gender": "male"}


def test_an_older_message_clears_nothing_that_is_newer() -> None:
    assert elements(after((2, draft("P", "p", gender="male")), (1, draft("P", "p", cleared=("gender",))))) == {
        "gender": "male"
    }


def test_a_default_is_used_where_nothing_is_and_gives_way_to_anything() -> None:
    with_default = draft("Encounter", "e", defaults={"status": "unknown"}, class_="IMP")
    assert elements(after((5, with_default))) == {"class": "IMP", "status": "unknown"}
    assert elements(after((1, draft("E", "e", status="planned")), (5, with_default)))["status"] == "planned"
    assert elements(after((5, with_default), (1, draft("E", "e", status="planned"))))["status"] == "planned"
    assert elements(after((5, with_default), (6, with_default), (1, draft("E", "e", status="x"))))["status"] == "x"


def test_a_default_fills_what_was_cleared_yet_an_older_message_does_not() -> None:
    cleared = (5, draft("E", "e", cleared=("status",), defaults={"status": "unknown"}))
    assert elements(after((1, draft("E", "e", status="planned")), cleared)) == {"status": "unknown"}
    assert elements(after(cleared, (2, draft("E", "e", status="planned")))) == {"status": "unknown"}
    assert elements(after(cleared, (6, draft("E", "e", status="finished")))) == {"status": "finished"}


def test_at_the_same_time_the_later_arrival_counts() -> None:
    assert elements(after((1, draft("P", "p", gender="male")), (1, draft("P", "p", gender="female")))) == {
        "gender": "female"
    }


def test_each_slot_of_an_array_is_replaced_alone_and_stays_in_its_place() -> None:
    both = slotted(1, home=["a", "b"], work=["c"])
    assert elements(after(both, slotted(2, work=["d"])))["telecom"] == ["a", "b", "d"]
    assert elements(after(both, slotted(2, home=["x"])))["telecom"] == ["x", "c"]
    assert elements(after(both, slotted(0, work=["old"])))["telecom"] == ["a", "b", "c"]
    assert elements(after(slotted(1, work=["c"]), slotted(2, home=["a"], work=["d"])))["telecom"] == ["a", "d"]
    assert elements(after(slotted(1, home=["a"]), slotted(2, home=["a"], work=["d"], third=["e"])))["telecom"] == [
        "a",
        "d",
        "e",
    ]


def test_a_cleared_slot_takes_only_its_items() -> None:
    both = slotted(1, home=["a", "b"], work=["c"])
    assert elements(after(both, slotted(3, ("telecom#home",))))["telecom"] == ["c"]
    assert elements(after(both, slotted(3, ("telecom#home", "telecom#work")))) == {}
    assert elements(after(both, slotted(3, ("telecom#home",)), slotted(2, home=["old"])))["telecom"] == ["c"]
    assert elements(after(both, slotted(3, ("telecom",)))) == {}
    assert elements(after(both, slotted(3, ("telecom",)), slotted(2, work=["old"]))) == {}
    assert elements(after(both, slotted(3, ("telecom",)), slotted(4, work=["new"]), slotted(2, home=["old"])))[
        "telecom"
    ] == ["new"]


def test_a_whole_array_and_slots_replace_each_other_by_time() -> None:
    whole = draft("Patient", "p", telecom=["w"])
    assert elements(after(slotted(1, home=["a"]), (2, whole)))["telecom"] == ["w"]
    assert elements(after(slotted(3, home=["a"]), (2, whole)))["telecom"] == ["a"]
    assert elements(after((1, whole), slotted(2, home=["a"])))["telecom"] == ["w", "a"]


def test_times_are_written_only_where_they_differ() -> None:
    same = draft("Patient", "p", gender="male", birthDate="1970")
    assert after((1, same), (2, same)) == Stated(same.elements, 2)
    partly = after((1, same), (2, draft("Patient", "p", gender="male")))
    assert (partly.at, partly.times) == (2, {"birthDate": 1})


# Any messages in any order: the newest statement of each element counts, and nothing else.

NAMES = ("gender", "birthDate", "telecom#home", "telecom#work")
MESSAGE = st.fixed_dictionaries({}, optional={name: st.sampled_from(["", "a", "b", "c"]) for name in NAMES})


def as_draft(said: dict[str, str]) -> Draft:
    slots = {name.partition("#")[2]: [value] for name, value in said.items() if value and "#" in name}
    _, made = slotted(0, **slots)
    for name, value in said.items():
        if value and "#" not in name:
            made.elements[name] = raw(value)
    return Draft(
        "Patient", "p", made.elements, {}, tuple(name for name, value in said.items() if not value), made.slots
    )


def newest(messages: list[dict[str, str]]) -> dict[str, str]:
    last: dict[str, str] = {}
    for said in messages:
        last |= said
    return {name: value for name, value in last.items() if value}


@given(
    st.lists(MESSAGE, max_size=6).flatmap(lambda one: st.tuples(st.just(one), st.permutations(list(enumerate(one)))))
)
def test_the_newest_statement_counts_in_whatever_order_messages_arrive(case: Any) -> None:
    messages, arrivals = case
    stated = after(*[(at, as_draft(said)) for at, said in arrivals])
    expected = newest(messages)
    telecom = sorted(value for name, value in expected.items() if name.startswith("telecom"))
    found = elements(stated)
    assert sorted(found.pop("telecom", [])) == telecom
    assert found == {name: value for name, value in expected.items() if "#" not in name}


@given(st.lists(MESSAGE, min_size=1, max_size=5))
def test_the_same_message_again_changes_nothing(messages: list[dict[str, str]]) -> None:
    drafts = [(at, as_draft(said)) for at, said in enumerate(messages)]
    once = after(*drafts)
    assert after(*drafts, drafts[-1]).elements == once.elements
    assert after(*drafts, *drafts).elements == once.elements


VALUE: dict[str, Any] = {"valueQuantity": {"value": 12}}
ABSENT: dict[str, Any] = {"dataAbsentReason": {"text": "pending"}}
CODE: dict[str, Any] = {"code": {"text": "Hb"}}


def observation(**stated: Any) -> Draft:
    return draft("Observation", "o", **stated)


@pytest.mark.parametrize(("first", "second"), [(ABSENT, VALUE), (VALUE, ABSENT)])
def test_a_value_and_the_reason_why_there_is_none_replace_each_other_by_time(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    messages = [(1, observation(**first)), (2, observation(**second))]
    assert elements(after(*messages)) == second
    assert elements(after(*reversed(messages))) == second


def test_a_reason_that_is_only_a_default_gives_way_to_a_value_at_any_time() -> None:
    unknown = Draft("Observation", "o", {}, {"dataAbsentReason": raw({"text": "unknown"})})
    for messages in ([(1, unknown), (2, observation(**VALUE))], [(1, observation(**VALUE)), (2, unknown)]):
        assert elements(after(*messages)) == VALUE


def test_one_value_and_several_with_the_same_code_replace_each_other() -> None:
    several = {"component": [{**CODE, "valueQuantity": {"value": 1}}, {**CODE, "valueQuantity": {"value": 2}}]}
    assert elements(after((1, observation(**CODE, **several)), (2, observation(**CODE, **VALUE)))) == CODE | VALUE
    assert elements(after((1, observation(**CODE, **VALUE)), (2, observation(**CODE, **several)))) == CODE | several
    other = {"component": [{"code": {"text": "another"}, "valueQuantity": {"value": 1}}]}
    both = CODE | VALUE | other
    assert elements(after((1, observation(**CODE, **other)), (2, observation(**CODE, **VALUE)))) == both


def test_what_one_message_says_together_stays() -> None:
    both = VALUE | ABSENT
    assert elements(after((1, observation(status="final")), (2, observation(**both)))) == {"status": "final"} | both
