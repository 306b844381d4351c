"""Transforms of other packages: found by their metadata, run like hilum's own, and stopped where they do harm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import engine_kit as kit
import pytest

from hilum import mapping
from hilum.errors import ConfigError
from hilum.mapping.transforms import plugins
from hilum.workbook import Entry, content_hash

CODE = """
from decimal import Decimal

def ward(parts, floors="yes"):
    floor, side = parts[0][:1], {"E": "East", "W": "West"}.get(parts[0][1:2])
    if side is None or not floor.isdecimal():
        raise ValueError("no bed of ours: " + parts[0])
    return f"{floor} {side}" if floors == "yes" else side

def split(parts):
    return [{"text": one} for one in parts[0].split(";")]

def echo(parts, *more, **named):
    return "/".join([*parts, *more, *(f"{name}={text}" for name, text in named.items())])

def dose(parts):
    return {"value": Decimal(parts[0])}

def float_dose(parts):
    return {"value": float(parts[0])}

def nothing(parts):
    return None

def broken(parts):
    raise KeyError(parts[0])

data = 1
"""
NAMES = {
    "acme-ward": "ward", "acme-split": "split", "acme-echo": "echo", "acme-dose": "dose", "acme-float": "float_dose",
    "acme-nothing": "nothing", "acme-broken": "broken", "acme-data": "data", "acme-lost": "not_there", "text": "ward",
}  # fmt: skip

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """A package as pip leaves it, beside hilum."""

    def installed(version: str = "1.2", name: str = "acme-transforms", entries: dict[str, str] = NAMES) -> Path:
        site = tmp_path / f"{name}-{version}"
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"{entry} = acme_transforms:{function}" for entry, function in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[hilum.transforms]", *lines]))
        (site / "acme_transforms.py").write_text(CODE)
        monkeypatch.syspath_prepend(site)
        forget()
        return site

    yield installed
    sys.modules.pop("acme_transforms", None)
    forget()


def forget() -> None:
    plugins._found.cache_clear()
    plugins._loaded.cache_clear()


def made(transform: str, target: str = "Patient.maritalStatus.text", value: str = "4E12^x\\T\\y") -> mapping.Mapped:
    row = f'w,,PID,PID-16,CWE,,{target},"{transform}",,,,,reg,,'
    return kit.run(kit.plan(row), f"PID|||1^^^HOSP|||||||||||||{value}")


def written(mapped: mapping.Mapped, element: str) -> object:
    (draft,) = mapped.drafts
    return json.loads(bytes(draft.elements[element])) if element in draft.elements else None


def test_a_row_calls_a_function_of_another_package_with_texts_and_writes_what_it_gives(install: Install) -> None:
    install()
    assert written(made("acme-ward"), "maritalStatus") == {"text": "4 East"}
    assert written(made('acme-ward(floors=""no"")'), "maritalStatus") == {"text": "East"}
    echoed = written(made('acme-echo(PID-3, ""a"", of=PID-3)'), "maritalStatus")
    assert echoed == {"text": "4E12/x&y/1/a/of=1"}  # escapes undone after the last split


def test_lists_are_items_decimals_keep_their_digits_and_none_is_no_value(install: Install) -> None:
    install()
    assert written(made("acme-split", "Patient.communication[+].language", "a;b"), "communication") == [
        {"language": {"text": "a"}},
        {"language": {"text": "b"}},
    ]
    assert written(made("acme-split", "Patient.maritalStatus", "a;b"), "maritalStatus") == {"text": "a"}
    (draft,) = made("acme-dose", "Patient.maritalStatus.extension[x].valueQuantity", "0.10").drafts
    assert b'"value":0.10}' in bytes(draft.elements["maritalStatus"])
    assert written(made("acme-nothing"), "maritalStatus") is None


def test_a_value_that_it_cannot_take_is_an_item_of_the_rows_owner_without_the_value(install: Install) -> None:
    install()
    mapped = made("acme-ward", value="SECRET")
    (item,) = [one for one in mapped.exceptions if one.code == "transform-refused"]
    assert (item.owner, item.location, item.row) == ("reg", "PID-16", "w")
    assert "SECRET" not in item.message
    assert mapped.held is None


@pytest.mark.parametrize("transform", ["acme-broken", "acme-float"])
def test_one_that_breaks_holds_the_message_and_names_its_package(install: Install, transform: str) -> None:
    install()
    mapped = made(transform, value="7.5")
    assert mapped.held is not None
    assert mapped.held.code == "transform-broke"
    assert "acme-transforms 1.2" in mapped.held.message
    assert "7.5" not in mapped.held.message


@pytest.mark.parametrize("transform", ["acme-lost", "acme-data"])
def test_what_cannot_be_used_is_a_finding_before_anything_runs(install: Install, transform: str) -> None:
    install()
    with pytest.raises(ConfigError) as caught:
        made(transform)
    (finding,) = caught.value.findings
    assert (finding.code, finding.location.startswith("rows.csv:3:")) == ("transform-unloadable", True)


def test_two_packages_of_one_name_are_refused_and_hilums_own_names_go_first(install: Install) -> None:
    install()
    install(name="other-transforms", entries={"acme-ward": "ward"})
    with pytest.raises(ConfigError) as caught:
        made("acme-ward")
    assert "acme-transforms 1.2, other-transforms 1.2" in caught.value.findings[0].message
    assert written(made("text", value="SECRET"), "maritalStatus") == {"text": "SECRET"}


def test_a_name_that_nobody_brings_is_told_with_the_nearest_one(install: Install) -> None:
    install()
    with pytest.raises(ConfigError) as caught:
        made("acme-wards")
    assert (caught.value.findings[0].code, caught.value.findings[0].hint) == (
        "transform-unknown",
        "did you mean `acme-ward`?",
    )


def test_another_release_asks_for_another_signature(install: Install) -> None:
    entry = Entry("rows", {"row_id": "w", "transform": 'acme-ward(floors="no")'})
    own = Entry("rows", {"row_id": "w", "transform": "text"})
    hashes = []
    for version in ("1.2", "1.3"):
        site = install(version)
        hashes.append((content_hash(entry), content_hash(own)))
        sys.path.remove(str(site))
    assert hashes[0][0] != hashes[1][0]
    assert hashes[0][1] == hashes[1][1]


def test_the_command_runs_it_in_a_process_of_its_own(install: Install, tmp_path: Path) -> None:
    site = install()
    folder = tmp_path / "site"
    (folder / "workbook").mkdir(parents=True)
    (folder / "integration.yaml").write_text("use: ward-codes\nparams: {zone: Europe/Berlin}\n")
    (folder / "workbook" / "namespaces.csv").write_text("sender,authority,system,type,owner\n*,B,urn:oid:1.2,MR,reg\n")
    (folder / "workbook" / "rows.csv").write_text(
        "row_id,applies,anchor,source,type,target,transform,owner\n"
        "site-ward,,PID,PID-16,ST,Patient.photo[+].title,acme-ward,reg\n"
    )
    (tmp_path / "one.hl7").write_bytes(
        b"MSH|^~\\&|A|B|||20240101||ADT^A08|1|P|2.5\rEVN||20240101\rPID|||7^^^B||DOE^ANN|||||||||||2W03\rPV1||I\r"
    )
    command = [
        str(Path(sys.executable).with_name("hilum")),
        "map",
        str(tmp_path / "one.hl7"),
        "--folder",
        str(folder),
        "--json",
    ]
    ran = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONPATH": str(site)})
    assert b'"2 West"' in ran.stdout
