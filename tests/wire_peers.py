"""Peers for tests over real sockets: a well-behaved one with a time limit on everything it awaits."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from types import TracebackType

PATIENCE = 20  # seconds until a test gives up waiting


def message(number: int | str, *segments: bytes) -> bytes:
    """An HL7 v2 message whose MSH-10 is the number."""
    head = b"MSH|^~\\&|SEND|FAC|HILUM|X|20260101||ADT^A01|%b|P|2.5.1" % str(number).encode()
    return b"\r".join((head, b"EVN|A01", *segments)) + b"\r"


def block(body: bytes) -> bytes:
    """Framed by hand, so that a wrong `frame` cannot hide."""
    return b"\x0b" + body + b"\x1c\r"


def answer_to(body: bytes, code: bytes = b"AA") -> bytes:
    """An acknowledgement with MSA-2 of that message."""
    identity = body.split(b"\r", 1)[0].split(b"|")[9]
    return b"MSH|^~\\&|HILUM|X|SEND|FAC|20260101||ACK|A%b|P|2.5.1\rMSA|%b|%b\r" % (identity, code, identity)


class Peer:
    """A TCP connection with readable answers. `async with Peer(port)` connects and closes."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, receive_buffer: int = 0) -> None:
        self._port, self._tls, self._receive_buffer = port, tls, receive_buffer

    async def __aenter__(self) -> Peer:
        if self._tls is not None:
            self.reader, self.writer = await asyncio.open_connection(
                "127.0.0.1", self._port, ssl=self._tls, limit=1 << 25
            )
            return self
        plain = socket.socket()
        if self._receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        plain.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", self._port))
        except BaseException:
            plain.close()
            raise
        self.reader, self.writer = await asyncio.open_connection(sock=plain, limit=1 << 25)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.transport.abort()

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await asyncio.wait_for(self.writer.drain(), PATIENCE)

    async def answer(self) -> bytes:
        """The next framed answer, without its frame."""
        data = await asyncio.wait_for(self.reader.readuntil(b"\x1c\r"), PATIENCE)
        assert data[:1] == b"\x0b"
        return data[1:-2]

    async def answered_ids(self, count: int) -> list[str]:
        """`code id` of the next answers, in the order in which they came."""
        answers = [await self.answer() for _ in range(count)]
        return [b" ".join(one.split(b"\rMSA|")[1].strip().split(b"|")[:2]).decode() for one in answers]

    async def ended(self) -> bytes:
        """Wait until the other side has closed; what it still sent."""
        try:
            return await asyncio.wait_for(self.reader.read(), PATIENCE)
        except ConnectionError:
            return b""

    def reset(self) -> None:
        """RST instead of FIN: what a crashed host or a firewall does."""
        plain = self.writer.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def until(condition: object) -> None:
    """Wait until the callable is true; nothing that a test awaits takes longer than PATIENCE."""
    assert callable(condition)
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.002)
