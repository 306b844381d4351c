"""SMART on FHIR, server side: registered apps, people, consent, tokens with scopes.

smart = Authorization(store, journal, repository, tokens, settings, base_url)
app = create_app(repository, journal, smart.tokens, ..., authorization=smart)
"""

from hilum.app.smart.apps import Apps, new_app
from hilum.app.smart.ledger import Ledger
from hilum.app.smart.passwords import hash_password
from hilum.app.smart.records import SMART_SCHEMA, App, Kind, User
from hilum.app.smart.surface import AllTokens, Authorization, ledger_of
from hilum.app.smart.users import Users, new_user

__all__ = [
    "SMART_SCHEMA",
    "AllTokens",
    "App",
    "Apps",
    "Authorization",
    "Kind",
    "Ledger",
    "User",
    "Users",
    "hash_password",
    "ledger_of",
    "new_app",
    "new_user",
]
