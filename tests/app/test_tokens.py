"""Tokens: shown once, kept as a hash, ended at once; the same on every implementation."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.app import tokens as module
from hilum.app.tokens import (
    TOKENS_SCHEMA,
    MemoryTokens,
    Permission,
    Role,
    SqliteTokens,
    TokenRefused,
    Tokens,
    lifetime,
)
from hilum.errors import HilumError, NotFound
from hilum.journal import SCHEMA as JOURNAL_SCHEMA
from hilum.journal import SqliteJournal
from hilum.store import Store

KEY = bytes(range(32))
DAY = 86_400


def open_store(folder: Path) -> Store:
    return Store.open(folder / "hilum.db", key=KEY, schemas=[JOURNAL_SCHEMA, TOKENS_SCHEMA])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path) as opened:
        yield opened


@pytest.fixture(params=["memory", "sqlite"])
def tokens(request: pytest.FixtureRequest) -> Tokens:
    if request.param == "memory":
        return MemoryTokens()
    store = request.getfixturevalue("store")
    return SqliteTokens(store, SqliteJournal(store))


def refusal(tokens: Tokens, text: str) -> TokenRefused:
    with pytest.raises(TokenRefused) as caught:
        tokens.authenticate(text)
    return caught.value


def test_a_fresh_token_opens_with_its_role(tokens: Tokens) -> None:
    new = tokens.create("portal", Role.READER, DAY, by="ann")
    grant = tokens.authenticate(new.text)
    assert (grant.actor, grant.role) == ("portal", Role.READER)


def test_only_the_hash_of_the_secret_is_kept(tokens: Tokens) -> None:
    new = tokens.create("portal", Role.READER, DAY, by="ann")
    secret = new.text.split("_", 2)[2]
    (row,) = tokens.rows()
    assert row.hash == hashlib.sha256(secret.encode()).digest()
    assert secret not in repr(row)


def test_two_tokens_never_share_id_or_secret(tokens: Tokens) -> None:
    texts = {tokens.create(f"app{n}", Role.READER, DAY, by="ann").text for n in range(50)}
    assert len({text.split("_")[1] for text in texts}) == 50


@pytest.mark.parametrize(
    "text", ["", "x", "hilum_", "Bearer hilum", "hilum_aaaaaaaaaa_short", "hilum_" + "a" * 200, "\0"]
)
def test_text_that_is_no_token_is_malformed(tokens: Tokens, text: str) -> None:
    assert refusal(tokens, text).code == "token-malformed"


def test_a_wrong_secret_and_an_unknown_id_are_refused_alike(tokens: Tokens) -> None:
    text = tokens.create("portal", Role.READER, DAY, by="ann").text
    wrong = text[:-5] + ("AAAAA" if not text.endswith("AAAAA") else "BBBBB")
    unknown = "hilum_aaaaaaaaaa" + text[16:]
    first, second = refusal(tokens, wrong), refusal(tokens, unknown)
    assert (first.code, first.message, first.actor) == (second.code, second.message, second.actor)
    assert (first.code, first.actor) == ("token-unknown", "")


def test_an_expired_token_is_refused_by_name(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tokens.create("portal", Role.READER, DAY, by="ann").text
    later = module.microseconds() + DAY * 1_000_000
    monkeypatch.setattr(module, "microseconds", lambda: later)
    refused = refusal(tokens, text)
    assert (refused.code, refused.actor) == ("token-expired", "portal")


def test_a_revoked_token_is_refused_from_then_on(tokens: Tokens) -> None:
    text = tokens.create("portal", Role.READER, DAY, by="ann").text
    first = tokens.revoke("portal", by="bob")
    assert tokens.revoke("portal", by="bob") == first
    assert refusal(tokens, text).code == "token-revoked"


def test_someone_without_the_secret_is_not_told_that_a_token_was_revoked(tokens: Tokens) -> None:
    text = tokens.create("portal", Role.READER, DAY, by="ann").text
    tokens.revoke("portal", by="bob")
    assert refusal(tokens, text[:-5] + "AAAAA").code == "token-unknown"


def test_names_are_never_used_twice(tokens: Tokens) -> None:
    tokens.create("portal", Role.READER, DAY, by="ann")
    tokens.revoke("portal", by="ann")
    with pytest.raises(HilumError) as caught:
        tokens.create("portal", Role.ADMIN, DAY, by="ann")
    assert caught.value.code == "token-exists"


@pytest.mark.parametrize("name", ["", "-x", "a b", "Müller", "x" * 65, "a/b", "a\n"])
def test_names_that_cannot_stand_in_an_audit_row_are_refused(tokens: Tokens, name: str) -> None:
    with pytest.raises(HilumError) as caught:
        tokens.create(name, Role.READER, DAY, by="ann")
    assert caught.value.code == "token-name-invalid"


def test_revoking_what_is_not_there_says_so(tokens: Tokens) -> None:
    with pytest.raises(NotFound) as caught:
        tokens.revoke("nobody", by="ann")
    assert caught.value.code == "token-not-found"


def test_rows_tell_their_state(tokens: Tokens) -> None:
    tokens.create("a", Role.READER, DAY, by="ann")
    tokens.create("b", Role.OPERATOR, 2 * DAY, by="ann")
    tokens.revoke("a", by="ann")
    now = module.microseconds()
    assert [(row.name, row.state(now)) for row in tokens.rows()] == [("a", "revoked"), ("b", "active")]
    assert tokens.rows()[1].state(now + 3 * DAY * 1_000_000) == "expired"


def test_the_paging_key_stays_the_same(tokens: Tokens) -> None:
    assert len(tokens.paging_key()) == 32
    assert tokens.paging_key() == tokens.paging_key()


def test_roles_hold_what_they_are_made_for() -> None:
    held = {role: {p for p in Permission if p in module.PERMISSIONS[role]} for role in Role}
    assert held[Role.READER] == {Permission.READ}
    assert held[Role.OPERATOR] == {Permission.READ, Permission.METRICS, Permission.MESSAGES}
    assert held[Role.ADMIN] == set(Permission)


def test_a_revocation_by_another_process_holds_from_its_commit_on(tmp_path: Path) -> None:
    with open_store(tmp_path) as server, open_store(tmp_path) as command:
        serving = SqliteTokens(server, SqliteJournal(server))
        text = SqliteTokens(command, SqliteJournal(command)).create("portal", Role.READER, DAY, by="ann").text
        assert serving.authenticate(text).actor == "portal"
        SqliteTokens(command, SqliteJournal(command)).revoke("portal", by="ann")
        assert refusal(serving, text).code == "token-revoked"


def test_a_command_writes_while_a_server_holds_the_store(tmp_path: Path) -> None:
    schemas = [JOURNAL_SCHEMA, TOKENS_SCHEMA]
    with Store.open(tmp_path / "hilum.db", key=KEY, schemas=schemas, exclusive=True), open_store(tmp_path) as beside:
        assert SqliteTokens(beside, SqliteJournal(beside)).create("portal", Role.READER, DAY, by="ann")


def test_changes_stand_in_the_audit(store: Store) -> None:
    journal = SqliteJournal(store)
    tokens = SqliteTokens(store, journal)
    tokens.create("portal", Role.READER, DAY, by="cli:ann")
    tokens.revoke("portal", by="cli:bob")
    rows = [(event.actor, event.action, event.target) for _, event in journal.audits()]
    assert rows == [("cli:ann", "token-create", "portal"), ("cli:bob", "token-revoke", "portal")]
    assert journal.verify_now().ok


def test_a_refused_change_leaves_neither_row_nor_audit(store: Store) -> None:
    journal = SqliteJournal(store)
    tokens = SqliteTokens(store, journal)
    with pytest.raises(NotFound):
        tokens.revoke("nobody", by="cli:ann")
    assert journal.audits() == []


def test_of_many_that_want_one_name_one_gets_it(store: Store) -> None:
    tokens = SqliteTokens(store, SqliteJournal(store))
    outcomes: list[str] = []

    def attempt() -> None:
        try:
            tokens.create("portal", Role.READER, DAY, by="ann")
        except HilumError as error:
            outcomes.append(error.code)
        else:
            outcomes.append("made")

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made"] + ["token-exists"] * 7


@pytest.mark.parametrize(
    ("text", "seconds"), [("12h", 43_200), ("90d", 90 * DAY), ("4w", 28 * DAY), ("366d", 366 * DAY)]
)
def test_lifetimes_are_written_in_hours_days_or_weeks(text: str, seconds: int) -> None:
    assert lifetime(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "0d", "367d", "-1d", "1.5d", "99999w", "d", "٣d"])
def test_other_lifetimes_are_refused(text: str) -> None:
    with pytest.raises(HilumError) as caught:
        lifetime(text)
    assert caught.value.code == "token-lifetime-invalid"


@given(st.text(max_size=80))
def test_no_text_opens_an_empty_house(text: str) -> None:
    with pytest.raises(TokenRefused):
        MemoryTokens().authenticate(text)
