"""Conditions of HL7's V2 to FHIR tables, as their authors write them, to conditions of the workbook."""

from __future__ import annotations

import re

__all__ = ["Untranslatable", "translate_condition"]


class Untranslatable(ValueError):
    """A condition that is prose, or that the workbook has no words for; the text says which part."""


_TOKEN = re.compile(
    r"\s*(?:(?P<field>[A-Z][A-Z0-9]{2}-\d+(?:\.\d+){0,2})|(?P<text>[\"\u201c\u201d'][^\"\u201c\u201d']*[\"\u201c\u201d'])"
    r"|(?P<number>\d+)|(?P<mark>[(),]|>=|<=|!=|=|>|<)|(?P<word>[A-Za-z][A-Za-z-]*))"
)
_COMPARE = {"EQUALS": "=", "EQUAL": "=", "IS": "=", "=": "=", "!=": "!="}


def translate_condition(text: str, segment: str = "", field: str = "", datatype: str = "") -> str:
    """`IF OBX-2 EQUALS "SN" AND OBX-5.3 IN (":", "/")` as `OBX-2 = "SN" and OBX-5.3 in (":", "/")`; "" for none.

    Slips are mended: `ORC.1` in a table of ORC is ORC-1, `CX.5` in the line of a CX field is its component.
    """
    if not text.strip():
        return ""
    text = text.replace("LST.COUNT", "COUNT")
    if segment:
        text = re.sub(rf"\b{segment}\.(?=\d)", f"{segment}-", text)
    if datatype and field:
        text = re.sub(rf"\b{datatype}\.(?=\d)", f"{field}.", text)
    reader = _Reader(_tokens(text))
    found = reader.either()
    if reader.rest():
        raise Untranslatable(f"cannot read `{reader.rest()}`")
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    found = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Untranslatable(f"cannot read `{text[at : at + 20]}`")
        kind = match.lastgroup or ""
        value = match[kind]
        value = (
            value.upper() if kind == "word" else '"' + value[1:-1].replace('"', "") + '"' if kind == "text" else value
        )
        if (kind, value) not in (("word", "IF"), ("word", "THEN")):
            found.append((kind, value))
        at = match.end()
    return found


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens, self._at = tokens, 0
        self._field = ""  # the one that was asked of last

    def rest(self) -> str:
        """What is left."""
        return " ".join(value for _, value in self._tokens[self._at :])

    def _peek(self, ahead: int = 0) -> tuple[str, str]:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else ("", "")

    def _take(self, *values: str) -> bool:
        if self._peek()[1] in values and self._peek()[0] in ("word", "mark"):
            self._at += 1
            return True
        return False

    def _need(self, kind: str) -> str:
        found = self._peek()
        if found[0] != kind:
            raise Untranslatable(f"expected a {kind} at `{self.rest() or 'the end'}`")
        self._at += 1
        return found[1]

    def either(self) -> str:
        """One alternative or several."""
        parts = [self._both()]
        while self._take("OR"):
            parts.append(self._both())
        return " or ".join(parts)

    def _both(self) -> str:
        parts = [self._one()]
        while self._take("AND"):
            parts.append(self._one())
        return " and ".join(f"({part})" if " or " in part and not part.startswith("(") else part for part in parts)

    def _one(self) -> str:
        if self._take("("):
            inner = self.either()
            if not self._take(")"):
                raise Untranslatable("a parenthesis is not closed")
            return f"({inner})"
        if self._take("NOT"):
            if self._peek()[0] == "text" and self._field:  # `IAM-15 VALUED AND NOT "SEL"`
                return f"{self._field} != {self._value()}"
            return f"not ({self._one()})"
        fields = [self._need("field")]
        self._field = fields[0]
        joiner = ""
        while self._peek()[1] in ("AND", "OR") and self._peek(1)[0] == "field" and self._is_list():
            joiner = self._peek()[1].lower()
            self._at += 1
            fields.append(self._need("field"))
        self._take("ARE", "AREA")
        says = self._predicate()
        joined = f" {joiner} ".join(says.replace("@", field) for field in fields)
        return f"({joined})" if len(fields) > 1 else joined

    def _is_list(self) -> bool:
        """Whether a predicate comes only after the next field: `PRT-5 AND PRT-6 NOT VALUED`."""
        return self._peek(-1)[0] == "field"

    def _predicate(self) -> str:
        self._take("IS") if self._peek(1)[1] in ("VALUED", "NOT", "IN") else None
        if self._take("VALUED"):
            return "valued(@)"
        if self._peek() == ("word", "IS") and self._peek(1) == ("word", "EMPTY"):
            self._at += 2
            return "not valued(@)"
        if self._take("NOT"):
            if self._take("VALUED"):
                return "not valued(@)"
            if self._take("IN"):
                return f"@ not in {self._choices()}"
            self._take("EQUALS", "EQUAL", "IS", "=")
            return f"@ != {self._value()}"
        if self._take("IN"):
            return f"@ in {self._choices()}"
        for function in ("COUNT", "LENGTH"):
            if self._take(function):
                return f"{function.lower()}(@) {self._operator()} {self._need('number')}"
        kind, word = self._peek()
        if kind in ("word", "mark") and word in _COMPARE:
            self._at += 1
            return f"@ {_COMPARE[word]} {self._value()}"
        raise Untranslatable(f"cannot read `{self.rest() or 'what is asked of the field'}`")

    def _operator(self) -> str:
        if self._take("GREATER"):
            self._take("THAN")
            return ">"
        if self._take("LESS"):
            self._take("THAN")
            return "<"
        if self._take("EQUALS", "IS"):
            return "="
        found = self._peek()[1]
        if found not in (">", "<", ">=", "<=", "=", "!="):
            raise Untranslatable(f"expected a comparison at `{self.rest()}`")
        self._at += 1
        return found

    def _value(self) -> str:
        kind, value = self._peek()
        if kind not in ("text", "number"):
            raise Untranslatable(f"expected a text at `{self.rest() or 'the end'}`")
        self._at += 1
        return value if kind == "text" else f'"{value}"'

    def _choices(self) -> str:
        if not self._take("("):
            raise Untranslatable("IN needs a list in parentheses")
        found = [self._value()]
        while self._take(",", "OR"):
            found.append(self._value())
        if not self._take(")"):
            raise Untranslatable("a list is not closed")
        return f"({', '.join(found)})"
