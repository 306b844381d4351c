"""`hilum demo`: a simulated hospital sends real HL7 v2 over real sockets, and the totals add up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from json import dumps
from pathlib import Path
from secrets import token_hex
from typing import Annotated

import structlog
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.live import Live
from rich.table import Table

from hilum.app.demo_faults import Faults
from hilum.app.demo_view import next_steps, picture, summary, welcome
from hilum.app.logs import tell_left_out
from hilum.app.loop import fast_runner
from hilum.app.opening import Opened, open_folder, whoami
from hilum.app.printing import print_json, program
from hilum.app.running import Running, running
from hilum.app.tokens import Role
from hilum.app.unblocked import unblocked_stderr
from hilum.engine import Ledger
from hilum.intake import MllpListener
from hilum.simulator import Hospital, Tally, Target, send

__all__ = ["command"]

_ABOVE_ZERO = Number(gt=0)
REFRESH = 0.5  # seconds between two looks at the store
ADDRESS = "address.json"  # beside the store, for the programs of examples/
SETTLE = 30.0  # seconds for what was acknowledged to be applied after the senders have stopped
FOLDER = {
    "integration.yaml": """use: demo
owners:
  workflow: {business: ward, technical: integration, evidence: quality, launch: clinical-lead}
  vendor_access: {business: ward, technical: integration, evidence: quality, launch: clinical-lead}
  mapping: {business: ward, technical: integration, evidence: quality, launch: clinical-lead}
  security: {business: privacy, technical: security, evidence: quality, launch: privacy}
  release: {business: ward, technical: operations, evidence: quality, launch: clinical-lead}
api: {port: %d}
params: {unknown_namespace: local, zone: America/New_York}
""",
    "sources/adt.yaml": "kind: mllp\nport: 0\nowner: registration\n",
    "sources/lab.yaml": "kind: mllp\nport: 0\ncharset: iso-8859-1\nowner: laboratory\n",
    "sources/sched.yaml": "kind: mllp\nport: 0\nowner: front-desk\n",
    "topics/care.yaml": """url: https://demo.example/topics/care
title: New encounters, and laboratory results that are final
changes:
  - {type: Encounter, events: [create]}
  - {type: Observation, events: [create, update], current: category=laboratory&status=final}
