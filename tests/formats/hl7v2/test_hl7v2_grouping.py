"""Which segment belongs to which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.hl7v2 import Node, describe, parents_of, parse
from hilum.formats.hl7v2.grouping import _rules
from hilum.formats.hl7v2.names import SEGMENT_NAMES


def owners(kind: str, names: str) -> str:
    """`PD1<PID OBX<OBR`: each segment that belongs to another one, with it."""
    parts = tuple(names.split())
    seen: dict[str, int] = {}
    labels = []
    for part in parts:
        seen[part] = seen.get(part, 0) + 1
        labels.append(part if parts.count(part) == 1 else f"{part}{seen[part]}")
    return " ".join(f"{label}<{labels[p]}" for label, p in zip(labels, parents_of(kind, parts), strict=True) if p >= 0)


@pytest.mark.parametrize(
    ("kind", "names", "expected"),
    [
        ("ADT^A01", "MSH EVN PID PD1 NK1 PV1 PV2 AL1", "PD1<PID NK1<PID PV1<PID PV2<PV1 AL1<PID"),
        ("ADT^A01", "MSH PID PV1 IN1 IN2 IN3 IN1 IN2", "PV1<PID IN11<PID IN21<IN11 IN3<IN11 IN12<PID IN22<IN12"),
        ("ADT^A01", "MSH PID IN2 PV1", "IN2<PID PV1<PID"),
        ("ADT^A40", "MSH EVN PID PD1 MRG PV1 PID MRG", "PD1<PID1 MRG1<PID1 PV1<PID1 MRG2<PID2"),
        ("ADT^A17", "MSH EVN PID PV1 PID PV1", "PV11<PID1 PV12<PID2"),
        (
            "ORU^R01",
            "MSH PID NTE ORC OBR NTE OBX NTE NTE OBX SPM OBX",
            "NTE1<PID ORC<OBR OBR<PID NTE2<OBR OBX1<OBR NTE3<OBX1 NTE4<OBX1 OBX2<OBR SPM<OBR OBX3<SPM",
        ),
        ("ORU^R01", "MSH PID OBR OBX OBR OBX", "OBR1<PID OBX1<OBR1 OBR2<PID OBX2<OBR2"),
        ("ORU^R01", "MSH PID OBR OBX PID OBX", "OBR<PID1 OBX1<OBR OBX2<PID2"),
        ("ORU^R01", "MSH OBX", ""),
        (
            "OML^O21",
            "MSH PID ORC TQ1 OBR OBX SPM SAC ORC OBR",
            "ORC1<OBR1 TQ1<OBR1 OBR1<PID OBX<OBR1 SPM<OBR1 SAC<SPM ORC2<OBR2 OBR2<PID",
        ),
        ("OML^O21", "MSH PID ORC NTE OBR NTE", "ORC<OBR NTE1<ORC OBR<PID NTE2<OBR"),
        ("ORM^O01", "MSH PID ORC RXO RXR ORC OBR", "ORC1<PID RXO<ORC1 RXR<RXO ORC2<OBR OBR<PID"),
        ("OUL^R22", "MSH PID SPM OBX SAC OBR ORC OBX", "SPM<PID OBX1<SPM SAC<SPM OBR<SPM ORC<OBR OBX2<OBR"),
        (
            "VXU^V04",
            "MSH PID ORC RXA RXR OBX NTE ORC RXA OBX",
            "ORC1<PID RXA1<ORC1 RXR<RXA1 OBX1<RXA1 NTE<OBX1 ORC2<PID RXA2<ORC2 OBX2<RXA2",
        ),
        (
            "RDE^O11",
            "MSH PID ORC RXO RXR RXE TQ1 RXR RXC OBX",
            "ORC<PID RXO<ORC RXR1<RXO RXE<ORC TQ1<RXE RXR2<RXE RXC<RXE OBX<RXE",
        ),
        (
            "SIU^S12",
            "MSH SCH TQ1 NTE PID PV1 RGS AIS NTE AIP AIL",
            "TQ1<SCH NTE1<TQ1 PV1<PID AIS<RGS NTE2<AIS AIP<RGS AIL<RGS",
        ),
        ("VXU^V04", "MSH PID ORC RXA OBR OBX", "ORC<PID RXA<ORC OBR<RXA OBX<OBR"),
        ("MDM^T02", "MSH EVN PID PV1 TXA OBX NTE", "PV1<PID TXA<PID OBX<TXA NTE<OBX"),
        ("DFT^P03", "MSH EVN PID PV1 FT1 PR1 FT1 DG1 IN1", "PV1<PID FT11<PID PR1<FT11 FT12<PID DG1<PID IN1<PID"),
        ("MFN^M02", "MSH MFI MFE STF PRA MFE STF", "MFE1<MFI STF1<MFE1 PRA<MFE1 MFE2<MFI STF2<MFE2"),
        ("ADT^A01", "MSH EVN ZPI PID ZPV ZPX NTE PV1", "ZPI<EVN ZPV<PID ZPX<PID NTE<ZPX PV1<PID"),
        ("ADT^A01", "MSH PID XYZ PV1", "XYZ<PID PV1<PID"),
    ],
)  # fmt: skip
def test_segments_belong_where_the_standard_puts_them(kind: str, names: str, expected: str) -> None:
    assert owners(kind, names) == expected


@given(
    st.sampled_from(["ADT^A01", "ORU^R01", "OML^O21", "SIU^S12", "PPR^PC1", "MFN^M02", "OUL^R22", "X"]),
    st.one_of(
        st.lists(st.sampled_from([*SEGMENT_NAMES, "ZZZ", "NTE", "ORC", "OBR", "TQ1"]), max_size=30),
        st.lists(st.sampled_from(["PID", "ORC", "OBR", "TQ1", "RXA", "RXE", "OBX", "NTE", "FT1", "PRT"]), max_size=12),
    ),
)
def test_the_groups_of_any_names_are_trees(kind: str, names: list[str]) -> None:
    parents = parents_of(kind, tuple(names))
    assert len(parents) == len(names)
    for index in range(len(names)):
        seen = set()
        while index >= 0:
            assert index not in seen
            seen.add(index)
            index = parents[index]


@pytest.mark.parametrize("type_", ["ADT", "ORU", "OUL", "PPR", "PGL", "PPP", "SIU", "SRM", "MFN", "VXU"])
def test_no_segment_can_belong_to_itself_by_any_way(type_: str) -> None:
    rules = _rules(type_)

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " < ".join((*path, name))
        for parent in rules.get(name, ("PID",)):
            visit(parent, (*path, name))

    for name in rules:
        visit(name, ())


def test_a_tree_holds_every_segment_once() -> None:
    record = parse(b"MSH|^~\\&|A||||||ORU^R01\rPID|1\rOBR|1\rOBX|1\rNTE|1\r")

    def indexes(nodes: tuple[Node, ...] | list[Node]) -> list[int]:
        return [i for node in nodes for i in (node.index, *indexes(node.children))]

    assert sorted(indexes(record.tree())) == [0, 1, 2, 3, 4]


def test_ten_thousand_segments_are_grouped_without_being_remembered() -> None:
    names = ("MSH", "PID", "OBR", *["OBX"] * 10_000)
    assert set(parents_of("ORU^R01", names)[3:]) == {2}


def test_segments_and_fields_have_names() -> None:
    assert len(SEGMENT_NAMES) > 150
    assert describe("PID").title == "Patient"
    wanted = """
        MSH EVN PID PD1 NK1 PV1 PV2 ROL DB1 OBX AL1 DG1 DRG PR1 GT1 IN1 IN2 IN3 ACC UB1 UB2 ORC OBR NTE TQ1 TQ2 SPM SAC
        CTI CTD BLG FT1 SCH RGS AIS AIG AIL AIP APR TXA RXA RXR RXO RXE RXD RXG RXC MRG MSA ERR QRD QRF QPD RCP QAK DSC
        MFI MFE STF PRA FHS BHS BTS FTS SFT UAC ARV IAM PDA PRT OH1 OH2 OH3 OH4 ODS ODT VAR GOL PRB RF1 AUT PRD CON CSR
    """
    for name in wanted.split():
        assert describe(name).title, name
        assert describe(name).fields[0].name, name
