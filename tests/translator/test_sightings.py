"""What a sender does for the first time is named once, in words of a fixed vocabulary."""

from __future__ import annotations

import pytest

from hilum.mapping import load_base
from hilum.model import Effects, Envelope, Message, Sighted
from hilum.translator import Recipe, Translator, translator_of


@pytest.fixture
def translator() -> Translator:
    return translator_of(Recipe(load_base(), {"unknown_namespace": "local", "zone": "UTC"}, (), {"adt": "reg"}))


def send(translator: Translator, *segments: str, kind: str = "ADT^A08", version: str = "2.5.1") -> dict[str, Sighted]:
    header = f"MSH|^~\\&|EHR|HOSP|HILUM|X|20260301120000+0000||{kind}|M1|P|{version}"
    body = "\r".join((header, "EVN|A08|20260301120000+0000", *segments, "")).encode()
    work = translator.turn(Message(1, 0, Envelope("adt", 1, "EHR|HOSP", "M1", kind, "k"), body))
    return {one.by: one for one in work.sighted}


PID = "PID|1||7^^^HOSP^MR||Meyer^Ann||19700101|F"


def test_everything_of_a_first_message_is_named(translator: Translator) -> None:
    found = send(translator, PID)
    things = found["EHR|HOSP"].things
    assert {"segment PID", "field PID-3", "field PID-8", "code AdministrativeSex F"} <= set(things)
    assert {"event ADT^A08", "version 2.5.1"} <= set(things)
    assert found["source adt"].things == ("sender EHR|HOSP",)
    assert {one.owner for one in found.values()} == {"reg"}
    assert not any("Meyer" in thing or "19700101" in thing for thing in things), "names of things, never content"


def test_the_same_again_names_nothing(translator: Translator) -> None:
    send(translator, PID)
    assert send(translator, PID.replace("Meyer", "Other")) == {}


def test_only_what_is_new_is_named(translator: Translator) -> None:
    send(translator, PID)
    (first,) = [one for one in send(translator, PID + "||Ann", "ZPI|x").values() if one.by == "EHR|HOSP"]
    assert set(first.things) == {"field PID-10", "segment ZPI", "field ZPI-1"}
    found = send(translator, PID.replace("|F", "|M"), version="2.3")["EHR|HOSP"].things
    assert set(found) == {"code AdministrativeSex M", "version 2.3", "event ADT^A08"}


def test_a_version_and_a_segment_that_are_none_are_not_repeated(translator: Translator) -> None:
    things = send(translator, PID, "Z9*Ann Meyer|x", version="Ann Meyer")["EHR|HOSP"].things
    assert "version other" in things
    assert not any("Meyer" in thing for thing in things)


def test_a_message_that_is_held_is_named_too(translator: Translator) -> None:
    assert "event ADT^Z99" in send(translator, PID, kind="ADT^Z99")["EHR|HOSP"].things


def test_what_a_process_knows_it_names_once(translator: Translator) -> None:
    works = [translator.turn(Message(n, 0, Envelope("adt", 1, "A|B", kind="ADT^A08"), b"no message")) for n in (1, 2)]
    assert not any(isinstance(one, Effects) or one.sighted for one in works)
