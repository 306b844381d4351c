"""Wire code that both sides of a connection need. Framing here does no I/O."""

from hilum.protocols.mllp import Fault, Frame, MllpDecoder, frame
from hilum.protocols.tls import (
    ClientTls,
    ServerTls,
    certificate_findings,
    client_context,
    server_context,
    tls_reason,
)

__all__ = [
    "ClientTls",
    "Fault",
    "Frame",
    "MllpDecoder",
    "ServerTls",
    "certificate_findings",
    "client_context",
    "frame",
    "server_context",
    "tls_reason",
]
