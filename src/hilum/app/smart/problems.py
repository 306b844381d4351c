"""Refusals of the authorization server in the words of OAuth 2.0 (RFC 6749 4.1.2.1, 5.2), with a code of hilum's."""

from __future__ import annotations

__all__ = ["OAuthProblem"]


class OAuthProblem(Exception):
    """`error` is OAuth's word; `code` is hilum's, for the audit and docs/codes/smart.md; `text` says what to do.

    `actor` is known once an app or a person has proven who they are; `scheme` is how to do so, for a 401.
    """

    def __init__(
        self, error: str, text: str, *, code: str, status: int = 400, actor: str = "", scheme: str = "Basic"
    ) -> None:
        super().__init__(code)
        self.error, self.text, self.code, self.status, self.actor = error, text, code, status, actor
        self.scheme = scheme
