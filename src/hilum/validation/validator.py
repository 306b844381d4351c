"""Validating resources: the three tiers in their order, for a resource and for all that stands in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from hilum import definitions as r4_definitions
from hilum.definitions import Definitions, Structure
from hilum.model import Finding, Severity

from .bundles import check_bundle, follow
from .contained import check_contained, follow_local
from .extensions import KnownExtension
from .formulas import Formulas
from .nested import Inside, inside_by_hand
from .plans import Plans
from .run import Pointer, Run, Seen
from .spots import walk
from .structural import Shapes
from .where import Where
from .words import finding

__all__ = ["Report", "Validator"]

Json = dict[str, Any]
MOST_DEPTH = 8  # bundles in bundles in bundles
MOST_FAULTS = 1_000  # of shape that are told of one resource and all that is in it


class Report(Struct, frozen=True):
    """What came of validating one body."""

    findings: tuple[Finding, ...]
    unchecked: tuple[str, ...]  # code systems, value sets, profiles and invariants that could not be looked into
    rules: str  # version of the definitions and packages
    resources: int = 1  # looked at, those inside others too

    @property
    def is_valid(self) -> bool:
        """Whether there is no error; warnings may be there."""
        return all(one.severity is not Severity.ERROR for one in self.findings)


class Validator:
    """Validates against R4 and the packages in `definitions`. Make one and keep it: schemas are compiled on first use.

    Safe to use from several threads.
    """

    def __init__(self, definitions: Definitions | None = None) -> None:
        self.definitions = definitions or r4_definitions.r4()
        self._shapes = Shapes(self.definitions)
        extension = KnownExtension(self.definitions, self._shapes, self._rules)
        formulas = Formulas(self.definitions)
        self._plans = Plans(self.definitions, formulas.check, {"Extension": extension, "Resource": Inside()})
        self._types = frozenset(
            name
            for name in self.definitions.types("resource")
            if (found := self.definitions.structure(name)) is not None and not found.is_abstract
        )

    @property
    def rules(self) -> str:
        """What is validated against: the definitions with their version and hash."""
        return self.definitions.version

    def validate_bytes(self, raw: bytes, *, profiles: Sequence[str] = (), type_: str = "") -> tuple[Finding, ...]:
        """Findings for one resource as JSON; () when there is nothing to say.

        `profiles`: URLs to be met beside those that the resource claims in `meta.profile`. `type_`: what it must be.
        """
        return self.report(raw, profiles=profiles, type_=type_).findings

    def validate(self, resource: Any, *, profiles: Sequence[str] = (), type_: str = "") -> tuple[Finding, ...]:
        """The same for decoded JSON."""
        return self._report(resource, profiles, type_).findings

    def report(self, raw: bytes, *, profiles: Sequence[str] = (), type_: str = "") -> Report:
        """The same, and what could not be checked."""
        try:
            resource = msgspec.json.decode(raw)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            text = "this is not JSON, or its texts are not UTF-8, or it is nested beyond reason"
            return Report((finding("json-invalid", text),), (), self.rules, 0)
        return self._report(resource, profiles, type_)

    def errors(self, resources: Iterable[bytes]) -> tuple[Finding, ...]:
        """The errors of several resources as JSON, without the warnings: what the flow of messages asks."""
        return tuple(one for raw in resources for one in self.validate_bytes(raw) if one.severity is Severity.ERROR)

    def is_structurally_valid(self, raw: bytes) -> bool:
        """The first tier alone: whether the JSON has the shape of its type. For measuring and for quick answers."""
        resource = msgspec.json.decode(raw)
        structure = self.definitions.structure(resource["resourceType"])
        return structure is not None and self._shapes.fits(structure, resource)

    def _rules(self, profile: Structure, value: Any, where: Where, run: Run) -> None:
        """What a profile asks beyond the shape of a value."""
        walk(self._plans.plan(profile), value, where, run)

    def _report(self, resource: Any, profiles: Sequence[str], type_: str) -> Report:
        seen = Seen(self.definitions)
        pass_ = _Pass(self, seen)
        try:
            pass_.top(resource, profiles, type_)
        except RecursionError:
            seen.findings.append(finding("resource-too-deep", "elements are nested beyond reason"))
        return Report(tuple(dict.fromkeys(seen.findings)), tuple(sorted(seen.unchecked)), self.rules, pass_.count)


class _Pass:
    """One validation: the resource and all that is in it."""

    def __init__(self, validator: Validator, seen: Seen) -> None:
        self._of, self._seen = validator, seen
        self.count = 0
        self._left = MOST_FAULTS

    def top(self, resource: Any, profiles: Sequence[str], type_: str) -> None:
        if not isinstance(resource, dict):
            self._seen.findings.append(finding("type-wrong", "a resource is a JSON object"))
            return
        name = resource.get("resourceType")
        where: Where = (None, name if isinstance(name, str) and name in self._of._types else "Resource", -1)
        if type_ and name != type_:
            text = f"this must be a {type_}"
            self._seen.report("resource-type-unknown", text, where)
            return
        self.resource(resource, where, profiles, 0)

    def resource(self, resource: Json, where: Where, profiles: Sequence[str], depth: int) -> list[Pointer]:
        """Validate one resource with what it contains; returns its references."""
        structure = self._structure(resource, where)
        if structure is None:
            return []
        if depth > MOST_DEPTH:
            self._seen.report("resource-too-deep", "resources are nested in resources beyond reason", where)
            return []
        self.count += 1
        run = Run(self._seen, resource)
        fits = self._of._shapes.fits(structure, resource)
        if fits:
            walk(self._of._plans.plan(structure), resource, where, run)
        else:
            self._faults(structure, resource, where)
            run.nested.extend(inside_by_hand(resource, where))
        if run.nested:
            self._inside(resource, where, run, depth, fits=fits)
        if any(one.reference.startswith("#") for one in run.pointers) and where[1] != "contained":
            follow_local(resource, run.pointers, run)
        if fits:
            self._profiles(resource, structure, where, profiles)
        return run.pointers

    def _structure(self, resource: Json, where: Where) -> Structure | None:
        name = resource.get("resourceType")
        if not isinstance(name, str) or name not in self._of._types:
            self._seen.report("resource-type-unknown", "R4 has no resource type of this name", where)
            return None
        return self._of.definitions.structure(name)

    def _inside(self, resource: Json, where: Where, run: Run, depth: int, *, fits: bool) -> None:
        """What stands in a resource: contained resources share its references, entries have their own."""
        is_bundle = resource["resourceType"] == "Bundle"
        met: list[tuple[str, list[Pointer]]] = []
        for held, here in run.nested:
            pointers = self.resource(held, (*here, str(held.get("resourceType", ""))), (), depth + 1)
            if here[1] == "contained":
                run.pointers.extend(pointers)
            elif is_bundle and fits and here[1] == "resource":
                met.append((resource["entry"][here[0][2]].get("fullUrl", ""), pointers))
        if is_bundle and fits:
            check_bundle(resource, where, self._seen)
            follow(resource, met, self._seen)
        elif fits and "contained" in resource:
            check_contained(resource, where, run)

    def _profiles(self, resource: Json, structure: Structure, where: Where, wanted: Sequence[str]) -> None:
        """The profiles that a resource claims and those that are asked for."""
        claimed = resource.get("meta", {}).get("profile", ())
        for url in dict.fromkeys((*wanted, *(one for one in claimed if one is not None))):
            profile = self._of.definitions.structure(url)
            if profile is None and url in wanted:
                text = "a profile that is asked for is not loaded"
                self._seen.report("profile-unknown", text, where, hint="load its package with `hilum package add`")
            elif profile is None:
                self._seen.unchecked.add(url.partition("|")[0])
            elif profile.type != structure.name:
                text = f"this profile is one of {profile.type}, not of {structure.name}"
                self._seen.report("profile-other-type", text, where)
            elif profile.is_profile:
                self._profile(resource, profile, where)

    def _profile(self, resource: Json, profile: Structure, where: Where) -> None:
        if self._of._shapes.fits(profile, resource):
            self._of._rules(profile, resource, where, Run(self._seen, resource))
        else:
            self._faults(profile, resource, where)

    def _faults(self, structure: Structure, resource: Json, where: Where) -> None:
        """What does not fit, as far as anybody reads it: a body of nothing but faults costs no more than others."""
        if self._left < 0:
            return
        found = list(islice(self._of._shapes.faults(structure, resource, where), self._left + 1))
        self._seen.findings.extend(found[: self._left])
        self._left -= len(found)
        if self._left < 0:
            self._seen.report("faults-untold", f"more is wrong than the first {MOST_FAULTS} faults", where)
