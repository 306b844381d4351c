"""`hilum workbook sign`: an owner approves lines exactly as they are."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hilum.app.arguments import Folder, Json
from hilum.app.printing import print_json, print_table
from hilum.app.reviewing import agreed, person, review_folder, written
from hilum.config import Secret
from hilum.errors import ConfigError
from hilum.model import Severity
from hilum.workbook import Approving, Entry, check, person_key, plan_approval

__all__ = ["command"]

USAGE = 2
_SHOWN = 8  # lines that are shown cell by cell; of more, only how many


def command(
    folder: Folder,
    *,
    owner: Annotated[str, Parameter(help="For whom: a name in the column `owner`.")],
    row: Annotated[
        list[str] | None,
        Parameter(help="A row_id, or `table:key` of another table; may be given several times.", negative=""),
    ] = None,
    all_of_owner: Annotated[bool, Parameter(help="All lines of this owner that wait.", negative="")] = False,
    by: Annotated[str, Parameter(help="Who approves; else the user of this terminal.")] = "",
    key: Annotated[
        str, Parameter(help="Where that person's Ed25519 private key is: file:PATH, env:NAME, keyring:..., vault:...")
    ] = "",
    yes: Annotated[bool, Parameter(help="Approve without asking.", negative="")] = False,
    json: Json = False,
) -> int:
    """Approve lines of the mapping tables in the name of their owner, exactly as they are now.

    What is approved is shown first. Any later change of what such a line does makes it a draft again, and
    `hilum workbook check` says so. With --key the approval is signed: it proves that whoever has that key approved
    these very lines for this integration. Without a key it is a note that anybody could have written.
    """
    if bool(row) == all_of_owner:
        print("hilum: name lines with --row, or say --all-of-owner", file=sys.stderr)
        return USAGE
    opened = review_folder(folder)
    errors = [one for one in check(opened.review, opened.approvals).findings if one.severity is Severity.ERROR]
    if errors:
        raise ConfigError("tables with errors are not approved", errors, code="workbook-invalid")
    plan = plan_approval(
        opened.review,
        opened.approvals,
        opened.pin,
        owner=owner,
        names=row or (),
        by=by or person(),
        at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        scope=opened.use,
        key=person_key(Secret(key, Path()).resolve()) if key else None,
    )
    if not json:
        _show(plan, opened.review.decided)
    files: list[str] = []
    question = f"Approve {len(plan.entries)} lines for {owner}?"
    if plan.entries and agreed(question, yes=yes, as_json=json):
        files = written(opened, plan.texts, folder)
    if json:
        print_json({"approved": [one.name for one in plan.entries] if files else [], "written": files})
    else:
        print(_outcome(plan, owner, files, signed=bool(key)))
    return 0 if files or not plan.entries else 1


def _show(plan: Approving, decided: Mapping[str, str]) -> None:
    if len(plan.entries) > _SHOWN:
        counts = Counter(entry.table for entry in plan.entries)
        print_table(("table", "lines"), list(counts.items()), empty="")
        return
    rows = [
        (entry.name if at == 0 else "", name, text)
        for entry in plan.entries
        for at, (name, text) in enumerate(_said(entry, decided))
    ]
    print_table(("line", "column", "says"), rows, empty="nothing waits")


def _said(entry: Entry, decided: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is signed: a param with the value that integration.yaml gives it."""
    value = decided.get(entry.cells.get("param", ""), "")
    for name, text in entry.cells.items():
        if name == "value" and value:
            yield name, f"{value} (integration.yaml)"
        elif text:
            yield name, text


def _outcome(plan: Approving, owner: str, files: list[str], *, signed: bool) -> str:
    if not plan.entries:
        return f"nothing of this waits for {owner}"
    if not files:
        return "nothing was approved: --yes approves it"
    how = "and signed" if signed else "without a signature"
    trusted = (
        "; the key is new, and trusted from now on: have the commit of signers.csv reviewed" if plan.new_signer else ""
    )
    return f"{len(plan.entries)} lines approved {how} for {owner}{trusted}: {', '.join(files)}"
