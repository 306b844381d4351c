"""A care-coordination worklist: new encounters and unusual results of a running `hilum demo`, as they happen."""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
import threading
import time
import urllib.error
from argparse import Namespace
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from hilum.delivery import verify_signature

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demo_folder import Place, fetch, find, hilum, parser

NAME = "worklist"  # of the token, and so of subscribers/worklist.yaml in the folder
TOPIC = "https://demo.example/topics/care"
IG = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
MOST_BYTES = 16 * 1024 * 1024  # of a notification: 20 whole resources
SHOWN = 20
ASK_EVERY = 10.0  # seconds: after we were away hilum tries again ever more seldom, up to every five minutes
# HL7 v3 ObservationInterpretation -> how urgent, and in words; results that are not listed are not work
UNUSUAL = {
    **dict.fromkeys(("HH", "LL", "AA"), (0, "critical result")),
    **dict.fromkeys(("H", "L", "A"), (1, "unusual result")),
}
SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS item (
    focus TEXT PRIMARY KEY, urgency INTEGER NOT NULL, at TEXT NOT NULL, patient TEXT NOT NULL, what TEXT NOT NULL);
"""


class Worklist:
    """What is to be done, on the disk: items and the number of the last event in one transaction."""

    def __init__(self, path: Path) -> None:
        path.touch(0o600)  # it holds a token and patient data
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.executescript(SCHEMA)
        self._lock = threading.RLock()
        self.changed = threading.Event()

    def get(self, name: str, default: str = "") -> str:
        with self._lock:
            found = self._database.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return found[0] if found else default

    def put(self, name: str, value: str) -> None:
        with self._lock, self._database:
            self._database.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))

    @property
    def last(self) -> int:
        """The number of the last event that was taken."""
        return int(self.get("last", "0"))

    def take(self, bundle: dict[str, Any]) -> bool:
        """All events of a notification that are new; False where events before them are missing: nothing is taken."""
        status, *entries = (entry.get("resource") for entry in bundle["entry"])
        numbers = numbers_of(status)
        with self._lock, self._database:
            last = self.last
            if numbers and numbers[0] > last + 1:
                return False
            for number, resource in zip(numbers, entries, strict=True):
                if number > last and resource is not None:
                    self._put_item(resource)
            if numbers and numbers[-1] > last:
                self.put("last", str(numbers[-1]))
        self.changed.set()
        return True

    def items(self) -> list[tuple[int, str, str, str]]:
        """Urgency, time, patient and what it is: the most urgent first, then the newest."""
        sql = "SELECT urgency, at, patient, what FROM item ORDER BY urgency, datetime(at) DESC LIMIT ?"
        with self._lock:
            return self._database.execute(sql, (SHOWN,)).fetchall()

    def count(self) -> int:
        with self._lock:
            return int(self._database.execute("SELECT count(*) FROM item").fetchone()[0])

    def _put_item(self, resource: dict[str, Any]) -> None:
        """A later version takes the place of an earlier one; a corrected result that is usual now leaves the list."""
        focus = f"{resource['resourceType']}/{resource['id']}"
        self._database.execute("DELETE FROM item WHERE focus = ?", (focus,))
        item = encounter(resource) if resource["resourceType"] == "Encounter" else result(resource)
        if item:
            self._database.execute("INSERT INTO item VALUES (?, ?, ?, ?, ?)", (focus, *item))


def numbers_of(status: dict[str, Any]) -> list[int]:
    """The numbers of the events in a notification, in its order."""
    events = [one["part"] for one in status["parameter"] if one["name"] == "notification-event"]
    return [int(part["valueString"]) for parts in events for part in parts if part["name"] == "event-number"]


def encounter(resource: dict[str, Any]) -> tuple[int, str, str, str]:
    kind = resource.get("class", {})
    urgency = 1 if kind.get("code") == "EMER" else 2
    at = resource.get("period", {}).get("start", "")
    return urgency, at, subject(resource), f"new encounter: {kind.get('display') or kind.get('code', '')}"


def result(resource: dict[str, Any]) -> tuple[int, str, str, str] | None:
    codes = [one.get("code") for concept in resource.get("interpretation", ()) for one in concept.get("coding", ())]
    code = next((one for one in codes if one in UNUSUAL), None)
    if code is None:
        return None
    urgency, words = UNUSUAL[code]
    name = resource["code"].get("text") or resource["code"]["coding"][0].get("display", "")
    value = resource.get("valueQuantity", {})
    amount = f"{value.get('value', '')} {value.get('unit', '')}".strip()
    return urgency, resource.get("effectiveDateTime", ""), subject(resource), f"{words}: {name} {amount} ({code})"


def subject(resource: dict[str, Any]) -> str:
    return str(resource.get("subject", {}).get("reference", ""))


def handler(worklist: Worklist, secret: bytes, catch_up: threading.Event) -> type[BaseHTTPRequestHandler]:
    """Takes notifications whose signature is right; 2xx only after they are on the disk."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length", "-1"))
            if not 0 <= size <= MOST_BYTES:
                self._answer(413)
                return
            body = self.rfile.read(size)
            signature, key = self.headers.get("Hilum-Signature", ""), self.headers.get("Idempotency-Key", "")
            if not verify_signature(secret, signature, key, body, now=time.time()):
                self._answer(401)
            elif worklist.take(json.loads(body, parse_float=str)):
                self._answer(204)
            else:
                catch_up.set()  # something before it is missing: it is asked for, and this comes again
                self._answer(503)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """The screen belongs to the list."""

    return Handler


