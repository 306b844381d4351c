"""Values that look like secrets where no reference stands: found wherever they are, and never repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hilum.config.document import Node
from hilum.config.secrets import REFERENCE_HINT, is_reference
from hilum.model import Finding

__all__ = ["literal_secrets"]

_NAMES = re.compile(
    r"(?:.*[_-])?(?:password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|authorization|credentials?)",
    re.IGNORECASE,
)
_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE)
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


def literal_secrets(root: Node) -> list[Finding]:
    """Findings `secret-literal`, at the value."""
    return [
        Finding("secret-literal", f"`{name}` holds what looks like a secret", str(node.mark), hint=REFERENCE_HINT)
        for name, node in _scalars("", root)
        if _is_literal(name, node)
    ]


def _is_literal(name: str, node: Node) -> bool:
    if _PEM.search(node.text) or _IN_URL.search(node.text):
        return True
    return bool(node.text) and _NAMES.fullmatch(name) is not None and not is_reference(node.text)


def _scalars(name: str, node: Node) -> Iterator[tuple[str, Node]]:
    if isinstance(node.content, dict):
        for key, child in node.content.items():
            yield from _scalars(key, child)
    elif isinstance(node.content, list):
        for child in node.content:
            yield from _scalars(name, child)
    elif isinstance(node.content, str | int | float) and not isinstance(node.content, bool):
        yield name, node
