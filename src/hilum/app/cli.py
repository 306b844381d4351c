"""`hilum`: finds the command, runs it, and turns what came of it into an exit status.

Only the module of the command that is used is imported; help and version of hilum itself need no command line library.

Exit status: 0 all is well, 1 there are findings or the command failed, 2 the command line cannot be understood,
70 hilum itself is at fault, 130 stopped by Ctrl-C, 141 nobody reads the output any more.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import hilum
from hilum.app.memory import collect_seldom

if TYPE_CHECKING:
    from cyclopts import App

__all__ = ["COMMANDS", "main"]

# In the order of the journey; one line each, as `hilum --help` shows it.
COMMANDS = {
    "init": "Start an integration folder from a template.",
    "check": "Say everything that is wrong with an integration folder, with file, line and column.",
    "run": "Run an integration: receive, keep, map, store, send.",
    "demo": "Watch a simulated hospital send to hilum, and the totals add up.",
    "messages": "List, show, search and replay the messages that were received.",
    "exceptions": "List, show and settle what waits for a person.",
    "deliveries": "List what is sent on, held and given up; send it again, or decide against it.",
    "explain": "Say which message, field and workbook row a stored value comes from.",
    "patients": "Show which records were merged; take a wrong merge back.",
    "load": "Load FHIR resources from files; go on after a kill; see what was held.",
    "token": "Create, list and revoke the tokens that open the API.",
    "app": "Register, list and remove the apps that use SMART on FHIR.",
    "user": "Add, list, lock and unlock the people who sign in when an app asks them.",
    "audit": "Say who did what, and who looked at the record of a patient.",
    "journal": "Verify that the journal is what was written.",
    "backup": "Copy the store while hilum runs.",
    "doctor": "Look for what would keep an integration from running here and now.",
    "hl7": "Show or check HL7 v2 files, without any folder.",
    "validate": "Say what is wrong with FHIR resources, and where.",
    "package": "Add, list and remove FHIR packages: profiles, value sets, search parameters.",
    "fhirpath": "Show what a FHIRPath expression gives on a FHIR resource.",
    "view": "Make tables (CSV, Parquet, DuckDB) of FHIR resources.",
    "map": "Show the FHIR resources that HL7 v2 files turn into, without any folder.",
    "workbook": "Check, review, sign, export, import and upgrade the mapping tables.",
}

FINDINGS, USAGE, INTERNAL, INTERRUPTED, BROKEN_PIPE = 1, 2, 70, 130, 141
_DOCS = "https://github.com/hilum/hilum/blob/main/docs"


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit status."""
    arguments = list(sys.argv[1:] if tokens is None else tokens)
    if tokens is None:
        collect_seldom()
    try:
        status = _dispatch(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes again at exit: give it somewhere to write to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    return status


def _dispatch(arguments: list[str]) -> int:
    first = arguments[0] if arguments else "--help"
    if first in ("--help", "-h") or arguments == ["help"]:
        print(_overview())
        return 0
    if first in ("--version", "-V"):
        print(f"hilum {hilum.__version__}")
        return 0
    if first == "help":
        return _dispatch([*arguments[1:], "--help"])
    if first not in COMMANDS:
        return _unknown(first)
    return _run(first, arguments)


def _overview() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        (
            "hilum connects an EHR to other software and proves that the connection is safe to launch.",
            "",
            "Usage: hilum COMMAND ...",
            "",
            *lines,
            "",
            "New here? `hilum demo` shows everything at work; `hilum init my-integration` starts your own.",
            "`hilum COMMAND --help` explains a command. Commands take --json where a program reads the answer.",
            f"Documentation: {_DOCS}",
        )
    )


def _unknown(word: str) -> int:
    from difflib import get_close_matches

    close = get_close_matches(word, COMMANDS, n=1)
    hint = f"did you mean `hilum {close[0]}`?" if close else "`hilum --help` lists the commands"
    kind = "option" if word.startswith("-") else "command"
    print(f"hilum: there is no {kind} `{word}` ({hint})", file=sys.stderr)
    return USAGE


def _run(name: str, arguments: list[str]) -> int:
    from cyclopts import CycloptsError

    from hilum.app.failure import is_about_a_file, report_bug, report_error, report_file, report_order, report_usage
    from hilum.errors import HilumError

    as_json = "--json" in arguments
    try:
        result = _app(name)(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        report_usage(error, name)
        report_order(arguments)
        return USAGE
    except HilumError as error:
        report_error(error, as_json=as_json, docs=_DOCS)
        report_order(arguments)
        return FINDINGS
    except (KeyboardInterrupt, BrokenPipeError):
        raise
    except OSError as error:
        if not is_about_a_file(error):
            report_bug(error)
            return INTERNAL
        report_file(error)
        return FINDINGS
    except Exception as error:  # noqa: BLE001 - the last line of defence: a traceback may show a patient
        report_bug(error)
        return INTERNAL
    return result if isinstance(result, int) else 0


def _app(name: str) -> App:
    """hilum with this one command; its module offers `app` (with sub-commands) or `command` (a function)."""
    from importlib import import_module

    from cyclopts import App, Parameter

    module = import_module(f"hilum.app.commands.{name}")
    shown = Parameter(show_default=_default)
    root = App(name="hilum", version=hilum.__version__, help_format="markdown", default_parameter=shown)
    command: Any = getattr(module, "app", None) or module.command
    root.command(command, name=name)
    return root


def _default(value: Any) -> str | None:
    """What help says of a default: nothing where the default is that nothing was said."""
    return None if value is None or value is False or value == "" else str(value)


if __name__ == "__main__":
    sys.exit(main())
