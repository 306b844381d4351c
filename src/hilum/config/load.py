"""The integration folder -> a typed tree, or every finding at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from hilum.config.document import Node, locate, place_of, plain
from hilum.config.environment import overlay
from hilum.config.folder import read_folder
from hilum.config.literals import literal_secrets
from hilum.config.schema import group, shape_of
from hilum.config.secrets import Secret
from hilum.config.section import Section, tag_of
from hilum.config.suggest import did_you_mean
from hilum.config.tree import Tree
from hilum.config.words import findings_of, shorten
from hilum.errors import ConfigError
from hilum.model import Finding

__all__ = ["examine", "load"]

_ENVIRONMENTS = "environments/*.yaml"
MAIN = "integration.yaml"


def load(folder: Path, sections: Sequence[Section], environment: str | None = None) -> Tree:
    """Read the folder. Raises ConfigError with every finding when one of them is an error; warnings are in the tree."""
    tree = examine(folder, sections, environment)
    if errors := tree.errors:
        count = f"{len(errors)} errors" if len(errors) > 1 else "1 error"
        raise ConfigError(f"{count} in the integration folder", tree.findings)
    return tree


def examine(folder: Path, sections: Sequence[Section], environment: str | None = None) -> Tree:
    """Read the folder as far as it can be read. Never raises for what stands in it: see `Tree.findings`."""
    groups = group(sections)
    files = read_folder(folder, [*groups, _ENVIRONMENTS])
    findings = list(files.findings)
    environments = {n: node for n, node in files.nodes.items() if n.startswith("environments/")}
    nodes = {name: node for name, node in files.nodes.items() if name not in environments}
    if environment is not None:
        nodes, more = _in_environment(nodes, environment, environments, files.present, groups)
        findings += more
    findings += _needed(files.present, groups, folder)
    values: dict[str, Any] = {}
    for name, node in nodes.items():
        value, more = _read_value(node, _structs_for(name, groups), folder)
        findings += more
        if value is not None:
            values[name] = value
    there = tuple(name.removeprefix("environments/").removesuffix(".yaml") for name in sorted(environments))
    tree = Tree(folder, environment, nodes, values, present=files.present)
    for section in sections:
        if section.is_many or section.pattern in values:
            findings += [found for check in section.checks for found in check(tree)]
    said = tuple(sorted(set(findings), key=_order))
    return Tree(folder, environment, nodes, values, said, there, files.present)


def _part(name: str) -> str:
    return name.partition("/")[0]


def _structs_for(name: str, groups: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
    return groups.get(name) or groups.get(f"{_part(name)}/*.yaml", ())


def _in_environment(
    nodes: dict[str, Node],
    environment: str,
    environments: dict[str, Node],
    present: list[str],
    groups: Mapping[str, Sequence[Any]],
) -> tuple[dict[str, Node], list[Finding]]:
    name = f"environments/{environment}.yaml"
    if name in environments:
        return overlay(nodes, environments[name], groups)
    if name in present:
        return nodes, []  # unreadable, and said so
    names = [n.removeprefix("environments/").removesuffix(".yaml") for n in present if n.startswith("environments/")]
    message = f"there is no {name}"
    return nodes, [Finding("environment-unknown", message, hint=did_you_mean(environment, names))]


def _needed(present: list[str], groups: Mapping[str, Sequence[Any]], folder: Path) -> list[Finding]:
    """The smallest folder has integration.yaml and one source."""
    findings: list[Finding] = []
    if not folder.is_dir():
        return findings
    if MAIN in groups and MAIN not in present:
        hint = "`hilum init` writes one"
        findings.append(Finding("file-missing", f"a folder needs {MAIN}", MAIN, hint=hint))
    if "sources/*.yaml" in groups and not any(name.startswith("sources/") for name in present):
        message = "a folder needs at least one source"
        findings.append(Finding("source-missing", message, "sources", hint="write sources/<name>.yaml"))
    return findings


def _read_value(node: Node, structs: Sequence[Any], folder: Path) -> tuple[Any, list[Finding]]:
    struct, findings = _choose(node, structs)
    if struct is None:
        return None, findings
    literals = literal_secrets(node)
    instance = plain(node)
    findings = findings_of(shape_of(struct), node, instance)
    said = {finding.location for finding in literals}
    findings = [finding for finding in findings if finding.location not in said] + literals
    if findings:
        return None, findings
    try:
        return msgspec.convert(instance, struct, dec_hook=_Decoder(folder)), []
    except msgspec.ValidationError as error:
        return None, [_convert_finding(error, node)]


def _choose(node: Node, structs: Sequence[Any]) -> tuple[Any, list[Finding]]:
    """The Struct that a file's tag names."""
    content = node.content
    if not isinstance(content, dict):
        message = "this file must be a mapping (`key: value`)"
        return None, [Finding("type-wrong", message, str(node.mark))]
    tags = {tag[1]: struct for struct in structs if (tag := tag_of(struct))}
    if not tags:
        return structs[0], []
    field = tag_of(structs[0])[0]  # type: ignore[index]
    options = ", ".join(tags)
    written = content.get(field)
    if written is None:
        return None, [Finding("key-missing", f"`{field}` is missing", str(node.mark), hint=f"one of: {options}")]
    if isinstance(written.content, str) and written.content in tags:
        return tags[written.content], []
    message = f"`{field}` cannot be `{shorten(written.text)}`"
    hint = did_you_mean(written.text, tags) or f"one of: {options}"
    return None, [Finding("value-unknown", message, str(written.mark), hint=hint)]


class _Decoder:
    """Builds the values that JSON has no type for; relative paths start at the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, kind: Any, value: Any) -> Any:
        if kind is Secret:
            return Secret(value, self.folder)
        if kind is Path:
            return self.folder / Path(value).expanduser()
        raise NotImplementedError(f"no way to read {kind}")


def _convert_finding(error: msgspec.ValidationError, node: Node) -> Finding:
    """What a Struct's own `__post_init__` refused."""
    message, _, path = str(error).partition(" - at `$")
    steps = tuple(_steps(path.rstrip("`")))
    return Finding("value-invalid", message, str(locate(node, steps)))


def _steps(path: str) -> list[str | int]:
    parts = path.replace("[", ".[").split(".")
    return [int(p[1:-1]) if p.startswith("[") and p[1:-1].isdigit() else p for p in parts if p]


def _order(finding: Finding) -> tuple[str, int, int, str, str]:
    """By file, then place, then code."""
    file, line, column = place_of(finding.location)
    return file, line, column, finding.code, finding.message
