"""The files of an integration folder: which are there, which are read, which look misspelt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from hilum.config.composer import read_document
from hilum.config.document import Mark, Node
from hilum.config.suggest import nearest
from hilum.model import Finding, Severity

__all__ = ["MAX_BYTES", "Files", "read_file", "read_folder"]

MAX_BYTES = 1024 * 1024  # far above what people write by hand
MAX_FILES = 1000
_CLOSE = 0.85  # how alike a stranger at the top must be to be taken for a misspelt part
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

# Parts of the folder that other commands read, or that people keep for each other.
_OTHER_PARTS = ("workbook", "decisions", "waivers", "uat", "runbook", "signoffs", "tests", "docs")
# Parts of a folder that this version does not act on: to say nothing of them would look like consent.
_NOT_ACTED_ON = (
    "access.yaml",
    "guardrails",
    "identity.yaml",
    "people.yaml",
    "scenarios",
    "stages.yaml",
    "vendor",
)


class Files(Struct):
    """Readable files by path inside the folder (`sources/lab.yaml`), and what is wrong with the others."""

    nodes: dict[str, Node]
    present: list[str]
    findings: list[Finding]


def read_folder(folder: Path, patterns: Sequence[str]) -> Files:
    """Read every file that a pattern names. Never raises for what stands in the folder."""
    files = Files({}, [], [])
    if not folder.is_dir():
        files.findings.append(Finding("folder-missing", "there is no such folder", folder.name or str(folder)))
        return files
    for pattern in patterns:
        for name in _matching(folder, pattern, files.findings):
            files.present.append(name)
            node, findings = read_file(folder, name)
            files.findings.extend(findings)
            if node is not None:
                files.nodes[name] = node
    files.findings.extend(_strangers(folder, patterns))
    return files


def read_file(folder: Path, name: str) -> tuple[Node | None, list[Finding]]:
    """One file inside the folder."""
    path, mark = folder / name, Mark(name)
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            message = "this link leads out of the folder"
            return None, [Finding("path-outside-folder", message, str(mark), hint="put the file itself here")]
        if not path.is_file():
            return None, [Finding("file-unreadable", "this is not a file", str(mark))]
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        reason = getattr(error, "strerror", None) or "the links go in a circle"
        return None, [Finding("file-unreadable", f"cannot be read: {reason}", str(mark))]
    if len(raw) > MAX_BYTES:
        return None, [Finding("file-too-large", f"more than {MAX_BYTES} bytes", str(mark))]
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        column = error.start - before.rfind(b"\n")
        mark = Mark(name, before.count(b"\n") + 1, column)
        hint = "save the file as UTF-8"
        return None, [Finding("yaml-not-utf8", "this byte is not UTF-8 text", str(mark), hint=hint)]
    document = read_document(text, name)
    return document.root, document.findings


def _matching(folder: Path, pattern: str, findings: list[Finding]) -> list[str]:
    part, _, rest = pattern.rpartition("/")
    if "*" not in rest:
        return [pattern] if (folder / pattern).exists() or (folder / pattern).is_symlink() else []
    names = []
    for path in _entries(folder / part, findings):
        name = f"{part}/{path.name}"
        if path.name.startswith("."):
            continue
        if path.suffix != ".yaml":
            if path.suffix.casefold() in (".yml", ".yaml", ".json"):
                message = "this file is not read; only files that end in .yaml are"
                findings.append(Finding("file-ignored", message, name, hint=f"rename it to {path.stem}.yaml"))
            continue
        if not _NAME.fullmatch(path.stem):
            message = "the name of this file cannot be used as a name"
            findings.append(Finding("name-invalid", message, name, hint="letters, digits, - and _, up to 64"))
            continue
        names.append(name)
    if len(names) > MAX_FILES:
        findings.append(Finding("folder-too-large", f"more than {MAX_FILES} files", part))
        return []
    return names


def _entries(folder: Path, findings: list[Finding]) -> list[Path]:
    """What stands in a folder, sorted; nothing when there is no such folder."""
    try:
        return sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        message = f"this folder cannot be read: {error.strerror}"
        findings.append(Finding("file-unreadable", message, folder.name))
        return []


def _strangers(folder: Path, patterns: Sequence[str]) -> list[Finding]:
    """Files and folders at the top that look like misspelt parts, or parts that nothing acts on yet."""
    parts = [pattern.partition("/")[0] for pattern in patterns]
    findings: list[Finding] = []
    for path in _entries(folder, findings):
        name = path.name
        if name.startswith(".") or name in parts or name in _OTHER_PARTS:
            continue
        if name in _NOT_ACTED_ON:
            message = f"this version of hilum does not act on {name}"
            findings.append(Finding("part-not-read", message, name, severity=Severity.WARNING))
        elif meant := _meant(path, (*parts, "workbook")):
            message, hint = f"{name} is not read", f"did you mean `{meant}`?"
            findings.append(Finding("file-ignored", message, name, Severity.WARNING, hint))
    return findings


def _meant(path: Path, parts: Sequence[str]) -> str | None:
    is_yaml = path.suffix.casefold() in (".yaml", ".yml")
    if not is_yaml and not path.is_dir():
        return None
    options = [part for part in parts if part.endswith(".yaml") == is_yaml]
    return nearest(path.stem + ".yaml" if is_yaml else path.name, options, _CLOSE)
