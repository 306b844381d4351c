"""Codes against the value sets and code systems that are loaded.

A required value set refuses a code that is certainly not in it, an extensible one warns. A code of a system that is
loaded whole must be one of its codes. A system that nobody here knows is a warning; a system that is known by name only
(LOINC, SNOMED CT) is told as not checked. Nothing passes in silence.
"""

from __future__ import annotations

from typing import Any

from hilum.definitions import Binding, Definitions, ValueSet

from .run import Check, Run
from .where import Where

__all__ = ["EXTERNAL_SYSTEMS", "BoundCode", "BoundConcept", "KnownCoding", "NotLoaded"]

# Code systems whose content is not loaded, by the URIs that R4 gives them (terminologies-systems.html).
_EXTERNAL = """
http://loinc.org http://snomed.info/sct http://www.nlm.nih.gov/research/umls/rxnorm http://unitsofmeasure.org
http://hl7.org/fhir/sid/icd-10 http://hl7.org/fhir/sid/icd-10-cm http://hl7.org/fhir/sid/icd-9-cm
http://www.cms.gov/Medicare/Coding/ICD10 http://hl7.org/fhir/sid/cvx http://hl7.org/fhir/sid/mvx
http://hl7.org/fhir/sid/ndc http://www.ama-assn.org/go/cpt http://nucc.org/provider-taxonomy
http://fdasis.nlm.nih.gov http://hl7.org/fhir/ndfrt http://hl7.org/fhir/sid/icpc-1 http://hl7.org/fhir/sid/icpc-2
http://www.whocc.no/atc urn:ietf:bcp:47 urn:ietf:bcp:13 urn:ietf:rfc:3986 urn:iso:std:iso:3166
urn:iso:std:iso:3166:-2 urn:iso:std:iso:4217 urn:iso:std:iso:11073:10101 http://www.radlex.org
http://hl7.org/fhir/sid/icf-nl http://www.genenames.org http://www.ensembl.org http://www.ncbi.nlm.nih.gov/clinvar
http://www.ncbi.nlm.nih.gov/nuccore http://sequenceontology.org http://varnomen.hgvs.org http://www.pharmgkb.org
http://cancer.sanger.ac.uk/cancergenome/projects/cosmic http://hl7.org/fhir/sid/ex-icd-10-procedures
https://www.usps.com/ https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets http://www.nubc.org/patient-discharge
http://dicom.nema.org/resources/ontology/DCM http://terminology.hl7.org/CodeSystem/icd9cm
https://www.nubc.org/CodeSystem/RevenueCodes urn:oid:2.16.840.1.113883.6.238 urn:oid:1.2.36.1.2001.1001.101
http://ihe.net/fhir/ValueSet/IHE.FormatCode.codesystem http://www.cdc.gov/nhsn/cdaportal/terminology/codesystem
"""
EXTERNAL_SYSTEMS = frozenset(_EXTERNAL.split())
_V2_TABLES = "http://terminology.hl7.org/CodeSystem/v2-"
KEPT = 65_536  # codings remembered as good


