"""Puts the parts of a folder together and runs them until a signal."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import structs

from hilum.app.api import (
    ArrivalCount,
    Check,
    DeliveryCount,
    Listener,
    Totals,
    create_app,
    listen,
    serve,
)
from hilum.app.api_writing import writing_rules
from hilum.app.bulk.exports import Exports
from hilum.app.housekeeping import housekeeping, keep_indexed
from hilum.app.opening import Opened
from hilum.app.rules import SourceConfig, judgement_of, source_configs
from hilum.app.sending import DestinationConfig, destination_configs, format_of, maker_of
from hilum.app.smart.surface import Authorization
from hilum.app.subscriptions.allowing import may_act
from hilum.app.subscriptions.service import Subscriptions
from hilum.app.subscriptions.settings import Subscriber, Topic
from hilum.config import Tree
from hilum.definitions import Shelf
from hilum.delivery import (
    Destination,
    FilesDestination,
    FileWriter,
    MllpDestination,
    MllpSender,
    WebhookSender,
)
from hilum.engine import AckMode, Contract, Engine, Order, SourceSettings
from hilum.intake import FilesSource, FolderWatch, MllpListener, MllpSource, Source
from hilum.journal import MessageQuery
from hilum.mapping import Plan, compile_workbook, load_workbook
from hilum.translator import Processes, Recipe, Rule, translator_of

__all__ = [
    "LEAST_FREE_BYTES",
    "Running",
    "destinations_of",
    "plan_of",
    "running",
    "sources_of",
    "stop_signals",
    "until_stopped",
    "working",
]

LEAST_FREE_BYTES = 256 * 1024 * 1024  # below this readiness says no, so that somebody looks before the disk is full


class Running:
    """A running integration: its engine, its listeners, and what health asks of them."""

    def __init__(self, opened: Opened, engine: Engine, sources: Sequence[Source], listener: Listener) -> None:
        self.opened, self.engine, self.sources, self.listener = opened, engine, tuple(sources), listener

    def addresses(self) -> dict[str, str]:
        """Where each source can be reached, for people."""
        return {
            source.name: f"MLLP port {source.port}" if isinstance(source, MllpListener) else "watched folder"
            for source in self.sources
        }

    def checks(self) -> Sequence[Check]:
        """All conditions of readiness."""
        trouble = self.opened.store.trouble
        free = shutil.disk_usage(self.opened.store.path.parent).free
        failures = self.engine.failures()
        return (
            Check("journal", trouble is None, trouble.code if trouble else ""),
            Check("engine", not failures, ", ".join(failures)),
            Check("disk", free > LEAST_FREE_BYTES, f"{free // 1_000_000} MB free"),
            *[Check(f"source:{one.name}", f"source {one.name}" not in failures) for one in self.sources],
        )

    def totals(self) -> Totals:
        """The control totals, counted now."""
        ledger = self.opened.ledger()
        return Totals(ledger.received, ledger.applied, ledger.held, ledger.rejected, ledger.waiting, ledger.duplicates)

    def deliveries(self) -> Sequence[DeliveryCount]:
        """Outgoing records by destination and state."""
        return [
            DeliveryCount(destination, state, count)
            for (destination, state), count in self.opened.repository.delivery_counts().items()
        ]

    def arrivals(self) -> Sequence[ArrivalCount]:
        """Messages by source."""
        counts: dict[str, int] = {}
        for one in self.opened.journal.route_counts():
            counts[one.source] = counts.get(one.source, 0) + one.messages
        return [ArrivalCount(source, count, self._last_at(source)) for source, count in sorted(counts.items())]

    def _last_at(self, source: str) -> int:
        newest = self.opened.journal.messages(MessageQuery(source=source, limit=1)).messages
        return newest[0].envelope.received_at if newest else 0


@asynccontextmanager
async def running(opened: Opened) -> AsyncIterator[Running]:
    """Start sources, workers, senders and the API; at the end stop them the other way round, draining."""
    async with AsyncExitStack() as stack:
        listener = listen(opened.integration.api)
        stack.callback(listener.close)
        sources = list(sources_of(opened.tree).values())
        engine = _engine(opened, sources)
        await engine.start()
        stack.push_async_callback(engine.stop)
        state = Running(opened, engine, sources, listener)
        smart = Authorization(
            opened.store,
            opened.journal,
            opened.repository,
            opened.tokens,
            opened.integration.smart,
            listener.base_url,
            in_care=opened.integration.safeguards.practitioners,
        )
        subscriptions = _subscriptions(opened, listener.base_url)
        writing = writing_rules(opened, _rules(opened))
        app = create_app(
            opened.repository,
            opened.journal,
            smart.tokens,
            health=state,
            base_url=listener.base_url,
            authorization=smart,
            max_count=opened.integration.api.max_count,
            writing=structs.replace(writing, watch=subscriptions.watch),
            exports=Exports(opened.store),
            subscriptions=subscriptions,
        )
        server = await serve(app, listener)
        stack.push_async_callback(server.close)
        house = asyncio.create_task(housekeeping(opened), name="housekeeping")
        stack.push_async_callback(_cancel, house)
        index = asyncio.create_task(keep_indexed(opened), name="package-index")
        stack.push_async_callback(_cancel, index)
        yield state


@asynccontextmanager
async def working(opened: Opened) -> AsyncIterator[Engine]:
    """Workers alone: what the journal has is carried out; nothing comes in, and what is to be sent waits."""
    engine = _engine(opened, (), sends=False)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


def _subscriptions(opened: Opened, base_url: str) -> Subscriptions:
    """A folder without topics has them as well: they refuse a Subscription that nobody would hear of."""
    return Subscriptions(
        opened.store,
        opened.journal,
        opened.repository,
        list(opened.tree.all(Topic).values()),
        opened.tree.all(Subscriber),
        base_url=base_url,
        may=may_act(opened.store, opened.tokens),
    )


def _engine(opened: Opened, sources: Sequence[Source], *, sends: bool = True) -> Engine:
    tree, params = opened.tree, opened.integration.params
    settings = {name: _settings(name, config) for name, config in source_configs(tree).items()}
    destinations = destination_configs(tree) if sends else {}
    recipe = _recipe(opened, settings)
    processes = Processes(recipe)
    engine = Engine(opened.journal, opened.repository, processes, settings, sources)
    for name, config in destinations.items():
        maker = maker_of(config, recipe.book, params)
        engine.add_destination(_destination(name, config), config.retry, config.breaker, maker)

    async def reload() -> None:
        fresh = await asyncio.to_thread(_recipe, opened, settings)
        makers = {name: maker_of(config, fresh.book, params) for name, config in destinations.items()}
        await processes.use(fresh)
        for name, maker in makers.items():
            engine.use_maker(name, maker)

    engine.on_reload(reload)
    return engine


def _recipe(opened: Opened, settings: Mapping[str, SourceSettings]) -> Recipe:
    """What translators are made of; raises ConfigError or MappingError when the workbook does not compile."""
    folder, integration = opened.tree.folder, opened.integration
    recipe = Recipe(
        load_workbook(folder),
        dict(integration.params),
        tuple(_rules(opened)),
        {name: one.owner for name, one in settings.items()},
        integration.validation,
        Shelf(folder).contents(),
        integration.learn_days,
    )
    translator_of(recipe)  # what does not compile is told here, not by another process
    return recipe


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def stop_signals() -> asyncio.Event:
    """Set by SIGTERM or SIGINT from now on: ask for it before the first listener opens, so that none is missed."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def until_stopped(stop: asyncio.Event, engine: Engine) -> None:
    """Return when `stop` is set, and let a second signal end the process; raise what ended the engine by itself."""
    waits = [asyncio.create_task(stop.wait()), asyncio.create_task(engine.until_failure())]
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in waits:
            task.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)


