"""What must hold between the parts of integration.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import Struct

from hilum.config import INTEGRATION, Direction, Integration, Level, Section, examine, load, retention_days
from hilum.config.hosts import is_loopback
from hilum.config.resource_types import RESOURCE_TYPES


class Way(Struct, frozen=True):
    """Something with a name."""

    port: int = 0


SECTIONS = (INTEGRATION, Section("sources/*.yaml", Way), Section("destinations/*.yaml", Way))

FULL = """\
use: lab-results-to-portal
users: [{role: nurse, count: 12, site: A}, {role: patient}]
systems: [{id: epic-sbx, kind: fhir-r4, vendor: epic, environment: sandbox, owner: vendor}]
data:
  - {id: lab-results, resource: Observation, fields: [code, value, status], phi: true, labels: [N], retain: P7Y}
flows:
  - {id: F1, from: epic-sbx, to: portal, data: [lab-results], direction: read, via: smart-backend}
risk: {safety: medium, phi: high, billing: none, downtime: low, ai: none}
owners:
  workflow: &four {business: ann, technical: bob, evidence: cy, launch: dee}
  vendor_access: *four
  mapping: *four
  security: *four
  release: *four
routes:
  - {to: portal, types: [Observation]}
params: {zone: America/New_York, us_core: true}
"""


def folder(tmp_path: Path, text: str) -> Path:
    for name in ("sources/ehr.yaml", "destinations/portal.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("port: 1\n")
    (tmp_path / "integration.yaml").write_text(text)
    return tmp_path


def said(tmp_path: Path, old: str, new: str) -> list[str]:
    assert old in FULL
    found = examine(folder(tmp_path, FULL.replace(old, new)), SECTIONS).findings
    return [f"{f.location.removeprefix('integration.yaml:')} {f.code} {f.hint}".strip() for f in found]


def test_the_boundary_map_of_the_design_is_read_as_it_is(tmp_path: Path) -> None:
    it = load(folder(tmp_path, FULL), SECTIONS).one(Integration)
    assert it.flows[0].direction is Direction.READ
    assert it.flows[0].from_ == "epic-sbx"
    assert it.risk.phi is Level.HIGH
    assert it.owners.mapping is not None
    assert it.owners.mapping.launch == "dee"
    assert it.params == {"zone": "America/New_York", "us_core": True}


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("to: portal, data", "to: portl, data", "7:34 reference-unknown did you mean `portal`?"),
        ("from: epic-sbx", "from: epik-sbx", "7:20 reference-unknown did you mean `epic-sbx`?"),
        ("data: [lab-results]", "data: [lab-result]", "7:49 reference-unknown did you mean `lab-results`?"),
        ("{to: portal,", "{to: ehr,", "16:10 reference-unknown"),
        ("resource: Observation", "resource: Obsevation", "5:33 resource-unknown did you mean `Observation`?"),
        ("types: [Observation]", "types: [Lab]", "16:26 resource-unknown"),
        ("direction: read", "direction: write back", "7:74 value-unknown did you mean `write-back`?"),
        ("retain: P7Y", "retain: 7 years", "5:109 value-invalid how long it is kept: P7Y, P18M, P90D"),
        ("use: lab-results", "use: lab results", "1:6 value-invalid the one job of this integration"),
        ("data: [lab-results]", "data: []", "7:48 value-invalid which data, by id"),
        (", launch: dee", "", "10:13 key-missing says that it may go live"),
    ],
)  # fmt: skip
def test_a_mistake_has_its_place_and_its_near_miss(tmp_path: Path, old: str, new: str, finding: str) -> None:
    assert said(tmp_path, old, new)[0].startswith(finding)


def test_an_id_that_stands_twice_is_said_at_the_second(tmp_path: Path) -> None:
    twice = "flows:\n  - {id: F1, from: ehr, to: portal, data: [lab-results], direction: read}\n"
    assert said(tmp_path, "flows:\n", twice) == ["8:10 id-duplicate"]


def test_an_area_without_owners_is_a_warning_where_there_is_a_flow(tmp_path: Path) -> None:
    found = examine(folder(tmp_path, FULL.replace("  release: *four\n", "")), SECTIONS).findings
    assert [(f.code, str(f.severity)) for f in found] == [("owner-area-missing", "warning")]
    assert "release" in found[0].message


@pytest.mark.parametrize(
    ("api", "codes"),
    [
        ("{host: 0.0.0.0}", ["api-without-tls"]),
        ("{host: '::1'}", []),
        ("{host: 0.0.0.0, insecure_allowed: true}", []),
        ("{host: 0.0.0.0, tls: {certificate: c.pem, key: k.pem}}", []),
    ],
)
def test_an_api_that_others_can_reach_needs_tls(tmp_path: Path, api: str, codes: list[str]) -> None:
    found = examine(folder(tmp_path, f"use: x\napi: {api}\n"), SECTIONS).findings
    assert [finding.code for finding in found] == codes


def test_loopback_is_told_from_other_hosts() -> None:
    assert all(is_loopback(host) for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1"))
    assert not any(
        is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", "", "localhost.example.org")
    )


def test_a_retention_is_never_shorter_than_what_is_written() -> None:
    assert retention_days("P7Y") >= 7 * 365 + 2
    assert retention_days("P1M") == 31
    assert retention_days("P2W3D") == 17


def test_the_resource_types_are_those_of_r4() -> None:
    assert len(RESOURCE_TYPES) == 146
    assert {"Patient", "Observation", "Provenance"} <= RESOURCE_TYPES
