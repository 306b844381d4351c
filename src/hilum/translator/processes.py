"""Translators in processes of their own, and what happens when one of them ends or does not answer."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Sequence

import msgspec

from hilum.errors import HilumError, Outcome
from hilum.model import Effects, Held, Message
from hilum.translator.recipe import Recipe
from hilum.translator.translate import hold
from hilum.translator.wire import HEADER, READY, answers_from, frame, length_of, messages_to

__all__ = ["Processes", "process_count"]

BATCH = 32  # messages to a process at once
MOST_BYTES = 1024 * 1024  # of messages that share a batch
READY_WITHIN = 60.0  # seconds from its start: it imports and compiles
ANSWER_WITHIN = 30.0  # seconds for a batch; a message of a megabyte takes two
SECONDS_A_MEGABYTE = 30.0
BUFFER = 1024 * 1024  # bytes under way in each direction


def process_count() -> int:
    """Half of the cores: the others answer senders and write. At most four: one writer has no use for more."""
    return min(4, max(1, (os.cpu_count() or 1) // 2))


class Processes:
    """A `Turner` with `count` processes; every lane always asks the same one."""

    batch = BATCH

    def __init__(self, recipe: Recipe, count: int | None = None) -> None:
        self._owners = recipe.owners
        text = pickle.dumps(recipe, protocol=pickle.HIGHEST_PROTOCOL)
        self._lines = [_Line(text) for _ in range(count or process_count())]

    async def start(self) -> None:
        """Start all of them, without waiting until they are ready."""
        for line in self._lines:
            await line.start()

    async def use(self, recipe: Recipe) -> None:
        """From now on this recipe. Those who ask meanwhile are answered by the one before.

        Raises HilumError `translator-unavailable`, and the one before goes on.
        """
        text = pickle.dumps(recipe, protocol=pickle.HIGHEST_PROTOCOL)
        fresh = [_Line(text) for _ in self._lines]
        try:
            for line in fresh:
                await line.start()
            for line in fresh:
                await line.until_ready()
        except BaseException:
            for line in fresh:
                line.end()
            raise
        former, self._lines, self._owners = self._lines, fresh, recipe.owners
        for line, heir in zip(former, fresh, strict=True):
            await line.retire(heir)

    async def turn(self, lane: int, messages: Sequence[Message]) -> list[Effects | Held]:
        """Raises HilumError `translator-unavailable` when no process can be had."""
        line = self._lines[lane % len(self._lines)]
        found: list[Effects | Held] = []
        for some in _batches(messages):
            try:
                found += await line.ask(some)
            except _NoAnswer as problem:
                found += (
                    [await self._alone(line, message) for message in some]
                    if len(some) > 1
                    else [self._held(some[0], problem)]
                )
        return found

    async def _alone(self, line: _Line, message: Message) -> Effects | Held:
        """One of several that were asked together, to find the one that cannot be turned."""
        try:
            return (await line.ask([message]))[0]
        except _NoAnswer as problem:
            return self._held(message, problem)

    def _held(self, message: Message, problem: _NoAnswer) -> Held:
        from structlog import get_logger  # brings rich: seldom needed here, and every start of a process would wait

        get_logger(__name__).error("a message cannot be turned", seq=message.seq, code=problem.code)
        return hold(message, problem.code, problem.text, "", self._owners.get(message.envelope.source, ""))

    async def close(self) -> None:
        """End them all."""
        for line in self._lines:
            line.end()


def _batches(messages: Sequence[Message]) -> list[list[Message]]:
    """In order; large messages apart, so that none of them has to be quick."""
    found: list[list[Message]] = []
    size = 0
    for message in messages:
        size += len(message.body)
        if not found or len(found[-1]) == BATCH or size > MOST_BYTES:
            found.append([])
            size = len(message.body)
        found[-1].append(message)
    return found


class _NoAnswer(Exception):
    """The process ended over it, or did not answer in time."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code)
        self.code, self.text = code, text


class _Line:
    """One process and the connection to it."""

    def __init__(self, recipe: bytes) -> None:
        self._recipe = recipe
        self._asking = asyncio.Lock()
        self._heir: _Line | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._is_ready = False

    async def start(self) -> None:
        """A new process; it is handed the recipe and compiles it while others work."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        with theirs:
            command = [sys.executable, "-P", "-m", "hilum.translator.child", str(theirs.fileno())]
            try:
                self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - it returns at once; the command is ours
                    command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
                )
            except OSError as error:
                ours.close()
                raise _unavailable() from error
        self._is_ready = False
        self._reader, self._writer = await asyncio.open_unix_connection(sock=ours, limit=4 * BUFFER)
        self._writer.write(frame(self._recipe))

    async def ask(self, messages: Sequence[Message]) -> list[Effects | Held]:
        """Raises _NoAnswer, and there is a new process then; HilumError when there is none to be had."""
        async with self._asking:
            if self._heir is not None:
                return await self._heir.ask(messages)
            if self._process is None:
                await self.start()
            await self.until_ready()
            seconds = ANSWER_WITHIN + SECONDS_A_MEGABYTE * sum(len(one.body) for one in messages) / 1e6
            try:
                async with asyncio.timeout(seconds):
                    answers = answers_from(await self._exchange(messages_to(list(messages))))
            except TimeoutError:
                self.end()
                text = f"the workbook was not done with it after {seconds:.0f} seconds"
                raise _NoAnswer("mapping-timeout", text) from None
            except (OSError, EOFError):
                self.end()
                raise _NoAnswer("mapping-crashed", "the process that maps ended over it") from None
            except msgspec.MsgspecError:
                raise _NoAnswer("mapping-crashed", "the workbook made of it what is no JSON") from None
            except BaseException:  # asked no more: what comes now would be taken for the next answer
                self.end()
                raise
            if len(answers) != len(messages):
                self.end()
                raise _NoAnswer("mapping-crashed", "the process that maps gave another number of answers")
            return answers

    async def retire(self, heir: _Line) -> None:
        """End it when the question at hand is answered; those that wait are for `heir`."""
        self._heir = heir
        async with self._asking:
            self.end()

    async def until_ready(self) -> None:
        """Raises HilumError `translator-unavailable`."""
        if self._is_ready:
            return
        try:
            async with asyncio.timeout(READY_WITHIN):
                self._is_ready = await self._read() == READY
        except (TimeoutError, OSError, EOFError):
            self.end()
        if not self._is_ready:
            raise _unavailable()

    async def _exchange(self, body: bytes) -> bytes:
        assert self._writer is not None
        self._writer.write(frame(body))
        await self._writer.drain()
        return await self._read()

    async def _read(self) -> bytes:
        assert self._reader is not None
        header = await self._reader.readexactly(HEADER)
        return await self._reader.readexactly(length_of(header))

    def end(self) -> None:
        """The next question starts another."""
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()  # it was killed: this takes no time
        self._process = self._reader = self._writer = None


def _unavailable() -> HilumError:
    text = "the process that maps messages does not start: look at the log, then start hilum again"
    return HilumError(text, code="translator-unavailable", outcome=Outcome.STOP)
