"""Answers on their way to the engine: what repeats goes once, and what cannot be read is told."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from drafts import draft
from hilum.model import Draft, Effects
from hilum.translator import answers
from hilum.translator.answers import AnswersFrom, AnswersTo
from hilum.translator.readying import Readying


def ward(name: str = "4W") -> Draft:
    return draft(
        "Location", "ward", defaults={"status": "active", "mode": "kind"}, meta={"tag": []}, name=name, mode="x"
    )


def test_a_draft_that_is_remembered_goes_once_and_is_one_value_on_the_other_side() -> None:
    readying, writer, reader = Readying(), AnswersTo(), AnswersFrom()
    sizes, drafts = [], []
    for seq in range(1, 6):
        body = writer.write([Effects(seq, 0, seq, drafts=[readying.of(ward())])])
        (effects,) = reader.read(body)
        assert isinstance(effects, Effects)
        assert effects.seq == seq
        sizes.append(len(body))
        drafts += effects.drafts
    assert drafts[2] is drafts[1]
    assert drafts[4] is drafts[1]
    assert sizes[4] == sizes[2] < sizes[0] / 2
    assert [msgspec.structs.replace(one, ready=None) for one in drafts] == [ward()] * 5


def test_numbers_start_over_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST", 2)
    readying, writer, reader = Readying(), AnswersTo(), AnswersFrom()
    for seq in range(1, 30):
        told = readying.of(ward(f"{seq // 3 % 4}W"))
        (effects,) = reader.read(writer.write([Effects(seq, 0, seq, drafts=[told])]))
        assert isinstance(effects, Effects)
        assert effects.drafts == [told]
        assert len(reader._told) <= 2


def test_the_number_of_a_draft_that_was_never_told_is_no_answer() -> None:
    readying, writer = Readying(), AnswersTo()
    work = [Effects(1, 0, 1, drafts=[readying.of(ward())]) for _ in range(2)]
    writer.write(work)
    with pytest.raises(msgspec.ValidationError):
        AnswersFrom().read(writer.write(work[1:]))


def test_what_is_no_json_is_no_answer() -> None:
    broken = Draft("Patient", "p", {"name": Raw(b'[{"family":')})
    body = AnswersTo().write([Effects(1, 0, 1, drafts=[Readying().of(broken)])])
    with pytest.raises(msgspec.MsgspecError):
        AnswersFrom().read(body)
