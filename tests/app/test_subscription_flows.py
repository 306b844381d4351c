"""Subscriptions from end to end: real sockets, a subscriber that can be slow, refuse, or be gone, and kills."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from bulk_support import observation_line, patient_line
from msgspec import Raw, msgpack

from hilum.app.api import StaticHealth, WritingRules, access_logger, create_app
from hilum.app.bulk.tables import BULK_SCHEMA
from hilum.app.smart.apps import Apps, new_app
from hilum.app.smart.records import SMART_SCHEMA, Kind
from hilum.app.subscriptions.allowing import may_act
from hilum.app.subscriptions.rows import events_of, find
from hilum.app.subscriptions.sending import Pace
from hilum.app.subscriptions.service import Subscriptions
from hilum.app.subscriptions.settings import Subscriber, Topic, Trigger
from hilum.app.subscriptions.tables import SUBSCRIPTIONS_SCHEMA
from hilum.app.tokens import TOKENS_SCHEMA, Role, SqliteTokens
from hilum.config import Secret
from hilum.delivery import RetryPolicy, verify_signature
from hilum.journal import SCHEMA as JOURNAL_SCHEMA
from hilum.journal import SqliteJournal
from hilum.repository import SCHEMA as REPOSITORY_SCHEMA
from hilum.repository import Change, SearchTerm, SqliteRepository, Verb
from hilum.store import Store

pytestmark = pytest.mark.anyio

IG = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
RESULTS = "https://hilum.example/topics/results"
ENCOUNTERS = "https://hilum.example/topics/arrivals"
HERE = ["http://127.0.0.1/", "https://worklist.example/", "https://elsewhere.example/"]
SECRET = "a signing secret of the test"
SCHEMAS = (JOURNAL_SCHEMA, REPOSITORY_SCHEMA, TOKENS_SCHEMA, BULK_SCHEMA, SMART_SCHEMA, SUBSCRIPTIONS_SCHEMA)
TOPICS = [
    Topic(
        RESULTS,
        [Trigger("Observation", ["create", "update", "delete"]), Trigger("Patient", ["update"])],
        "Results",
        ["patient", "code"],
    ),
    Topic(ENCOUNTERS, [Trigger("Encounter", ["create", "update"], "status=planned", "status=in-progress")]),
]
QUICK = Pace(
    retry=RetryPolicy(first_seconds=0.01, longest_seconds=0.05, attempts=0), error_after=3, timeout=2.0, look_every=0.02
)


class Receiver:
    """An HTTP server of one address: keeps what it is sent, and answers as `answer` says (0: not at all)."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.answer: Callable[[dict[str, Any]], int] = lambda _: 200
        self.changed = asyncio.Condition()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def kinds(self) -> list[str]:
        return [value(one, "type") for one in self.got]

    def numbers(self) -> list[int]:
        return [number for one in self.got for number in numbers_of(one)]

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(met)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")[1:-2]
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers["content-length"]))
                bundle = json.loads(body)
                status = self.answer(bundle)
                async with self.changed:
                    self.got.append(bundle)
                    self.headers.append(headers)
                    self.bodies.append(body)
                    self.changed.notify_all()
                if not status:
                    await reader.read()  # until the other side gives up
                    break
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


