"""`hilum token`: who may use the API, as what, and until when."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hilum.app.arguments import Environment, Folder, Json
from hilum.app.opening import open_folder, whoami
from hilum.app.printing import print_json, print_table, when
from hilum.app.tokens import Role, TokenRow, lifetime, microseconds

__all__ = ["app"]

app = App(name="token", help="Create, list and revoke the tokens that open the API.")

Name = Annotated[str, Parameter(help="Names the program that uses the token in the audit; never used twice.")]


@app.command
def create(
    name: Name,
    folder: Folder = Path(),
    *,
    role: Annotated[
        Role,
        Parameter(
            help="reader: resources; writer: also writes them; operator: reads, metrics, messages; admin: everything."
        ),
    ] = Role.READER,
    expires: Annotated[str, Parameter(help="How long it lives: 12h, 90d, 4w; at most 366d.")] = "90d",
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Make a token and print it, this once: only its hash is kept. Works while `hilum run` is running."""
    seconds = lifetime(expires)
    with open_folder(folder, environment, create=True) as opened:
        new = opened.tokens.create(name, role, seconds, by=whoami())
    if json:
        print_json({"token": new.text, **_facts(new.row)})
    else:
        print(new.text)
        print(f"\n{name} is a {role} until {when(new.row.expires)}. Keep it now: it is not shown again.")
        print("Send it as `Authorization: Bearer TOKEN`, never in a URL.")
    return 0


@app.command(name="list")
def list_(folder: Folder = Path(), *, environment: Environment = None, json: Json = False) -> int:
    """List all tokens, the ended ones too; never a token itself."""
    with open_folder(folder, environment) as opened:
        facts = [_facts(row) for row in opened.tokens.rows()]
    if json:
        print_json({"tokens": facts})
        return 0
    columns = ("name", "role", "state", "created", "expires", "revoked")
    print_table(columns, [[fact[column] for column in columns] for fact in facts], empty="there are no tokens")
    return 0


@app.command
def revoke(name: Name, folder: Folder = Path(), *, environment: Environment = None, json: Json = False) -> int:
    """End a token; the next request that carries it is refused, also by a `hilum run` that is running."""
    with open_folder(folder, environment) as opened:
        row = opened.tokens.revoke(name, by=whoami())
    if json:
        print_json(_facts(row))
    else:
        print(f"{name} is revoked since {when(row.revoked)}")
    return 0


def _facts(row: TokenRow) -> dict[str, str]:
    return {
        "name": row.name,
        "role": row.role.value,
        "state": row.state(microseconds()),
        "created": when(row.created),
        "expires": when(row.expires),
        "revoked": when(row.revoked),
    }
