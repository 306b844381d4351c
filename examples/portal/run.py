"""A patient portal against a running `hilum demo`: registers the page and one patient, and serves the page."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demo_folder import Place, find, hilum, parser, search

HERE = Path(__file__).resolve().parent
TITLE = "My health record"
SCOPES = "launch/patient patient/Patient.r patient/Observation.rs?category=laboratory patient/Appointment.rs"
WAIT = 60.0  # seconds for the demo to have a patient with results and appointments
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/portal.js": ("portal.js", "text/javascript; charset=utf-8"),
    "/smart.js": ("smart.js", "text/javascript; charset=utf-8"),
    "/fhir.js": ("fhir.js", "text/javascript; charset=utf-8"),
    "/portal.css": ("portal.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


class Account(NamedTuple):
    """What was made for this run; it is taken back when the run ends."""

    client_id: str
    user: str
    password: str
    patient: str


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--port", type=int, default=8321, help="port of the page; 0 takes a free one")
    arguments.add_argument("--json", action="store_true", help="print address and account as one line of JSON")
    given = arguments.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    place = find(given)
    server = ThreadingHTTPServer(("127.0.0.1", given.port), BaseHTTPRequestHandler)
    page = f"http://127.0.0.1:{server.server_port}/"
    with server, account(place, page) as made:
        server.RequestHandlerClass = handler(place, made.client_id)
        tell(page, made, as_json=given.json)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


@contextlib.contextmanager
def account(place: Place, page: str) -> Iterator[Account]:
    """The page as an app, and a patient who can sign in; both ended afterwards."""
    run = secrets.token_hex(4)
    folder = str(place.folder)
    made = Account(f"portal-{run}", f"patient-{run}", secrets.token_urlsafe(9), choose(place, f"portal-{run}"))
    record = f"Patient/{made.patient}"
    with contextlib.ExitStack() as stack:
        hilum("app", "add", made.client_id, folder, "--scopes", SCOPES, "--redirect", page, "--title", TITLE)
        stack.callback(take_back, place, "app", "remove", made.client_id)
        words = ("user", "add", made.user, folder, "--record", record, "--password-from", "env:PORTAL_PASSWORD")
        hilum(*words, PORTAL_PASSWORD=made.password)
        stack.callback(take_back, place, "user", "lock", made.user)
        yield made


def take_back(place: Place, *words: str) -> None:
    """A demo that was ended first has taken everything with it."""
    if place.folder.exists():
        hilum(*words, str(place.folder))


def choose(place: Place, name: str) -> str:
    """The id of a patient who has something to see: the most appointments, then the most results."""
    folder = str(place.folder)
    token = hilum("token", "create", name, folder)["token"]
    try:
        until = time.monotonic() + WAIT
        while time.monotonic() < until:
            results = subjects(search(place, token, "Observation", category="laboratory", _count="200"))
            visits = subjects(search(place, token, "Appointment", _count="200"))
            people = search(place, token, "Patient", _count="200")
            own = [one["id"] for one in people if one.get("active", True)]  # a merged record is not active
            both = [one for one in own if visits[one] and results[one]]
            if both:
                return str(max(both, key=lambda one: (visits[one], results[one])))
            time.sleep(1)
    finally:
        hilum("token", "revoke", name, folder)
    sys.exit("No patient has results and appointments yet. Let the demo run a little, and try again.")


def subjects(resources: list[dict[str, Any]]) -> Counter[str]:
    """How many of the resources belong to each patient."""
    found: Counter[str] = Counter()
    for one in resources:
        people = [one.get("subject", {}), *(part.get("actor", {}) for part in one.get("participant", ()))]
        ids = {who.get("reference", "").removeprefix("Patient/") for who in people if "Patient/" in str(who)}
        found.update(ids)
    return found


def handler(place: Place, client_id: str) -> type[BaseHTTPRequestHandler]:
    """Serves the files of the page and its settings, and nothing else of the disk."""
    settings = json.dumps({"fhir": place.fhir, "client_id": client_id, "scope": SCOPES}).encode()
    security = {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self' {place.url}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/settings.json":
                self._answer(200, settings, "application/json")
            elif path in FILES:
                name, kind = FILES[path]
                self._answer(200, (HERE / name).read_bytes(), kind)
            else:
                self._answer(404, b"There is no such page.\n", "text/plain; charset=utf-8")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            for name, value in {**security, "Content-Type": kind, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Addresses of the page carry codes: they are not written down."""

    return Handler


def tell(page: str, made: Account, *, as_json: bool) -> None:
    """What a person needs to know, or a program."""
    if as_json:
        print(json.dumps({"page": page, **made._asdict()}), flush=True)
        return
    print(f"\nThe portal is open at  {page}\n")
    print(f"  user name  {made.user}\n  password   {made.password}\n")
    print("Ctrl-C closes it, and ends the account and its sessions.", flush=True)


if __name__ == "__main__":
    main()