def parameters(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bundle["entry"][0]["resource"]["parameter"]
    return found


def value(bundle: dict[str, Any], name: str) -> Any:
    one = next(one for one in parameters(bundle) if one["name"] == name)
    return next(item for key, item in one.items() if key.startswith("value"))


def numbers_of(bundle: dict[str, Any]) -> list[int]:
    events = [one["part"] for one in parameters(bundle) if one["name"] == "notification-event"]
    return [int(next(part["valueString"] for part in one if part["name"] == "event-number")) for one in events]


class World:
    """A store, the API on it, and subscriptions that run."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder / "store.db", key=bytes(32), schemas=SCHEMAS)
        self.journal = SqliteJournal(self.store)
        self.repository = SqliteRepository(self.store, witness=self.journal.audit_in)
        self.tokens = SqliteTokens(self.store, self.journal)
        (folder / "secret").write_text(SECRET)
        (folder / "bearer").write_text("Bearer of-the-subscriber")
        secrets = Secret(f"file:{folder / 'secret'}"), Secret(f"file:{folder / 'bearer'}")
        self.subscriptions = Subscriptions(
            self.store,
            self.journal,
            self.repository,
            TOPICS,
            {
                "worklist": Subscriber(secrets[0], {"bearer": secrets[1]}, HERE),
                "other": Subscriber(secrets[0], {}, HERE),
                "far": Subscriber(secrets[0]),
            },
            base_url="https://hilum.example",
            may=may_act(self.store, self.tokens),
            pace=QUICK,
        )
        self.log = io.StringIO()
        self.app = create_app(
            self.repository,
            self.journal,
            self.tokens,
            health=StaticHealth(),
            base_url="https://hilum.example",
            log=access_logger(self.log),
            writing=WritingRules(watch=self.subscriptions.watch),
            subscriptions=self.subscriptions,
        )
        self._tokens: dict[str, str] = {}

    def token(self, name: str, role: Role = Role.WRITER) -> str:
        if name not in self._tokens:
            self._tokens[name] = self.tokens.create(name, role, 3_600, by="test").text
        return self._tokens[name]

    @asynccontextmanager
    async def client(self, name: str = "worklist") -> AsyncIterator[httpx2.AsyncClient]:
        transport = httpx2.ASGITransport(app=self.app, client=("203.0.113.9", 4711))
        headers = {"Authorization": f"Bearer {self.token(name)}"}
        async with httpx2.AsyncClient(transport=transport, base_url="https://hilum.example", headers=headers) as client:
            yield client

    async def put(self, *resources: dict[str, Any]) -> None:
        changes = []
        for one in resources:
            elements = {k: Raw(json.dumps(v).encode()) for k, v in one.items() if k not in ("resourceType", "id")}
            changes.append(Change(Verb.UPDATE, one["resourceType"], one["id"], elements))
        await self.repository.write(changes)

    def status(self, id_: str) -> str:
        found = json.loads(self.repository.get("Subscription", id_).body)
        return str(found["status"])

    async def until_status(self, id_: str, status: str) -> None:
        async with asyncio.timeout(20):
            while self.status(id_) != status:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[World]:
    world = World(folder)
    world.subscriptions.start()
    try:
        yield world
    finally:
        await world.subscriptions.close()
        world.journal.close()
        world.store.close()


def subscription(url: str, *, content: str = "id-only", topic: str = RESULTS, **more: Any) -> dict[str, Any]:
    channel = {
        "type": "rest-hook",
        "endpoint": url,
        "payload": "application/fhir+json",
        "_payload": {"extension": [{"url": f"{IG}/backport-payload-content", "valueCode": content}]},
    } | more.pop("channel", {})
    filters = [{"url": f"{IG}/backport-filter-criteria", "valueString": one} for one in more.pop("filters", ())]
    narrowed = {"_criteria": {"extension": filters}} if filters else {}
    made = {"resourceType": "Subscription", "status": "requested", "reason": "a worklist", "criteria": topic}
    return made | {"channel": channel} | narrowed | more


async def subscribe(world: World, resource: dict[str, Any], name: str = "worklist") -> str:
    async with world.client(name) as client:
        answer = await client.post("/fhir/Subscription", json=resource)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_subscriber_hears_of_changes_in_order_signed_and_without_content(tmp_path: Path) -> None:
    async with opened(tmp_path) as world, receiving() as hook:
        await world.put(patient_line(1), observation_line(0, 1))  # before: never told
        header = {"header": ["Authorization: secret:bearer", "X-Site: A"]}
        id_ = await subscribe(world, subscription(hook.url, channel=header))
        await world.until_status(id_, "active")
        assert hook.kinds() == ["handshake"]
        await world.put(observation_line(1, 1))
        await world.put(observation_line(1, 1, status="amended"))
        await world.repository.write([Change(Verb.DELETE, "Observation", "o1")])
        await world.put(patient_line(1, gender="male"), patient_line(2))
        await hook.until(lambda: len(hook.numbers()) >= 4)
        assert hook.numbers() == [1, 2, 3, 4]
        told = [one for bundle in hook.got[1:] for one in bundle["entry"][1:]]
        assert [(one["request"]["method"], one["request"]["url"]) for one in told] == [
            ("POST", "Observation"),
            ("PUT", "Observation/o1"),
            ("DELETE", "Observation/o1"),
            ("PUT", "Patient/p1"),
        ]
        assert all("resource" not in one for one in told)
        assert value(hook.got[-1], "status") == "active"
        for headers, body in zip(hook.headers, hook.bodies, strict=True):
            assert headers["authorization"] == "Bearer of-the-subscriber"
            assert headers["x-site"] == "A"
            signature, key = headers["hilum-signature"], headers["idempotency-key"]
            assert verify_signature(SECRET.encode(), signature, key, body, now=int(signature[2:12]))
        assert b"Synthetic" not in b"".join(hook.bodies)
        rows = [row for _, row in world.journal.audits(limit=1_000) if row.action == "notify"]
        assert rows[0].actor == "worklist"
        assert rows[-1].detail.endswith("Patient/p1")
        assert "Bearer of" not in json.dumps([row.detail for row in rows])


async def test_payloads_are_empty_or_whole_as_asked(tmp_path: Path) -> None:
    async with opened(tmp_path) as world, receiving() as empty, receiving() as full:
        await subscribe(world, subscription(empty.url, content="empty"))
        await subscribe(world, subscription(full.url, content="full-resource"))
        await empty.until(lambda: empty.kinds() == ["handshake"])
        await full.until(lambda: full.kinds() == ["handshake"])
        await world.put(observation_line(1, 1))
        await empty.until(lambda: len(empty.got) == 2)
        await full.until(lambda: len(full.got) == 2)
        assert len(empty.got[1]["entry"]) == 1
        assert b"Observation/" not in empty.bodies[1]
        assert full.got[1]["entry"][1]["resource"]["id"] == "o1"
        assert full.got[1]["entry"][1]["fullUrl"] == "https://hilum.example/fhir/Observation/o1"


async def test_filters_and_states_decide_what_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as world, receiving() as one, receiving() as arrivals:
        await subscribe(world, subscription(one.url, filters=["Observation?patient=Patient/p2"]))
        await subscribe(world, subscription(arrivals.url, topic=ENCOUNTERS))
        await one.until(lambda: one.kinds() == ["handshake"])
        await arrivals.until(lambda: arrivals.kinds() == ["handshake"])
        encounter = {"resourceType": "Encounter", "id": "e1", "class": {"code": "AMB"}}
        await world.put(encounter | {"status": "planned"}, observation_line(1, 1))
        await world.put(encounter | {"status": "in-progress"}, observation_line(2, 2))
        await world.put(encounter | {"status": "finished"})
        await one.until(lambda: len(one.got) == 2)
        await arrivals.until(lambda: len(arrivals.got) == 2)
        await world.put(observation_line(3, 2))
        await one.until(lambda: len(one.got) == 3)
        assert [entry["fullUrl"].rpartition("/")[2] for got in one.got[1:] for entry in got["entry"][1:]] == [
            "o2",
            "o3",
        ]
        assert [entry["request"]["method"] for entry in arrivals.got[1]["entry"][1:]] == ["PUT"]
        assert len(arrivals.got) == 2


async def test_a_dead_subscriber_holds_nobody_goes_into_error_and_recovers_without_a_gap(tmp_path: Path) -> None:
    async with opened(tmp_path) as world, receiving() as dead, receiving() as well:
        id_ = await subscribe(world, subscription(dead.url))
        other = await subscribe(world, subscription(well.url))
        await world.until_status(id_, "active")
        await world.until_status(other, "active")
        dead.answer = lambda _: 500
        for n in range(5):
            await world.put(observation_line(n, 1))
        await well.until(lambda: len(well.numbers()) == 5)
        await world.until_status(id_, "error")
        async with world.client() as client:
            shown = (await client.get(f"/fhir/Subscription/{id_}/$status")).json()
            assert value(shown, "status") == "error"
            assert value(shown, "error")["coding"][0]["code"] == "subscriber-refused"
            events = (
                await client.get(f"/fhir/Subscription/{id_}/$events?eventsSinceNumber=2&eventsUntilNumber=4")
            ).json()
            assert numbers_of(events) == [2, 3, 4]
            given = [{"name": "eventsSinceNumber", "valueInteger64": "4"}, {"name": "content", "valueCode": "empty"}]
            posted = {"resourceType": "Parameters", "parameter": given}
            events = (await client.post(f"/fhir/Subscription/{id_}/$events", json=posted)).json()
            assert (numbers_of(events), len(events["entry"])) == ([4, 5], 1)
            shown = (await client.post("/fhir/Subscription/$status")).json()
            assert len(shown["entry"]) == 2
        lines = await measured(world)
        assert {'hilum_subscriptions{status="error"} 1.0', 'hilum_subscriptions{status="active"} 1.0'} <= lines
        assert 'hilum_subscription_events_waiting{subscriber="worklist"} 5.0' in lines
        assert 'hilum_subscription_oldest_timestamp_seconds{subscriber="worklist"} 0.0' not in lines
        assert 'hilum_subscription_failures{subscriber="worklist"} 0.0' not in lines
        dead.got.clear()
        dead.answer = lambda _: 200
        await world.until_status(id_, "active")
        await dead.until(lambda: 5 in dead.numbers())
        assert sorted(set(dead.numbers())) == [1, 2, 3, 4, 5]
        async with asyncio.timeout(20):
            while 'hilum_subscription_events_waiting{subscriber="worklist"} 0.0' not in await measured(world):
                await asyncio.sleep(0.01)


async def measured(world: World) -> set[str]:
    """The lines of /metrics."""
    async with world.client() as client:
        client.headers["Authorization"] = f"Bearer {world.token('scraper', Role.OPERATOR)}"
        answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return set(answer.text.splitlines())


async def test_a_slow_subscriber_holds_nobody(tmp_path: Path) -> None:
    async with opened(tmp_path) as world, receiving() as slow, receiving() as well:
        slow.answer = lambda _: 0
        await subscribe(world, subscription(slow.url))
        await subscribe(world, subscription(well.url))
        await well.until(lambda: well.kinds() == ["handshake"])
        await world.put(observation_line(1, 1))
        await well.until(lambda: well.numbers() == [1])


async def test_heartbeats_come_when_nothing_else_does(tmp_path: Path) -> None:
    async with opened(tmp_path) as world, receiving() as hook:
        extension = {"extension": [{"url": f"{IG}/backport-heartbeat-period", "valueUnsignedInt": 10}]}
        id_ = await subscribe(world, subscription(hook.url, channel=extension))
        await world.until_status(id_, "active")
        await world.store.write(lambda c: c.execute("UPDATE subscription SET sent_at = sent_at - 11000000").fetchall())
        world.subscriptions._senders[id_][0].wake.set()
        await hook.until(lambda: hook.kinds() == ["handshake", "heartbeat"])
        assert value(hook.got[1], "events-since-subscription-start") == "0"


async def test_one_that_is_turned_off_or_deleted_is_silent(tmp_path: Path) -> None:
    async with opened(tmp_path) as world, receiving() as hook, receiving() as witness:
        id_ = await subscribe(world, subscription(hook.url))
        watching = await subscribe(world, subscription(witness.url))
        await world.until_status(id_, "active")
        await world.until_status(watching, "active")
        async with world.client() as client:
            resource = (await client.get(f"/fhir/Subscription/{id_}")).json() | {"status": "off"}
            assert (await client.put(f"/fhir/Subscription/{id_}", json=resource)).status_code == 200
            await world.put(observation_line(1, 1))
            await witness.until(lambda: witness.numbers() == [1])
            assert hook.kinds() == ["handshake"]
            back = resource | {"status": "requested"}
            assert (await client.put(f"/fhir/Subscription/{id_}", json=back)).status_code == 200
            await world.until_status(id_, "active")
            await world.put(observation_line(2, 1))
            await hook.until(lambda: hook.numbers() == [1])
            assert (await client.delete(f"/fhir/Subscription/{id_}")).status_code == 204
            assert (await client.get(f"/fhir/Subscription/{id_}/$status")).status_code == 404
            await world.put(observation_line(3, 1))
            await witness.until(lambda: witness.numbers() == [1, 2, 3])
            assert hook.numbers() == [1]


async def test_a_subscriber_hears_only_of_what_it_may_see_and_only_while_it_may(tmp_path: Path) -> None:
    async with opened(tmp_path) as world, receiving() as hook:
        id_ = await subscribe(world, subscription(hook.url))
        await world.until_status(id_, "active")
        limits = {"Observation": ((SearchTerm("patient", ("Patient/p1",)),),)}
        await world.store.write(
            lambda c: c.execute("UPDATE subscription SET limits = ?", (msgpack.encode(limits),)).fetchall()
        )
        await world.put(observation_line(1, 2), observation_line(2, 1), patient_line(1))
        await hook.until(lambda: len(hook.got) == 2)
        assert [one["fullUrl"].rpartition("/")[2] for one in hook.got[1]["entry"][1:]] == ["o2"]
        world.tokens.revoke("worklist", by="test")
        await world.put(observation_line(3, 1))
        await world.until_status(id_, "off")
        assert len(hook.got) == 2


async def test_what_cannot_be_done_is_refused_with_a_code(tmp_path: Path) -> None:
    async with opened(tmp_path) as world, world.client() as client:
        url = "https://worklist.example/hook"

        async def code(resource: dict[str, Any], status: int = 422) -> str:
            answer = await client.post("/fhir/Subscription", json=resource)
            assert answer.status_code == status, answer.text
            return str(answer.json()["issue"][0]["details"]["coding"][0]["code"])

        assert await code(subscription(url, topic="https://hilum.example/none")) == "subscription-topic-unknown"
        assert await code(subscription(url, status="active")) == "subscription-status-unusable"
        for unsafe in ("http://worklist.example/", "ftp://127.0.0.1/", "https://u:p@worklist.example/", "https:///x"):
            assert await code(subscription(unsafe)) == "subscription-endpoint-unsafe"
        literal = {"header": ["Authorization: Bearer literal"]}
        assert await code(subscription(url, channel=literal)) == "subscription-header-secret"
        for bad in ("Authorization: secret:unknown", "Host: elsewhere", "no header"):
            assert await code(subscription(url, channel={"header": [bad]})) == "subscription-header-unusable"
        assert await code(subscription(url, content="everything")) == "subscription-payload-unsupported"
        assert await code(subscription(url, channel={"type": "websocket"})) == "subscription-channel-unsupported"
        for bad in ("Observation?status=final", "Encounter?patient=1", "Observation", "Observation?patient.name=x"):
            assert await code(subscription(url, filters=[bad])) == "subscription-filter-unusable"
        async with world.client("stranger") as stranger:
            answer = await stranger.post("/fhir/Subscription", json=subscription(url))
            assert answer.status_code == 403
        assert world.repository.type_counts().get("Subscription", 0) == 0


async def test_a_subscription_belongs_to_the_program_that_made_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as world, receiving() as hook, world.client("other") as other:
        id_ = await subscribe(world, subscription(hook.url))
        for operation in ("$status", "$events"):
            assert (await other.get(f"/fhir/Subscription/{id_}/{operation}")).status_code == 404
        assert (await other.get("/fhir/Subscription/$status")).json()["total"] == 0
        taken = subscription("https://elsewhere.example/") | {"id": id_}
        assert (await other.put(f"/fhir/Subscription/{id_}", json=taken)).status_code == 403
        assert (await other.delete(f"/fhir/Subscription/{id_}")).status_code == 403
        request = {"method": "DELETE", "url": f"Subscription/{id_}"}
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [{"request": request}]}
        assert (await other.post("/fhir", json=bundle)).status_code == 403
        async with world.client() as client:
            assert (await client.get("/fhir/Subscription/$status")).json()["total"] == 1
            answer = await client.get(f"/fhir/Subscription/{id_}/$events?content=full-resource")
            assert answer.status_code == 400
            rest = (await client.get("/fhir/metadata")).json()["rest"][0]["resource"]
            told = next(one for one in rest if one["type"] == "Subscription")
            assert [one["valueCanonical"] for one in told["extension"]] == [RESULTS, ENCOUNTERS]
        world.token("chief", Role.ADMIN)
        async with world.client("chief") as client:
            assert (await client.delete(f"/fhir/Subscription/{id_}")).status_code == 204
        assert world.store.read(lambda connection: find(connection, id_)) is None


INNER = [
    "https://127.0.0.1/x",
    "http://localhost:9/x",
    "https://[::1]/x",
    "https://[::ffff:10.0.0.1]/x",
    "https://10.1.2.3/x",
    "https://192.168.0.1/x",
    "https://169.254.169.254/latest",
    "https://[fe80::1]/x",
    "https://[fd00::1]/x",
    "https://0.0.0.0/x",
    "https://LOCALHOST./x",
]


async def test_without_a_list_of_endpoints_nothing_is_sent_to_this_machine_or_inner_networks(tmp_path: Path) -> None:
    async with opened(tmp_path) as world, receiving() as hook, world.client("far") as client:
        for url in (hook.url, *INNER):
            answer = await client.post("/fhir/Subscription", json=subscription(url))
            assert answer.status_code == 422, url
        # a name, or a number in another spelling, shows what it leads to when it is connected to
        id_ = await subscribe(world, subscription(f"https://0x7f.1:{hook.port}/hook"), "far")
        await world.until_status(id_, "error")
        told = (await client.get(f"/fhir/Subscription/{id_}")).json()
        assert told["error"] == "address-inner"
        assert hook.got == []


async def test_an_app_whose_scopes_become_fewer_hears_no_more(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        apps = Apps(world.store, world.journal)
        app, _ = new_app("feed", kind=Kind.KEYS, scopes="system/*.rs", jwks_uri="https://feed.example/jwks")
        apps.add(app, by="test")
        may = may_act(world.store, world.tokens)
        seen = {"Observation": ((),), "Patient": ((),)}
        assert may("app/feed", seen)
        assert not may("app/other", seen)
        world.store.write_now(
            lambda c: c.execute("UPDATE smart_app SET scopes = 'system/Observation.rs?category=laboratory'").fetchall()
        )
        assert not may("app/feed", seen)
        assert may("app/feed", {"Observation": ((SearchTerm("category", ("laboratory",)),),)})


async def test_messages_and_a_restart_between_are_heard_of_too(tmp_path: Path) -> None:
    async with receiving() as hook:
        async with opened(tmp_path) as world:
            id_ = await subscribe(world, subscription(hook.url))
            await world.until_status(id_, "active")
            token = world.token("worklist")
        store = Store.open(tmp_path / "store.db", key=bytes(32), schemas=SCHEMAS)
        journal = SqliteJournal(store)
        repository = SqliteRepository(store, witness=journal.audit_in)
        await repository.write([Change(Verb.UPDATE, "Observation", "o9", {"status": Raw(b'"final"')})])
        journal.close()
        store.close()
        async with opened(tmp_path) as world:
            assert token
            await hook.until(lambda: hook.numbers() == [1])


CHILD = """
import asyncio, sys
from pathlib import Path
from bulk_support import observation_line
from test_subscription_flows import opened

async def main():
    async with opened(Path(sys.argv[1])) as world:
        for n in range(int(sys.argv[2]), int(sys.argv[3])):
            await world.put(observation_line(n, 1))
            await asyncio.sleep(0.03)
        async with asyncio.timeout(20):
            while world.subscriptions._feeder.is_behind() or world.store.read(
                lambda c: c.execute("SELECT number - delivered FROM subscription").get
            ):
                await asyncio.sleep(0.02)

asyncio.run(main())
"""


@pytest.mark.parametrize("point", ["subscriptions.after_events:2", "subscriptions.after_answer:2"])
async def test_a_kill_loses_no_event_and_repeats_none_under_another_number(tmp_path: Path, point: str) -> None:
    async with receiving() as hook:
        async with opened(tmp_path) as world:
            id_ = await subscribe(world, subscription(hook.url))
            await world.until_status(id_, "active")

        def child(first: int, last: int, crash_at: str) -> int:
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
            environment |= {"HILUM_CRASH_AT": crash_at} if crash_at else {}
            words = [sys.executable, "-c", CHILD, str(tmp_path), str(first), str(last)]
            return subprocess.run(words, env=environment, check=False).returncode

        assert await asyncio.to_thread(child, 0, 10, point) == -9
        assert await asyncio.to_thread(child, 0, 10, "") == 0
        store = Store.open(tmp_path / "store.db", key=bytes(32), schemas=SCHEMAS)
        one = store.read(lambda connection: find(connection, id_))
        assert one is not None
        kept = store.read(lambda connection: events_of(connection, id_, 0, one.number, 1_000))
        store.close()
        assert [event.number for event in kept] == list(range(1, 11))
        assert sorted(event.id for event in kept) == [f"o{n}" for n in range(10)]
        by_number: dict[int, set[str]] = {}
        for bundle in hook.got:
            for number, entry in zip(numbers_of(bundle), bundle["entry"][1:], strict=True):
                by_number.setdefault(number, set()).add(entry["fullUrl"].rpartition("/")[2])
        assert by_number == {event.number: {event.id} for event in kept}


async def test_while_nobody_listens_nothing_is_kept_and_the_first_hears_from_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as world, receiving() as hook:
        before = world.subscriptions._feeder.position()
        await world.put(observation_line(1, 1))
        await asyncio.to_thread(world.subscriptions._feeder.look)
        assert world.subscriptions._feeder.position() == before
        id_ = await subscribe(world, subscription(hook.url))
        assert world.subscriptions._feeder.position() > before
        await world.until_status(id_, "active")
        await world.put(observation_line(2, 1))
        await hook.until(lambda: len(hook.got) == 2)
        assert [one["fullUrl"].rpartition("/")[2] for one in hook.got[1]["entry"][1:]] == ["o2"]
