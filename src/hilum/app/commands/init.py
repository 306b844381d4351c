"""`hilum init`: an integration folder from a template."""

from __future__ import annotations

import re
import sys
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Annotated

import msgspec
from cyclopts import Parameter

from hilum.app.sections import SECTIONS
from hilum.config import editor_schemas
from hilum.errors import ConfigError

__all__ = ["command", "templates"]

_IGNORE = ".gitignore"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")


def command(
    folder: Annotated[Path, Parameter(help="Where to write; made when it is not there.")] = Path(),
    *,
    template: Annotated[str, Parameter(help="minimal, adt-and-labs, files-to-webhook or records.")] = "minimal",
    json: Annotated[bool, Parameter(help="Print what was written as JSON.", negative="")] = False,
) -> int:
    """Start an integration folder from a template.

    Writes a few commented files that `hilum check` finds nothing wrong with, and never touches a file that is there.
    """
    target = folder.resolve()
    contents = _contents(template, target.name)
    if has_own_ignore := (target / _IGNORE).exists():
        del contents[_IGNORE]
    _refuse_to_overwrite(target, contents)
    for name, content in contents.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:  # x: a file that appeared meanwhile is not overwritten either
            file.write(content)
    names = sorted([*contents, *_pin(target)])
    if json:
        answer = {"folder": str(folder), "template": template, "files": names}
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    else:
        _say_next_steps(folder, names)
        if has_own_ignore:
            print(f"  Your {_IGNORE} was left as it is; make sure that it names .hilum/ and secrets/")
    return 0


def _pin(target: Path) -> list[str]:
    """Tables of a template are written against the base that is shipped with it: say so, as `upgrade` would."""
    if not (target / "workbook").is_dir():
        return []
    from hilum.app.reviewing import review_folder, written  # only templates with tables need it
    from hilum.workbook import LOCK, lock_text, pin_of

    opened = review_folder(target)
    return written(opened, {LOCK: lock_text(pin_of(opened.review))}, target)


def templates() -> list[str]:
    """Names of the templates that ship with hilum."""
    return sorted(entry.name for entry in _root().iterdir() if entry.is_dir() and entry.name[0].isalpha())


def _root() -> Traversable:
    return files("hilum.app") / "templates"


def _contents(template: str, folder_name: str) -> dict[str, bytes]:
    if template not in templates():
        message = f"there is no template `{template}`; there are: {', '.join(templates())}"
        raise ConfigError(message, code="template-unknown")
    use = _NOT_IN_NAMES.sub("-", folder_name).strip("-_")[:64] or "my-integration"
    written = dict(_read(_root() / template, PurePosixPath()))
    contents = {name: text.replace("{{use}}", use).encode() for name, text in written.items()}
    for name, schema in editor_schemas(SECTIONS).items():
        contents[f".schema/{name}"] = schema
    contents[_IGNORE] = b"# the store, its key and its log of messages: never in git\n.hilum/\nsecrets/\n"
    return contents


def _read(entry: Traversable, at: PurePosixPath) -> list[tuple[str, str]]:
    found = []
    for child in sorted(entry.iterdir(), key=lambda child: child.name):
        if child.is_dir():
            found += _read(child, at / child.name)
        elif child.name.endswith((".yaml", ".csv", ".md", ".ndjson")):
            found.append((str(at / child.name), child.read_text(encoding="utf-8")))
    return found


def _refuse_to_overwrite(target: Path, contents: dict[str, bytes]) -> None:
    if target.exists() and not target.is_dir():
        raise ConfigError(f"{target.name} is a file; give a folder", code="template-would-overwrite")
    there = [name for name in contents if (target / name).exists()]
    if there:
        message = f"{', '.join(sorted(there))} would be overwritten; nothing was written. Choose an empty folder"
        raise ConfigError(message, code="template-would-overwrite")


def _say_next_steps(folder: Path, names: list[str]) -> None:
    for name in names:
        print(f"  wrote {folder / name}")
    here = "" if folder == Path() else f" {folder}"
    print()
    print("Next:")
    print(f"  1. read {folder / 'integration.yaml'} and say what this integration is for")
    print(f"  2. hilum check{here}     says what is wrong, with file, line and column")
    print(f"  3. hilum run{here}       receives, keeps, maps, stores")
