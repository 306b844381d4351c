"""The `smart` part of integration.yaml: how apps and people are let in by SMART on FHIR."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from hilum.config.secrets import Secret

__all__ = ["Smart", "SmartProvider", "SmartRegistration"]


class SmartProvider(Struct, frozen=True, forbid_unknown_fields=True):
    """An OpenID Connect provider that people sign in at."""

    issuer: Annotated[str, Meta(pattern=r"^https://[^\s?#]+$", description="Its issuer, to the letter.")]
    client_id: Annotated[str, Meta(min_length=1, description="What hilum is called there.")]
    client_secret: Annotated[
        Secret | None, Meta(description="What hilum proves itself with there; without it by PKCE alone.")
    ] = None
    discovery: Annotated[
        Path | None, Meta(description="Its discovery document as a file, where it is not fetched from the issuer.")
    ] = None
    title: Annotated[str, Meta(min_length=1, description="What people know it by; it stands on the button.")] = (
        "your organization"
    )


class SmartRegistration(Struct, frozen=True, forbid_unknown_fields=True):
    """Apps that register themselves over HTTP (RFC 7591)."""

    token: Annotated[Secret, Meta(description="What a request must bear, 16 bytes or more: give it to developers.")]
    scopes: Annotated[str, Meta(min_length=1, description="All that such an app may ever ask for.")]
    jwks_uris: Annotated[
        list[str],
        Meta(
            description="Keys of such apps are fetched only from addresses that begin with one of these; empty: from "
            "any that is not on this machine or an inner network."
        ),
    ] = []


class Smart(Struct, frozen=True, forbid_unknown_fields=True):
    """How long apps are let in, and where people sign in."""

    access_minutes: Annotated[int, Meta(ge=1, le=60, description="Minutes that an access token lives.")] = 60
    refresh_days: Annotated[
        int, Meta(ge=1, le=366, description="Days after which a person is asked again, whatever an app does.")
    ] = 90
    signing_key: Annotated[
        Secret | None,
        Meta(
            description="A private RSA key in PEM for id_tokens; without it one of mode 0600 is made beside the store."
        ),
    ] = None
    provider: Annotated[
        SmartProvider | None, Meta(description="Where people sign in beside, or instead of, local accounts.")
    ] = None
    registration: Annotated[
        SmartRegistration | None,
        Meta(description="Apps may register themselves; without it `hilum app add` alone does."),
    ] = None
