"""What the server says of itself (SMART App Launch 2.1.2; OpenID Connect Discovery 4). Pure: it lists what is there."""

from __future__ import annotations

from typing import Any

from hilum.app.smart.assertions import ALGORITHMS
from hilum.app.smart.signing import ALGORITHM
from hilum.safeguards import PLAIN

__all__ = ["Addresses", "openid_configuration", "security", "smart_configuration"]

_CAPABILITIES = (
    "launch-ehr",
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-patient",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
)
_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")


class Addresses:
    """Where everything is. `base` is the server without /fhir."""

    def __init__(self, base: str, *, registers: bool) -> None:
        self.issuer = base
        self.fhir = f"{base}/fhir"
        self.authorize = f"{base}/smart/authorize"
        self.token = f"{base}/smart/token"
        self.introspect = f"{base}/smart/introspect"
        self.revoke = f"{base}/smart/revoke"
        self.jwks = f"{base}/smart/jwks.json"
        self.callback = f"{base}/smart/callback"
        self.logout = f"{base}/smart/logout"
        self.account = f"{base}/smart/account"
        self.register = f"{base}/smart/register" if registers else ""  # "": apps do not register themselves


def smart_configuration(at: Addresses) -> dict[str, Any]:
    """`[fhir base]/.well-known/smart-configuration`."""
    return {
        "issuer": at.issuer,
        "jwks_uri": at.jwks,
        "authorization_endpoint": at.authorize,
        "token_endpoint": at.token,
        "introspection_endpoint": at.introspect,
        "revocation_endpoint": at.revoke,
        "management_endpoint": at.account,
        **({"registration_endpoint": at.register} if at.register else {}),
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": [*_METHODS, "none"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "introspection_endpoint_auth_methods_supported": list(_METHODS),
        "introspection_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),  # RFC 8414 2
        "revocation_endpoint_auth_methods_supported": [*_METHODS, "none"],
        "revocation_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "scopes_supported": [*PLAIN, "patient/*.rs", "patient/*.cruds", "user/*.rs", "user/*.cruds", "system/*.cruds"],
        "capabilities": list(_CAPABILITIES),
    }


def openid_configuration(at: Addresses) -> dict[str, Any]:
    """`[issuer]/.well-known/openid-configuration`."""
    shared = {name: value for name, value in smart_configuration(at).items() if name != "capabilities"}
    return {
        **shared,
        "end_session_endpoint": at.logout,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "fhirUser", "profile"],
    }


def security(at: Addresses) -> dict[str, object]:
    """CapabilityStatement.rest.security."""
    uris = {"authorize": at.authorize, "token": at.token, "revoke": at.revoke, "introspect": at.introspect}
    uris |= {"manage": at.account} | ({"register": at.register} if at.register else {})
    code = {"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}
    return {
        "extension": [
            {
                "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                "extension": [{"url": name, "valueUri": uri} for name, uri in uris.items()],
            }
        ],
        "cors": True,
        "service": [{"coding": [code], "text": "SMART on FHIR"}],
        "description": "Apps: SMART on FHIR. Programs of operators: a bearer token of `hilum token create`.",
    }
