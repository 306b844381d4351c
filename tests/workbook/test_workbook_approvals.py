"""Approvals hold for exactly what was approved, by whom, for which integration."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hilum.errors import ConfigError
from hilum.workbook import (
    Approvals,
    Review,
    Standing,
    check,
    owner_statuses,
    person_key,
    pin_of,
    plan_approval,
    read_approvals,
    standings,
    unapproved,
    write_texts,
)
from hilum.workbook.signing import PersonKey, approval_findings
from workbook_tables import BASE_ROWS, OWN, USE, base, review, table


def site(**cells: str) -> list[tuple[str, str]]:
    return [("rows.csv", table("rows", [{**OWN, **cells}]))]


def signed(**cells: str) -> Review:
    """The same once it was signed, which writes `approved` into it."""
    return review(site(**{"status": "approved", "approver": "ann", **cells}))


def new_key() -> PersonKey:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return person_key(pem.decode())


def sign(
    opened: Review,
    tables: Path,
    *names: str,
    key: PersonKey | None = None,
    by: str = "ann",
    owner: str = "registration",
) -> Approvals:
    plan = plan_approval(
        opened, read_approvals(tables, USE), None,
        owner=owner, names=names, by="ann", at="2026-03-02T08:00:00Z", scope=USE, key=key,
    )  # fmt: skip
    write_texts(tables, plan.texts)
    return read_approvals(tables, USE)


def codes(opened: Review, approvals: Approvals) -> list[str]:
    return [one.code for one in approval_findings(opened, approvals)]


def test_a_signed_row_is_approved_until_a_cell_that_means_something_changes(tmp_path: Path) -> None:
    approvals = sign(review(site()), tmp_path, "site-x", key=new_key())
    assert standings(signed(), approvals)["rows:site-x"].standing is Standing.APPROVED
    assert standings(signed(note="other words"), approvals)["rows:site-x"].is_signed
    for cells in ({"target": "Patient.contact[x].telecom[+]"}, {"when": "valued(PID-3)"}, {"owner": "clinical"}):
        after = signed(**cells)
        assert standings(after, approvals)["rows:site-x"].standing is Standing.CHANGED
        assert codes(after, approvals) == ["approval-outdated"]


def test_a_line_that_says_draft_again_waits_for_its_owner_though_nothing_else_changed(tmp_path: Path) -> None:
    approvals = sign(review(site()), tmp_path, "site-x", key=new_key())
    state = standings(signed(status="draft"), approvals)["rows:site-x"]
    assert (state.standing, state.waits, state.words) == (Standing.DRAFT, True, "draft")
    assert codes(signed(status="draft"), approvals) == []


def test_retiring_a_line_that_was_approved_is_said_to_wait(tmp_path: Path) -> None:
    approvals = sign(review(site()), tmp_path, "site-x", key=new_key())
    [finding] = approval_findings(signed(status="retired"), approvals)
    assert (finding.code, "was retired after ann approved it" in finding.message) == ("approval-outdated", True)


def test_an_approved_line_of_the_base_that_changed_is_shown_beside_what_the_site_says(tmp_path: Path) -> None:
    approvals = sign(review(), tmp_path, "params:zone", owner="clinical")
    opened = review(site())
    opened.decided["zone"] = "America/New_York"
    checked = check(opened, approvals)
    assert "approval-outdated" in [one.code for one in checked.findings]


def test_the_sites_own_line_says_who_approved_it_and_the_base_stays_as_it_ships(tmp_path: Path) -> None:
    sign(review(site()), tmp_path, "site-x", "pat-sex")
    assert "ann,approved" in (tmp_path / "rows.csv").read_text()
    assert "pat-sex" not in (tmp_path / "rows.csv").read_text()
    assert {line.split(",")[0] for line in (tmp_path / "approvals.csv").read_text().splitlines()[1:]} == {
        "rows:site-x",
        "rows:pat-sex",
    }


def test_a_change_of_the_base_takes_the_approval_of_its_line_away(tmp_path: Path) -> None:
    approvals = sign(review(), tmp_path, "pat-sex", key=new_key())
    rows = [{**row, "missing": "reject"} if row["row_id"] == "pat-sex" else row for row in BASE_ROWS]
    after = review(below=base(rows))
    assert standings(after, approvals)["rows:pat-sex"].standing is Standing.CHANGED


def test_a_param_is_approved_with_the_value_that_integration_yaml_gives_it(tmp_path: Path) -> None:
    approvals = sign(review(), tmp_path, "params:zone", owner="clinical")
    opened = review()
    opened.decided["zone"] = "America/New_York"
    assert standings(opened, approvals)["params:zone"].standing is Standing.CHANGED


def test_an_approval_without_a_signature_is_said_to_be_one_and_does_not_count_for_a_stage(tmp_path: Path) -> None:
    approvals = sign(review(site()), tmp_path, "site-x")
    opened = signed()
    assert codes(opened, approvals) == ["approval-unsigned"]
    assert [one.name for one in unapproved(opened, approvals, ["site-x"])] == ["rows:site-x"]
    assert unapproved(opened, approvals, ["site-x"], signed=False) == []
    after = sign(opened, tmp_path, "site-x", key=new_key())
    assert unapproved(opened, after, ["site-x"]) == []
    assert len(unapproved(opened, after)) > 3


@pytest.mark.parametrize(
    ("old", "new"), [("ann", "bob"), ("2026-03-02", "2026-03-03"), (",registration,", ",clinical,")]
)
def test_a_signature_over_other_words_is_no_signature(tmp_path: Path, old: str, new: str) -> None:
    opened = review(site())
    sign(opened, tmp_path, "site-x", key=new_key())
    path = tmp_path / "approvals.csv"
    path.write_text(path.read_text().replace(old, new))
    if old == "ann":
        (tmp_path / "signers.csv").write_text((tmp_path / "signers.csv").read_text().replace(old, new))
    after = read_approvals(tmp_path, USE)
    assert [one.code for one in after.findings] == ["signature-invalid"]
    assert standings(opened, after)["rows:site-x"].standing is Standing.DRAFT


def test_a_signature_counts_for_one_integration_only(tmp_path: Path) -> None:
    sign(review(site()), tmp_path, "site-x", key=new_key())
    assert [one.code for one in read_approvals(tmp_path, "another").findings] == ["signature-invalid"]


def test_a_signer_nobody_knows_and_one_who_may_not_sign_for_the_owner_are_named(tmp_path: Path) -> None:
    sign(review(site()), tmp_path, "site-x", key=new_key())
    signers = tmp_path / "signers.csv"
    text = signers.read_text()
    signers.write_text(text.replace("ann,,", "ann,lab billing,"))
    assert [one.code for one in read_approvals(tmp_path, USE).findings] == ["signer-not-owner"]
    signers.write_text(text.splitlines()[0] + "\n")
    assert [one.code for one in read_approvals(tmp_path, USE).findings] == ["signer-unknown"]


def refused(
    opened: Review, tables: Path, *names: str, key: PersonKey | None = None, owner: str = "registration"
) -> str:
    with pytest.raises(ConfigError) as error:
        sign(opened, tables, *names, key=key, owner=owner)
    return " ".join(f"{one.code} {one.hint}" for one in error.value.findings) or error.value.code


def test_what_cannot_be_approved_is_refused_with_its_reason(tmp_path: Path) -> None:
    opened = review(site())
    assert refused(opened, tmp_path, "site-y") == "line-unknown did you mean `site-x`?"
    assert "line-not-owned" in refused(opened, tmp_path, "site-x", owner="clinical")
    assert refused(opened, tmp_path, owner="registraton") == "owner-unknown did you mean `registration`?"
    sign(opened, tmp_path, "site-x", key=new_key())
    assert "signer-key-differs" in refused(opened, tmp_path, "pat-sex", key=new_key())


def test_tables_written_against_another_base_are_not_approved(tmp_path: Path) -> None:
    pin = pin_of(review(below=base(BASE_ROWS[:2])))
    with pytest.raises(ConfigError) as error:
        plan_approval(review(site()), read_approvals(tmp_path, USE), pin, owner="registration", names=("site-x",),
                      by="ann", at="", scope=USE, key=None)  # fmt: skip
    assert error.value.code == "base-changed"


def test_only_an_ed25519_key_without_a_passphrase_is_taken() -> None:
    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for text in ("", "words", other):
        with pytest.raises(ConfigError) as error:
            person_key(text)
        assert error.value.code == "signing-key-invalid"


def test_owners_see_what_waits_for_them_and_a_retired_line_of_the_site_waits_too(tmp_path: Path) -> None:
    opened = review(site(status="retired"))
    statuses = {one.owner: one for one in owner_statuses(opened, read_approvals(None, USE))}
    assert (statuses["registration"].drafts, statuses["registration"].retired) == (6, 1)
    assert statuses["clinical"].unset == ()
    approvals = sign(opened, tmp_path, key=new_key())
    after = {one.owner: one for one in owner_statuses(opened, approvals)}
    assert (after["registration"].waits, after["registration"].signed) == (0, 6)


def test_status_approved_that_nobody_signed_is_said() -> None:
    opened = review(site(status="approved"))
    assert codes(opened, read_approvals(None, USE)) == ["approval-missing"]
