"""The one error tree.

HilumError
├── ConfigError          the integration folder cannot be used                      stop
├── FormatError          bytes that are not what they say they are                  hold
├── MappingError         a record that the workbook cannot turn into resources      hold
├── StoreError           journal or repository cannot do what was asked
│   ├── StoreUnsafe      SQLite too old, setting unsafe, key wrong                  stop
│   ├── StoreBusy        another `hilum run` holds this store                       stop
│   ├── StoreFull        no space, or the disk refused a write or a sync            retry
│   └── StoreCorrupt     what is read is not what was written                       stop
├── NotFound             no such message, resource or item                          stop
└── DeliveryError        a destination did not take a record                        as the error says

Each error has a stable `code` (documented in docs/codes/), a `location` (`file:line:col`, a message id with a
path, or sheet!cell) and an `outcome`, which is all that the engine looks at. A message says what happened and what to
do about it, and never holds PHI.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hilum.model import Finding

__all__ = [
    "ConfigError",
    "DeliveryError",
    "FormatError",
    "HilumError",
    "MappingError",
    "NotFound",
    "Outcome",
    "StoreBusy",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreUnsafe",
]


class Outcome(StrEnum):
    """What the engine does next."""

    RETRY = "retry"  # the same again, later
    HOLD = "hold"  # keep the message for a person
    DEAD_LETTER = "dead_letter"  # give the delivery up, keep it, say so
    STOP = "stop"  # do not go on: nothing would be right


class HilumError(Exception):
    """Something hilum knows how to name; `code` is stable, `outcome` says what happens next."""

    outcome: Outcome = Outcome.STOP
    default_code: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        location: str = "",
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.location = location
        if outcome is not None:
            self.outcome = outcome

    def __str__(self) -> str:
        where = f"{self.location} " if self.location else ""
        return f"{where}{self.code} {self.message}"


class ConfigError(HilumError):
    """The integration folder has findings of severity error; `findings` lists all of them."""

    default_code = "config-invalid"

    def __init__(self, message: str, findings: Sequence[Finding] = (), *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.findings = tuple(findings)


class FormatError(HilumError):
    """Bytes that cannot be read as what they claim to be."""

    outcome = Outcome.HOLD
    default_code = "format-invalid"


class MappingError(HilumError):
    """A record that the workbook cannot turn into resources."""

    outcome = Outcome.HOLD
    default_code = "mapping-failed"


class StoreError(HilumError):
    """Journal or repository cannot do what was asked."""

    default_code = "store-failed"


class StoreUnsafe(StoreError):
    """The store would not keep its promises as configured: SQLite too old, setting unsafe, or key wrong."""

    default_code = "store-unsafe"


class StoreBusy(StoreError):
    """Another `hilum run` holds this store."""

    default_code = "store-busy"


class StoreFull(StoreError):
    """The disk is full or refused a write or a sync: nothing was saved, and nothing was acknowledged."""

    outcome = Outcome.RETRY
    default_code = "store-full"


class StoreCorrupt(StoreError):
    """What is read is not what was written."""

    default_code = "store-corrupt"


class NotFound(HilumError):
    """There is no such message, resource or item."""

    default_code = "not-found"


class DeliveryError(HilumError):
    """A destination did not take a record; `outcome` says whether to try again, hold or give up.

    `retry_after` is the wait in seconds that the other side asked for; 0 when it did not.
    """

    outcome = Outcome.RETRY
    default_code = "delivery-failed"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        location: str = "",
        outcome: Outcome | None = None,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message, code=code, location=location, outcome=outcome)
        self.retry_after = retry_after
