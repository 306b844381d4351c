"""The XHTML of a narrative: nothing in it may run, load or hide (R4 narrative.html#xhtml, txt-1 and txt-2)."""

from __future__ import annotations

import re
from html.entities import html5
from xml.parsers import expat

__all__ = ["EMPTY", "narrative_fault"]

_XHTML = "http://www.w3.org/1999/xhtml"
_TAG_NAMES = """
a abbr acronym address b bdo big blockquote br caption center cite code col colgroup dd del dfn div dl dt em font
h1 h2 h3 h4 h5 h6 hr i img ins kbd label li map area ol p pre q s samp small span strike strong sub sup table tbody
td tfoot th thead title tr tt u ul var
"""
_TAGS = frozenset(_TAG_NAMES.split())
_ATTRIBUTE_NAMES = """
abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff charset cite
class color colspan compact coords datetime dir face frame headers height href hreflang hspace id lang longdesc name
nohref noshade nowrap rel rev rowspan rules scope shape size span src start style summary tabindex title type usemap
valign value vspace width
"""
_ATTRIBUTES = frozenset(_ATTRIBUTE_NAMES.split())
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_PLAIN = {"amp", "lt", "gt", "quot", "apos"}
_IMAGE = r"[\x00-\x20]*:[\x00-\x20]*image/"
_RUNS = re.compile(rf"^[\x00-\x20]*(?:javascript|vbscript|data(?!{_IMAGE}))[\x00-\x20]*:", re.IGNORECASE)
_LOADS = r"url\s*\(\s*['\"]?\s*(?!data:\s*image/)[a-z][a-z0-9+.-]*:"
_STYLE = re.compile(rf"expression\s*\(|{_LOADS}|@import|javascript:|behavior\s*:", re.IGNORECASE)
MOST_DEPTH = 128
EMPTY = "a narrative says something: here are no words and no picture (txt-2)"


class _Fault(Exception):
    """What is wrong; ends the reading."""


class _Reader:
    """Follows the tags."""

    def __init__(self) -> None:
        self.depth = 0
        self.has_content = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, tag = name.rpartition(" ")
        if self.depth == 0 and (namespace != _XHTML or tag != "div"):
            raise _Fault(f"a narrative is one <div xmlns='{_XHTML}'>")
        if tag not in _TAGS or namespace != _XHTML:
            raise _Fault("a narrative holds formatting only, and here is a tag that is none")
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise _Fault("tags are nested too deep")
        self.has_content = self.has_content or tag == "img"
        for key, value in attributes.items():
            _attribute(key, value)

    def end(self, _name: str) -> None:
        self.depth -= 1

    def text(self, held: str) -> None:
        self.has_content = self.has_content or not held.isspace()

    def refuse(self, *_: object) -> None:
        raise _Fault("a narrative declares no entities, document types or processing instructions")


def _attribute(key: str, value: str) -> None:
    if key not in _ATTRIBUTES and not key.startswith("http://www.w3.org/XML/1998/namespace "):
        raise _Fault("here is an attribute that a narrative may not have (scripts and handlers may not)")
    if key in ("href", "src", "cite", "longdesc") and _RUNS.match(value):
        raise _Fault("here is a link that would run something")
    if key == "style" and _STYLE.search(value):
        raise _Fault("here is a style that would load or run something")


def narrative_fault(text: str) -> str:
    """What is wrong with a narrative, "" when nothing is. Never repeats what the narrative says."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.ProcessingInstructionHandler = reader.refuse
    try:
        parser.Parse(_ENTITY.sub(_character, text), True)
    except _Fault as fault:
        return str(fault)
    except expat.ExpatError as error:
        return f"this is no well-formed XHTML (line {error.lineno})"
    return "" if reader.has_content else EMPTY


def _character(match: re.Match[str]) -> str:
    if match[1] in _PLAIN:
        return match[0]
    return html5.get(f"{match[1]};", match[0])
