"""`hilum workbook`: the mapping tables as people review them. Each sub-command lives in a module of its own."""

from __future__ import annotations

from cyclopts import App

__all__ = ["COMMANDS", "app"]

app = App(name="workbook", help="Check, review, sign, export, import and upgrade the mapping tables.")

# Name of the sub-command -> module in this package that offers `command` (imported only when it is used), and its help.
COMMANDS = {
    "check": ("workbook_check", "Say what is wrong with the mapping tables, with file, row and column."),
    "status": ("workbook_status", "Say for each owner what is approved and what waits."),
    "export": ("workbook_export", "Write the tables as one spreadsheet for people."),
    "import": ("workbook_import", "Show what was changed in a spreadsheet, and write it into the tables."),
    "sign": ("workbook_sign", "Approve lines as their owner; a changed line is a draft again."),
    "upgrade": ("workbook_upgrade", "Show what a new base changes, and take it."),
    "test": ("workbook_test", "Run rows on their samples, and whole messages."),
    "coverage": ("workbook_coverage", "Say which fields and codes of messages the tables cover."),
    "diff": ("workbook_diff", "Show what a changed workbook would make of the messages at hand."),
    "export-concept-maps": ("workbook_export_concept_maps", "Write the code maps as FHIR ConceptMaps."),
    "import-concept-maps": ("workbook_import_concept_maps", "Take lines of code maps from FHIR ConceptMaps."),
    "import-v2-tables": ("workbook_import_v2", "Turn HL7's own V2 to FHIR tables into draft rows."),
    "reload": ("workbook_reload", "Let a running hilum take the workbook as it is now."),
}

for _name, (_module, _help) in COMMANDS.items():
    app.command(f"hilum.app.commands.{_module}:command", name=_name, help=_help)