def plan_of(opened: Opened) -> Plan:
    """The folder's workbook over the base, compiled with the folder's decisions."""
    return compile_workbook(load_workbook(opened.tree.folder), params=opened.integration.params)


def sources_of(tree: Tree) -> dict[str, Source]:
    """Every way in of a folder, not opened."""
    return {name: _source(name, config) for name, config in source_configs(tree).items()}


def destinations_of(tree: Tree) -> dict[str, Destination]:
    """Every way out of a folder, not opened."""
    return {name: _destination(name, config) for name, config in destination_configs(tree).items()}


def _source(name: str, config: SourceConfig) -> Source:
    return MllpListener(name, config) if isinstance(config, MllpSource) else FolderWatch(name, config)


def _settings(name: str, config: SourceConfig) -> SourceSettings:
    judgement = judgement_of(config)
    ack = config.ack if isinstance(config, MllpSource) else None
    return SourceSettings(
        name=name,
        rules=judgement.gate,
        framing=judgement.framing,
        ack=AckMode(ack.mode) if ack else AckMode.ORIGINAL,
        contract=Contract(ack.contract) if ack else Contract.ACCEPTED,
        order=Order(config.order),
        owner=config.owner,
        records=config.format if isinstance(config, FilesSource) else None,
        is_waited_for=isinstance(config, MllpSource),
    )


def _destination(name: str, config: DestinationConfig) -> Destination:
    if isinstance(config, MllpDestination):
        return MllpSender(name, config)
    if isinstance(config, FilesDestination):
        return FileWriter(name, config)
    return WebhookSender(name, config)


def _rules(opened: Opened) -> list[Rule]:
    """Routes of the folder."""
    destinations = destination_configs(opened.tree)
    return [
        Rule(
            route.to,
            format_of(destinations[route.to]),
            route.when,
            frozenset(route.types),
            route.writes,
        )
        for route in opened.integration.routes
    ]
