"""A process to be killed: appends, audits, seals and deletes, and writes each acknowledged control id to stdout.

python crash_workload.py STORE FIRST LAST
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from journal_samples import START, incoming

from hilum.journal import SCHEMA, SqliteJournal
from hilum.model import AuditEvent
from hilum.store import Store

KEY = bytes(range(32))
ALL_READ = dict.fromkeys(range(4), 2**40)


def say(control_id: str) -> None:
    os.write(1, f"{control_id}\n".encode())  # at once and whole, as an acknowledgement leaves


async def append(journal: SqliteJournal, n: int) -> None:
    await journal.append([incoming(n)])
    say(f"C{n}")


async def work(path: Path, first: int, last: int) -> None:
    with Store.open(path, key=KEY, schemas=[SCHEMA], exclusive=True) as store:
        journal = SqliteJournal(store)
        say("ready")
        for n in range(first, last, 5):
            await asyncio.gather(*(append(journal, m) for m in range(n, n + 5)))
            await journal.audit([AuditEvent(START, "token-a", "read", f"Patient/{n}")])
            if n % 10 == 6:
                sealed = await journal.seal(n, ALL_READ)
                if len(sealed) and sealed[-1].n > 2:
                    await journal.delete_sealed(sealed[0].last_at + 1, "cli")
        journal.close()


asyncio.run(work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
