"""JSON Patch: what RFC 6902 says, with its own examples' ideas over made-up resources."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import FormatError
from hilum.formats.fhir import apply_patch

PERSON = {"name": [{"family": "Adler", "given": ["Ada", "B"]}], "a/b": 1, "m~n": 2, "active": True}


@pytest.mark.parametrize(
    ("operation", "path", "value"),
    [
        ({"op": "add", "path": "/gender", "value": "female"}, ("gender",), "female"),
        ({"op": "add", "path": "/name/0/given/1", "value": "X"}, ("name", 0, "given"), ["Ada", "X", "B"]),
        ({"op": "add", "path": "/name/0/given/-", "value": "X"}, ("name", 0, "given"), ["Ada", "B", "X"]),
        ({"op": "add", "path": "/active", "value": False}, ("active",), False),
        ({"op": "replace", "path": "/name/0/family", "value": "B"}, ("name", 0, "family"), "B"),
        ({"op": "replace", "path": "/a~1b", "value": 9}, ("a/b",), 9),
        ({"op": "remove", "path": "/name/0/given/0"}, ("name", 0, "given"), ["B"]),
        ({"op": "move", "from": "/name/0/given/0", "path": "/name/0/given/1"}, ("name", 0, "given"), ["B", "Ada"]),
        ({"op": "copy", "from": "/name/0", "path": "/name/-"}, ("name", 1, "family"), "Adler"),
        ({"op": "test", "path": "/m~0n", "value": 2.0}, ("m~n",), 2),
    ],
)
def test_an_operation_does_what_the_rfc_says(operation: dict[str, Any], path: tuple[Any, ...], value: Any) -> None:
    before = copy.deepcopy(PERSON)
    found: Any = apply_patch(PERSON, [operation])
    for part in path:
        found = found[part]
    assert found == value
    assert before == PERSON


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ({"op": "test", "path": "/active", "value": 1}, "patch-test-failed"),
        ({"op": "test", "path": "/name/0/family", "value": "x"}, "patch-test-failed"),
        ({"op": "remove", "path": "/nothing"}, "patch-path-missing"),
        ({"op": "replace", "path": "/nothing", "value": 1}, "patch-path-missing"),
        ({"op": "add", "path": "/name/2", "value": 1}, "patch-path-missing"),
        ({"op": "add", "path": "/name/01", "value": 1}, "patch-path-missing"),
        ({"op": "add", "path": "/active/x", "value": 1}, "patch-path-missing"),
        ({"op": "add", "path": "/name/" + "9" * 5000, "value": 1}, "patch-path-missing"),
        ({"op": "add", "path": "name", "value": 1}, "patch-invalid"),
        ({"op": "add", "path": "/a~2b", "value": 1}, "patch-invalid"),
        ({"op": "add", "path": "/x"}, "patch-invalid"),
        ({"op": "jump", "path": "/x"}, "patch-invalid"),
        ({"op": ["add"], "path": "/x"}, "patch-invalid"),
        ({"op": "move", "from": "/name", "path": "/name/0"}, "patch-invalid"),
        ({"op": "remove", "path": ""}, "patch-invalid"),
        ("add", "patch-invalid"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_place(operation: Any, code: str) -> None:
    with pytest.raises(FormatError) as refused:
        apply_patch(PERSON, [{"op": "test", "path": "/active", "value": True}, operation])
    assert (refused.value.code, refused.value.location) == (code, "/1")


def test_what_is_no_patch_is_refused() -> None:
    for patch in ({}, None, "x", [{}] * 1001):
        with pytest.raises(FormatError):
            apply_patch(PERSON, patch)


leaves = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab/~", max_size=3)
values = st.recursive(
    leaves, lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text("a/~-0", max_size=2), one)
)


@given(
    values, st.lists(st.fixed_dictionaries({"op": leaves, "path": leaves, "from": leaves, "value": values}), max_size=3)
)
def test_any_patch_gives_a_document_or_a_coded_error(document: Any, patch: Any) -> None:
    before = copy.deepcopy(document)
    with suppress(FormatError):
        apply_patch(document, patch)
    assert document == before
