"""What a program sends, before it is stored."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.app.api.contents import _may_be_misshapen, _shape, content_of
from hilum.app.api.outcomes import Problem
from hilum.formats import fhir

TEXTS = st.one_of(st.sampled_from(["", " ", "\t", "\n \r", "\u00a0", "\u2003", "\0", "a\0b", "null", "{}"]), st.text())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("xyz"), VALUES, max_size=3))
def test_the_quick_look_misses_nothing_that_is_refused(elements: dict[str, Any]) -> None:
    resource = {"resourceType": "Patient", **elements}
    if list(_shape(resource)):
        assert _may_be_misshapen(fhir.encode(resource))


@pytest.mark.parametrize("value", ["", "  ", "\u2003", [], {}, None, "a\0"])
def test_what_r4_calls_empty_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(Problem) as refused:
        content_of({"resourceType": "Patient", "name": [{"family": value}]}, lambda _: ())
    assert refused.value.issues[0].expression == ("Patient.name[0].family",)


def test_what_is_ours_of_meta_is_left_out_and_the_rest_stays_in_its_order() -> None:
    sent = {"resourceType": "Patient", "id": "a", "gender": "male", "meta": {"versionId": "9", "tag": [{"code": "x"}]}}
    content = content_of({**sent, "active": True}, lambda _: ())
    assert {name: bytes(raw) for name, raw in content.elements.items()} == {
        "gender": b'"male"',
        "meta": b'{"tag":[{"code":"x"}]}',
        "active": b"true",
    }
    assert list(content.elements) == ["gender", "meta", "active"]
    assert "meta" not in content_of({**sent, "meta": {"versionId": "9"}}, lambda _: ()).elements
