"""Tables on the disk: a kill at any point, two at once, links, rights; nobody's lines are lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hilum.errors import ConfigError
from hilum.mapping import base_files
from hilum.workbook import (
    LOCK,
    Pin,
    Standing,
    lock_after,
    person_key,
    plan_approval,
    plan_upgrade,
    read_approvals,
    read_pin,
    standings,
    write_files,
    write_texts,
    write_whole,
)
from hilum.workbook.documents import parse_document
from hilum.workbook.sheets import Review, review_of
from workbook_tables import OWN, USE, table


class Killed(BaseException):
    """Nothing of the program runs after it."""


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The process ends when the file of this number, from 1, was to take its name."""
    left = [number]
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", killed)


def opened(tables: Path) -> Review:
    found = [(path.name, path.read_text()) for path in sorted(tables.glob("rows*.csv"))]
    return review_of([one for one in base_files() if one[0] == "params.csv"], found, folder=tables.parent)


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    folder = tmp_path / "workbook"
    folder.mkdir()
    (folder / "rows.csv").write_text("# ours\n" + table("rows", [OWN]))
    return folder


def sign(tables: Path) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    approvals = read_approvals(tables, USE)
    plan = plan_approval(
        opened(tables), approvals, None,
        owner="registration", names=["site-x"], by="ann", at="2026-03-02T08:00:00Z", scope=USE, key=person_key(pem),
    )  # fmt: skip
    write_texts(tables, plan.texts, {**opened(tables).site.documents, **approvals.documents})


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_signing_that_is_killed_approves_nothing_and_is_done_by_signing_again(
    tables: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with monkeypatch.context() as patched:
        kill_at(patched, number)
        with pytest.raises(Killed):
            sign(tables)
    for path in tables.glob("*.csv"):
        parse_document(path.name, path.read_text())
    approvals = read_approvals(tables, USE)
    assert approvals.findings == ()
    assert standings(opened(tables), approvals)["rows:site-x"].standing is Standing.DRAFT
    sign(tables)
    assert standings(opened(tables), read_approvals(tables, USE))["rows:site-x"].is_signed
    assert (tables / "rows.csv").read_text().startswith("# ours\n")
    assert [path.name for path in tables.iterdir() if path.name.startswith(".")] == []


def test_an_upgrade_that_is_killed_is_done_by_upgrading_again(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is the last that is written, so the same base is compared again."""
    then = review_of([("rows.csv", table("rows", [{**OWN, "source": "PID-13", "note": ""}]))])
    now = [("rows.csv", table("rows", [{**OWN, "source": "PID-13", "repeats": "first", "note": ""}]))]
    own = table("rows", [{**OWN, "status": "approved"}])
    (tables / "rows.csv").write_text(own)
    (tables / LOCK).write_text(lock_after(then, {"rows.csv": parse_document("rows.csv", own)}))

    def upgrade() -> None:
        review = review_of(now, [("rows.csv", (tables / "rows.csv").read_text())], folder=tables.parent)
        plan = plan_upgrade(review, read_approvals(tables, USE), read_pin(tables.parent))
        texts = {name: document.text for name, document in plan.documents.items()}
        write_texts(tables, texts | {LOCK: lock_after(review, plan.documents)}, review.site.documents)

    with monkeypatch.context() as patched:
        kill_at(patched, 2)
        with pytest.raises(Killed):
            upgrade()
    first = (tables / "rows.csv").read_text()
    assert ",first," in first
    upgrade()
    assert (tables / "rows.csv").read_text() == first
    pin = read_pin(tables.parent)
    assert isinstance(pin, Pin)
    assert pin.over["rows:site-x"]["repeats"] == "first"


def test_a_table_that_somebody_changed_meanwhile_is_not_overwritten(tables: Path) -> None:
    read = opened(tables).site.documents
    (tables / "rows.csv").write_text((tables / "rows.csv").read_text() + "mine,,,,,,,,\n")
    with pytest.raises(ConfigError) as refused:
        write_texts(tables, {"rows.csv": "row_id\n", "maps.csv": "map\n"}, read)
    assert refused.value.code == "tables-changed"
    assert "mine" in (tables / "rows.csv").read_text()
    assert not (tables / "maps.csv").exists()


def test_a_table_that_appeared_meanwhile_is_not_overwritten(tables: Path) -> None:
    read = opened(tables).site.documents
    write_texts(tables, {"maps.csv": "map,code\nA,1\n"}, read)
    with pytest.raises(ConfigError, match=r"maps\.csv"):
        write_texts(tables, {"maps.csv": "map,code\nB,2\n"}, read)


def test_a_link_stays_a_link_and_rights_stay(tmp_path: Path) -> None:
    real = tmp_path / "real.csv"
    real.write_text("old")
    real.chmod(0o664)
    link = tmp_path / "rows.csv"
    link.symlink_to(real)
    assert write_whole(link, b"new") == link
    assert (link.is_symlink(), real.read_text(), real.stat().st_mode & 0o777) == (True, "new", 0o664)


def test_drafts_that_a_killed_process_left_are_swept_away(tables: Path) -> None:
    (tables / f".rows.csv.{os.getpid() + 1}.new").write_text("half")
    write_texts(tables, {"maps.csv": "map\n"})
    assert sorted(path.name for path in tables.iterdir()) == ["maps.csv", "rows.csv"]


def test_files_that_a_kill_cut_short_are_whole_or_absent_and_a_second_run_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts = {"rows-v2.csv": b"row_id\n", "maps-v2.csv": b"map\n"}
    for number in (1, 2):
        with monkeypatch.context() as patched:
            kill_at(patched, number)
            with pytest.raises(Killed):
                write_files(tmp_path, drafts)
        there = {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")}
        assert there == dict(list(drafts.items())[: number - 1])
        assert list(tmp_path.glob(".*.new"))
    write_files(tmp_path, drafts)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == drafts
