"""Whether a subscriber may still be told what it was told when it subscribed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hilum.app.api.sight import sight_by
from hilum.app.smart.apps import app_in
from hilum.app.tokens import Tokens, microseconds
from hilum.repository import Limits
from hilum.safeguards import Interaction, Rights, parse_scopes
from hilum.store import Store

__all__ = ["May", "may_act"]

May = Callable[[str, Mapping[str, Limits] | None], bool]  # by actor and by what it saw when it subscribed


def may_act(store: Store, tokens: Tokens) -> May:
    """Whether a token is neither revoked nor expired, or an app is registered, and for all that it saw then."""

    def may(actor: str, limits: Mapping[str, Limits] | None) -> bool:
        if actor.startswith("app/"):
            app = store.read(lambda connection: app_in(connection, actor.removeprefix("app/")))
            if app is None or app.removed:
                return False
            return sight_by(Rights(parse_scopes(app.scopes).resources), Interaction.SEARCH).covers(limits)
        now = microseconds()
        return any(row.name == actor and row.state(now) == "active" for row in tokens.rows())

    return may