""",
    "subscribers/worklist.yaml": (
        'secret: file:subscribers/worklist.secret\nendpoints: ["http://127.0.0.1/"]  # this machine, any port\n'
    ),
}


def command(
    *,
    seconds: Annotated[
        float | None, Parameter(help="Stop after this long; without it, Ctrl-C stops.", validator=_ABOVE_ZERO)
    ] = None,
    rate: Annotated[float, Parameter(help="Messages per second that the hospital sends.", validator=_ABOVE_ZERO)] = 60,
    seed: Annotated[int, Parameter(help="Which hospital: each number is another one.")] = 1,
    port: Annotated[
        int, Parameter(help="Port of the FHIR API; 0 takes a free one.", validator=Number(gte=0, lte=65_535))
    ] = 0,
    keep: Annotated[Path | None, Parameter(help="Keep the integration folder: a new folder to make.")] = None,
    json: Annotated[bool, Parameter(help="Only print the summary, as JSON.", negative="")] = False,
) -> int:
    """Watch a simulated hospital send to hilum, and the totals add up.

    Admissions, transfers, discharges, merges, results, appointments and some broken messages come in over MLLP sockets
    of this machine. The resources can be read through the FHIR API while it runs. Everything is synthetic, and is
    deleted at the end unless --keep says where. The exit status is 0 only when every message is accounted for and
    every answer was the right one.
    """
    _quiet_logs()
    with unblocked_stderr(tell_left_out), _folder(keep, port) as folder, fast_runner() as runner:
        return runner.run(_demo(folder, seconds, rate, seed, kept=keep is not None, as_json=json))


async def _demo(folder: Path, seconds: float | None, rate: float, seed: int, *, kept: bool, as_json: bool) -> int:
    console = Console(quiet=as_json, highlight=False)
    with open_folder(folder, exclusive=True, create=True) as opened:
        async with running(opened) as state:
            _write_address(opened.store.path.with_name(ADDRESS), state.listener.base_url)
            token = opened.tokens.create("demo", Role.READER, 86_400, by=whoami()).text
            tally, faults, stop = Tally(), Faults(), asyncio.Event()
            _stop_on_signals(stop)
            messages = faults.watch(Hospital(seed).stream())
            sending = asyncio.create_task(
                send(messages, _targets(state), connections=2, rate=rate, stop=stop, tally=tally)
            )
            _print_lines(console, welcome(state.listener.base_url, token, str(folder), program()))
            ledger = await _watch(console, opened, state, sending, seconds, tally, stop)
            ended = [f"{part} has ended: this is a fault of hilum" for part in state.engine.failures()]
        problems, fates = [*_problems(ledger, tally), *ended], faults.fates(opened)
        if as_json:
            sums = {"ledger": ledger, "answers": tally.answers, "sent": tally.sent}
            print_json({**sums, "broken": fates, "problems": problems})
        else:
            console.print(summary(ledger, tally, fates, problems, console.width))
            _print_lines(console, next_steps(opened, str(folder) if kept else None, program()))
    return 1 if problems else 0


async def _watch(
    console: Console,
    opened: Opened,
    state: Running,
    sending: asyncio.Task[Tally],
    seconds: float | None,
    tally: Tally,
    stop: asyncio.Event,
) -> Ledger:
    """Show the store until it is time to stop; then wait for what is on its way, and show the last of it."""
    started = time.monotonic()

    def look() -> Table:
        return picture(opened, tally, time.monotonic() - started, console.width)

    with _screen(console) as show:
        while not stop.is_set() and not sending.done() and not state.engine.failures():
            show(look())
            if seconds is not None and time.monotonic() - started >= seconds:
                stop.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), REFRESH)
        stop.set()
        await sending
        ledger = await _settled(opened)
        show(look())
    if not console.is_terminal:
        console.print(look())
    return ledger


@contextlib.contextmanager
def _screen(console: Console) -> Iterator[Callable[[Table], None]]:
    """A frame that is drawn again and again; where nobody looks at a screen, nothing."""
    if not console.is_terminal:
        yield lambda _: None
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda frame: live.update(frame, refresh=True)


def _problems(ledger: Ledger, tally: Tally) -> list[str]:
    """Everything that does not add up, in words; nothing received at all is a problem too."""
    checks = [
        (ledger.received > 0, "no message was received"),
        (ledger.difference == 0, f"{ledger.difference} messages are not accounted for"),
        (ledger.fields.adds_up, "the fields of the messages are not all accounted for"),
        (
            ledger.received == tally.received or tally.unanswered > 0,
            f"the hospital sent {tally.received}, hilum has {ledger.received}",
        ),
        (ledger.rejected == tally.rejected, f"{tally.rejected} were refused, hilum has {ledger.rejected}"),
        (tally.is_as_expected, f"{tally.wrong_codes} answers had the wrong code, {tally.wrong_ids} the wrong id"),
    ]
    return [text for holds, text in checks if not holds]


async def _settled(opened: Opened) -> Ledger:
    """The ledger when nothing is left to read; what waits behind a held message goes on waiting."""
    patience = time.monotonic() + SETTLE
    while True:
        waiting = opened.journal.counts(opened.repository.positions()).waiting
        if not waiting or time.monotonic() > patience:
            return opened.ledger()
        await asyncio.sleep(0.1)


def _targets(state: Running) -> dict[str, Target]:
    return {one.name: Target("127.0.0.1", one.port) for one in state.sources if isinstance(one, MllpListener)}


def _print_lines(console: Console, lines: Iterable[str]) -> None:
    """As they are: a line to be copied is never broken."""
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)


def _quiet_logs() -> None:
    """The screen belongs to the totals; trouble is still said."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


@contextlib.contextmanager
def _folder(keep: Path | None, port: int) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True)
        _write_folder(keep, port)
        yield keep
        return
    folder = Path(tempfile.mkdtemp(prefix=f"hilum-demo-{os.getpid()}-"))
    try:
        _write_folder(folder, port)
        yield folder
    finally:
        shutil.rmtree(folder)


def _write_address(path: Path, url: str) -> None:
    """Where the API listens: a free port is known only now."""
    path.write_text(dumps({"url": url}), encoding="utf-8")


def _write_folder(folder: Path, port: int) -> None:
    for name, text in FOLDER.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text % port if "%d" in text else text)
    secret = folder / "subscribers" / "worklist.secret"
    secret.touch(0o600)
    secret.write_text(token_hex(32), encoding="utf-8")
