"""The journey of a message through hilum: `flow` calls its steps, workers and senders keep it going."""

from hilum.engine.engine import Engine
from hilum.engine.ledger import Ledger, add_up
from hilum.engine.making import Maker, Makes
from hilum.engine.making_tables import TableMaker
from hilum.engine.partition import PARTITIONS, partitions_of
from hilum.engine.settings import AckMode, Contract, Order, SourceSettings
from hilum.engine.silence import LOOK_BACK_HOURS, Feed, feeds, heard_again, silence_items
from hilum.engine.unmerging import chain_between, pair_of, unlink

__all__ = [
    "LOOK_BACK_HOURS",
    "PARTITIONS",
    "AckMode",
    "Contract",
    "Engine",
    "Feed",
    "Ledger",
    "Maker",
    "Makes",
    "Order",
    "SourceSettings",
    "TableMaker",
    "add_up",
    "chain_between",
    "feeds",
    "heard_again",
    "pair_of",
    "partitions_of",
    "silence_items",
    "unlink",
]
