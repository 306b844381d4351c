"""Makes the dictionary that bodies are compressed against: `python -m bench.repository_dictionary FILE`.

Trained on what the base workbook makes of the made-up messages of bench/samples.py. Nothing of a real person is in it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import zstandard
from bench.samples import messages

from hilum import mapping
from hilum.formats import hl7v2
from hilum.repository.body import Record, pack
from hilum.repository.patch import NOTHING, patch

MESSAGES = 1_500
SIZE = 64 * 1024
AT = 1_793_526_900_000_000


def train() -> bytes:
    """The same bytes each time, for the same workbook and the same version of zstd."""
    plan = mapping.compile_workbook(mapping.load_base())
    chunks = []
    for body in messages(MESSAGES, seed=5):
        record = hl7v2.parse(body)
        drafts = plan.run(record, mapping.Context(source="adt", sender=record.sender, received_at=AT)).drafts
        texts = [pack(Record(draft.id, patch(NOTHING, draft, AT))) for draft in drafts]
        chunks.append(msgspec.msgpack.encode(texts))
    return zstandard.train_dictionary(SIZE, chunks).as_bytes()


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(train())
