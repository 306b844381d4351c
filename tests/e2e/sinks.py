"""Partners at the other end of deliveries: they take records, remember what came in which order, and may be down."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from e2e.harness import write_destination

SECRET = "a secret of more than sixteen bytes"
QUICK = "retry: {first_seconds: 0.05, jitter: 0}\nbreaker: {failures: 1000}\n"


class WebhookSink:
    """`taken`: (idempotency key, bundle) in the order of arrival, repeats and all. `status` is what it answers."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.lock = threading.Lock()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with sink.lock:
                    if sink.status == 200:
                        sink.taken.append((self.headers["Idempotency-Key"], json.loads(body)))
                    status = sink.status
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                return  # a killed sender

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def route_to(self, folder: Path) -> None:
        """Make this sink the destination `portal` of a folder, for every message."""
        (folder / "secret.txt").write_text(SECRET)
        (folder / "secret.txt").chmod(0o600)
        text = f"kind: webhook\nurl: http://127.0.0.1:{self.port}/in\nsecret: file:secret.txt\n{QUICK}"
        write_destination(folder, "portal", text)

    def names(self) -> dict[str, list[str]]:
        """Patient id -> given names in the order in which they came; what was sent twice in a row is there once."""
        found: dict[str, list[str]] = {}
        for patient, name in self._patients():
            names = found.setdefault(patient, [])
            if not names or names[-1] != name:
                names.append(name)
        return found

    def _patients(self) -> Iterator[tuple[str, str]]:
        for _, bundle in list(self.taken):
            for entry in bundle["entry"]:
                resource = entry["resource"]
                if resource["resourceType"] == "Patient":
                    yield resource["id"], resource["name"][0]["given"][0]

    def keys_differ(self) -> list[str]:
        """Records that came again under another key, and keys that came with another record: none is right."""
        bodies: dict[str, str] = {}
        keys: dict[str, str] = {}
        wrong = []
        for key, bundle in self.taken:
            body = json.dumps(bundle, sort_keys=True)
            if bodies.setdefault(key, body) != body or keys.setdefault(body, key) != key:
                wrong.append(key)
        return wrong


@contextmanager
def webhook_sink() -> Iterator[WebhookSink]:
    sink = WebhookSink()
    try:
        yield sink
    finally:
        sink.close()


class MllpSink:
    """An MLLP partner. `taken`: raw messages in the order of arrival. `codes` are given first, then AA."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.codes: list[str] = []
        sink = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                rest = b""
                while chunk := self.request.recv(65_536):
                    rest += chunk
                    while b"\x1c\r" in rest:
                        body, _, rest = rest.partition(b"\x1c\r")
                        body = body.removeprefix(b"\x0b")
                        code = sink.codes.pop(0) if sink.codes else "AA"
                        if code == "AA":
                            sink.taken.append(body)
                        self.request.sendall(b"\x0b" + answer(body, code) + b"\x1c\r")

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_: object) -> None:
                return

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def route_to(self, folder: Path, more: str = "") -> None:
        """Make this sink the destination `partner` of a folder, for every message."""
        write_destination(folder, "partner", f"kind: mllp\nhost: 127.0.0.1\nport: {self.port}\n{QUICK}{more}")


@contextmanager
def mllp_sink() -> Iterator[MllpSink]:
    sink = MllpSink()
    try:
        yield sink
    finally:
        sink.close()


def answer(body: bytes, code: str) -> bytes:
    control_id = body.split(b"\r")[0].split(b"|")[9]
    return b"MSH|^~\\&|P|P|H|H|20260301||ACK|1|P|2.5.1\rMSA|%b|%b\r" % (code.encode(), control_id)
