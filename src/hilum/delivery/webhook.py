"""The webhook sender: one signed POST per record, 2xx or it did not happen."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from hilum.config import is_loopback
from hilum.delivery.sections import WebhookDestination
from hilum.delivery.signature import SIGNATURE_HEADER, sign
from hilum.errors import ConfigError, DeliveryError, HilumError, Outcome
from hilum.model import Finding, Outgoing, Receipt
from hilum.protocols import client_context, tls_reason

__all__ = ["WebhookSender"]

_LATER = frozenset({408, 425, 429})
_HEADER_SAFE = re.compile(r"[\x21-\x7e]{1,255}")
_SHORTEST_SECRET = 16  # bytes
_ANSWER_BYTES = 64 * 1024  # read so that the connection can be kept; a longer answer closes it


class WebhookSender:
    """A `Destination`. The answer's body is neither kept nor logged: partners echo what they were sent."""

    def __init__(self, name: str, config: WebhookDestination) -> None:
        self.name = name
        self._config = config
        self._secret = b""
        self._headers: dict[str, str] = {}
        self._client: httpx2.AsyncClient | None = None
        self._named = {"sni_hostname": config.tls.server_name} if config.tls.server_name else {}

    async def open(self) -> None:
        """Resolves the secrets and reads the TLS files. Raises ConfigError `secret-`, `tls-` or `webhook-`."""
        config = self._config
        self._secret, self._headers = _credentials(config)
        self._client = httpx2.AsyncClient(
            verify=client_context(config.tls),
            follow_redirects=False,
            trust_env=False,  # a proxy of the environment would read PHI
            timeout=httpx2.Timeout(config.answer_seconds, connect=config.connect_seconds),
            headers={"User-Agent": "hilum"},
        )

    async def send(self, record: Outgoing) -> Receipt:
        """Receipt.reference is the Location header, where the partner gives one."""
        if self._client is None:
            raise DeliveryError("The destination is not open", code="webhook-closed")
        if not _HEADER_SAFE.fullmatch(record.idempotency_key):
            text = "The idempotency key would not do as a header: use up to 255 printable ASCII characters"
            raise DeliveryError(text, code="webhook-key-unusable", outcome=Outcome.HOLD)
        headers = self._headers | {
            "Content-Type": record.content_type,
            "Idempotency-Key": record.idempotency_key,
            SIGNATURE_HEADER: sign(self._secret, record.idempotency_key, record.payload, int(time.time())),
        }
        config = self._config
        try:
            async with (
                asyncio.timeout(config.connect_seconds + config.answer_seconds),
                self._client.stream(
                    "POST", config.url, content=record.payload, headers=headers, extensions=self._named
                ) as answer,
            ):
                await _discard(answer)
        except TimeoutError:
            raise _late() from None
        except httpx2.TransportError as error:
            raise _unreached(error) from error
        self._judge(answer.status_code, answer.headers)
        return Receipt(answer.headers.get("Location", ""), str(answer.status_code))

    async def close(self) -> None:
        """Let go of the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def probe(self) -> list[Finding]:
        """Whether address, secrets and TLS files do and the partner can be reached. Connects and sends nothing."""
        try:
            _credentials(self._config)
            await _reach(self._config, client_context(self._config.tls))
        except HilumError as error:
            return [Finding(error.code, error.message, self.name)]
        return []

    def _judge(self, status: int, headers: Mapping[str, str]) -> None:
        """Raise what a status other than 2xx means (RFC 9110 section 15)."""
        if 200 <= status < 300:
            return
        text = f"The partner answered with status {status}"
        if status in _LATER or status >= 500:
            wish = _retry_after(headers.get("Retry-After", ""), time.time())
            raise DeliveryError(text, code="webhook-later", location=self.name, retry_after=wish)
        if status < 400:
            text += "; redirects are not followed, correct `url`"
            raise DeliveryError(text, code="webhook-redirect", location=self.name, outcome=Outcome.HOLD)
        outcome = Outcome(self._config.refused)
        raise DeliveryError(text, code="webhook-refused", location=self.name, outcome=outcome)


async def _discard(answer: httpx2.Response) -> None:
    size = 0
    async for part in answer.aiter_raw():
        size += len(part)
        if size > _ANSWER_BYTES:
            return


async def _reach(config: WebhookDestination, tls: ssl.SSLContext) -> None:
    """Open a connection as the first record would, and close it. Raises DeliveryError."""
    url = httpx2.URL(config.url)
    secured: dict[str, Any] = {}
    if url.scheme == "https":
        secured = {"ssl": tls, "server_hostname": config.tls.server_name or url.host}
    try:
        async with asyncio.timeout(config.connect_seconds):
            _, writer = await asyncio.open_connection(url.host, url.port or _PORTS[url.scheme], **secured)
    except (OSError, TimeoutError) as error:
        raise _unreached(error) from error
    writer.transport.abort()


_PORTS = {"http": 80, "https": 443}


def _unreached(error: httpx2.TransportError | OSError) -> DeliveryError:
    """Foreign errors, mapped: all of them are retried under the same idempotency key."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return DeliveryError(f"No TLS with the partner: {tls_reason(cause)}", code="webhook-tls-failed")
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, OSError | httpx2.ConnectError | httpx2.ConnectTimeout):
        return DeliveryError("The partner cannot be reached", code="webhook-connect-failed")
    if isinstance(error, httpx2.TimeoutException):
        return _late()
    return DeliveryError("The connection broke before the answer", code="webhook-connection-lost")


def _late() -> DeliveryError:
    return DeliveryError("The partner did not answer in time", code="webhook-answer-late")


def _retry_after(value: str, now: float) -> float:
    """Seconds, from seconds or a date (RFC 9110 section 10.2.3); 0 when absent or unreadable."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)


def _credentials(config: WebhookDestination) -> tuple[bytes, dict[str, str]]:
    try:
        url = httpx2.URL(config.url)
    except httpx2.InvalidURL as error:
        raise ConfigError(f"`url` is not an address: {error}", code="webhook-url-invalid") from error
    if not url.host:
        raise ConfigError("`url` names no host", code="webhook-url-invalid")
    if url.scheme != "https" and not is_loopback(url.host):
        text = "Records would cross the network in clear: use https, or http to this host itself"
        raise ConfigError(text, code="webhook-not-https")
    secret = config.secret.resolve_bytes()
    if len(secret) < _SHORTEST_SECRET:
        text = f"The signing secret has fewer than {_SHORTEST_SECRET} bytes; make a longer one"
        raise ConfigError(text, code="webhook-secret-short")
    bearer = {"Authorization": f"Bearer {config.token.resolve()}"} if config.token is not None else {}
    return secret, bearer
