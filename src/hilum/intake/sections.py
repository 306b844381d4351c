"""How ways in are configured: one YAML file per source, `kind` says which of these it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from hilum.formats.records import Format
from hilum.model import Disposition
from hilum.protocols import ServerTls

__all__ = ["AckRules", "FilesLimits", "FilesSource", "MllpLimits", "MllpSource"]


class AckRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What this source's answers say."""

    mode: Annotated[
        Literal["original", "enhanced", "auto"],
        Meta(
            description="original: AA, AE or AR; enhanced: CA, CE or CR at once, then AA; auto: as MSH-15 and -16 ask"
        ),
    ] = "auto"
    contract: Annotated[
        Literal["accepted", "applied", "delivered"],
        Meta(description="what an AA promises: the journal has it, its effects are stored, partners took it"),
    ] = "accepted"


class MllpLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one listener takes before it slows a peer down or lets it go."""

    message_bytes: Annotated[
        int, Meta(ge=1024, description="largest message taken whole, bytes; of a larger one this much is kept")
    ] = 32 * 1024 * 1024
    connections: Annotated[int, Meta(ge=1, description="peers at the same time; the next one is turned away")] = 500
    connection_messages: Annotated[
        int, Meta(ge=1, description="unanswered messages of one peer before its reading pauses")
    ] = 256
    connection_bytes: Annotated[
        int, Meta(ge=1024, description="unanswered bytes of one peer before its reading pauses")
    ] = 16 * 1024 * 1024
    source_messages: Annotated[
        int, Meta(ge=1, description="unanswered messages of all peers before reading pauses")
    ] = 8192
    source_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            description="unanswered bytes of all peers before reading pauses; the most kept of unfinished ones",
        ),
    ] = 128 * 1024 * 1024
    idle_seconds: Annotated[
        float, Meta(gt=0, description="a peer that sends nothing and awaits nothing is let go after this, seconds")
    ] = 3600
    frame_seconds: Annotated[float, Meta(gt=0, description="a message begun must be complete after this, seconds")] = 60
    end_seconds: Annotated[
        float, Meta(gt=0, description="silence after which FS alone counts as the end of a message, seconds")
    ] = 1
    write_seconds: Annotated[
        float, Meta(gt=0, description="a peer that does not read its answers is let go after this, seconds")
    ] = 30
    write_bytes: Annotated[
        int, Meta(ge=1024, description="answers waiting for a peer to read them before its reading pauses, bytes")
    ] = 256 * 1024
    handshake_seconds: Annotated[float, Meta(gt=0, description="time for the TLS handshake, seconds")] = 10
    keepalive_seconds: Annotated[
        int, Meta(ge=1, description="silence before TCP asks whether the peer is still there, seconds")
    ] = 60
    drain_seconds: Annotated[
        float, Meta(ge=0, description="time for outstanding answers when this source closes, seconds")
    ] = 5


class _Source(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every way in of HL7 v2 messages has."""

    owner: Annotated[str, Meta(description="who is asked about messages of this source")] = ""
    charset: Annotated[str, Meta(description="Python codec of messages whose MSH-18 is empty")] = "utf-8"
    key: Annotated[str, Meta(description="path of the value that orders messages")] = "PID-3[1]"
    order: Annotated[
        Literal["wait", "pass"],
        Meta(description="wait: messages of a key wait behind a held one; pass: they go on"),
    ] = "wait"
    tolerances: Annotated[
        dict[str, Disposition], Meta(description="finding code -> accept, warning, hold, AE or AR")
    ] = field(default_factory=dict)


class MllpSource(_Source, frozen=True, kw_only=True, tag_field="kind", tag="mllp"):
    """HL7 v2 over MLLP: hilum listens, senders connect."""

    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0 lets the system choose one")]
    host: Annotated[
        str, Meta(description="address to listen on; anything but loopback should have `tls` and `allow`")
    ] = "127.0.0.1"
    tls: ServerTls | None = None
    ack: AckRules = AckRules()
    limits: MllpLimits = MllpLimits()
    allow: Annotated[tuple[str, ...], Meta(description="networks that may connect (`10.2.0.0/16`); empty: all")] = ()


class FilesLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one watched folder takes."""

    file_bytes: Annotated[int, Meta(ge=1, description="largest file taken, bytes; a larger one goes to failed/")] = (
        256 * 1024 * 1024
    )
    record_file_bytes: Annotated[
        int, Meta(ge=1, description="the same for files of records, but for sheets, bytes")
    ] = 64 * 1024 * 1024 * 1024
    unanswered_files: Annotated[
        int, Meta(ge=1, description="files taken and not yet answered before the folder waits")
    ] = 64
    unanswered_bytes: Annotated[
        int, Meta(ge=1, description="bytes taken and not yet answered before the folder waits")
    ] = 256 * 1024 * 1024
    drain_seconds: Annotated[
        float, Meta(ge=0, description="time for outstanding answers when this source closes, seconds")
    ] = 5


class FilesSource(_Source, frozen=True, kw_only=True, tag_field="kind", tag="files"):
    """HL7 v2 messages and batches, or files of records, that somebody puts into a folder."""

    folder: Annotated[Path, Meta(description="folder to watch, not its subfolders; made when only itself is missing")]
    pattern: Annotated[str, Meta(min_length=1, description="names taken, as in a shell (`*.hl7`)")] = "*"
    ready: Annotated[
        Literal["stable", "marker", "rename"],
        Meta(
            description="stable: size and time unchanged for `stable_seconds`; marker: NAME.done stands beside it; "
            "rename: a name that matches `pattern` is complete"
        ),
    ] = "stable"
    stable_seconds: Annotated[float, Meta(ge=0, description="how long a file must not change, seconds")] = 5
    poll_seconds: Annotated[float, Meta(gt=0, description="time between two looks at the folder, seconds")] = 1
    processed: Annotated[str, Meta(min_length=1, description="where taken files go; relative to `folder`")] = (
        "processed"
    )
    failed: Annotated[str, Meta(min_length=1, description="where refused files go; relative to `folder`")] = "failed"
    state: Annotated[
        str, Meta(min_length=1, description="where the ledger of taken files is; relative to `folder`")
    ] = ".hilum"
    format: Annotated[
        Format | None, Meta(description="form of files that hold records; without it they hold HL7 v2")
    ] = None
    limits: FilesLimits = FilesLimits()
