"""Which hosts only this machine can reach, and which addresses programs may have hilum call."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

__all__ = ["is_loopback", "is_public", "may_be_called"]


def is_loopback(host: str) -> bool:
    """Whether a listener on `host` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_public(host: str) -> bool:
    """Whether a host is no address of this machine, of an inner network or of a cloud's metadata, by its text.

    What a name leads to shows when it is connected to (`protocols.PUBLIC_ONLY`).
    """
    name = host.lower().rstrip(".").partition("%")[0]
    if not name or name == "localhost" or name.endswith(".localhost"):
        return False
    try:
        found = ipaddress.ip_address(name)
    except ValueError:
        return True
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_global


def may_be_called(url: str, allowed: Sequence[str]) -> bool:
    """Whether hilum calls an address that a program named: below one of `allowed`; where there are none, a public one.

    An allowed address of this machine without a port stands for all of its ports (as in RFC 8252 7.3).
    """
    if not allowed:
        return is_public(urlsplit(url).hostname or "")
    return any(_is_below(url, one) for one in allowed)


def _is_below(url: str, allowed: str) -> bool:
    """The same server, and a path below."""
    one, other = urlsplit(url), urlsplit(allowed)
    any_port = other.port is None and is_loopback(other.hostname or "") and one.hostname == other.hostname
    same = one.scheme == other.scheme and (any_port or one.netloc == other.netloc)
    path = one.path.lower().replace("%2e", ".")
    return same and ".." not in path and one.path.startswith(other.path)
