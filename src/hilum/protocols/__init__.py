"""What both sides of a connection, or of a folder, need."""

from hilum.protocols.disk import sync_folder, write_all
from hilum.protocols.mllp import TOLERATED, Fault, Frame, MllpDecoder, frame
from hilum.protocols.public import PUBLIC_ONLY
from hilum.protocols.tls import (
    ClientTls,
    ServerTls,
    certificate_findings,
    client_context,
    server_context,
    tls_reason,
)

__all__ = [
    "PUBLIC_ONLY",
    "TOLERATED",
    "ClientTls",
    "Fault",
    "Frame",
    "MllpDecoder",
    "ServerTls",
    "certificate_findings",
    "client_context",
    "frame",
    "server_context",
    "sync_folder",
    "tls_reason",
    "write_all",
]
