"""The commands and options of hilum, read from the program; run this file to renew docs/cli.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from inspect import Parameter
from pathlib import Path

from cyclopts import App
from msgspec import Struct

from hilum.app.cli import COMMANDS, _app

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
BEGIN, END = "<!-- commands: begin -->\n", "<!-- commands: end -->"


class Option(Struct, frozen=True):
    """One argument or option as help shows it."""

    name: str  # "FOLDER" or "--role"
    meaning: str
    default: str


class Command(Struct, frozen=True):
    """One command that can be called."""

    name: str  # "messages list"
    summary: str
    options: tuple[Option, ...]


def commands() -> Iterator[Command]:
    """Every command with its sub-commands, in the order of `hilum --help`."""
    for name in COMMANDS:
        app = _app(name)[name]
        inner = [sub for sub in app if not sub.startswith("-")]
        for sub in inner:
            yield _command(f"{name} {sub}", app[sub])
        if not inner:
            yield _command(name, app)


def _command(name: str, app: App) -> Command:
    options = []
    for argument in app.assemble_argument_collection():
        is_positional = argument.index is not None
        first = argument.names[0]
        shown = first.lstrip("-").upper() if is_positional else first
        choices = argument.get_choices()
        meaning = argument.parameter.help + (f" One of {', '.join(choices)}." if choices else "")
        default = argument.field_info.default
        default = default.value if isinstance(default, Enum) else default
        is_said = argument.show and not argument.required and default not in (None, False, "", Parameter.empty)
        options.append(Option(shown, meaning, "needed" if argument.required else str(default) if is_said else ""))
    return Command(name, app.help.strip().split("\n\n")[0].replace("\n", " "), tuple(options))


def reference() -> str:
    return "\n\n".join(_section(command) for command in commands())


def _section(command: Command) -> str:
    words = [option.name for option in command.options if not option.name.startswith("-")]
    lines = [f"### hilum {command.name}", "", command.summary, ""]
    lines += ["`" + " ".join(["hilum", command.name, *words]) + "`", "", "| | meaning | default |", "|---|---|---|"]
    return "\n".join([*lines, *map(_line, command.options)])


def _line(option: Option) -> str:
    default = f"`{option.default}`" if option.default not in ("", "needed") else option.default
    meaning = option.meaning.replace("|", "\\|")
    return f"| `{option.name}` | {meaning} | {default} |"


def updated(page: str) -> str:
    """The page with its reference written anew."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"the page needs the lines {BEGIN.strip()} and {END}")
    return f"{before}{begin}\n{reference()}\n\n{end}{after}"


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
