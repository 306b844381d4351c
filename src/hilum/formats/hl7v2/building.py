r"""From values to the bytes of a message: joined and escaped in the receiver's delimiters, written in its charset.

A field is a list of repetitions; a repetition is a mapping from (component, sub-component), counted from 1, to text
that is not escaped yet. `DELETE` in the place of a repetition writes `""`. A line break in a text becomes `\.br\`
(HL7 v2.5.1, section 2.7.6); a text that is `""` itself is written as `\X22\\X22\`, so that it deletes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from hilum.errors import FormatError
from hilum.formats.hl7v2.charset import canonical, codec_of
from hilum.formats.hl7v2.delimiters import STANDARD, Delimiters
from hilum.formats.hl7v2.escape import escape

__all__ = ["DELETE", "Repetition", "build"]

Repetition = Mapping[tuple[int, int], str]
DELETE: Repetition = {(0, 0): '""'}

_HEADERS = frozenset({"MSH", "FHS", "BHS"})
_BREAK = re.compile(r"\r\n|\r|\n")


def build(
    segments: Iterable[tuple[str, Mapping[int, Sequence[Repetition]]]],
    *,
    delimiters: Delimiters = STANDARD,
    charset: str = "",
) -> bytes:
    """The bytes of a message, each segment ended by CR. MSH-1 and MSH-2 are written from `delimiters`.

    `charset` is a name of table 0211 as it stands in MSH-18; "" is ASCII. Raises FormatError `charset-inexpressible`
    (location `PID-5[1].1`) for a character that it has not, `charset-unusable` for one that cannot be written here.
    """
    codec = _codec(charset)
    lines = []
    for name, fields in segments:
        line = _line(name, fields, delimiters)
        try:
            lines.append(line.encode(codec))
        except UnicodeEncodeError:
            raise _inexpressible(name, fields, codec, charset) from None
    return b"".join(line + b"\r" for line in lines)


def _codec(charset: str) -> str:
    found = codec_of(charset)[0] if charset else "ascii"
    try:
        return canonical(found)
    except LookupError:
        message = f"messages cannot be written in the character set `{charset}`"
        raise FormatError(message, code="charset-unusable", location="MSH-18") from None


def _line(name: str, fields: Mapping[int, Sequence[Repetition]], marks: Delimiters) -> str:
    last = max((number for number, repetitions in fields.items() if repetitions), default=0)
    texts = [_field(fields.get(number, ()), marks) for number in range(1, last + 1)]
    if name in _HEADERS:
        texts = [marks.encoding_characters, *texts[2:]]
    return marks.field.join([name, *texts])


def _field(repetitions: Sequence[Repetition], marks: Delimiters) -> str:
    return marks.repetition.join(_repetition(one, marks) for one in repetitions).rstrip(marks.repetition)


def _repetition(repetition: Repetition, marks: Delimiters) -> str:
    if repetition is DELETE or (0, 0) in repetition:
        return '""'
    last = max((component for (component, _), text in repetition.items() if text), default=0)
    return marks.component.join(_component(repetition, number, marks) for number in range(1, last + 1))


def _component(repetition: Repetition, number: int, marks: Delimiters) -> str:
    subs = {sub: text for (component, sub), text in repetition.items() if component == number and text}
    last = max(subs, default=0)
    return marks.subcomponent.join(_text(subs.get(sub, ""), marks) for sub in range(1, last + 1))


def _text(text: str, marks: Delimiters) -> str:
    mark = marks.escape
    if text == '""':
        return f"{mark}X22{mark}{mark}X22{mark}"
    if "\n" not in text and "\r" not in text:
        return escape(text, marks)
    return f"{mark}.br{mark}".join(escape(part, marks) for part in _BREAK.split(text))


def _inexpressible(name: str, fields: Mapping[int, Sequence[Repetition]], codec: str, charset: str) -> FormatError:
    """The error for the first leaf that cannot be written; never its text."""
    location = name
    for number, repetitions in sorted(fields.items()):
        for at, repetition in enumerate(repetitions, 1):
            for (component, _), text in sorted(repetition.items()):
                try:
                    text.encode(codec)
                except UnicodeEncodeError:
                    location = f"{name}-{number}[{at}].{component}"
                    break
            else:
                continue
            break
        else:
            continue
        break
    message = f"a character cannot be written in {charset or 'ASCII'}"
    return FormatError(message, code="charset-inexpressible", location=location)
