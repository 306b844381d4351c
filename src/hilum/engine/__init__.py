"""The journey of a message through hilum: `flow` calls its steps, workers and senders keep it going."""

from hilum.engine.engine import Engine
from hilum.engine.ledger import Ledger, add_up
from hilum.engine.making import Maker
from hilum.engine.partition import PARTITIONS, partitions_of
from hilum.engine.settings import AckMode, Contract, Order, SourceSettings
from hilum.engine.unmerging import pair_of, unlink

__all__ = [
    "PARTITIONS",
    "AckMode",
    "Contract",
    "Engine",
    "Ledger",
    "Maker",
    "Order",
    "SourceSettings",
    "add_up",
    "pair_of",
    "partitions_of",
    "unlink",
]
