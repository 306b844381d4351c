"""What translators answer, as it goes to the engine.

A draft that a translator remembers goes over once and by its number from then on. Of the JSON of any other draft only
the text goes that will be stored: its elements are in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct, structs

from hilum.formats.fhir_version import make_ready, own_meta
from hilum.model import Draft, Effects, Held, Ready

__all__ = ["AnswersFrom", "AnswersTo"]

MOST = 4_096  # drafts that both sides know by number; then they start over


class _Draft(Struct, array_like=True, omit_defaults=True, gc=False):
    type: str
    id: str
    ready: Ready
    slots: dict[str, tuple[tuple[str, int], ...]] = {}
    cleared: tuple[str, ...] = ()
    defaults: bytes = b""  # JSON; empty: none
    filled: tuple[str, ...] = ()  # those of them that are in the text
    meta: bytes = b""  # JSON, where it is not as in the text
    meta_at: int = 0  # its place among the elements, whose order is stored in places


class _Answer(Struct, array_like=True, omit_defaults=True):
    effects: Effects | None = None  # without its drafts
    drafts: list[int | _Draft] = []
    held: Held | None = None


class _Answers(Struct, array_like=True):
    answers: list[_Answer]
    starts_over: bool  # numbers of earlier answers stand for nothing any more


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Answers).decode
_to_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder(dict[str, Raw]).decode


class AnswersTo:
    """Writes what became of messages, on the translator's side."""

    def __init__(self) -> None:
        self._told: set[int] = set()

    def write(self, answers: Sequence[Effects | Held]) -> bytes:
        """What became of some messages."""
        starts_over = len(self._told) >= MOST
        if starts_over:
            self._told.clear()
        return _encode(_Answers([self._answer(one) for one in answers], starts_over))

    def _answer(self, answer: Effects | Held) -> _Answer:
        if isinstance(answer, Held):
            return _Answer(held=answer)
        return _Answer(structs.replace(answer, drafts=[]), [self._draft(one) for one in answer.drafts])

    def _draft(self, draft: Draft) -> int | _Draft:
        ready = draft.ready or make_ready(draft)
        if ready.number:
            if ready.number in self._told:
                return ready.number
            self._told.add(ready.number)
        made = _Draft(draft.type, draft.id, ready, draft.slots, draft.cleared)
        if draft.defaults:
            made.defaults = _to_json(draft.defaults)
            made.filled = tuple(name for name in draft.defaults if name not in draft.elements)
        if "meta" in draft.elements:
            meta = bytes(draft.elements["meta"])
            made.meta = b"" if own_meta(meta) == meta else meta
            made.meta_at = list(draft.elements).index("meta")
        return made


class AnswersFrom:
    """Reads them, on the engine's side."""

    def __init__(self) -> None:
        self._told: dict[int, Draft] = {}

    def read(self, body: bytes) -> list[Effects | Held]:
        """The same again. Raises msgspec.MsgspecError for what is not: nothing can be read after it."""
        found = _decode(body)
        if found.starts_over:
            self._told.clear()
        return [self._effects(one) if one.effects is not None else _held(one) for one in found.answers]

    def _effects(self, answer: _Answer) -> Effects:
        effects = answer.effects
        assert effects is not None
        effects.drafts = [self._known(one) if isinstance(one, int) else self._draft(one) for one in answer.drafts]
        return effects

    def _known(self, number: int) -> Draft:
        if number not in self._told:
            raise msgspec.ValidationError("the number of a draft that was never told")
        return self._told[number]

    def _draft(self, one: _Draft) -> Draft:
        _, meta, body, _ = one.ready.text.split(b"\0", 3)
        elements = _from_json(body)
        for name in one.filled:
            elements.pop(name, None)  # not there: it is meta
        if meta and "meta" not in one.filled:
            rest = list(elements.items())
            elements = dict((*rest[: one.meta_at], ("meta", Raw(one.meta or meta)), *rest[one.meta_at :]))
        defaults = _from_json(one.defaults) if one.defaults else {}
        draft = Draft(one.type, one.id, elements, defaults, one.cleared, one.slots, one.ready)
        if one.ready.number:
            self._told[one.ready.number] = draft
        return draft


def _held(answer: _Answer) -> Held:
    if answer.held is None:
        raise msgspec.ValidationError("an answer without effects must say why it is held")
    return answer.held
