"""uvicorn inside the running loop: bound first, so that the address is known and a bad one is refused with a code."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from msgspec import Struct
from starlette.types import ASGIApp

from hilum.app.api.protocol import Protocol
from hilum.app.api.query import MAX_HEAD
from hilum.config import Api, Tls
from hilum.errors import HilumError
from hilum.protocols import ServerTls, server_context

__all__ = ["Listener", "Server", "listen", "serve"]

BACKLOG = 1_024
STOP_SECONDS = 10


class Listener(Struct, frozen=True):
    """A bound socket. `base_url` is what `create_app` makes links from."""

    socket: socket.socket
    host: str
    port: int
    base_url: str
    tls: Tls | None = None

    def close(self) -> None:
        """Let go of the port, where `serve` was not reached."""
        self.socket.close()


def listen(settings: Api) -> Listener:
    """Bind.

    Raises HilumError `api-bind-unsafe`, `api-port-in-use`, `api-port-forbidden`, `api-address-invalid`, `tls-...`.
    """
    family, address = _resolve(settings)
    if settings.tls is not None:
        tls_context(settings.tls)  # refuse a bad certificate before anything is opened
    elif not ipaddress.ip_address(address[0]).is_loopback and not settings.insecure_allowed:
        raise HilumError(
            f"the API would serve health data in the clear on {settings.host}: set api.tls, or listen on 127.0.0.1; "
            "api.insecure_allowed is for a proxy that ends TLS on a closed network",
            code="api-bind-unsafe",
            location="api.host",
        )
    bound = _bind(family, address, settings)
    port = bound.getsockname()[1]
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    own = f"{'https' if settings.tls else 'http'}://{shown}:{port}"
    return Listener(bound, settings.host, port, settings.base_url.rstrip("/") or own, settings.tls)


def tls_context(tls: Tls) -> ssl.SSLContext:
    """TLS 1.2 and later, mutual where `client_ca` is given. Raises ConfigError with a `tls-` code."""
    return server_context(ServerTls(certificate=tls.certificate, key=tls.key, client_ca=tls.client_ca))


class Server:
    """A running server; `close` it."""

    def __init__(self, server: _Uvicorn, task: asyncio.Task[None], listener: Listener) -> None:
        self._server = server
        self._task = task
        self.listener = listener

    async def close(self) -> None:
        """Take no new connection, answer what was asked, end the rest after 10 s."""
        self._server.should_exit = True
        await self._task

    async def wait(self) -> None:
        """Return when it was closed; raise what ended it otherwise."""
        await asyncio.shield(self._task)


async def serve(app: ASGIApp, listener: Listener) -> Server:
    """Serve `app` in the running loop; returns once connections are accepted. Leaves signals to the caller."""
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=2 * MAX_HEAD,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=STOP_SECONDS,
        backlog=BACKLOG,
    )
    config.load()
    if listener.tls is not None:
        config.ssl = tls_context(listener.tls)
    server = _Uvicorn(config)
    task = asyncio.create_task(server.serve(sockets=[listener.socket]), name="hilum-api")
    started = asyncio.create_task(server.ready.wait())
    await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        started.cancel()
        await task
    return Server(server, task, listener)


class _Uvicorn(uvicorn.Server):
    """uvicorn that says when it is ready and leaves the process's signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _resolve(settings: Api) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except (OSError, UnicodeError):
        found = []
    if not found or not settings.host:
        raise HilumError(
            f"{settings.host or 'an empty host'} is not an address of this machine; use 127.0.0.1, 0.0.0.0 or a name",
            code="api-address-invalid",
            location="api.host",
        )
    family, _, _, _, address = found[0]
    return family, (str(address[0]), settings.port)


def _bind(family: socket.AddressFamily, address: tuple[str, int], settings: Api) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise _cannot_bind(settings, error) from None
    bound.setblocking(False)
    return bound


def _cannot_bind(settings: Api, error: OSError) -> HilumError:
    where = f"{settings.host}:{settings.port}"
    if isinstance(error, PermissionError):
        text = f"this user may not listen on {where}; take a port above 1023"
        return HilumError(text, code="api-port-forbidden", location="api.port")
    if error.errno == errno.EADDRINUSE:
        text = f"another program listens on {where}; end it or set another api.port"
        return HilumError(text, code="api-port-in-use", location="api.port")
    return HilumError(
        f"{where} cannot be listened on ({error.strerror})", code="api-address-invalid", location="api.host"
    )