class KnownCoding(Check):
    """The system, code and display of a Coding."""

    __slots__ = ("_definitions", "_good", "_words")

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._good: set[tuple[str, str, str | None]] = set()
        self._words: dict[str, dict[str, str]] = {}

    def look(self, value: Any, where: Where, run: Run) -> None:
        system, code, display = value.get("system"), value.get("code"), value.get("display")
        if system is None or (system, code, display) in self._good:
            return
        self._look(system, code, display, where, run)

    def _look(self, system: str, code: str | None, display: str | None, where: Where, run: Run) -> None:
        known = self._definitions.code_system(system)
        if known is None:
            if system in EXTERNAL_SYSTEMS:
                run.seen.unchecked.add(system)
            else:
                _unknown(system, where, run)
            return
        if not known.is_complete:
            run.seen.unchecked.add(system)
            return
        if code is None:
            return
        if code in known.codes or (not known.is_case_sensitive and _folded(code, known.codes)):
            if display is not None and self._differs(system, code, display, where, run):
                return
            if len(self._good) < KEPT:
                self._good.add((system, code, display))
            return
        text = f"{_shown(system)} has no such code"
        # Tables of HL7 v2 grow with every version, and sites add their own codes to many of them.
        run.seen.report("code-not-in-system", text, (where, "code", -1), warning=system.startswith(_V2_TABLES))

    def _differs(self, system: str, code: str, display: str, where: Where, run: Run) -> bool:
        """Warn of a display that is not the code's: people read the one, programs the other.

        Case and white space are forgiven, the code itself, and what says by its language that it is a translation.
        """
        if system not in self._words:
            self._words[system] = self._definitions.displays(system)
        words = self._words[system].get(code)
        if words is None or _plain(display) in (_plain(words), _plain(code)):
            return False
        language = run.resource.get("language", "en")
        key = f"{system}|{code}"
        if language.partition("-")[0] == "en" and key not in run.seen.said:
            run.seen.said.add(key)
            text = f"{_shown(system)} calls this code `{words}`, and the display says something else"
            hint = "write the display of the code system, or the code that is meant; say what people saw in `text`"
            run.seen.report("display-differs", text, (where, "display", -1), warning=True, hint=hint)
        return True


def _plain(words: str) -> str:
    return " ".join(words.split()).casefold()


def _unknown(system: str, where: Where, run: Run) -> None:
    if system in run.seen.said:
        return
    run.seen.said.add(system)
    text = f"the code system {_shown(system)} is not known here, so its code was not checked"
    hint = "load the package that defines it with `hilum package add`, or use the URI that its owner gave it"
    run.seen.report("system-unknown", text, (where, "system", -1), warning=True, hint=hint)


def _shown(system: str) -> str:
    """A system that looks like the name of one; what somebody put there by mistake is not repeated."""
    plain = system.isascii() and system.isprintable() and len(system) <= 200 and "?" not in system
    return system if plain and system.startswith(("http://", "https://", "urn:")) else "of this coding"


def _folded(code: str, codes: frozenset[str]) -> bool:
    low = code.lower()
    return any(one.lower() == low for one in codes)


class _Bound(Check):
    """What bindings have in common."""

    __slots__ = ("_required", "_value_set")

    def __init__(self, value_set: ValueSet, binding: Binding) -> None:
        self._value_set = value_set
        self._required = binding.strength == "required" or bool(binding.maximum)

    def _outside(self, where: Where, run: Run) -> None:
        if self._required:
            text = f"none of the codes here is in {self._value_set.url}, and one must be"
            run.seen.report("code-not-in-value-set", text, where)
        else:
            text = (
                f"none of the codes here is in {self._value_set.url}; others may stand only for what it does not cover"
            )
            run.seen.report("code-outside-value-set", text, where, warning=True)


class BoundConcept(_Bound):
    """A CodeableConcept, Coding or Quantity that is bound."""

    __slots__ = ()

    def look(self, value: Any, where: Where, run: Run) -> None:
        codings = value.get("coding") if "coding" in value or "text" in value else [value]
        if codings is None:
            if self._required and "extension" not in value:
                self._outside(where, run)
            return
        open_system = False
        for coding in codings:
            system, code = coding.get("system"), coding.get("code")
            if code is None:
                open_system = open_system or "extension" in coding
                continue
            found = self._value_set.has(code, system) if system is not None else False
            if found:
                return
            if found is None:
                open_system = True
                run.seen.unchecked.update(self._value_set.missing or (system or self._value_set.url,))
        if not open_system and (codings is not value) and (self._required or any("code" in one for one in codings)):
            self._outside(where, run)


class BoundCode(_Bound):
    """A code, uri or string that is bound to codes which the schema could not list."""

    __slots__ = ()

    def look(self, value: Any, where: Where, run: Run) -> None:
        found = self._value_set.has(value)
        if found is None:
            run.seen.unchecked.add(self._value_set.url)
        elif not found:
            self._outside(where, run)


class NotLoaded(Check):
    """A value that is bound to a value set that is not loaded: told as not checked."""

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        self._url = url

    def look(self, value: Any, where: Where, run: Run) -> None:  # noqa: ARG002 - as the others are called
        run.seen.unchecked.add(self._url)
