"""The workbook as people work on it: review, spreadsheets, checks, signatures, upgrades; tests, coverage, differences.

`open_review` reads the tables of a folder; messages and files are handed over by those who have them. Nothing here
writes but `write_files`, `write_texts` and `write_whole`. `export_xlsx` and `read_xlsx` load openpyxl when they are
first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hilum.workbook.approving import Approving, plan_approval, refuse_other_base
from hilum.workbook.changes import CellChange, Change
from hilum.workbook.checking import Checked, check
from hilum.workbook.comparing import Discrepancy
from hilum.workbook.comparison import Comparison
from hilum.workbook.coverage import Coverage, CoverageTally
from hilum.workbook.coverage_report import CoverageReport, coverage_report
from hilum.workbook.difference_report import DifferenceReport, difference_report, text_of
from hilum.workbook.documents import Document, parse_document
from hilum.workbook.html_report import html_of
from hilum.workbook.junit import to_junit
from hilum.workbook.pinning import LOCK, Pin, base_hash, lock_after, lock_text, pin_of, read_pin
from hilum.workbook.sheets import FOLDER, SIGNED_TABLES, TABLES, Entry, Review, content_hash, open_review, review_of
from hilum.workbook.signing import (
    Approval,
    Approvals,
    PersonKey,
    Standing,
    State,
    person_key,
    read_approvals,
    standings,
)
from hilum.workbook.tally import Tally
from hilum.workbook.teaching import Candidate, MissingCode, candidates, missing_code, targets_of, taught
from hilum.workbook.testing import TestRun
from hilum.workbook.upgrading import BaseChange, Upgrade, plan_upgrade
from hilum.workbook.v2_tables import V2Tables, read_v2_tables
from hilum.workbook.verdicts import Check, TestReport, Verdict
from hilum.workbook.waiting import OwnerStatus, owner_statuses, unapproved, unset_params
from hilum.workbook.writing import write_files, write_texts, write_whole

if TYPE_CHECKING:
    from hilum.workbook.concept_maps import ConceptMapFile, concept_maps_of, text_of_concept_map, with_concept_maps
    from hilum.workbook.export import export_xlsx
    from hilum.workbook.exported import mark_of
    from hilum.workbook.importing import Import, plan_import
    from hilum.workbook.spreadsheet import Sheets, read_xlsx, read_xlsx_file

__all__ = [
    "FOLDER",
    "LOCK",
    "SIGNED_TABLES",
    "TABLES",
    "Approval",
    "Approvals",
    "Approving",
    "BaseChange",
    "Candidate",
    "CellChange",
    "Change",
    "Check",
    "Checked",
    "Comparison",
    "ConceptMapFile",
    "Coverage",
    "CoverageReport",
    "CoverageTally",
    "DifferenceReport",
    "Discrepancy",
    "Document",
    "Entry",
    "Import",
    "MissingCode",
    "OwnerStatus",
    "PersonKey",
    "Pin",
    "Review",
    "Sheets",
    "Standing",
    "State",
    "Tally",
    "TestReport",
    "TestRun",
    "Upgrade",
    "V2Tables",
    "Verdict",
    "base_hash",
    "candidates",
    "check",
    "concept_maps_of",
    "content_hash",
    "coverage_report",
    "difference_report",
    "export_xlsx",
    "html_of",
    "lock_after",
    "lock_text",
    "mark_of",
    "missing_code",
    "open_review",
    "owner_statuses",
    "parse_document",
    "person_key",
    "pin_of",
    "plan_approval",
    "plan_import",
    "plan_upgrade",
    "read_approvals",
    "read_pin",
    "read_v2_tables",
    "read_xlsx",
    "read_xlsx_file",
    "refuse_other_base",
    "review_of",
    "standings",
    "targets_of",
    "taught",
    "text_of",
    "text_of_concept_map",
    "to_junit",
    "unapproved",
    "unset_params",
    "with_concept_maps",
    "write_files",
    "write_texts",
    "write_whole",
]

# Names whose modules load openpyxl, which takes longer than most commands.
_LAZY = {
    "ConceptMapFile": "concept_maps",
    "concept_maps_of": "concept_maps",
    "text_of_concept_map": "concept_maps",
    "with_concept_maps": "concept_maps",
    "export_xlsx": "export",
    "Import": "importing",
    "mark_of": "exported",
    "plan_import": "importing",
    "Sheets": "spreadsheet",
    "read_xlsx": "spreadsheet",
    "read_xlsx_file": "spreadsheet",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
