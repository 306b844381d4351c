"""`hilum workbook import-concept-maps`: the code maps that terminology people keep as FHIR ConceptMaps."""

from __future__ import annotations

import json as jsons
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hilum.app.arguments import Json, Yes, files_and_folder
from hilum.app.importing import take
from hilum.app.reviewing import review_folder
from hilum.definitions import r4
from hilum.errors import ConfigError
from hilum.model import Finding, Severity
from hilum.validation import Validator
from hilum.workbook import ConceptMapFile, plan_import, refuse_other_base, with_concept_maps

__all__ = ["command"]

USAGE = 2
LARGEST = 64 * 1024 * 1024  # bytes of one ConceptMap


def command(
    *files: Annotated[
        Path, Parameter(help="Files with a ConceptMap of FHIR R4 each; the integration folder comes last.")
    ],
    name: Annotated[str, Parameter(name="--map", help="The map they belong to; else the name in the file.")] = "",
    sender: Annotated[
        str, Parameter(help="Whose codes they are, as APP|FACILITY; else what the file says, or all.")
    ] = "",
    owner: Annotated[
        str, Parameter(help="Who answers for new lines; else the owner of all other lines of the map.")
    ] = "",
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Show what FHIR ConceptMaps would change in the code maps of a folder, and write it once you agree.

    Every element becomes one line: its code, and the target that it names. Lines that the files do not speak of stay.
    Lines that were approved and changed are drafts again. What a line cannot say (several targets, `dependsOn`, what
    becomes of all other codes) is a finding at its place. Nothing is written without --yes or your answer, nor while
    there are errors. The exit status is 1 when there are.
    """
    paths, folder = files_and_folder(files)
    if not paths:
        print("hilum: name at least one file with a ConceptMap, and the folder last", file=sys.stderr)
        return USAGE
    opened = review_folder(folder)
    refuse_other_base(opened.review, opened.pin)
    validator = Validator(r4())
    read = [_read(path, validator) for path in paths]
    sheets = with_concept_maps(opened.review, opened.use, read, name=name, sender=sender, owner=owner)
    return take(opened, plan_import(opened.review, opened.approvals, sheets), folder, yes=yes, as_json=json)


def _read(path: Path, validator: Validator) -> ConceptMapFile:
    """A ConceptMap that is valid R4. Raises ConfigError `concept-map-invalid` with what is wrong, OSError."""
    if path.stat().st_size > LARGEST:
        raise ConfigError(f"{path.name} has more than {LARGEST} bytes", code="concept-map-invalid")
    raw = path.read_bytes()
    report = validator.report(raw)
    wrong = [
        Finding(one.code, one.message, f"{path.name}: {one.location}", one.severity, one.hint)
        for one in report.findings
        if one.severity is Severity.ERROR
    ]
    if wrong:
        raise ConfigError(f"{path.name} is no valid FHIR R4", code="concept-map-invalid", findings=wrong)
    body = jsons.loads(raw)
    if body["resourceType"] != "ConceptMap":
        raise ConfigError(f"{path.name} is a {body['resourceType']}, no ConceptMap", code="concept-map-invalid")
    return ConceptMapFile(path.name, body)
