"""The MLLP listener: senders connect, their messages are read in batches, answers go back when they are given."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeAlias

import structlog

from hilum.config import is_loopback
from hilum.errors import ConfigError, HilumError
from hilum.intake.mllp_connection import MllpConnection
from hilum.intake.pressure import Pressure
from hilum.intake.sections import MllpSource
from hilum.model import Arrival, Finding, Severity
from hilum.protocols import certificate_findings, server_context, tls_reason

__all__ = ["MllpListener"]

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_BACKLOG = 512
_LETTING_GO = 5.0  # seconds for the event loop to drop connections that were aborted
_ACCEPT_PAUSE = 0.2  # seconds without accepting when the process has no descriptors left

log = structlog.get_logger("hilum.intake.mllp")


class MllpListener:
    """A `Source`. `read` and `close` are called from the event loop that called `open`; answers too."""

    def __init__(self, name: str, config: MllpSource) -> None:
        self.name = name
        self.limits = config.limits
        self.pressure = Pressure(config.limits.source_messages, config.limits.source_bytes)
        self._config = config
        self._networks: tuple[_Network, ...] = ()
        self._tls: ssl.SSLContext | None = None
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[MllpConnection] = set()
        self._arriving = 0  # sockets accepted, TLS not yet spoken
        self._arrivals: list[Arrival] = []
        self._wake: asyncio.Future[None] | None = None
        self._empty = asyncio.Event()
        self._closed = False
        self._broken: BaseException | None = None
        self._counts: Counter[str] = Counter()

    @property
    def port(self) -> int:
        """The port it listens on, also where the system chose it."""
        return int(self._sockets[0].getsockname()[1]) if self._sockets else self._config.port

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each `mllp-` and `tls-` code was seen since it opened, and how much is open now."""
        return {
            **self._counts,
            "connections": len(self._connections),
            "unanswered": self.pressure.messages,
        }

    # -- Source -------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Raises ConfigError with an `mllp-` or `tls-` code."""
        self._networks = _networks(self._config.allow)
        self._tls = server_context(self._config.tls) if self._config.tls else None
        self._sockets = await _bind(self._config.host, self._config.port)
        self._closed = False
        for listening in self._sockets:
            self._start(self._accept(listening))
        self._start(self._sweep())
        log.info("listening", source=self.name, port=self.port, tls=self._tls is not None)

    async def read(self) -> list[Arrival]:
        """All messages that are there, of all peers; for one reader."""
        while not self._arrivals:
            if self._broken is not None:
                raise self._broken
            if self._closed:
                return []
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        arrivals, self._arrivals = self._arrivals, []
        return arrivals

    async def close(self) -> None:
        """Returns when every peer has its answers, or `drain_seconds` later. Answer what was read meanwhile."""
        self._closed = True
        listening, self._sockets = self._sockets, []
        for one in listening:
            asyncio.get_running_loop().remove_reader(one)
            one.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self._connections):
            connection.end()
        self._awake()
        await self._drained()

    async def probe(self) -> list[Finding]:
        """Whether files, networks and port would do. Opens and closes the port."""
        findings = self._exposure()
        try:
            _networks(self._config.allow)
            if self._config.tls is not None:
                server_context(self._config.tls)
                findings += certificate_findings(self._config.tls.certificate)
            if not self._sockets:
                for one in await _bind(self._config.host, self._config.port):
                    one.close()
        except HilumError as error:
            findings.append(Finding(error.code, error.message, self.name))
        return findings

    # -- Hub, for the connections -------------------------------------------------------------------------------

    def arrive(self, arrival: Arrival) -> None:
        """One message came in."""
        self._arrivals.append(arrival)
        if self._wake is not None:
            self._awake()

    def note(self, code: str, connection: MllpConnection) -> None:
        """Every one is counted; a connection that repeats itself is logged once."""
        self._counts[code] += 1
        if code not in connection.noted:
            connection.noted.add(code)
            log.warning("mllp peer", code=code, source=self.name, peer=connection.peer)

    def came(self, connection: MllpConnection) -> None:
        """A peer is ready to send; one that comes while this source closes is let go."""
        self._connections.add(connection)
        if self._closed:
            connection.end()

    def gone(self, connection: MllpConnection) -> None:
        """A peer left."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    # -- inside -------------------------------------------------------------------------------------------------

    def _awake(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None and not wake.done():
            wake.set_result(None)

    def _start(self, work: asyncio._CoroutineLike[None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A fault of our own must not make the listener deaf in silence: whoever reads hears of it."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = error
            self._awake()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except OSError as error:
                if self._closed:
                    return
                self._counts["mllp-accept-failed"] += 1
                log.warning("mllp-accept-failed", source=self.name, reason=error.strerror)
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            self._receive(accepted, address)

    def _receive(self, accepted: socket.socket, address: tuple[Any, ...]) -> None:
        refusal = self._refusal(address[0])
        if not refusal:
            try:
                _keep_alive(accepted, self.limits.keepalive_seconds)
            except OSError:
                refusal = "mllp-peer-vanished"
        if refusal:
            self._counts[refusal] += 1
            log.warning("mllp peer turned away", code=refusal, source=self.name, peer=_peer(address))
            accepted.close()
            return
        accepted.setblocking(False)
        self._arriving += 1
        self._start(self._welcome(accepted, _peer(address)))

    def _refusal(self, host: str) -> str:
        """Why this peer may not connect; "" when it may."""
        if len(self._connections) + self._arriving >= self.limits.connections:
            return "mllp-connections-full"
        if self._networks and not _is_in(host, self._networks):
            return "mllp-peer-not-allowed"
        return ""

    async def _welcome(self, accepted: socket.socket, peer: str) -> None:
        """Speak TLS where configured, then let the peer send."""
        connection = MllpConnection(self, peer, secure=self._tls is not None)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=self.limits.handshake_seconds if self._tls else None,
            )
        except (OSError, TimeoutError) as error:
            self._counts["tls-handshake-failed"] += 1
            reason = tls_reason(error)
            log.warning("tls-handshake-failed", source=self.name, peer=peer, reason=reason)
        except asyncio.CancelledError:
            self.gone(connection)  # uvloop then closes the socket without telling the protocol
            raise
        finally:
            self._arriving -= 1

    async def _sweep(self) -> None:
        limits = self.limits
        times = (limits.idle_seconds, limits.frame_seconds, limits.end_seconds, limits.write_seconds)
        pause = min(1.0, max(0.02, min(*times, limits.drain_seconds or 1.0) / 4))
        while True:
            await asyncio.sleep(pause)
            now = asyncio.get_running_loop().time()
            for connection in list(self._connections):
                connection.sweep(now)

    async def _drained(self) -> None:
        """Every peer gone: by itself, or let go when the time is over."""
        self._empty.clear()
        if not self._connections:
            return
        try:
            await asyncio.wait_for(self._empty.wait(), self.limits.drain_seconds)
        except TimeoutError:
            for connection in list(self._connections):
                connection.abort()
            await asyncio.wait_for(self._empty.wait(), _LETTING_GO)

    def _exposure(self) -> list[Finding]:
        config = self._config
        if is_loopback(config.host) or config.tls is not None:
            return []
        text = "Messages cross the network in clear: set `tls`, or listen on loopback behind a tunnel"
        return [Finding("mllp-exposed", text, self.name, Severity.WARNING)]


def _networks(allow: tuple[str, ...]) -> tuple[_Network, ...]:
    try:
        return tuple(ipaddress.ip_network(one) for one in allow)
    except ValueError as error:
        raise ConfigError(f"allow: {error}; write networks as 10.2.0.0/16", code="mllp-allow-invalid") from error


def _is_in(host: str, networks: tuple[_Network, ...]) -> bool:
    address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def _peer(address: tuple[object, ...]) -> str:
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


async def _bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of the host. Raises ConfigError `mllp-bind-failed`."""
    sockets: list[socket.socket] = []
    try:
        infos = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, address in dict.fromkeys(infos):
            one = socket.create_server(address, family=family, backlog=_BACKLOG)
            sockets.append(one)
            one.setblocking(False)
            if port == 0:
                break  # a second address would get another port
    except OSError as error:
        for one in sockets:
            one.close()
        text = f"Cannot listen on {host} port {port}: {error.strerror or 'no such address'}"
        raise ConfigError(text, code="mllp-bind-failed") from error
    return sockets


def _keep_alive(accepted: socket.socket, seconds: int) -> None:
    """Let TCP find out about peers that vanished without a word: after about twice `seconds`."""
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    settings = {"TCP_KEEPIDLE": seconds, "TCP_KEEPINTVL": max(1, seconds // 4), "TCP_KEEPCNT": 4}
    for name, value in settings.items():
        if hasattr(socket, name):
            accepted.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
