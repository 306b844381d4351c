"""Bodies as they lie in the file, and the keys of names."""

from __future__ import annotations

import random

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import StoreCorrupt
from hilum.repository.chunks import LARGE, PIECE, Chunks, Texts, compress, decompress, first_chunk
from hilum.repository.keys import id_in, pack_name


def stored(chunks: Chunks) -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE resource_body (piece INTEGER PRIMARY KEY, data BLOB NOT NULL)")
    connection.executemany("INSERT INTO resource_body VALUES (?, ?)", chunks.packed())
    return connection


@given(st.binary(max_size=3000))
def test_what_is_compressed_comes_back(text: bytes) -> None:
    assert decompress(compress(text)) == text


@given(st.lists(st.tuples(st.integers(1, 3), st.binary(min_size=1, max_size=2500)), min_size=1, max_size=12))
def test_texts_come_back_from_their_places(texts: list[tuple[int, bytes]]) -> None:
    chunks, reader = Chunks(), Texts()
    places = [(chunks.add(seq, seq * 10, text), seq, text) for seq, text in texts]
    connection = stored(chunks)
    for (number, place), seq, text in places:
        assert number == first_chunk(seq)
        assert reader.said(connection, number, place) == (seq * 10, text)
    assert all(len(data) <= PIECE for _, data in chunks.packed())


def test_a_large_text_gets_a_chunk_of_its_own() -> None:
    chunks, reader = Chunks(), Texts()
    scans = [bytes([65 + n]) * (LARGE + 1 + n) for n in range(20)]
    small = chunks.add(7, 0, b"small")
    places = [chunks.add(7, 0, scan) for scan in scans]
    connection = stored(chunks)
    assert small == (first_chunk(7), 0)
    assert len({number for number, _ in places}) > 10
    assert max(number for number, _ in places) < first_chunk(8)
    assert [reader.text(connection, *place) for place in places] == scans


def test_a_chunk_of_megabytes_is_read_whole() -> None:
    scan = random.Random(1).randbytes(3_000_000)
    chunks = Chunks()
    place = chunks.add(1, 0, scan)
    assert Texts().text(stored(chunks), *place) == scan


def test_a_damaged_or_missing_chunk_is_said() -> None:
    chunks = Chunks()
    number, place = chunks.add(1, 0, b"x" * 5000)
    connection = stored(chunks)
    connection.execute("UPDATE resource_body SET data = CAST(zeroblob(9) || substr(data, 10) AS BLOB)")
    for ask in ((number, place), (number, 99), (number + 5, 0)):
        with pytest.raises(StoreCorrupt) as caught:
            Texts().text(connection, *ask)
        assert caught.value.code == "body-unreadable"


IDS = st.one_of(st.from_regex(r"[a-z2-7]{20}", fullmatch=True), st.from_regex(r"[A-Za-z0-9\-.]{1,64}", fullmatch=True))
RECORDS = st.builds("{}/{}".format, st.sampled_from(["Patient", "Observation", "Encounter", "Kitten"]), IDS)


@given(RECORDS, RECORDS)
def test_two_names_have_one_key_only_when_they_are_the_same(one: str, other: str) -> None:
    assert (pack_name(one) == pack_name(other)) == (one == other)


def test_an_own_id_takes_fourteen_bytes() -> None:
    assert len(pack_name("Patient/abcdefghijklmnopq234")) == 14
    for id_ in ("abcdefghijklmnopq234", "77777777777777777777", "aaaaaaaaaaaaaaaaaaaa", "p1", "A-very.long-1"):
        assert id_in(pack_name(f"Patient/{id_}")) == id_
    assert pack_name("Patient/ABCDEFGHIJKLMNOPQ234") != pack_name("Patient/abcdefghijklmnopq234")
