"""A load generator in a process of its own: stop-and-wait MLLP senders, as real ones are.

`python -m bench.load PORT CONNECTIONS MESSAGES RATE` prints one JSON object; RATE 0 is as fast as answers come. Senders
of one patient share a connection, so that order can be checked.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

import uvloop
from bench.journal import incoming

__all__ = ["main"]


async def _send(port: int, bodies: list[bytes], due: list[float], waits: list[float], codes: dict[str, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for body, at in zip(bodies, due, strict=True):
        if at and (pause := at - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        started = at or time.perf_counter()
        writer.write(b"\x0b" + body + b"\x1c\r")
        answer = await reader.readuntil(b"\x1c\r")
        waits.append(time.perf_counter() - started)
        code = answer.partition(b"\rMSA|")[2][:2].decode()
        codes[code] = codes.get(code, 0) + 1
    writer.close()


async def _run(port: int, connections: int, messages: int, rate: float) -> dict[str, object]:
    dice = random.Random(7)
    bodies = [incoming(n, dice, 20_000).body for n in range(messages)]
    begin = time.perf_counter() + 0.1
    dues = [begin + n / rate if rate else 0.0 for n in range(messages)]
    lanes: list[tuple[list[bytes], list[float]]] = [([], []) for _ in range(connections)]
    for n, (body, due) in enumerate(zip(bodies, dues, strict=True)):
        lanes[n % connections][0].append(body)
        lanes[n % connections][1].append(due)
    waits: list[float] = []
    codes: dict[str, int] = {}
    started = time.perf_counter()
    await asyncio.gather(*(_send(port, *lane, waits, codes) for lane in lanes))
    seconds = time.perf_counter() - started
    waits.sort()
    return {
        "messages": messages,
        "mean_bytes": round(sum(map(len, bodies)) / messages),
        "per_second": round(messages / seconds),
        "p50_ms": round(waits[messages // 2] * 1000, 2),
        "p99_ms": round(waits[messages * 99 // 100] * 1000, 2),
        "answers": codes,
    }


def main() -> None:
    port, connections, messages = (int(text) for text in sys.argv[1:4])
    print(json.dumps(uvloop.run(_run(port, connections, messages, float(sys.argv[4])))))


if __name__ == "__main__":
    main()
