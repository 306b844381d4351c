"""Signed assertions of apps (SMART "Client Authentication: Asymmetric"; RFC 7523 3). Pure: it is told the time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey
from joserfc.util import urlsafe_b64decode
from msgspec import Struct

from hilum.app.smart.problems import OAuthProblem
from hilum.errors import HilumError

__all__ = ["ALGORITHMS", "ASSERTION_TYPE", "Assertion", "check_keys", "header_of", "issuer_of", "judge"]

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("RS384", "ES384")  # what SMART asks servers for; `none` and HMAC are not among them
LONGEST = 300  # seconds that an assertion may live
SKEW = 30  # seconds that clocks may differ by
MAX_TEXT = 8_192
LEAST_RSA_BITS = 2_048


class Assertion(Struct, frozen=True):
    """A proven assertion. `expires` is in seconds since 1970."""

    client: str
    jti: str
    expires: int


def header_of(text: str) -> dict[str, Any]:
    """The header of a JWT; nothing is proven yet. Raises OAuthProblem `invalid_client`."""
    return _part(text, 0)


def issuer_of(text: str) -> str:
    """Who an assertion says it is of; nothing is proven yet."""
    claims = _part(text, 1)
    return str(claims.get("iss", ""))


def judge(text: str, *, client: str, audiences: frozenset[str], keys: Callable[[str], KeySet], now: float) -> Assertion:
    """An assertion that is signed by a key of its app, for this server, and young. `keys` gives those with a kid.

    `audiences` are the names of this server: SMART wants its token endpoint, RFC 7523 3 leaves it free, and libraries
    that follow its revision (draft-ietf-oauth-rfc7523bis) name the issuer.
    Raises OAuthProblem `invalid_client`.
    """
    header = _part(text, 0)
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise _refused(f"it must be signed with {' or '.join(ALGORITHMS)}", "assertion-algorithm")
    if not isinstance(kid, str) or not kid or "crit" in header:
        raise _refused("its header must name the key by kid, and have no crit", "assertion-key")
    claims = _proven(text, str(algorithm), [one for one in keys(kid).keys if one.kid == kid])
    _check_claims(claims, client, audiences, now)
    return Assertion(client, claims["jti"], int(claims["exp"]))


def check_keys(text: str) -> KeySet:
    """The keys of a JWK Set that assertions can be proven with; others in it (for encryption, on other curves) wait.

    Raises HilumError `app-keys-invalid` where none can be used, or a private one is given away.
    """
    try:
        raw = json.loads(text)["keys"]
        if any("d" in given or "k" in given for given in raw):
            raise _keys("a private key stands in it: give the public half only, and make a new key")
        keys = KeySet([key for given in raw if (key := _usable(given)) is not None])
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _keys("this is no JWK Set: an object with `keys`") from None
    if not keys.keys:
        text = "none of its keys can prove an assertion: that takes a kid, and RSA of 2048 bits or more (RS384) or EC"
        raise _keys(f"{text} on P-384 (ES384), whose use is sig and key_ops verify, if they are said")
    return keys


def _usable(given: dict[str, Any]) -> Any:
    """The key, None for one that is not for this."""
    if not given.get("kid") or "verify" not in given.get("key_ops", ("verify",)):
        return None
    try:
        key = KeySet.import_key_set({"keys": [given]}).keys[0]
    except (JoseError, ValueError):
        return None
    return key if _fits(key, "RS384") or _fits(key, "ES384") else None


def _proven(text: str, algorithm: str, keys: list[Any]) -> dict[str, Any]:
    for key in keys:
        if _fits(key, algorithm):
            try:
                return jwt.decode(text, key, algorithms=[algorithm]).claims
            except (JoseError, ValueError):
                continue
    raise _refused("no registered key proves its signature", "assertion-signature")


def _fits(key: Any, algorithm: str) -> bool:
    """Whether the key is of the kind that this algorithm takes: none is talked into another one's use."""
    given = key.as_dict(private=False)
    if given.get("use", "sig") != "sig" or given.get("alg", algorithm) != algorithm:
        return False
    if algorithm == "RS384":
        return isinstance(key, RSAKey) and key.public_key.key_size >= LEAST_RSA_BITS
    return isinstance(key, ECKey) and given.get("crv") == "P-384"


def _check_claims(claims: dict[str, Any], client: str, audiences: frozenset[str], now: float) -> None:
    aud: Any = claims.get("aud")
    told = aud if isinstance(aud, list) else [aud]
    jti: Any = claims.get("jti")
    expires: Any = claims.get("exp")
    issued: Any = claims.get("iat", now)
    begins: Any = claims.get("nbf", now)
    if claims.get("iss") != client or claims.get("sub") != client:
        raise _refused("iss and sub must both be the client_id", "assertion-issuer")
    if not told or not all(isinstance(one, str) and one in audiences for one in told):
        raise _refused("aud must be the address of this token endpoint", "assertion-audience")
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in (expires, issued, begins)):
        raise _refused("exp is missing, or a time is no number", "assertion-expired")
    if not now < expires <= now + LONGEST + SKEW:
        raise _refused(f"exp must be in the next {LONGEST} seconds", "assertion-expired")
    if issued > now + SKEW or begins > now + SKEW:
        raise _refused("it was issued in the future: set the clock", "assertion-expired")
    if not isinstance(jti, str) or not 0 < len(jti) <= 512:
        raise _refused("jti is missing", "assertion-replayed")


def _part(text: str, index: int) -> dict[str, Any]:
    parts = text.split(".")
    try:
        fits = len(text) <= MAX_TEXT and len(parts) == 3
        found = json.loads(urlsafe_b64decode(parts[index].encode())) if fits else None
    except (ValueError, TypeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _refused("client_assertion is no signed JWT", "assertion-malformed")
    return found


def _refused(text: str, code: str) -> OAuthProblem:
    return OAuthProblem("invalid_client", f"the assertion is refused: {text}", code=code, status=401)


def _keys(text: str) -> HilumError:
    return HilumError(text, code="app-keys-invalid", location="--jwks")
