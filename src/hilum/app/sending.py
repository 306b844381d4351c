"""What makes the HL7 v2 messages of a destination that is sent some."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs

from hilum.delivery import FilesDestination, MllpDestination, WebhookDestination
from hilum.engine import Maker
from hilum.mapping import Workbook, outward
from hilum.translator import Format

__all__ = ["format_of", "maker_of"]

Config = MllpDestination | FilesDestination | WebhookDestination


def format_of(config: Config) -> Format:
    """MLLP partners get the message as it came, or one made of resources; others the resources themselves."""
    if not isinstance(config, MllpDestination):
        return Format.FHIR
    return Format.MADE if config.send else Format.HL7V2


def maker_of(config: Config, book: Workbook, params: Mapping[str, str | int | float | bool]) -> Maker | None:
    """None where nothing is made. Raises ConfigError `outward-unknown`, or `workbook-invalid` with findings."""
    if not isinstance(config, MllpDestination) or not config.send:
        return None
    receiver = outward.Receiver(**structs.asdict(config.sent_as))
    return Maker(outward.compile_outward(book, config.send, params=params), receiver)
