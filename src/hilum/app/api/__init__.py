"""The HTTP surface of hilum: FHIR R4 (read, search, write), health, metrics. Bearer tokens; every access audited first.

listener = listen(settings)                    # bound, or refused with a code
app = create_app(repository, journal, tokens, health=health, base_url=listener.base_url)
server = await serve(app, listener)            # in the running loop
await server.close()                           # drains
"""

from hilum.app.api.access_log import access_logger
from hilum.app.api.application import create_app
from hilum.app.api.auditor import Auditor
from hilum.app.api.contents import by_definitions
from hilum.app.api.exchange import Call, Endpoint, Handler, Reply
from hilum.app.api.health import ArrivalCount, Check, DeliveryCount, Health, StaticHealth, Totals
from hilum.app.api.server import Listener, Server, listen, serve
from hilum.app.api.writing import WritingRules
from hilum.config import Api as ApiSettings

__all__ = [
    "ApiSettings",
    "ArrivalCount",
    "Auditor",
    "Call",
    "Check",
    "DeliveryCount",
    "Endpoint",
    "Handler",
    "Health",
    "Listener",
    "Reply",
    "Server",
    "StaticHealth",
    "Totals",
    "WritingRules",
    "access_logger",
    "by_definitions",
    "create_app",
    "listen",
    "serve",
]
