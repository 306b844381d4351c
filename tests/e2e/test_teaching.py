"""A code without a map is held; a person says what it means; the running hilum takes it and runs the message again."""

from __future__ import annotations

import csv
import io
from importlib.resources import files
from pathlib import Path

import pytest

from e2e.harness import Sender, adt, hilum, open_folder, settled, wait_until, write_folder
from hilum.app.cli import main


def strict_folder(folder: Path) -> Path:
    """The base's row of PID-8, with `unmapped: reject`."""
    base = files("hilum.mapping").joinpath("base", "rows-patient.csv").read_text("utf-8")
    (row,) = [line for line in csv.DictReader(io.StringIO(base)) if line["row_id"] == "pat-sex"]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(row))
    writer.writeheader()
    writer.writerow({**row, "unmapped": "reject"})
    write_folder(folder)
    (folder / "workbook").mkdir()
    (folder / "workbook" / "rows.csv").write_text(text.getvalue(), newline="")
    return folder


def with_sex(body: bytes, sex: bytes) -> bytes:
    return body.replace(b"|19700101|F", b"|19700101|" + sex)


def test_what_a_person_says_of_a_code_runs_what_was_held_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = strict_folder(tmp_path / "folder")
    with hilum(folder) as running:
        with Sender(running.port) as sender:
            assert sender.send(with_sex(adt(1, "A", "Ann"), b"FM^Female^L")).code == "AA"
            assert sender.send(with_sex(adt(1, "B", "Anne", step=1), b"F")).code == "AA"
            assert sender.send(with_sex(adt(2, "C", "Bo"), b"XY")).code == "AA"
        assert settled(folder).held == 2, "and one waits behind"
        with open_folder(folder) as opened:
            items = {item.message: item.id for item in opened.repository.exceptions(code="code-unmapped")}
        (item,) = [id_ for message, id_ in items.items() if "`FM`" in message]
        assert main(["exceptions", "show", f"E{item}", str(folder)]) == 0
        shown = capsys.readouterr().out
        assert "female" in shown
        assert f"hilum exceptions map E{item} TARGET" in shown
        assert main(["exceptions", "map", f"E{item}", "female", str(folder)]) == 0
        assert "messages asked to run again: 1" in capsys.readouterr().out
        with open_folder(folder) as opened:
            wait_until(lambda: opened.ledger().applied == 2, "the held message and the one behind it are not applied")
            assert opened.ledger().held == 1
        status, found = running.get("Patient?identifier=1")
        assert (status, [entry["resource"]["gender"] for entry in found["entry"]]) == (200, ["female"])
        with Sender(running.port) as sender:
            assert sender.send(with_sex(adt(3, "D", "Cy"), b"FM^Female^L")).code == "AA"
        assert settled(folder).applied == 3
        assert main(["exceptions", "map", f"E{item}", "male", str(folder)]) == 1
        assert "map-taught" in capsys.readouterr().err
        assert running.stop() == 0


def test_a_workbook_with_an_error_is_not_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = strict_folder(tmp_path / "folder")
    with hilum(folder) as running:
        rows = folder / "workbook" / "rows.csv"
        rows.write_text(rows.read_text().replace("Patient.gender", "Patient.gendre"))
        assert main(["workbook", "reload", str(folder)]) == 1
        assert "Patient.gendre" in capsys.readouterr().err
        with open_folder(folder) as opened:
            assert opened.repository.requests() == []
        with Sender(running.port) as sender:
            assert sender.send(adt(1, "A", "Ann")).code == "AA"
        assert settled(folder).applied == 1
