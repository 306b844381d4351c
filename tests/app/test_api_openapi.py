"""The OpenAPI document against the app: requests that schemathesis generates, valid ones and broken ones."""

from __future__ import annotations

import asyncio

import pytest
import schemathesis
from api_support import World, observation, patient, store
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from hilum.app.api.openapi import document
from hilum.app.api.surface import served
from hilum.app.tokens import Role

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
    ignored_auth,
]


def make_world() -> World:
    world = World()
    people = [patient(f"p{n}", f"Family{n}", gender="male") for n in range(3)]
    asyncio.run(store(world.repository, *people, observation("o1", "p1")))
    return world


WORLD = make_world()
TOKEN = WORLD.token("fuzzer", Role.WRITER)
schema = schemathesis.openapi.from_asgi("/openapi.json", WORLD.app)
schema.config.generation.update(modes=list(GenerationMode))


@pytest.fixture(autouse=True)
def all_callers_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests without a token come faster here than hilum writes audit rows about."""
    monkeypatch.setattr("hilum.app.api.auditor.STRANGERS_PER_SECOND", 100_000)


@schema.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_app_keeps_to_its_document(case: schemathesis.Case) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, checks=CHECKS)


def test_every_route_is_documented() -> None:
    routes = {(route.endpoint.template, method) for route in WORLD.app.routes for method in route.methods - {"HEAD"}}
    expected = {(template, method.lower()) for template, method in routes}
    paths = document(served(), "http://x")["paths"]
    assert {
        (path, method) for path, operations in paths.items() for method in operations if method != "parameters"
    } == expected
    assert len(expected) > 20
