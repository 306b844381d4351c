"""The cells of one line of delimited text (RFC 4180, section 2)."""

from __future__ import annotations

from hilum.errors import FormatError

__all__ = ["cells_of", "is_open"]


def cells_of(text: str, delimiter: str, quote: str) -> list[str]:
    """Cells without their quotes. A quote inside a cell that does not start with one is text, as in `5" pipe`.

    Raises FormatError `record-quote-open` (its closing quote is not there) or `record-quote-stray`.
    """
    if not quote or quote not in text:
        return text.split(delimiter)
    cells: list[str] = []
    at = 0
    while True:
        if text.startswith(quote, at):
            cell, at = _quoted(text, at, delimiter, quote)
            cells.append(cell)
        else:
            end = text.find(delimiter, at)
            cells.append(text[at:] if end < 0 else text[at:end])
            at = len(text) + 1 if end < 0 else end + 1
        if at > len(text):
            return cells


def _quoted(text: str, at: int, delimiter: str, quote: str) -> tuple[str, int]:
    """A quoted cell that starts at `at`, and where the next one starts (behind the text: it was the last)."""
    start = at + 1
    end = text.find(quote, start)
    while end >= 0 and text.startswith(quote, end + 1):
        end = text.find(quote, end + 2)
    if end < 0:
        raise FormatError("a quote is opened and not closed", code="record-quote-open")
    after = end + 1
    if after < len(text) and not text.startswith(delimiter, after):
        raise FormatError("text stands between a closing quote and the next delimiter", code="record-quote-stray")
    return text[start:end].replace(quote * 2, quote), after + 1


def is_open(text: str, delimiter: str, quote: str) -> bool:
    """Whether the text ends inside a quoted cell: the record goes on in the next line."""
    try:
        cells_of(text, delimiter, quote)
    except FormatError as error:
        return error.code == "record-quote-open"
    return False
