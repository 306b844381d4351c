"""TLS for both sides of a wire: contexts from files, with errors that name the file and say what to do.

TLS 1.2 is the oldest version spoken (RFC 8996 retires the older ones).
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from cryptography import x509
from msgspec import Meta, Struct

from hilum.errors import ConfigError
from hilum.model import Finding, Severity

__all__ = ["ClientTls", "ServerTls", "certificate_findings", "client_context", "server_context", "tls_reason"]

_SOON = timedelta(days=30)


class ServerTls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """TLS of a listener. With `client_ca` a peer must show a certificate of that authority (mutual TLS)."""

    certificate: Annotated[Path, Meta(description="PEM file: our certificate, then its intermediates")]
    key: Annotated[Path, Meta(description="PEM file: the private key of `certificate`, without a passphrase")]
    client_ca: Annotated[
        Path | None, Meta(description="PEM file: authorities whose peers may connect; empty: any peer")
    ] = None


class ClientTls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """TLS towards a partner. The partner's certificate is always checked."""

    ca: Annotated[
        Path | None, Meta(description="PEM file: authorities to trust; empty: those of the operating system")
    ] = None
    certificate: Annotated[
        Path | None, Meta(description="PEM file: our certificate, where the partner asks for one")
    ] = None
    key: Annotated[Path | None, Meta(description="PEM file: the private key of `certificate`")] = None
    server_name: Annotated[str, Meta(description="name that the partner's certificate must carry; empty: the host")] = (
        ""
    )


def server_context(tls: ServerTls) -> ssl.SSLContext:
    """Raises ConfigError with a `tls-` code."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    _load_pair(context, tls.certificate, tls.key)
    if tls.client_ca is not None:
        _load_authorities(context, tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """Raises ConfigError with a `tls-` code. Certificate and host name of the other side are always checked."""
    context = ssl.create_default_context()
    if tls.ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _load_authorities(context, tls.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if (tls.certificate is None) != (tls.key is None):
        raise ConfigError("TLS needs both `certificate` and `key`, or neither", code="tls-pair-incomplete")
    if tls.certificate is not None and tls.key is not None:
        _load_pair(context, tls.certificate, tls.key)
    return context


def certificate_findings(path: Path, now: datetime | None = None) -> list[Finding]:
    """Whether the first certificate of a PEM file is in its time. An unreadable file is `server_context`'s to name."""
    moment = now or datetime.now(UTC)
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return [Finding("tls-certificate-unreadable", "The certificate cannot be read", str(path))]
    ends = certificate.not_valid_after_utc
    if ends <= moment:
        return [Finding("tls-certificate-expired", f"The certificate ended on {ends:%Y-%m-%d}", str(path))]
    if certificate.not_valid_before_utc > moment:
        return [Finding("tls-certificate-not-yet-valid", "The certificate is not valid yet", str(path))]
    if ends - moment < _SOON:
        text = f"The certificate ends on {ends:%Y-%m-%d}; renew it"
        return [Finding("tls-certificate-ends-soon", text, str(path), Severity.WARNING)]
    return []


def tls_reason(error: BaseException) -> str:
    """Why a handshake failed, in OpenSSL's words, which hold no content: `certificate has expired`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return "the peer left during the handshake"


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    for path, code in ((certificate, "tls-certificate-unreadable"), (key, "tls-key-unreadable")):
        if not _is_readable(path):
            raise ConfigError(f"{path} cannot be read; give an existing PEM file", code=code)
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            text = f"{key} is not the private key of {certificate}"
            raise ConfigError(text, code="tls-key-mismatch") from error
        text = f"{certificate} with {key} is not a usable PEM pair ({tls_reason(error)})"
        raise ConfigError(text, code="tls-certificate-unreadable") from error
    except ValueError as error:
        text = f"{key} has a passphrase; store the key without one and protect the file instead"
        raise ConfigError(text, code="tls-key-unreadable") from error


def _no_passphrase() -> str:
    raise ValueError("a passphrase would have to be asked for")


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(path)
    except (OSError, ssl.SSLError) as error:
        text = f"{path} holds no PEM certificates of authorities"
        raise ConfigError(text, code="tls-ca-unreadable") from error


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return bool(file.read(1))
    except OSError:
        return False
