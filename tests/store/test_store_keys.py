"""Keys, settings and versions: what a store refuses to start with."""

from __future__ import annotations

import base64
import errno
import os
import stat
from pathlib import Path

import apsw
import pytest

from hilum.errors import StoreError, StoreUnsafe
from hilum.store import Schema, Store, key_from_file, key_from_secret
from hilum.store import store as store_module
from hilum.store.connection import check_version

KEY = bytes(range(32))


@pytest.mark.parametrize(
    "text",
    [
        KEY.hex(),
        f" {KEY.hex().upper()}\n",
        base64.b64encode(KEY).decode(),
        base64.urlsafe_b64encode(bytes(range(220, 252))).decode().rstrip("="),
    ],
)
def test_a_key_is_read_from_hex_or_base64(text: str) -> None:
    assert key_from_secret(text) in (KEY, bytes(range(220, 252)))


@pytest.mark.parametrize(
    "text", ["", "secret", "correct horse battery staple", KEY.hex()[:-2], KEY.hex() + "00", "é" * 32]
)
def test_a_pass_phrase_is_not_a_key(text: str) -> None:
    with pytest.raises(StoreUnsafe) as caught:
        key_from_secret(text)
    assert caught.value.code == "store-key-invalid"
    assert text not in caught.value.message or not text


def test_a_key_file_is_made_once_and_never_replaced(tmp_path: Path) -> None:
    path, store = tmp_path / "keys" / "store.key", tmp_path / "hilum.db"
    key = key_from_file(path, store=store)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert key_from_file(path, store=store) == key
    assert [file.name for file in path.parent.iterdir()] == ["store.key"]


def test_a_missing_key_of_an_existing_store_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "hilum.db").touch()
    with pytest.raises(StoreUnsafe) as caught:
        key_from_file(tmp_path / "store.key", store=tmp_path / "hilum.db")
    assert caught.value.code == "store-key-missing"
    assert not (tmp_path / "store.key").exists()


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.key"
    key_from_file(path, store=tmp_path / "hilum.db")
    path.chmod(0o640)
    with pytest.raises(StoreUnsafe) as caught:
        key_from_file(path, store=tmp_path / "hilum.db")
    assert caught.value.code == "store-key-exposed"


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2", "3.9.99"])
def test_an_old_sqlite_is_refused(version: str) -> None:
    with pytest.raises(StoreUnsafe) as caught:
        check_version(version)
    assert caught.value.code == "store-sqlite-old"


def test_the_sqlite_in_use_is_new_enough() -> None:
    check_version()
    check_version("3.51.3")


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE t (a)")
    connection.close()
    with pytest.raises(StoreUnsafe) as caught:
        Store.open(path, key=None, schemas=[])
    assert caught.value.code == "store-foreign"


def test_tables_of_a_newer_hilum_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "hilum.db"
    Store.open(path, key=KEY, schemas=[Schema("things", 2, "CREATE TABLE thing (n)")]).close()
    with pytest.raises(StoreUnsafe) as caught:
        Store.open(path, key=KEY, schemas=[Schema("things", 1, "")])
    assert caught.value.code == "store-newer"


def test_tables_of_an_older_hilum_are_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "hilum.db"
    Store.open(path, key=KEY, schemas=[Schema("things", 1, "CREATE TABLE thing (n)")]).close()
    newer = Schema("things", 2, "ALTER TABLE thing ADD COLUMN m")
    with Store.open(path, key=KEY, schemas=[newer]) as store:
        store.write_now(lambda c: c.execute("INSERT INTO thing (n, m) VALUES (1, 2)").fetchall())
    Store.open(path, key=KEY, schemas=[newer]).close()


def test_a_failing_schema_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "hilum.db"
    broken = Schema("things", 1, "CREATE TABLE thing (n); CREATE TABLE thing (n)")
    with pytest.raises(Exception, match="already exists"):
        Store.open(path, key=KEY, schemas=[broken])
    Store.open(path, key=KEY, schemas=[Schema("things", 1, "CREATE TABLE thing (n)")]).close()


def test_a_store_that_was_emptied_is_not_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "hilum.db"
    Store.open(path, key=KEY, schemas=[]).close()
    assert not (tmp_path / "hilum.db.new").exists()
    path.write_bytes(b"")
    for _ in range(2):
        with pytest.raises(StoreUnsafe) as caught:
            Store.open(path, key=KEY, schemas=[])
        assert caught.value.code == "store-emptied"
    path.unlink()
    Store.open(path, key=KEY, schemas=[]).close()


def test_a_store_whose_making_was_cut_off_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hilum.db"
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "connect", lambda *_, **__: os._exit(9))
        if (child := os.fork()) == 0:
            Store.open(path, key=KEY, schemas=[])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert path.stat().st_size == 0
    Store.open(path, key=KEY, schemas=[]).close()
    assert not (tmp_path / "hilum.db.new").exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.EROFS, "store-read-only"), (errno.ENOSPC, "store-full"), (errno.EIO, "store-disk-failed")],
)
def test_a_folder_that_cannot_be_written_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(store_module, "ProcessLock", refuse)
    with pytest.raises(StoreError) as caught:
        Store.open(tmp_path / "hilum.db", key=KEY, schemas=[], exclusive=True)
    assert caught.value.code == code
