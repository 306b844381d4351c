"""`hilum app`: which apps may ask people, or ask by themselves, for health data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hilum.app.arguments import Environment, Folder, Json
from hilum.app.opening import Opened, open_folder, whoami
from hilum.app.printing import print_json, print_table, when
from hilum.app.smart.apps import Apps, new_app
from hilum.app.smart.records import App as SmartApp
from hilum.app.smart.records import Kind
from hilum.errors import HilumError

__all__ = ["app"]

app = App(name="app", help="Register, list and remove the apps that use SMART on FHIR.")

Name = Annotated[str, Parameter(help="The app's client_id; never used twice.")]


@app.command
def add(
    name: Name,
    folder: Folder = Path(),
    *,
    scopes: Annotated[
        str, Parameter(help="All that it may ever ask for: 'launch/patient patient/*.rs', 'system/Patient.rs'.")
    ],
    redirect: Annotated[
        tuple[str, ...], Parameter(help="Where answers go, to the letter; may be given again.", negative="")
    ] = (),
    kind: Annotated[
        Kind | None,
        Parameter(
            help="public: a page or mobile app; secret: it keeps a secret; keys: it signs. By --jwks, else public."
        ),
    ] = None,
    title: Annotated[str, Parameter(help="What people read when they are asked.")] = "",
    jwks: Annotated[Path | None, Parameter(help="A file with its public keys, as a JWK Set.")] = None,
    jwks_uri: Annotated[str, Parameter(help="The https address of its public keys.")] = "",
    launch: Annotated[str, Parameter(help="Where it is opened from the EHR.")] = "",
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Register an app. A secret is printed, this once: only its hash is kept. Works while `hilum run` is running."""
    how = kind or (Kind.KEYS if jwks or jwks_uri else Kind.PUBLIC)
    if how is not Kind.KEYS and not redirect:
        text = "an app that people use needs --redirect; one that works by itself signs with --jwks"
        raise HilumError(text, code="app-redirect-invalid", location="--redirect")
    new, secret = new_app(
        name,
        title=title,
        kind=how,
        redirects=redirect,
        scopes=scopes,
        jwks=jwks.read_text("utf-8") if jwks else "",
        jwks_uri=jwks_uri,
        launch=launch,
    )
    with open_folder(folder, environment, create=True) as opened:
        _apps(opened).add(new, by=whoami())
    if json:
        print_json({**_facts(new), **({"client_secret": secret} if secret else {})})
        return 0
    print(f"client_id      {new.id}")
    if secret:
        print(f"client_secret  {secret}")
        print("\nKeep the secret now: it is not shown again.")
    print(f"\n{new.title} may ask for: {new.scopes}")
    return 0


@app.command(name="list")
def list_(folder: Folder = Path(), *, environment: Environment = None, json: Json = False) -> int:
    """List all apps, the removed ones too; never a secret."""
    with open_folder(folder, environment) as opened:
        facts = [_facts(one) for one in _apps(opened).all()]
    if json:
        print_json({"apps": facts})
        return 0
    columns = ("client_id", "kind", "state", "created", "scopes", "redirects")
    rows = [[_cell(fact[column]) for column in columns] for fact in facts]
    print_table(columns, rows, empty="no app is registered")
    return 0


@app.command
def remove(name: Name, folder: Folder = Path(), *, environment: Environment = None, json: Json = False) -> int:
    """End an app and every token that it has; its next request is refused, also by a `hilum run` that is running."""
    with open_folder(folder, environment) as opened:
        ended = _apps(opened).remove(name, by=whoami())
    if json:
        print_json(_facts(ended))
    else:
        print(f"{name} is removed since {when(ended.removed)}")
    return 0


def _apps(opened: Opened) -> Apps:
    return Apps(opened.store, opened.journal)


def _facts(one: SmartApp) -> dict[str, object]:
    return {
        "client_id": one.id,
        "title": one.title,
        "kind": one.kind.value,
        "state": "removed" if one.removed else "active",
        "scopes": one.scopes,
        "redirects": list(one.redirects),
        "launch": one.launch,
        "jwks_uri": one.jwks_uri,
        "created": when(one.created),
    }


def _cell(value: object) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)
