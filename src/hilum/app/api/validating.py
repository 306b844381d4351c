"""`$validate` (R4 resource-operation-validate.html): says what is wrong with a resource, and stores nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from hilum.app.api.contents import LARGE, by_definitions, check_media, content_of, decode_json
from hilum.app.api.exchange import MAX_RESOURCE, Call, Reply
from hilum.app.api.negotiation import check_format
from hilum.app.api.outcomes import Problem, issue
from hilum.app.api.query import parse_pairs
from hilum.app.api.resources import unknown_type
from hilum.app.api.sight import seen
from hilum.app.api.writing import WritingRules
from hilum.definitions import Structure, r4
from hilum.formats import fhir
from hilum.formats.fhir import Issue, IssueSeverity, operation_outcome
from hilum.repository import Repository

__all__ = ["Validation"]


class Validation:
    """Answers 200 with an OperationOutcome, whatever it finds."""

    def __init__(self, repository: Repository, types: frozenset[str], rules: WritingRules) -> None:
        self._repository, self._types, self._rules = repository, types, rules

    async def of_type(self, call: Call) -> Reply:
        """`POST [base]/[type]/$validate` with the resource, or with Parameters that hold it."""
        type_ = self._type(call)
        check_media(call.header("content-type"))
        body, named = await call.body(MAX_RESOURCE), self._profiles(call)

        def judged() -> Reply:
            resource, profiles = _asked(decode_json(body))
            return self._judge(resource, type_, (*named, *profiles))

        return await asyncio.to_thread(judged) if len(body) > LARGE else judged()

    async def of_stored(self, call: Call) -> Reply:
        """`GET [base]/[type]/[id]/$validate`: what is stored."""
        type_ = self._type(call)
        call.target = f"{type_}/{call.params['id']}"
        stored = seen(self._repository, call.sight, type_, call.params["id"])
        if stored is None or stored.deleted:
            raise Problem("resource-unknown", 404, "not-found", f"there is no {type_} with this id")
        body, named = stored.body, self._profiles(call)

        def judged() -> Reply:
            return self._judge(fhir.decode(body), type_, named)

        return await asyncio.to_thread(judged) if len(body) > LARGE else judged()

    def _type(self, call: Call) -> str:
        type_: str = call.params["type"]
        if type_ not in self._types:
            raise unknown_type(self._types)
        call.target = type_
        check_format(call.header("accept"), dict(parse_pairs(call.query)).get("_format"))
        return type_

    @staticmethod
    def _profiles(call: Call) -> tuple[str, ...]:
        return tuple(value for name, value in parse_pairs(call.query) if name == "profile" and value)

    def _judge(self, resource: Any, type_: str, profiles: tuple[str, ...]) -> Reply:
        validate = self._rules.validate
        if profiles:
            known = self._rules.definitions or r4()
            if not all(_is_of(known.structure(one), type_) for one in profiles):
                text = (
                    f"this is no profile of a {type_} that is loaded here: `hilum package add` loads those of a guide"
                )
                raise Problem("profile-not-loaded", 400, "not-found", text, parameter="profile")
            validate = by_definitions(self._rules.definitions, profiles)
        try:
            found = content_of(resource, validate, type_).notes
        except Problem as problem:
            found = problem.issues
        return Reply(200, operation_outcome(found or (_fine(),)))


def _asked(body: Any) -> tuple[Any, tuple[str, ...]]:
    """The resource, and the profiles that it is to meet: the body is the resource, or Parameters that hold it."""
    if not isinstance(body, dict) or body.get("resourceType") != "Parameters":
        return body, ()
    listed = [one for one in body.get("parameter", ()) if isinstance(one, dict)]
    resource = next((one.get("resource") for one in listed if one.get("name") == "resource"), body)
    named = [value for one in listed if one.get("name") == "profile" for key, value in one.items() if key != "name"]
    return resource, tuple(value for value in named if isinstance(value, str))


def _is_of(structure: Structure | None, type_: str) -> bool:
    return structure is not None and structure.type == type_


def _fine() -> Issue:
    one = issue("resource-valid", "informational", "nothing is wrong with this resource")
    return Issue(one.type, one.text, one.code, IssueSeverity.INFORMATION)
