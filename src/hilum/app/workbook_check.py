"""Findings of a folder's mapping workbook, as `hilum check` shows them."""

from __future__ import annotations

from msgspec import structs

from hilum.app.reviewing import review_tree
from hilum.config import Integration, Tree
from hilum.errors import ConfigError, MappingError
from hilum.mapping import compile_workbook, load_workbook
from hilum.model import Finding
from hilum.workbook import FOLDER, LOCK, check

__all__ = ["workbook_findings"]

_NEEDS_PARAMS = "param-unset"
_PARAM = "integration.yaml params."


def workbook_findings(tree: Tree) -> list[Finding]:
    """What reading, compiling and reviewing the workbook says, with places as they are from the folder of `tree`.

    Where integration.yaml could not be read, no parameter is said to be unset.
    """
    integration = next(iter(tree.all(Integration).values()), None)
    own = (tree.folder / FOLDER).is_dir()  # without tables of its own a folder runs the base as it ships
    found = (_reviewed(tree) if own else None) or _compiled(tree, integration)
    said = [one for one in dict.fromkeys(found) if integration or one.code != _NEEDS_PARAMS]
    return [structs.replace(one, location=_place(one, tree, integration)) for one in said]


def _reviewed(tree: Tree) -> list[Finding] | None:
    """All that `hilum workbook check` says of the site's tables; None when one of them cannot be read at all."""
    try:
        opened = review_tree(tree)
        return list(check(opened.review, opened.approvals, opened.pin).findings)
    except ConfigError:
        return None


def _compiled(tree: Tree, integration: Integration | None) -> list[Finding]:
    workbook = load_workbook(tree.folder)
    found = list(workbook.findings)
    try:
        found += compile_workbook(workbook, params=dict(integration.params) if integration else {}).findings
    except (ConfigError, MappingError) as error:
        found += getattr(error, "findings", ()) or (Finding(error.code, error.message, error.location),)
    return found


def _place(finding: Finding, tree: Tree, integration: Integration | None) -> str:
    """From the folder: a table stands in `workbook/`, a parameter in integration.yaml where that sets it."""
    if integration is not None and finding.location.startswith(_PARAM):
        return tree.where(integration, "params", finding.location.removeprefix(_PARAM))
    if integration is not None and finding.code == "zone-unknown" and "zone" in integration.params:
        return tree.where(integration, "params", "zone")
    file = finding.location.partition(":")[0]
    is_ours = file.endswith((".csv", LOCK)) and not file.startswith("base/")
    return f"{FOLDER}/{finding.location}" if is_ours else finding.location
