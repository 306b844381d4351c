"""`hilum check`: every finding of an integration folder, at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from hilum.app.arguments import Folder, Json
from hilum.app.failure import finding_as_json, line_of
from hilum.app.sections import SECTIONS
from hilum.app.workbook_check import workbook_findings
from hilum.config import Tree, editor_schemas, examine
from hilum.model import Finding, Severity

__all__ = ["command"]


def command(
    folder: Folder = Path(),
    *,
    environment: Annotated[
        str | None, Parameter(help="Check with environments/NAME.yaml laid over the folder; else all are checked.")
    ] = None,
    schema: Annotated[Path | None, Parameter(help="Only write JSON Schemas for editors into this folder.")] = None,
    json: Json = False,
) -> int:
    """Say everything that is wrong with an integration folder.

    Every finding has file, line and column, a stable code, and what was probably meant. Nothing is run, no secret is
    read, and nothing is connected to. The exit status is 1 when there are errors; warnings alone are 0.
    """
    if schema is not None:
        return _write_schemas(schema, as_json=json)
    trees = _trees(folder, environment)
    findings = list(dict.fromkeys(f for tree in trees for f in tree.findings))
    findings += workbook_findings(trees[0]) if folder.is_dir() else []
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    if json:
        _print_json(trees, findings, errors)
    else:
        _print_lines(folder, trees, findings, errors)
    return 1 if errors else 0


def _trees(folder: Path, environment: str | None) -> list[Tree]:
    """The folder as asked for; without an environment the bare folder, then each of its environments."""
    if environment is not None:
        return [examine(folder, SECTIONS, environment)]
    bare = examine(folder, SECTIONS)
    return [bare, *(examine(folder, SECTIONS, name) for name in bare.environments)]


def _write_schemas(target: Path, *, as_json: bool) -> int:
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in editor_schemas(SECTIONS).items():
        (target / name).write_bytes(content)
        written.append(str(target / name))
    print(msgspec.json.encode({"files": written}).decode() if as_json else "\n".join(f"wrote {w}" for w in written))
    return 0


def _print_json(trees: list[Tree], findings: list[Finding], errors: int) -> None:
    answer = {
        "folder": str(trees[0].folder),
        "environments": [tree.environment for tree in trees if tree.environment],
        "ok": errors == 0,
        "errors": errors,
        "warnings": len(findings) - errors,
        "findings": [finding_as_json(finding) for finding in findings],
    }
    print(msgspec.json.encode(answer).decode())


def _print_lines(folder: Path, trees: list[Tree], findings: list[Finding], errors: int) -> None:
    for finding in findings:
        print(line_of(finding))
    warnings = len(findings) - errors
    if findings:
        print()
    print(f"{folder.resolve().name}: {_count(errors, 'error')}, {_count(warnings, 'warning')}")
    if not errors:
        print(f"  {_summary(trees[0])}")
        print(f"  next: hilum run {folder}")


def _summary(tree: Tree) -> str:
    parts = [f"{_count(len(tree.names(part)), part[:-1])}" for part in ("sources", "destinations")]
    parts.append(_count(len(tree.environments), "environment"))
    return ", ".join(parts)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
