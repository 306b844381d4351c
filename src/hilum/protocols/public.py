"""Calls to addresses that programs named, kept away from this machine and from inner networks."""

from __future__ import annotations

from typing import Any

from hilum.config import is_public
from hilum.errors import DeliveryError

__all__ = ["PUBLIC_ONLY"]


async def _look(event: str, info: dict[str, Any]) -> None:
    """Where a connection leads is known once it is made, whatever its name resolved to; nothing was sent yet."""
    if event != "connection.connect_tcp.complete":
        return
    stream = info["return_value"]
    address = stream.get_extra_info("server_addr")
    if not is_public(str(address[0])):
        await stream.aclose()
        text = "the address leads to this machine or to an inner network: have the integration allow it by name"
        raise DeliveryError(text, code="address-inner")


PUBLIC_ONLY: dict[str, Any] = {"trace": _look}  # `extensions` of a request of httpx2; raises DeliveryError
