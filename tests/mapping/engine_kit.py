"""A small workbook and messages for the tests of the engine: none of the shipped rows, nothing from outside."""

from __future__ import annotations

import json
from typing import Any

from hilum import mapping
from hilum.formats import hl7v2

HEADER = "row_id,applies,anchor,source,type,when,target,transform,map,missing,unmapped,repeats,owner,approver,phi"
PATIENT = "pat-key,ADT^A01|A08|A40 ORU^R01,PID,PID-3[1],CX,,Patient.id,key,,reject,,,reg,,"
PARAMS = "param,value,inspection\nzone,Europe/Berlin,\nunknown_namespace,hold,\ndefault_authority,MSH-4,\n"
NAMESPACES = "sender,authority,system\n,HOSP,urn:oid:1.2.3\n,FAC,urn:oid:1.2.4\nOTHER|*,HOSP,urn:oid:9.9\n"
MAPS = (
    "map,sender,code,target,system,display\nSex,,F,female,,\nSex,,M,male,,\nSex,APP|FAC,X,other,,\n"
    "Class,,I,IMP,http://act,inpatient\nStatus,,F,final,,\nStatus,,N,,,\nUnits,,mg/dL,mg/dL,http://unitsofmeasure.org,\n"
)
IGNORES = "field,reason\nMSH-*,the envelope\nPID-1,a counter\n"
SYSTEMS = "name,system\nLN,http://loinc.org\nUCUM,http://unitsofmeasure.org\n"


def book(*rows: str, patient: bool = True, **tables: str) -> mapping.Workbook:
    """A workbook of these rows; `params=`, `namespaces=`, `maps=`, `ignores=` replace a table."""
    lines = [HEADER, *([PATIENT] if patient else []), *rows]
    files = {
        "params": PARAMS,
        "namespaces": NAMESPACES,
        "maps": MAPS,
        "codesystems": SYSTEMS,
        "ignores": IGNORES,
        **tables,
    }
    return mapping.read_workbook(
        [("rows.csv", "\n".join(lines)), *((f"{name}.csv", text) for name, text in files.items())]
    )


def plan(*rows: str, **tables: Any) -> mapping.Plan:
    return mapping.compile_workbook(book(*rows, **tables))


def message(*segments: str, kind: str = "ADT^A01", sender: str = "APP|FAC", msh: str = "") -> hl7v2.Hl7Message:
    app, facility = sender.split("|")
    head = msh or f"MSH|^~\\&|{app}|{facility}|X|Y|20240102030405+0100||{kind}|C1|P|2.5.1"
    return hl7v2.parse("\r".join([head, *segments]).encode())


def context(record: hl7v2.Hl7Message) -> mapping.Context:
    return mapping.Context("mllp", record.sender, 1_700_000_000_000_000)


def run(compiled: mapping.Plan, *segments: str, **options: str) -> mapping.Mapped:
    record = message(*segments, **options)
    first = compiled.run(record, context(record))
    again = compiled.run(record, context(record))
    assert mapping.render(first) == mapping.render(again), "the same message made other bytes"
    assert first == again
    assert first.accounting.adds_up
    return first


def resources(mapped: mapping.Mapped) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for body in mapping.render(mapped):
        value = json.loads(body)
        found.setdefault(value["resourceType"], []).append(value)
    return found


def one(mapped: mapping.Mapped, type_: str = "Patient") -> dict[str, Any]:
    (only,) = resources(mapped)[type_]
    return only


PID = "PID|1||7^^^HOSP^MR"


def patient(row: str, pid: str, **tables: Any) -> dict[str, Any]:
    """The Patient that one row makes of one PID."""
    return one(run(plan(row, **tables), pid))


def codes(mapped: mapping.Mapped) -> list[str]:
    return [item.code for item in mapped.exceptions]
