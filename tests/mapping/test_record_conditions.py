"""Conditions of routes: the grammar of `when`, over a whole message."""

from __future__ import annotations

import pytest

from hilum.errors import ConfigError
from hilum.formats import hl7v2
from hilum.mapping import compile_condition

MESSAGE = hl7v2.parse(
    b"MSH|^~\\&|EHR|HOSP|X|Y|20260301||ORU^R01^ORU_R01|1|P|2.5.1\r"
    b"PID|1||100^^^HOSP^MR~9^^^SSA||A\\T\\B^Jo\r"
    b"OBR|1|||58410-2^CBC^LN\r"
    b"OBX|1|NM|718-7||13.2|g/dL\rOBX|2|NM|777-3||250|10*3/uL\r"
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("", True),
        ('event = "R01"', True),
        ('kind in ("ADT^A01", "ORU^R01")', True),
        ('kind not in ("ADT^A01", "ORU^R01")', False),
        ('PID-3 = "100"', True),
        ('PID-3[2].1 = "9"', True),
        ('PID-5.1 = "A&B"', True),
        ("valued(PV1-2)", False),
        ("not valued(PV1-2) and valued(PID-5)", True),
        ("valued(PV1-2) or OBX-5 > 13", True),
        ("OBX-5 < 9", False),
        ("count(OBX) = 2", True),
        ("count(PID-3) = 2", True),
        ("length(PID-3) > 2", True),
        ('matches(OBR-4, "^58410")', True),
        ('matches(OBR-4, "^9")', False),
    ],
)
def test_a_condition_says_whether_a_message_goes_this_way(condition: str, expected: bool) -> None:
    assert compile_condition(condition)(MESSAGE) is expected


@pytest.mark.parametrize(
    "condition", ["PID-3 =", "made(Patient)", "param.zone = 1", 'weather = "fine"', "((", "valued()"]
)
def test_a_condition_without_a_meaning_is_refused_with_a_code(condition: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_condition(condition)
    assert caught.value.code == "route-condition-invalid"
