"""How ways out are configured: one YAML file per destination, `kind` says which of these it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from hilum.config import Secret
from hilum.delivery.policy import BreakerPolicy, RetryPolicy
from hilum.errors import Outcome
from hilum.protocols import ClientTls

__all__ = ["FilesDestination", "MllpAnswers", "MllpDestination", "Refusal", "SentAs", "WebhookDestination"]

Refusal = Literal["retry", "hold", "dead_letter"]


class _Destination(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every way out has."""

    owner: Annotated[str, Meta(description="who is asked about deliveries that do not get through")] = ""
    retry: RetryPolicy = RetryPolicy()
    breaker: BreakerPolicy = BreakerPolicy()


class MllpAnswers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What this partner means when it says no: the same again later, a person first, or give up."""

    AE: Refusal = "hold"
    AR: Refusal = "hold"
    CE: Refusal = "retry"
    CR: Refusal = "hold"

    def outcome(self, code: str) -> Outcome:
        """For one of AE, AR, CE, CR."""
        return Outcome(getattr(self, code))


class SentAs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The header of messages that hilum makes: who sends them, who gets them, how they are written."""

    application: Annotated[str, Meta(description="MSH-5, and the name before `|` in maps and namespaces")] = ""
    facility: Annotated[str, Meta(description="MSH-6, and the name after `|` in maps and namespaces")] = ""
    sending_application: Annotated[str, Meta(description="MSH-3")] = "HILUM"
    sending_facility: Annotated[str, Meta(description="MSH-4")] = ""
    processing_id: Annotated[Literal["P", "T", "D"], Meta(description="MSH-11")] = "P"
    version: Annotated[str, Meta(pattern=r"^2\.[3-9](\.\d)?$", description="MSH-12")] = "2.5.1"
    charset: Annotated[str, Meta(description="MSH-18, a name of HL7 table 0211")] = "UNICODE UTF-8"


class MllpDestination(_Destination, frozen=True, kw_only=True, tag_field="kind", tag="mllp"):
    """HL7 v2 over MLLP: hilum connects and waits for each answer."""

    host: Annotated[str, Meta(min_length=1, description="name or address of the partner")]
    port: Annotated[int, Meta(ge=1, le=65535, description="TCP port of the partner")]
    tls: ClientTls | None = None
    send: Annotated[
        str,
        Meta(
            pattern=r"^(|[A-Z][A-Z0-9]{2}\^[A-Z0-9]{3})$",
            description="kind of message made of what changed: ADT^A08; empty: messages go on as they came",
        ),
    ] = ""
    send_deleted: Annotated[
        Literal["", "ADT^A23", "ADT^A29"],
        Meta(
            description="beside `send`, when a Patient is deleted: ADT^A29 (the person) or ADT^A23 (the record), "
            "as the partner understands; empty: it is not told"
        ),
    ] = ""
    sent_as: Annotated[SentAs, Meta(description="the header of messages that are made")] = SentAs()
    ack: Annotated[
        Literal["original", "enhanced"],
        Meta(description="original: AA takes the record; enhanced: CA takes it, see `application`"),
    ] = "original"
    application: Annotated[
        bool, Meta(description="enhanced mode: after CA wait for the AA on the same connection too")
    ] = False
    answers: MllpAnswers = MllpAnswers()
    connect_seconds: Annotated[float, Meta(gt=0, description="time to connect, TLS included, seconds")] = 10
    ack_seconds: Annotated[float, Meta(gt=0, description="time for an answer, seconds")] = 30
    answer_bytes: Annotated[int, Meta(ge=256, description="largest answer taken, bytes")] = 1024 * 1024

    def __post_init__(self) -> None:
        if self.send_deleted and not self.send:
            raise ValueError(
                "`send_deleted` belongs to `send`: messages that go on as they came say themselves what is gone"
            )


class FilesDestination(_Destination, frozen=True, kw_only=True, tag_field="kind", tag="files"):
    """Records as files in a folder: one each, lines of NDJSON, or lines of a table made of them."""

    folder: Annotated[Path, Meta(description="folder to write into; made when absent")]
    layout: Annotated[
        Literal["each", "ndjson", "csv"],
        Meta(
            description="each: one file per record; ndjson: one line per record, one file per UTC day; csv: lines of "
            "the table that `send` names, one file per UTC day"
        ),
    ] = "each"
    send: Annotated[
        str,
        Meta(
            pattern=r"^(|csv:[A-Za-z][A-Za-z0-9_-]*)$",
            description="table made of what changed, by rows of the workbook: csv:worklist; empty: none is made",
        ),
    ] = ""

    def __post_init__(self) -> None:
        if (self.layout == "csv") != bool(self.send):
            raise ValueError("`layout: csv` and `send: csv:NAME` belong together: the lines of which table are written")


class WebhookDestination(_Destination, frozen=True, kw_only=True, tag_field="kind", tag="webhook"):
    """Each record as one signed HTTP POST."""

    url: Annotated[str, Meta(pattern="^https?://", description="where to POST; http only to this host itself")]
    secret: Annotated[Secret, Meta(description="key of the HMAC-SHA256 signature, at least 16 bytes")]
    token: Annotated[Secret | None, Meta(description="bearer token, where the partner asks for one")] = None
    tls: ClientTls = ClientTls()
    refused: Annotated[
        Literal["hold", "dead_letter"], Meta(description="what a 4xx means, but for 408, 425 and 429")
    ] = "hold"
    connect_seconds: Annotated[float, Meta(gt=0, description="time to connect, TLS included, seconds")] = 10
    answer_seconds: Annotated[
        float, Meta(gt=0, description="time to send a record and get the whole answer, seconds")
    ] = 30
