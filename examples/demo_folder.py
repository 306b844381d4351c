"""Finds a `hilum demo` (or a `hilum run`) that runs on this machine, and calls hilum's own commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

HILUM = (sys.executable, "-m", "hilum.app.cli")
ADDRESS = "address.json"  # what `hilum demo` writes beside its store
USUAL = "http://127.0.0.1:8080"  # where `hilum run` listens unless its folder says otherwise
PATIENCE = 15.0  # seconds for one answer


class Place(NamedTuple):
    """An integration folder, and the address of the hilum that runs it (without /fhir)."""

    folder: Path
    url: str

    @property
    def fhir(self) -> str:
        return f"{self.url}/fhir"


def parser(purpose: str | None) -> ArgumentParser:
    """The arguments that all examples share."""
    made = ArgumentParser(description=purpose)
    made.add_argument(
        "folder", nargs="?", type=Path, help="the integration folder; else a demo that runs is looked for"
    )
    made.add_argument("--url", help=f"where that hilum listens; else what the demo wrote down, or {USUAL}")
    return made


def find(given: Namespace) -> Place:
    """The folder and address that were given or found; ends the program with advice where there is none."""
    folders = [given.folder] if given.folder else _demos()
    if not folders:
        sys.exit("No demo runs on this machine. Start one in another terminal:\n  hilum demo")
    for folder in folders:
        url = (given.url or _written(folder) or USUAL).rstrip("/")
        if _answers(url):
            return Place(folder.resolve(), url)
    sys.exit(f"hilum does not answer for {folders[0]}. Is it running? Say where it listens with --url.")


def hilum(*words: str, **environment: str) -> Any:
    """What a command of hilum prints with --json. Ends the program with what the command said if it fails."""
    done = subprocess.run(
        [*HILUM, *words, "--json"], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"hilum {' '.join(words[:2])} did not work:\n{done.stderr or done.stdout}")
    return json.loads(done.stdout)


def search(place: Place, token: str, kind: str, **wanted: str) -> list[dict[str, Any]]:
    """All matches of a FHIR search, page after page."""
    url, found = f"{place.fhir}/{kind}?{urlencode(wanted)}", []
    while url:
        page = fetch(url, token)
        found += [entry["resource"] for entry in page.get("entry", ())]
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    return found


def fetch(url: str, token: str, body: object = None, method: str | None = None) -> Any:
    """The JSON that an address answers with. Raises urllib.error.HTTPError."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/fhir+json"}
    data = None
    if body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/fhir+json"
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - the address of our own hilum
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
        return json.load(answer, parse_float=str)  # 4.00 stays 4.00


def _demos() -> list[Path]:
    """Folders of demos of this user, newest first."""
    pattern = f"hilum-demo-*/.hilum/{ADDRESS}"
    found = [one for one in Path(tempfile.gettempdir()).glob(pattern) if one.stat().st_uid == os.getuid()]
    return [one.parent.parent for one in sorted(found, key=lambda one: -one.stat().st_mtime)]


def _written(folder: Path) -> str:
    try:
        return str(json.loads((folder / ".hilum" / ADDRESS).read_text("utf-8"))["url"])
    except FileNotFoundError:
        return ""


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/fhir/metadata", timeout=PATIENCE):  # noqa: S310
            return True
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
