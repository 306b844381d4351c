"""Commands over a store that a real `hilum run` has filled: what they say, what they hide, what they write down."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from e2e.harness import Sender, adt, hilum, open_folder, patients, settled, wait_until, write_folder
from hilum.app.cli import main
from hilum.model import AuditEvent

SOURCE = (
    "kind: mllp\nport: 0\nowner: registration\nack: {mode: original}\ncharset: ascii\n"
    "tolerances: {version-missing: hold}\n"
)
APPLIED, HELD, BEHIND, REFUSED, REUSED, UNREADABLE = range(1, 7)
PHI = ("Zworykin", "Xanthippe", "4711", "19700101")  # nothing of it is shown without a reason
WORDS_OF_A_PATH = re.compile(r"[A-Z][A-Za-z]+/[a-z2-7]{20}")


def about(patient: int, control_id: str, **more: Any) -> bytes:
    return adt(f"4711{patient}", control_id, "Xanthippe", **more).replace(b"Family^", b"Zworykin^")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One message of every fate."""
    folder = write_folder(tmp_path_factory.mktemp("commands") / "folder", {"adt": SOURCE})
    with hilum(folder) as running, Sender(running.port) as sender:
        assert sender.send(about(1, "APPLIED", step=1)).code == "AA"
        assert sender.send(about(2, "HELD", step=2).replace(b"|P|2.5.1|", b"|P||")).code == "AA"
        assert sender.send(about(2, "BEHIND", step=3)).code == "AA"
        assert sender.send(about(3, "REFUSED").replace(b"PID|1||47113^^^HOSP^MR|", b"PID|1|||")).code == "AE"
        assert sender.send(about(1, "APPLIED", step=9).replace(b"|F\r", b"|QQ\r")).code == "AA"
        assert sender.send(about(5, "UNREADABLE").replace(b"Xanthippe", b"Xanthipp\xe9\xff")).code in ("AE", "AR")
        settled(folder)
        assert running.stop() == 0
    return folder


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(filled, tmp_path / "folder"))


