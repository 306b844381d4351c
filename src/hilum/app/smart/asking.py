"""What an app asks for at authorize, judged before anybody is shown it (SMART App Launch 2.1.4; RFC 6749 4.1). Pure.

A request whose app or redirect_uri is not known goes nowhere: the person is told, and the app is not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit

from msgspec import Struct

from hilum.app.smart.problems import OAuthProblem
from hilum.app.smart.records import App, Context
from hilum.safeguards import Level, Scopes, narrow, parse_scopes, print_scopes

__all__ = ["Ask", "answer_url", "ask_of", "destination", "form_pairs", "once"]

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # of SHA-256, in base64url
MAX_STATE = 2_048
MAX_FORM = 32_768  # bytes
MAX_FIELDS = 300


class Ask(Struct, frozen=True):
    """A request that may be shown to a person. `scopes` are those that the app may have at all, as text."""

    app: str
    redirect: str
    scopes: str
    state: str
    challenge: str
    nonce: str = ""
    launch: str = ""
    context: Context = Context()
    must_sign_in: bool = False

    @property
    def asked(self) -> Scopes:
        """The scopes as values."""
        return parse_scopes(self.scopes)

    @property
    def needs_patient(self) -> bool:
        """Whether it is about one patient: it says so, or its scopes make no sense without."""
        return "launch/patient" in self.asked.plain or Level.PATIENT in self.asked.levels()


def form_pairs(raw: bytes) -> list[tuple[str, str]]:
    """A query or form as (name, value). Raises OAuthProblem `invalid_request`."""
    try:
        if len(raw) <= MAX_FORM:
            return parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
        text = f"the parameters are longer than {MAX_FORM} bytes together; ask for fewer scopes"
    except ValueError:
        text = f"the parameters are not UTF-8 after percent-decoding, or more than {MAX_FIELDS}"
    raise OAuthProblem("invalid_request", text, code="form-expected")


def once(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Parameters by name. Raises OAuthProblem `invalid_request` for one that stands twice (RFC 6749 3.1)."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found and name != "resource":
            raise OAuthProblem("invalid_request", f"{name} stands twice; send it once", code="parameter-twice")
        found[name] = value
    return found


def destination(given: dict[str, str], app: App | None) -> str:
    """Where answers go. Raises OAuthProblem when that is not known; nothing is sent anywhere then."""
    if app is None or not app.redirects:
        text = "this app is not registered here: tell the people who run it"
        raise OAuthProblem("invalid_client", text, code="app-unknown")
    uri = given.get("redirect_uri", "")
    if uri not in app.redirects:
        text = "the app wants the answer at an address that it is not registered with: tell the people who run it"
        raise OAuthProblem("invalid_request", text, code="redirect-mismatch")
    return uri


def ask_of(given: dict[str, str], app: App, audience: str) -> Ask:
    """The request; `audience` is the FHIR base. Raises OAuthProblem, which the app is told."""
    if given.get("response_type") != "code":
        raise OAuthProblem("unsupported_response_type", "response_type is code", code="request-unsupported")
    if "request" in given or "request_uri" in given:
        raise OAuthProblem("request_not_supported", "send plain parameters", code="request-unsupported")
    if given.get("response_mode", "query") != "query":
        raise OAuthProblem("invalid_request", "response_mode is query", code="request-unsupported")
    if given.get("aud", "").rstrip("/") != audience:
        raise OAuthProblem("invalid_request", f"aud must be {audience}", code="audience-wrong")
    if given.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(given.get("code_challenge", "")):
        text = "send code_challenge_method=S256 and a code_challenge of 43 letters (RFC 7636)"
        raise OAuthProblem("invalid_request", text, code="challenge-missing")
    state = given.get("state", "")
    if not state or len(state) > MAX_STATE or len(given.get("nonce", "")) > MAX_STATE:
        raise OAuthProblem("invalid_request", "send a state that only this request has", code="state-missing")
    if "none" in given.get("prompt", "").split():
        raise OAuthProblem("interaction_required", "people are always asked", code="interaction-required")
    return Ask(
        app.id,
        given["redirect_uri"],
        print_scopes(_scopes(given, app)),
        state,
        given["code_challenge"],
        given.get("nonce", ""),
        given.get("launch", ""),
        must_sign_in="login" in given.get("prompt", "").split(),
    )


def _scopes(given: dict[str, str], app: App) -> Scopes:
    asked = narrow(parse_scopes(given.get("scope", "")), parse_scopes(app.scopes))
    left = Scopes(asked.plain, tuple(one for one in asked.resources if one.level is not Level.SYSTEM))
    if not left:
        text = "none of these scopes is one that this app is registered for and a person can grant"
        raise OAuthProblem("invalid_scope", text, code="scope-refused")
    if ("launch" in left.plain) != ("launch" in given):
        text = "launch and scope=launch go together: send both, or launch/patient instead"
        raise OAuthProblem("invalid_request", text, code="launch-unknown")
    return left


def answer_url(redirect: str, **parameters: str) -> str:
    """The redirect with its parameters; those that it was registered with stay."""
    written = urlencode({name: value for name, value in parameters.items() if value})
    return f"{redirect}{'&' if urlsplit(redirect).query else '?'}{written}"
