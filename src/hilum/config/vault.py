"""One read from a HashiCorp Vault key-value store, version 2: `mount/path#field`.

The address and the token are those of the `vault` command: VAULT_ADDR, VAULT_TOKEN, VAULT_NAMESPACE, VAULT_CACERT.
Redirects are not followed, so the token reaches only the host that was named.
"""

from __future__ import annotations

import http.client
import os
import ssl
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from hilum.config.hosts import is_loopback
from hilum.errors import ConfigError

__all__ = ["read_vault"]

_TIMEOUT_SECONDS = 5.0
_MAX_BYTES = 1024 * 1024


def read_vault(reference: str) -> bytes:
    """The value of `mount/path#field`. Raises ConfigError `secret-missing`, `secret-unreadable` or `vault-unsafe`."""
    path, _, field = reference.partition("#")
    address, token = os.environ.get("VAULT_ADDR", ""), os.environ.get("VAULT_TOKEN", "")
    if not address or not token:
        raise ConfigError("vault: references need VAULT_ADDR and VAULT_TOKEN", code="secret-missing")
    fields = _fields(_get(address, token, f"/v1/{_data_path(path)}", path), path)
    if field not in fields:
        raise ConfigError(f"vault:{path} has no field {field}", code="secret-missing")
    value = fields[field]
    if not isinstance(value, str):
        raise ConfigError(f"vault:{path}#{field} is not text", code="secret-unreadable")
    return value.encode()


def _data_path(path: str) -> str:
    """`secret/hilum` is read at `secret/data/hilum` (KV v2 API); a path that says `data/` already is taken as it is."""
    mount, _, rest = path.strip("/").partition("/")
    return quote(f"{mount}/{rest}" if rest.startswith("data/") else f"{mount}/data/{rest}")


def _get(address: str, token: str, target: str, path: str) -> bytes:
    connection = _connect(address)
    headers = {"X-Vault-Token": token, "X-Vault-Request": "true"}
    if namespace := os.environ.get("VAULT_NAMESPACE"):
        headers["X-Vault-Namespace"] = namespace
    try:
        connection.request("GET", urlsplit(address).path.rstrip("/") + target, headers=headers)
        with connection.getresponse() as response:
            body = response.read(_MAX_BYTES + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        # ValueError: http.client refuses a token that cannot be a header; its words would repeat the token
        message = f"vault did not answer for {path}: {type(error).__name__}"
        raise ConfigError(message, code="secret-unreadable") from None
    finally:
        connection.close()
    if response.status == http.HTTPStatus.NOT_FOUND:
        raise ConfigError(f"vault has nothing at {path}", code="secret-missing")
    if response.status != http.HTTPStatus.OK or len(body) > _MAX_BYTES:
        message = f"vault answered {response.status} for {path}"
        raise ConfigError(message, code="secret-unreadable")
    return body


def _connect(address: str) -> http.client.HTTPConnection:
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        port = parts.port
    except ValueError:
        raise ConfigError("VAULT_ADDR has no usable port", code="secret-unreadable") from None
    if parts.scheme == "https" and host:
        context = ssl.create_default_context(cafile=os.environ.get("VAULT_CACERT"))
        return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_SECONDS, context=context)
    if parts.scheme == "http" and is_loopback(host):
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    raise ConfigError("VAULT_ADDR must be https:// (http:// only on this machine)", code="vault-unsafe")


def _fields(body: bytes, path: str) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(body)["data"]["data"]
    except (msgspec.DecodeError, KeyError, TypeError):
        fields = None
    if not isinstance(fields, dict):
        message = f"vault's answer for {path} is not that of a key-value store of version 2"
        raise ConfigError(message, code="secret-unreadable")
    return fields