class Call:
    """Runs one command line in this process; keeps what it said."""

    def __init__(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capfdbinary
        self.out = self.err = ""

    def __call__(self, *arguments: str | Path | int) -> int:
        status = main([str(one) for one in arguments])
        self.raw, error = self._capture.readouterr()
        self.out, self.err = self.raw.decode("utf-8", "replace"), error.decode()
        return status

    def json(self, *arguments: str | Path | int, status: int = 0) -> Any:
        assert self(*arguments, "--json") == status, self.err
        return json.loads(self.out)


@pytest.fixture
def call(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setenv("NO_COLOR", "1")
    return Call(capfdbinary)


def audits(folder: Path, action: str) -> list[AuditEvent]:
    with open_folder(folder) as opened:
        return [event for _, event in opened.journal.audits(limit=1000) if event.action == action]


def patient_id(folder: Path) -> str:
    with open_folder(folder) as opened:
        (one,) = patients(opened, "47111")
        return one.id


# --- what all of them do with bad input ------------------------------------------------------------------------------

SWAPPED = {
    ("messages", "show", "{}", "1"): "hilum messages show 1 {}",
    ("exceptions", "show", "{}", "H2"): "hilum exceptions show H2 {}",
    ("explain", "{}", "Patient/x"): "hilum explain Patient/x {}",
    ("messages", "show", "{}", "1", "--json"): "hilum messages show 1 {} --json",
    ("patients", "unmerge", "{}", "1", "2", "--note", "x"): "hilum patients unmerge 1 2 {} --note x",
}


@pytest.mark.parametrize("words", SWAPPED, ids=" ".join)
def test_a_folder_that_does_not_stand_at_the_end_is_told(words: tuple[str, ...], folder: Path, call: Call) -> None:
    assert call(*[word.format(folder) for word in words]) in (1, 2)
    assert f"FOLDER comes last: `{SWAPPED[words].format(folder)}`" in call.err


def test_a_folder_at_its_place_is_not_told(folder: Path, call: Call) -> None:
    assert call("messages", "show", "99", folder) == 1
    assert "FOLDER comes last" not in call.err


def test_an_explanation_takes_a_folder_without_a_path(folder: Path, call: Call) -> None:
    one = f"Patient/{patient_id(folder)}"
    without_path = call.json("explain", one, folder)
    assert without_path["values"] == call.json("explain", one, "--folder", folder)["values"]
    assert len(without_path["values"]) > 3


def test_an_explanation_names_no_row_that_came_after_the_version_was_made(folder: Path, call: Call) -> None:
    one = f"Patient/{patient_id(folder)}"
    before = call.json("explain", one, folder)["values"]
    tables = folder / "workbook"
    tables.mkdir(exist_ok=True)
    late = "row_id,anchor,source,type,target,transform\nsite-late,PID,PID-5.1,ST,Patient.contact[+].name.text,text\n"
    (tables / "rows-late.csv").write_text(late)
    assert call.json("explain", one, folder)["values"] == before
    assert call("explain", one, "contact", folder) == 1
    assert "value-unexplained" in call.err


def test_a_folder_with_findings_tells_each_once(folder: Path, call: Call) -> None:
    (folder / "integration.yaml").write_text("use: x\nownrs: {}\n")
    assert call("messages", "list", folder) == 1
    assert call.err.count("key-unknown") == 1
    assert "in the integration folder" in call.err


def test_a_parameter_without_a_value_says_where_to_set_it(tmp_path: Path, call: Call) -> None:
    empty = write_folder(
        tmp_path / "empty",
        integration="use: x\nowners: {mapping: {business: a, technical: b, evidence: c, launch: d}}\n",
    )
    assert call("check", empty) == 1
    assert "integration.yaml, `params: {zone: ...}`" in call.err + call.out


def test_check_says_of_parameters_and_tables_where_they_stand(tmp_path: Path, call: Call) -> None:
    zone = "use: x\nparams: {zone: Amerika/New_York, nosuch: 3}\n"
    folder = write_folder(tmp_path / "wrong", {"a": "kind: mllp\nport: 1\n"}, integration=zone)
    (folder / "workbook").mkdir()
    (folder / "workbook" / "namespaces.csv").write_text("sender,authority,sytem\n*,X,https://x.example\n")
    assert call("check", folder) == 1
    found = [line.split()[:2] for line in call.out.splitlines()]
    assert ["integration.yaml:2:16", "zone-unknown"] in found
    assert ["integration.yaml:2:42", "param-unknown"] in found
    assert ["workbook/namespaces.csv:1:3", "column-unknown"] in found


def test_check_says_of_the_workbook_what_its_own_check_says(tmp_path: Path, call: Call) -> None:
    folder = write_folder(
        tmp_path / "deep", {"a": "kind: mllp\nport: 1\n"}, integration="use: x\nparams: {zone: UTC}\n"
    )
    (folder / "workbook").mkdir()
    (folder / "workbook" / "rows.csv").write_text(
        "anchor,row_id,source,target,transform\n"
        "ZPI,site-deep,ZPI-1,Patient.contact[a].nam,text\n"
        'ZPI,site-never,ZPI-1,Patient.contact[a].gender,"const(""femal"")"\n'
    )
    assert call("check", folder) == 1
    found = [tuple(line.split()[:2]) for line in call.out.splitlines()]
    assert ("workbook/rows.csv:2:4", "target-unknown") in found
    assert ("workbook/rows.csv:3:5", "code-outside-binding") in found
    assert ("workbook/rows.csv:2:1", "owner-missing") in found
    assert ("workbook/base.lock:1:1", "base-unpinned") in found


def test_check_finds_what_would_keep_a_listener_from_starting(tmp_path: Path, call: Call) -> None:
    api = "use: x\nparams: {zone: UTC}\napi: {port: 2575}\n"
    source = "kind: mllp\nport: 2575\nallow: [10.0.0.0/8, 10.0.0.0/33]\n"
    folder = write_folder(tmp_path / "wrong", {"a": source}, integration=api)
    assert call("check", folder) == 1
    found = [line.split()[:2] for line in call.out.splitlines()]
    assert ["sources/a.yaml:2:7", "port-taken-twice"] in found
    assert ["sources/a.yaml:3:21", "mllp-allow-invalid"] in found


COMMANDS_WITH_A_FOLDER = [
    ["messages", "list"],
    ["messages", "search", "--control-id", "X"],
    ["messages", "show", "1"],
    ["messages", "replay", "--all"],
    ["exceptions", "list"],
    ["exceptions", "show", "H1"],
    ["exceptions", "settle", "E1", "--note", "x"],
    ["explain", "Patient/x", "name"],
    ["journal", "verify"],
    ["journal", "head"],
    ["journal", "seal"],
    ["journal", "retire"],
]


def with_folder(words: list[str], folder: Path) -> list[str | Path]:
    return [*words, "--folder", folder]


@pytest.mark.parametrize("words", COMMANDS_WITH_A_FOLDER, ids=" ".join)
def test_a_missing_folder_and_a_missing_store_are_named(words: list[str], call: Call, tmp_path: Path) -> None:
    assert call(*with_folder(words, tmp_path / "absent")) == 1
    assert "folder-missing" in call.err
    empty = write_folder(tmp_path / "empty")
    assert call(*with_folder(words, empty)) == 1
    assert "store-absent" in call.err
    assert call.out == ""
    assert not (empty / ".hilum").exists(), "looking makes no store"


@pytest.mark.parametrize("words", COMMANDS_WITH_A_FOLDER, ids=" ".join)
def test_no_command_shows_phi_without_a_reason(words: list[str], call: Call, folder: Path) -> None:
    for _ in range(2):
        call(*with_folder(words, folder))
        assert not [word for word in PHI if word in call.out + call.err], call.out
    if words != ["journal", "head"]:
        call(*with_folder(words, folder), "--json")
        assert not [word for word in PHI if word in call.out + call.err], call.out
        json.loads(call.out)


# --- messages --------------------------------------------------------------------------------------------------------


def test_list_shows_every_message_with_its_state_newest_first(call: Call, filled: Path) -> None:
    page = call.json("messages", "list", filled)
    assert [(one["message"], one["state"]) for one in page["messages"]] == [
        (UNREADABLE, "rejected"),
        (REUSED, "applied"),
        (REFUSED, "rejected"),
        (BEHIND, "waiting behind"),
        (HELD, "held"),
        (APPLIED, "applied"),
    ]
    first = page["messages"][-1]
    assert first["kind"] == "ADT^A08"
    assert (first["sender"], first["source"], first["control_id"]) == ("EHR|HOSP", "adt", "APPLIED")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", first["received"])
    assert page["next"] == ""


def test_list_pages_until_its_end(call: Call, filled: Path) -> None:
    seen, after = [], ""
    while True:
        page = call.json("messages", "list", filled, "--limit", 4, *(["--after", after] if after else []))
        seen += [one["message"] for one in page["messages"]]
        after = page["next"]
        if not after:
            break
    assert seen == [6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--disposition", "hold"], [HELD]),
        (["--disposition", "AE"], [UNREADABLE, REFUSED]),
        (["--kind", "ADT^A01"], []),
        (["--sender", "EHR|HOSP", "--source", "adt", "--limit", "1"], [6]),
    ],
)
def test_list_narrows(options: list[str], found: list[int], call: Call, filled: Path) -> None:
    page = call.json("messages", "list", filled, *options)
    assert [one["message"] for one in page["messages"]][: len(found) or 1] == found


@pytest.mark.parametrize(
    "options", [["--after", "nonsense"], ["--limit", "x"], ["--limit", "0"], ["--disposition", "maybe"]]
)
def test_list_refuses_what_it_cannot_use(options: list[str], call: Call, filled: Path) -> None:
    assert call("messages", "list", filled, *options) in (1, 2)
    assert call.err
    assert "internal-error" not in call.err


def test_search_finds_by_control_id_and_by_patient(call: Call, filled: Path) -> None:
    assert len(call.json("messages", "search", filled, "--control-id", "APPLIED")["messages"]) == 2
    found = call.json("messages", "search", filled, "--patient", "47112|HOSP")["messages"]
    assert [one["message"] for one in found] == [BEHIND, HELD]
    assert call.json("messages", "search", filled, "--control-id", "nobody's")["messages"] == []
    assert call("messages", "search", filled) == 2


def test_show_gives_the_content_only_with_a_reason_which_is_audited(call: Call, folder: Path) -> None:
    assert call("messages", "show", APPLIED, folder) == 0
    assert "--reason" in call.out
    assert audits(folder, "show") == []
    assert call("messages", "show", APPLIED, folder, "--reason", "ticket 7") == 0
    assert "Zworykin^Xanthippe" in call.out
    (event,) = audits(folder, "show")
    assert (event.target, event.detail) == (f"message/{APPLIED}", "ticket 7")
    assert event.actor.startswith("cli:")


def test_show_raw_gives_the_exact_bytes(call: Call, folder: Path) -> None:
    assert call("messages", "show", UNREADABLE, folder, "--reason", "ticket 7", "--raw") == 0
    assert b"Xanthipp\xe9\xff" in call.raw
    assert len(audits(folder, "show")) == 1
    assert call("messages", "show", UNREADABLE, folder, "--raw") == 0
    assert b"Xanthipp" not in call.raw


@pytest.mark.parametrize("message", [APPLIED, HELD, REFUSED, UNREADABLE])
def test_show_gives_json_of_any_message(message: int, call: Call, folder: Path) -> None:
    facts = call.json("messages", "show", message, folder)
    assert facts["message"] == message
    assert "content" not in facts
    facts = call.json("messages", "show", message, folder, "--reason", "ticket 7")
    assert "Zworykin" in facts["content"]
    assert "\N{REPLACEMENT CHARACTER}" not in facts["content"]
    assert call("messages", "show", message, folder, "--reason", "ticket 7") == 0
    assert "\N{REPLACEMENT CHARACTER}" not in call.out


def test_show_of_a_held_message_says_why_and_whose(call: Call, filled: Path) -> None:
    assert call("messages", "show", HELD, filled) == 0
    assert "version-missing" in call.out
    assert "owner registration" in call.out


@pytest.mark.parametrize("number", ["99", "0", "-1", "99999999999999999999", "x"])
def test_show_refuses_an_unknown_message(number: str, call: Call, filled: Path) -> None:
    assert call("messages", "show", number, filled) in (1, 2)
    assert "internal-error" not in call.err
    assert call.out == ""


def test_replay_wants_to_know_which(call: Call, filled: Path) -> None:
    assert call("messages", "replay", "--folder", filled) == 2
    for number in ("x", "-3", "\N{SUPERSCRIPT TWO}"):
        assert call("messages", "replay", number, filled) == 2
    assert call("messages", "replay", "9" * 30, filled) == 1


def test_replay_asks_and_is_audited_and_refuses_what_is_not_held(call: Call, folder: Path) -> None:
    assert call.json("messages", "replay", HELD, folder) == {"asked": 1}
    assert call.json("messages", "replay", "--all", "--folder", folder) == {"asked": 2}
    assert call.json("messages", "replay", "--code", "version-missing", "--folder", folder) == {"asked": 1}
    assert call.json("messages", "replay", "--code", "no-such", "--folder", folder) == {"asked": 0}
    assert [event.target for event in audits(folder, "replay")] == [
        f"message/{HELD}",
        "held:all",
        "held:version-missing",
        "held:no-such",
    ]
    with open_folder(folder) as opened:
        assert [one.seq for one in opened.repository.requests()] == [HELD, BEHIND]
    assert call("messages", "replay", APPLIED, folder) == 1
    assert "hold-unknown" in call.err


# --- exceptions ------------------------------------------------------------------------------------------------------


def test_exceptions_lists_holds_and_items_with_owner_and_count(call: Call, filled: Path) -> None:
    rows = {row["item"]: row for row in call.json("exceptions", "list", filled)["exceptions"]}
    assert rows[f"H{HELD}"]["code"] == "version-missing"
    assert rows[f"H{BEHIND}"]["code"] == "behind-held"
    codes = {row["code"]: row for row in rows.values()}
    assert codes["control-id-reused"]["owner"] == "registration"
    assert codes["control-id-reused"]["where"] == "MSH-10"
    assert codes["code-unmapped"]["where"].startswith("PID-8")
    assert all(
        set(row) == {"item", "code", "where", "count", "owner", "since", "sender", "message"} for row in rows.values()
    )
    only = call.json("exceptions", "list", filled, "--code", "version-missing")["exceptions"]
    assert [row["item"] for row in only] == [f"H{HELD}"]
    owned = call.json("exceptions", "list", filled, "--owner", "registration")["exceptions"]
    assert {row["owner"] for row in owned} == {"registration"}


def test_show_of_an_item_names_samples(call: Call, filled: Path) -> None:
    rows = call.json("exceptions", "list", filled, "--code", "control-id-reused")["exceptions"]
    facts = call.json("exceptions", "show", rows[0]["item"], filled)
    assert facts["samples"] == str(REUSED)
    assert call.json("exceptions", "show", f"h{HELD}", filled)["state"] == "open"


@pytest.mark.parametrize("item", ["17", "X1", "H", "", "H-1", "E999", "H999", f"H{APPLIED}", "H99999999999999999999"])
def test_an_unknown_item_is_refused(item: str, call: Call, folder: Path) -> None:
    assert call("exceptions", "show", item, folder) in (1, 2)
    assert call("exceptions", "settle", item, folder, "--note", "x", "--discard") in (1, 2)
    assert "internal-error" not in call.err
    assert audits(folder, "settle") == audits(folder, "discard") == []


def test_a_held_message_is_discarded_only_on_purpose(call: Call, folder: Path) -> None:
    assert call("exceptions", "settle", f"H{HELD}", folder, "--note", "test data") == 1
    assert "settle-undecided" in call.err
    assert call("exceptions", "settle", f"H{HELD}", folder) == 2, "a note is needed"
    assert call.json("exceptions", "settle", f"H{HELD}", folder, "--note", "test data", "--discard")["settled"] is True
    assert [(event.target, event.detail) for event in audits(folder, "discard")] == [(f"H{HELD}", "test data")]
    with open_folder(folder) as opened:
        ledger = opened.ledger()
        assert (ledger.held, ledger.rejected, ledger.difference) == (0, 3, 0)
    assert call("exceptions", "settle", f"H{HELD}", folder, "--note", "again", "--discard") == 1
    with hilum(folder), open_folder(folder) as opened:
        settled(folder)
        wait_until(lambda: opened.ledger().applied == 3, "what waited behind it is not applied")


def test_an_item_is_settled_and_leaves_the_list(call: Call, folder: Path) -> None:
    rows = call.json("exceptions", "list", folder, "--code", "control-id-reused")["exceptions"]
    item = rows[0]["item"]
    assert call("exceptions", "settle", item, folder, "--note", "told the vendor") == 0
    assert call.json("exceptions", "list", folder, "--code", "control-id-reused")["exceptions"] == []
    facts = call.json("exceptions", "show", item, folder)
    assert facts["note"] == "told the vendor"
    assert facts["settled_by"].startswith("cli:")
    assert [(event.target, event.detail) for event in audits(folder, "settle")] == [(item, "told the vendor")]


# --- explain ---------------------------------------------------------------------------------------------------------


def test_explain_names_message_field_row_owner_and_time(call: Call, filled: Path) -> None:
    resource = f"Patient/{patient_id(filled)}"
    found = call.json("explain", resource, "name.family", filled)
    assert found["resource"] == resource
    (value,) = found["values"]
    assert value["element"] == "name[0].family"
    assert value["field"].startswith("PID-5")
    assert value["row"] == "pat-name"
    assert value["owner"]
    assert value["message"] == APPLIED, "the one that changed it, not the last that said the same"
    assert value["control_id"] == "APPLIED"
    assert value["received"].endswith("Z")
    assert "value" not in value


def test_explain_shows_the_value_with_a_reason_which_is_audited(call: Call, folder: Path) -> None:
    resource = f"Patient/{patient_id(folder)}"
    (value,) = call.json("explain", resource, "name.family", folder, "--reason", "ticket 7")["values"]
    assert value["value"] == "Zworykin"
    assert [(event.target, event.detail) for event in audits(folder, "explain")] == [(resource, "ticket 7")]


def test_explain_without_a_path_explains_every_element(call: Call, filled: Path) -> None:
    found = call.json("explain", f"Patient/{patient_id(filled)}", "--folder", filled)
    elements = {re.split(r"[.\[]", value["element"])[0] for value in found["values"]}
    assert {"identifier", "name", "birthDate"} <= elements


@pytest.mark.parametrize(
    ("resource", "path", "code"),
    [
        ("Patient", "name", "reference-invalid"),
        ("Patient/", "name", "reference-invalid"),
        ("Patient/nobody", "name", "not-found"),
        ("Nothing/nobody", "name", "not-found"),
        ("{patient}", "nmae.family", "value-unexplained"),
        ("{patient}", "name[7]", "value-unexplained"),
    ],
)
def test_explain_refuses_what_it_cannot_explain(resource: str, path: str, code: str, call: Call, filled: Path) -> None:
    resource = resource.format(patient=f"Patient/{patient_id(filled)}")
    assert call("explain", resource, path, filled) == 1
    assert code in call.err
    assert call.out == ""


def test_explain_shows_what_is_stored_where_the_workbook_makes_something_else_of_it_now(
    call: Call, folder: Path
) -> None:
    resource = f"Patient/{patient_id(folder)}"
    (before,) = call.json("explain", resource, "gender", folder, "--reason", "ticket 7")["values"]
    assert (before["changed"], before["value"]) == (False, "female")
    (folder / "workbook").mkdir(exist_ok=True)
    (folder / "workbook" / "maps-sex.csv").write_text("map,code,target\nAdministrativeSex,F,other\n")
    (after,) = call.json("explain", resource, "gender", folder, "--reason", "ticket 7")["values"]
    assert (after["changed"], after["value"], after["value_now"]) == (True, "female", "other")
    assert {**before, "changed": True} == {name: text for name, text in after.items() if name != "value_now"}
    assert call("explain", resource, folder) == 0
    assert [line.split()[0] for line in call.out.splitlines() if line.endswith("stored otherwise")] == ["gender"]
    assert "the workbook of today makes another value" in call.out


# --- journal and doctor ----------------------------------------------------------------------------------------------


def test_verify_says_that_the_journal_is_what_was_written_or_that_it_is_not(call: Call, folder: Path) -> None:
    assert call("journal", "head", folder) == 0
    head = folder / "head"
    head.write_bytes(call.raw)
    report = call.json("journal", "verify", folder)
    assert report["ok"] is True
    assert report["messages"] == 6
    assert call("journal", "verify", folder, "--head", head) == 0
    _change_a_row(folder)
    report = call.json("journal", "verify", folder, status=1)
    assert report["ok"] is False
    assert report["problem"]


def _change_a_row(folder: Path) -> None:
    with open_folder(folder) as opened:
        opened.store.write_now(lambda c: c.execute("DROP TRIGGER message_is_never_changed").fetchall())
        opened.store.write_now(lambda c: c.execute("UPDATE message SET control_id = 'X' WHERE seq = 2").fetchall())


def test_verify_refuses_a_head_that_is_none(call: Call, folder: Path) -> None:
    for content in (b"", b"no head", b"\xff" * 200):
        (folder / "head").write_bytes(content)
        assert call("journal", "verify", folder, "--head", folder / "head") == 1
        assert "internal-error" not in call.err
    assert call("journal", "verify", folder, "--head", folder / "absent") == 1
    assert "internal-error" not in call.err


def test_seal_and_retire_say_what_they_did(call: Call, folder: Path) -> None:
    assert call.json("journal", "seal", folder) == {"sealed": 0}
    assert call("journal", "retire", folder) == 1
    assert "retain-unset" in call.err
    for duration in ("", "30", "P", "30 days"):
        assert call("journal", "seal", folder, "--older-than", duration) in (1, 2)
        assert "internal-error" not in call.err


def test_doctor_finds_nothing_wrong_with_a_good_folder_and_names_what_waits(call: Call, filled: Path) -> None:
    checks = {one["check"]: one for one in call.json("doctor", filled)["checks"]}
    assert {"sqlite", "folder", "disk", "workbook", "totals", "exceptions", "source adt"} <= checks.keys()
    assert checks["totals"]["state"] == "ok"
    assert "received 6" in checks["totals"]["detail"]
    assert checks["exceptions"]["state"] == "warning"


def test_doctor_works_without_a_store_and_says_all_findings(call: Call, tmp_path: Path) -> None:
    good = write_folder(tmp_path / "good")
    checks = {one["check"]: one for one in call.json("doctor", good)["checks"]}
    assert checks["store"]["state"] == "ok"
    bad = write_folder(tmp_path / "bad", {"adt": "kind: mllp\nprot: 1\n"})
    found = call.json("doctor", bad, status=1)["checks"]
    assert [one["check"] for one in found if one["state"] == "error"]
    assert call("doctor", tmp_path / "absent") == 1


def test_doctor_names_a_wrong_key_and_a_workbook_that_does_not_compile(call: Call, folder: Path) -> None:
    (folder / "integration.yaml").write_text((folder / "integration.yaml").read_text().replace("zone:", "unknwn:"))
    found = call.json("doctor", folder, status=1)["checks"]
    assert [one["detail"] for one in found if one["state"] == "error"]
    key = folder / ".hilum" / "hilum.key"
    key.write_bytes(bytes(reversed(key.read_bytes().strip())) + b"\n")
    found = call.json("doctor", folder, status=1)["checks"]
    assert [one for one in found if one["check"] == "store" and one["state"] == "error"]


# --- rates -----------------------------------------------------------------------------------------------------------


def test_rates_show_every_feed_and_who_is_silent(call: Call, filled: Path) -> None:
    feeds = call.json("messages", "rates", filled)["feeds"]
    assert {(one["source"], one["kind"]) for one in feeds} >= {("adt", "ADT^A08")}
    assert sum(one["messages"] for one in feeds) == 6
    assert not any(one["is_silent"] for one in feeds), "nobody is silent who was not known for long"
    assert call("messages", "rates", filled) == 0
    assert "ADT^A08" in call.out
    assert call.json("messages", "rates", "--silent", filled) == {"feeds": []}


def test_the_audit_says_who_touched_the_record_of_a_patient(folder: Path, call: Call) -> None:
    one = patient_id(folder)
    at = 1_700_000_000_000_000
    rows = [
        AuditEvent(at, "portal", "read", f"Patient/{one}/_history"),
        AuditEvent(at, "portal", "search", "Patient?name", detail=f"total=2 returned=2+0 ignored=0 Patient:x,{one}"),
        AuditEvent(at, "feed", "notify", "Subscription/s", detail=f"event-notification 1..1 Patient/{one}"),
        AuditEvent(at, "loader", "export", "$export/e1/Patient.ndjson", detail="count=3"),
        AuditEvent(at, "portal", "read", f"Patient/{one}x"),
        AuditEvent(at, "portal", "search", "Patient?name", detail=f"returned=1+0 Patient:{one}x"),
    ]
    with open_folder(folder) as opened:
        opened.journal.audit_now(rows)
    for named in (one, "47111"):
        found = call.json("audit", "list", folder, "--patient", named, "--until", "2023-12-31")
        assert [(row["actor"], row["action"]) for row in found["rows"]] == [
            ("portal", "read"),
            ("portal", "search"),
            ("feed", "notify"),
            ("loader", "export"),
        ]
    assert found["patient"] == f"Patient/{one}"
    assert len(audits(folder, "audit-list")) == 2, "that it was asked is a row, too"
    assert [row["action"] for row in call.json("audit", "list", folder, "--actor", "feed")["rows"]] == ["notify"]
    cut = call.json("audit", "list", folder, "--limit", "1")
    assert (cut["is_cut"], [row["action"] for row in cut["rows"]]) == (True, ["audit-list"])
    assert call("audit", "list", folder, "--since", "yesterday") == 1
    assert "time-invalid" in call.err
    assert call("audit", "list", folder, "--patient", "47119") == 1
    assert "patient-unknown" in call.err
    assert call("audit", "list", folder, "--until", "2000-01-01") == 0
    assert "no such rows" in call.out
    assert call("audit", "list", folder, "--patient", one) == 0
    assert not any(word in call.out for word in PHI)
