"""Tables as they leave: lines made of versions, appended once, a header for each set of columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from msgspec import Raw, structs

from hilum import mapping
from hilum.app.api.writing import changed_by
from hilum.app.api_writing import route_of
from hilum.delivery import FilesDestination, FileWriter
from hilum.engine import TableMaker
from hilum.engine.sender import render
from hilum.errors import DeliveryError
from hilum.journal import MemoryJournal
from hilum.model import Outgoing
from hilum.repository import Aftermath, Change, MemoryRepository, Verb, Written
from hilum.translator import Format, Rule

pytestmark = pytest.mark.anyio

ROWS = """row_id,applies,anchor,source,when,target,transform,map,missing,unmapped,owner
line,fhir:Patient,Patient,,active = "true",worklist[],,,,,ann
id,fhir:Patient,Patient,id,,worklist[ID],text,,reject,,ann
sex,fhir:Patient,Patient,gender,,worklist[Sex],code,Sex,,reject,ann
by,fhir:Patient,Patient,managingOrganization.resolve().name,,worklist[By],text,,,,ann
"""
TABLES = [("rows.csv", ROWS), ("maps.csv", "map,code,target\nSex,female,w\n")]
OUTGOING = Outgoing("sheet", "", "k", b"")
CLINIC = Change(Verb.CREATE, "Organization", "o1", {"name": Raw(b'"Clinic, North"')})


def maker(rows: str = ROWS) -> TableMaker:
    book = mapping.read_workbook([("rows.csv", rows), *TABLES[1:]])
    return TableMaker(mapping.compile_table(book, "csv:worklist"))


def patient(id_: str, gender: str, active: str = "true") -> Change:
    fields = {"gender": f'"{gender}"', "active": active, "managingOrganization": '{"reference":"Organization/o1"}'}
    return Change(Verb.CREATE, "Patient", id_, {name: Raw(value.encode()) for name, value in fields.items()})


async def payloads(table: TableMaker, *changes: Change) -> list[tuple[str, bytes]]:
    """(idempotency key, record) of the deliveries that follow from one write."""
    repository = MemoryRepository()
    route = route_of([Rule("sheet", Format.MADE, "", frozenset(), True)])

    def then(done: list[Written]) -> Aftermath:
        return Aftermath(outgoing=route(changed_by(done)))

    await repository.write(changes, then=cast(Any, then))
    sent = [render(one, repository, MemoryJournal(), table) for one in repository.deliveries("sheet")]
    return [(one.idempotency_key, one.payload) for one in sent if one is not None]


async def test_what_a_message_changed_becomes_lines_with_what_they_refer_to() -> None:
    found = await payloads(maker(), CLINIC, patient("p1", "female"))
    assert [body for _, body in found] == [b'ID,Sex,By\r\np1,w,"Clinic, North"\r\n']


async def test_a_resource_whose_line_has_a_condition_that_does_not_hold_sends_nothing() -> None:
    assert await payloads(maker(), patient("p1", "female", "false")) == []


async def test_a_line_that_its_rows_hold_is_held_and_not_sent() -> None:
    with pytest.raises(DeliveryError) as error:
        await payloads(maker(), patient("p1", "male"))
    assert (error.value.code, error.value.outcome.value) == ("code-unmapped", "hold")


async def test_lines_are_appended_once_and_new_columns_begin_a_new_file(tmp_path: Path) -> None:
    fewer = maker("\n".join(ROWS.splitlines()[:-1]) + "\n")
    first = await payloads(maker(), CLINIC, patient("p1", "female"))
    second = await payloads(fewer, CLINIC, patient("p2", "female"))
    config = FilesDestination(folder=tmp_path, layout="csv", send="csv:worklist")
    for _ in range(2):  # the second time after a restart
        writer = FileWriter("sheet", config)
        await writer.open()
        for number, (_, body) in enumerate([*first, *first, *second]):
            due = structs.replace(OUTGOING, idempotency_key=f"k{number}", payload=body)
            await writer.send(due)
        await writer.close()
    texts = {one.name[20:]: one.read_bytes() for one in sorted(tmp_path.glob("worklist-*"))}
    line = b'p1,w,"Clinic, North"\r\n'
    assert texts == {"csv": b"ID,Sex,By\r\n" + 2 * line, "2.csv": b"ID,Sex\r\np2,w\r\n"}
