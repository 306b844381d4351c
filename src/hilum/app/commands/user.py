"""`hilum user`: the people who sign in when an app asks them."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hilum.app.arguments import Environment, Folder, Json
from hilum.app.opening import Opened, open_folder, whoami
from hilum.app.printing import print_json, print_table, when
from hilum.app.smart.passwords import hash_password
from hilum.app.smart.records import User
from hilum.app.smart.users import Users, new_user
from hilum.config import Secret
from hilum.errors import HilumError

__all__ = ["app"]

app = App(name="user", help="Add, list, lock and unlock the people who sign in when an app asks them.")

Name = Annotated[str, Parameter(help="What they sign in with; it stands in the audit.")]
From = Annotated[
    str, Parameter(help="Where the password is: env:NAME, file:PATH, keyring:... or vault:...; else it is asked for.")
]


@app.command
def add(
    name: Name,
    folder: Folder = Path(),
    *,
    record: Annotated[str, Parameter(help="Who they are here: Patient/ID or Practitioner/ID.")],
    password_from: From = "",
    subject: Annotated[
        str, Parameter(help="Who they are at the OpenID Connect provider, in place of a password.")
    ] = "",
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Add a person. A patient sees their own record, a practitioner the records of all patients."""
    hashed = "" if subject else hash_password(_password(password_from, folder))
    new = new_user(name, record=record, hashed=hashed, subject=subject or None)
    with open_folder(folder, environment, create=True) as opened:
        _users(opened).add(new, by=whoami())
    return _tell(new, f"{name} signs in as {record}", json)


@app.command(name="list")
def list_(folder: Folder = Path(), *, environment: Environment = None, json: Json = False) -> int:
    """List all people; never a password."""
    with open_folder(folder, environment) as opened:
        facts = [_facts(one) for one in _users(opened).all()]
    if json:
        print_json({"users": facts})
        return 0
    columns = ("name", "record", "signs in", "state", "wrong passwords", "created")
    print_table(columns, [[fact[column] for column in columns] for fact in facts], empty="there are no users")
    return 0


@app.command
def lock(name: Name, folder: Folder = Path(), *, environment: Environment = None, json: Json = False) -> int:
    """Keep a person out: every session and token of theirs ends now."""
    with open_folder(folder, environment) as opened:
        user = _users(opened).lock(name, locked=True, by=whoami())
    return _tell(user, f"{name} is locked since {when(user.locked)}", json)


@app.command
def unlock(name: Name, folder: Folder = Path(), *, environment: Environment = None, json: Json = False) -> int:
    """Let a person in again, and forget their wrong passwords. Apps ask them anew."""
    with open_folder(folder, environment) as opened:
        user = _users(opened).lock(name, locked=False, by=whoami())
    return _tell(user, f"{name} may sign in", json)


@app.command
def passwd(
    name: Name,
    folder: Folder = Path(),
    *,
    password_from: From = "",
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Set a new password: every session and token that came of the old one ends now."""
    hashed = hash_password(_password(password_from, folder))
    with open_folder(folder, environment) as opened:
        user = _users(opened).set_password(name, hashed, by=whoami())
    return _tell(user, f"{name} has a new password", json)


def _users(opened: Opened) -> Users:
    return Users(opened.store, opened.journal)


def _password(reference: str, folder: Path) -> str:
    """Never a word of the command line, which others can see and shells remember."""
    if reference:
        return Secret(reference, folder).resolve()
    if not sys.stdin.isatty():
        text = "nobody is there to be asked: give --password-from env:NAME or file:PATH"
        raise HilumError(text, code="password-missing", location="--password-from")
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("The same again: "):
        raise HilumError("these are two different passwords; nothing was changed", code="password-differs")
    return first


def _tell(user: User, text: str, json: bool) -> int:
    if json:
        print_json(_facts(user))
    else:
        print(text)
    return 0


def _facts(user: User) -> dict[str, str]:
    return {
        "name": user.name,
        "record": user.record,
        "signs in": "elsewhere" if user.subject else "here",
        "subject": user.subject or "",
        "state": "locked" if user.locked else "open",
        "wrong passwords": str(user.failures),
        "created": when(user.created),
    }
