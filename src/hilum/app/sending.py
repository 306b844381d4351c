"""What makes the HL7 v2 messages, or the lines of a table, of a destination that is sent some."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from msgspec import structs

from hilum.app.opening import Opened
from hilum.config import Tree
from hilum.delivery import FilesDestination, MllpDestination, WebhookDestination
from hilum.engine import Maker, Makes, TableMaker
from hilum.mapping import Workbook, compile_table, outward
from hilum.repository import WAITING_DELIVERIES
from hilum.translator import Format

__all__ = ["DestinationConfig", "destination_configs", "format_of", "maker_of", "unnamed"]

DestinationConfig = MllpDestination | FilesDestination | WebhookDestination


def destination_configs(tree: Tree) -> dict[str, DestinationConfig]:
    """Every way out of a folder, by name, as its file says it."""
    return {**tree.all(MllpDestination), **tree.all(FilesDestination), **tree.all(WebhookDestination)}


def unnamed(opened: Opened) -> dict[str, int]:
    """Deliveries that wait for destinations which the folder does not name (any more): nobody sends them."""
    named, found = destination_configs(opened.tree), Counter[str]()
    for (destination, state), count in opened.repository.delivery_counts().items():
        if destination not in named and state in WAITING_DELIVERIES:
            found[destination] += count
    return dict(found)


def format_of(config: DestinationConfig) -> Format:
    """MLLP partners get the message as it came, or one made of resources; others the resources, or lines of them."""
    if isinstance(config, FilesDestination) and config.send:
        return Format.MADE
    if not isinstance(config, MllpDestination):
        return Format.FHIR
    return Format.MADE if config.send else Format.HL7V2


def maker_of(config: DestinationConfig, book: Workbook, params: Mapping[str, str | int | float | bool]) -> Makes | None:
    """None where nothing is made. Raises ConfigError `outward-unknown`, `csv-table-unknown`, or `workbook-invalid`."""
    if isinstance(config, FilesDestination) and config.send:
        return TableMaker(compile_table(book, config.send, params=params))
    if not isinstance(config, MllpDestination) or not config.send:
        return None
    receiver = outward.Receiver(**structs.asdict(config.sent_as))
    made = outward.compile_outward(book, config.send, params=params)
    deleted = config.send_deleted
    return Maker(made, receiver, outward.compile_outward(book, deleted, params=params) if deleted else None)
