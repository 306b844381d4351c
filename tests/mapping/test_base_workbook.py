"""The base workbook itself: complete, owned, explained, and without findings."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from hilum.formats import hl7v2
from hilum.mapping import Context, compile_workbook, load_base, load_workbook
from hilum.mapping.tables import MapEntry, Row, Workbook
from hilum.model import Severity

TIER_1 = (
    *(f"ADT^{event}" for event in ("A01", "A02", "A03", "A04", "A08", "A11", "A13", "A28", "A31", "A40")),
    *("ORU^R01", "ORM^O01", "OML^O21", "VXU^V04"),
    *(f"SIU^{event}" for event in ("S12", "S13", "S14", "S15", "S17", "S26")),
    *(f"MDM^{event}" for event in ("T02", "T04", "T08", "T11")),
)
TIER_2 = (
    *(f"ADT^{event}" for event in ("A05", "A06", "A07", "A09", "A10", "A12", "A17", "A18", "A34", "A47", "A60")),
    *("DFT^P03", "RDE^O11", "RDS^O13", "BAR^P01", "BAR^P05"),
)
# Read and accounted for, and held with `no-rows`.
TIER_3 = ("RAS^O17", "PPR^PC1", "ADT^A29", "MFN^M02", "ORU^R40", "QBP^Q22", "RSP^K22")
OUTWARD = ".out"  # maps from FHIR to HL7 v2 end so
ROLES = {"registration", "clinical", "lab", "billing", "technical"}
# Segments of these messages and how many fields each has in v2.8.
FIELDS = {
    "MSH": 28,
    "EVN": 7,
    "PID": 40,
    "PD1": 22,
    "NK1": 41,
    "PV1": 54,
    "PV2": 50,
    "ROL": 14,
    "MRG": 7,
    "AL1": 6,
    "IAM": 30,
    "DG1": 26,
    "GT1": 57,
    "IN1": 56,
    "IN2": 75,
    "ORC": 38,
    "OBR": 55,
    "TQ1": 14,
    "OBX": 33,
    "NTE": 9,
    "SPM": 35,
    "SCH": 27,
    "AIS": 12,
    "AIG": 14,
    "AIL": 12,
    "AIP": 12,
    "TXA": 28,
    "FT1": 43,
    "PR1": 25,
    "RXA": 29,
    "RXR": 6,
    "RXO": 36,
    "RXE": 45,
    "RXC": 9,
    "IAR": 4,
    "ACC": 13,
    "PDA": 9,
    "RXD": 35,
}
WHOLE = ("SFT", "DRG", "UB1", "UB2", "IN3", "CTD", "DSC", "RGS", "TQ2", "PRT", "ARV")


@pytest.fixture(scope="module")
def book() -> Workbook:
    return load_base()


def test_the_base_workbook_has_no_findings(book: Workbook) -> None:
    assert book.findings == ()


def test_the_base_workbook_compiles_for_every_kind_of_tiers_1_and_2(book: Workbook) -> None:
    plan = compile_workbook(book)
    assert {*TIER_1, *TIER_2} <= set(plan.kinds())


@pytest.mark.parametrize("kind", TIER_3)
def test_a_message_of_tier_3_is_accounted_for_and_held(book: Workbook, kind: str) -> None:
    plan = compile_workbook(book)
    assert kind not in plan.kinds()
    lines = (
        "MSH|^~\\&|EPIC|GENHOSP|||20240131081500||" + kind + "|C1|P|2.5.1",
        "PID|||1^^^GENHOSP^MR||Doe^Jane",
        "ORC|RE|P1",
    )
    mapped = plan.run(hl7v2.parse("\r".join(lines).encode()), Context("test", "EPIC|GENHOSP", 0))
    assert mapped.held is not None
    assert mapped.held.code == "no-rows"
    assert not mapped.drafts
    assert mapped.accounting.adds_up
    assert mapped.accounting.valued >= 8


def test_a_site_that_sets_only_its_zone_can_run(tmp_path: Path) -> None:
    (tmp_path / "workbook").mkdir()
    (tmp_path / "workbook" / "params.csv").write_text("param,value\nzone,America/Chicago\n")
    site = load_workbook(tmp_path)
    assert [str(finding) for finding in site.findings if finding.severity is Severity.ERROR] == []
    compile_workbook(site)


def test_every_row_has_an_owner_an_origin_a_sample_and_what_it_gives(book: Workbook) -> None:
    assert len(book.rows) > 400
    wrong = [
        row.row_id for row in book.rows if row.owner not in ROLES or not row.origin or not row.sample or not row.expect
    ]
    assert wrong == []


def test_every_row_says_whether_it_writes_about_the_patient(book: Workbook) -> None:
    assert {row.phi for row in book.rows} == {"yes", "no"}
    assert {row.recon for row in book.rows} == {"", "count", "value", "code"}


def test_every_map_is_used_and_every_entry_is_owned(book: Workbook) -> None:
    used = {row.map for row in book.rows if row.map}
    assert used == {entry.map for entry in book.maps if not entry.map.endswith(OUTWARD)}
    assert {entry.owner for entry in book.maps} <= ROLES
    assert [f"{entry.map} {entry.code}" for entry in book.maps if not entry.note] == []


def test_every_code_that_is_mapped_names_its_system(book: Workbook) -> None:
    bare = [f"{entry.map} {entry.code}" for entry in _inward(book) if not entry.system]
    assert bare == []


def test_every_ignored_field_has_a_reason_and_an_owner(book: Workbook) -> None:
    assert len(book.ignores) > 300
    assert {line.owner for line in book.ignores} <= ROLES
    assert min(len(line.reason) for line in book.ignores) > 8


def _inward(book: Workbook) -> list[MapEntry]:
    return [entry for entry in book.maps if entry.target and not entry.map.endswith(OUTWARD)]


def _read(row: Row) -> str:
    return " ".join((row.anchor, row.source, row.transform))


@pytest.mark.parametrize("segment", FIELDS)
def test_every_field_of_a_segment_is_mapped_or_ignored(book: Workbook, segment: str) -> None:
    text = " ".join(map(_read, book.rows)).replace("[*]", "")
    words = set(text.replace("(", " ").replace(")", " ").replace(",", " ").replace("|", " ").replace("=", " ").split())
    mapped = {word.split(".")[0].split("[")[0] for word in words}
    ignored = {line.field for line in book.ignores if not line.applies}
    names = [f"{segment}-{number}" for number in range(1, FIELDS[segment] + 1)]
    assert [name for name in names if name not in mapped and name not in ignored] == []


@pytest.mark.parametrize("segment", WHOLE)
def test_a_segment_that_has_no_rows_is_ignored_as_a_whole(book: Workbook, segment: str) -> None:
    assert f"{segment}-*" in {line.field for line in book.ignores}


def test_social_security_numbers_of_relatives_stay_out_unless_the_site_decides_otherwise(book: Workbook) -> None:
    reading = [row for row in book.rows if {"NK1-37", "IN2-2", "GT1-12"} & set(_read(row).split())]
    assert len(reading) > 4
    assert [row.row_id for row in reading if 'param.relatives_ssn = "yes"' not in row.when] == []
    assert [one.value for one in book.params if one.param == "relatives_ssn"] == ["no"]


def test_row_ids_are_unique_and_lower_case(book: Workbook) -> None:
    counts = Counter(row.row_id for row in book.rows)
    assert [row_id for row_id, count in counts.items() if count > 1 or row_id != row_id.lower()] == []