def subscribe(place: Place, worklist: Worklist, endpoint: str) -> str:
    """The token; subscribed with it once, in the first run."""
    token = worklist.get("token")
    if not token:
        token = hilum("token", "create", NAME, str(place.folder), "--role", "writer")["token"]
        worklist.put("token", token)
    if not worklist.get("subscription"):
        made = fetch(f"{place.fhir}/Subscription", token, subscription(endpoint))
        worklist.put("subscription", made["id"])
    return token


def subscription(endpoint: str) -> dict[str, Any]:
    """Whole resources, up to 20 in one notification."""
    content = [{"url": f"{IG}/backport-payload-content", "valueCode": "full-resource"}]
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "care coordination",
        "criteria": TOPIC,
        "channel": {
            "type": "rest-hook",
            "endpoint": endpoint,
            "payload": "application/fhir+json",
            "_payload": {"extension": content},
        },
    }


def ask_missed(place: Place, worklist: Worklist, token: str) -> None:
    """Events since the last that was taken, as many as there are."""
    events = f"{place.fhir}/Subscription/{worklist.get('subscription')}/$events"
    while True:
        before = worklist.last
        worklist.take(fetch(f"{events}?eventsSinceNumber={before + 1}&content=full-resource", token))
        if worklist.last == before:
            return


class Screen:
    """The list as people see it, with the names of patients."""

    def __init__(self, place: Place, worklist: Worklist, token: str) -> None:
        self._place, self._worklist, self._token = place, worklist, token
        self._names: dict[str, str] = {}

    def table(self) -> Table:
        title = f"{self._worklist.count():,} to look at, {self._worklist.last:,} events"
        table = Table(title=title, title_justify="left")
        for name in ("time", "patient", "what"):
            table.add_column(name, no_wrap=True)
        for urgency, at, patient, what in self._worklist.items():
            style = ("bold red", "", "dim")[urgency]
            table.add_row(at[:16].replace("T", " "), self._name(patient), what, style=style)
        return table

    def _name(self, patient: str) -> str:
        if patient and patient not in self._names:
            with suppress(urllib.error.URLError, TimeoutError):
                name = fetch(f"{self._place.fhir}/{patient}", self._token).get("name", [{}])[0]
                self._names[patient] = f"{name.get('family', '')}, {' '.join(name.get('given', ()))}"
        return self._names.get(patient, patient)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--port", type=int, default=8322, help="port that notifications come to; stay with one")
    arguments.add_argument("--seconds", type=float, help="stop after this long; without it, Ctrl-C stops")
    given = arguments.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        run(find(given), given)
    except KeyboardInterrupt:
        pass
    except urllib.error.HTTPError as error:
        sys.exit(f"hilum refused ({error.code}): {error.read(2_000).decode(errors='replace')}")
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        sys.exit("hilum does not answer any more. Start this again later: nothing will be missing.")


def run(place: Place, given: Namespace) -> None:
    """Catch up, then take what comes."""
    path = place.folder / "subscribers" / f"{NAME}.secret"
    if not path.exists():
        sys.exit(f"{place.folder} has no {path.relative_to(place.folder)}; docs/examples.md says what a folder needs")
    worklist, catch_up = Worklist(place.folder / ".hilum" / f"{NAME}.sqlite"), threading.Event()
    secret = path.read_bytes().strip()
    with ThreadingHTTPServer(("127.0.0.1", given.port), handler(worklist, secret, catch_up)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        token = subscribe(place, worklist, f"http://127.0.0.1:{server.server_port}/")
        ask_missed(place, worklist, token)
        watch(place, worklist, token, catch_up, given.seconds)
        server.shutdown()


def watch(place: Place, worklist: Worklist, token: str, catch_up: threading.Event, seconds: float | None) -> None:
    """Show the list whenever it has changed."""
    console, screen = Console(), Screen(place, worklist, token)
    until = time.monotonic() + seconds if seconds else float("inf")
    asked = time.monotonic()
    with Live(screen.table(), console=console, auto_refresh=False) as live:
        while time.monotonic() < until:
            if worklist.changed.wait(0.5):
                worklist.changed.clear()
                live.update(screen.table(), refresh=True)
            if catch_up.is_set() or time.monotonic() - asked > ASK_EVERY:
                catch_up.clear()
                ask_missed(place, worklist, token)
                asked = time.monotonic()


if __name__ == "__main__":
    main()
