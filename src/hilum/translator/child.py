"""The other process: takes a recipe, then messages, until the engine closes the line. Not for people to start."""

from __future__ import annotations

import gc
import pickle
import signal
import socket
import sys
from contextlib import suppress

from hilum.translator.recipe import translator_of
from hilum.translator.wire import HEADER, READY, answers_to, frame, length_of, messages_from

__all__ = ["main", "serve"]

THRESHOLDS = (50_000, 20, 50)  # of the collections of objects; see `gc.set_threshold`


def main() -> None:
    """`python -m hilum.translator.child DESCRIPTOR`, started by `Processes`."""
    gc.set_threshold(*THRESHOLDS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the engine, which closes the line when it is done
    with socket.socket(fileno=int(sys.argv[1])) as line, suppress(BrokenPipeError, ConnectionResetError):
        serve(line)  # an engine that was killed reads no answers


def serve(line: socket.socket) -> None:
    """Answer until the line is closed."""
    recipe = _take(line)
    if recipe is None:
        return
    translator = translator_of(pickle.loads(recipe))  # noqa: S301 - the engine that started this process wrote it
    _settle_memory()
    line.sendall(frame(READY))
    while (asked := _take(line)) is not None:
        line.sendall(frame(answers_to([translator.turn(message) for message in messages_from(asked)])))


def _settle_memory() -> None:
    """What was compiled stays; messages make many short-lived containers and no cycles."""
    gc.collect()
    gc.freeze()


def _take(line: socket.socket) -> bytes | None:
    """The next frame; None when there is none any more."""
    header = _exactly(line, HEADER)
    return None if header is None else _exactly(line, length_of(header))


def _exactly(line: socket.socket, size: int) -> bytes | None:
    found = bytearray(size)
    view, at = memoryview(found), 0
    while at < size:
        got = line.recv_into(view[at:])
        if not got:
            return None
        at += got
    return bytes(found)


if __name__ == "__main__":
    main()
