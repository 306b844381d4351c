"""`hilum workbook`: the mapping tables as people review them. Each sub-command lives in a module of its own."""

from __future__ import annotations

from cyclopts import App

__all__ = ["COMMANDS", "app"]

app = App(name="workbook", help="Check, review, sign, export, import and upgrade the mapping tables.")

# Name of the sub-command -> module in this package that offers `command`; imported only when it is used.
COMMANDS = {
    "check": "workbook_check",
    "status": "workbook_status",
    "export": "workbook_export",
    "import": "workbook_import",
    "sign": "workbook_sign",
    "upgrade": "workbook_upgrade",
    "test": "workbook_test",
    "diff": "workbook_diff",
}

for _name, _module in COMMANDS.items():
    app.command(f"hilum.app.commands.{_module}:command", name=_name)
