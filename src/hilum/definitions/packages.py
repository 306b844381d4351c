"""Reading a FHIR package (a gzipped tar with `package/package.json` and one JSON file per resource).

The archive is read as a stream and never unpacked to disk: names in it cannot lead anywhere, links and devices are not
followed. What it may expand to is limited, so that a small file cannot fill the memory.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
from msgspec import Struct

from hilum.errors import HilumError

from .building import sections_of
from .definitions import Definitions
from .pack import Origin
from .terminology import Concepts

__all__ = ["PackageContent", "read_package"]

Json = dict[str, Any]
MOST_PACKED = 256 * 1024 * 1024  # bytes of the file
MOST_EXPANDED = 1024 * 1024 * 1024  # bytes that it may expand to
MOST_FILE = 32 * 1024 * 1024  # bytes of one resource
MOST_FILES = 50_000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,99}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,49}")
_MEMBER = re.compile(r"(?:\./)?package/[^/]+\.json")
_TYPES = {
    "StructureDefinition",
    "SearchParameter",
    "ValueSet",
    "CodeSystem",
    "CompartmentDefinition",
    "ImplementationGuide",
}


class _Told(Struct):
    """package.json, as far as it matters."""

    name: str
    version: str
    canonical: str = ""
    license: str = ""
    fhirVersions: tuple[str, ...] = ()  # noqa: N815 - the name in the file
    dependencies: dict[str, str] = {}


class PackageContent(Struct, frozen=True):
    """A package, reduced."""

    origin: Origin
    canonical: str
    depends_on: dict[str, str]
    guides: tuple[str, ...]
    sections: dict[str, dict[str, Any]]
    without_snapshot: int  # profiles that were left out: they hold differences only


class _Limited:
    """Reads a stream until it has given too much."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream, self._given = stream, 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(min(size, 1 << 20) if size > 0 else 1 << 20)
        self._given += len(data)
        if self._given > MOST_EXPANDED:
            raise _fault("package-too-large", f"it expands to more than {MOST_EXPANDED >> 20} MB")
        return data


def _fault(code: str, what: str) -> HilumError:
    return HilumError(f"this package cannot be added: {what}", code=code)


def read_package(path: Path, beside: Definitions) -> PackageContent:
    """Read and reduce one package. `beside`: what is loaded already; its value sets may include theirs.

    Raises HilumError `package-unreadable`, `package-too-large`, `package-not-fhir`, `package-other-version`; OSError.
    """
    if path.stat().st_size > MOST_PACKED:
        raise _fault("package-too-large", f"the file has more than {MOST_PACKED >> 20} MB")
    sha256 = hashlib.sha256()
    told: _Told | None = None
    resources: list[Json] = []
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            sha256.update(chunk)
        file.seek(0)
        for name, content in _members(file):
            if name.removeprefix("./") == "package/package.json":
                told = _told(content)
            else:
                resources.extend(_resource(content))
    if told is None:
        raise _fault("package-not-fhir", "there is no package/package.json in it")
    return _reduced(told, sha256.hexdigest(), resources, beside)


def _members(file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the JSON files directly in `package/`."""
    try:
        with (
            gzip.GzipFile(fileobj=file, mode="rb") as expanded,
            tarfile.open(fileobj=_Limited(expanded), mode="r|") as archive,  # type: ignore[call-overload]
        ):
            for number, member in enumerate(archive):
                if number >= MOST_FILES:
                    raise _fault("package-too-large", f"it holds more than {MOST_FILES} files")
                if not member.isreg() or not _MEMBER.fullmatch(member.name):
                    continue
                if member.size > MOST_FILE:
                    raise _fault("package-too-large", f"a file in it has more than {MOST_FILE >> 20} MB")
                held = archive.extractfile(member)
                if held is not None:
                    yield member.name, held.read()
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, OSError) as error:
        raise _fault("package-unreadable", "it is no gzipped tar, or it is cut off") from error


def _told(content: bytes) -> _Told:
    try:
        told = msgspec.json.decode(content, type=_Told)
    except msgspec.MsgspecError as error:
        raise _fault("package-not-fhir", "its package.json does not say name and version") from error
    if not _NAME.fullmatch(told.name) or not _VERSION.fullmatch(told.version):
        raise _fault("package-not-fhir", "its package.json has a name or version that no FHIR package has")
    if told.fhirVersions and not any(one.startswith("4.0") for one in told.fhirVersions):
        raise _fault("package-other-version", "it is not for FHIR R4 (4.0.1)")
    return told


def _resource(content: bytes) -> Iterator[Json]:
    """The conformance resource in a file; other files are none of ours."""
    try:
        resource = msgspec.json.decode(content)
    except (msgspec.MsgspecError, RecursionError):
        return
    if isinstance(resource, dict) and resource.get("resourceType") in _TYPES and isinstance(resource.get("url"), str):
        yield resource


def _reduced(told: _Told, sha256: str, resources: list[Json], beside: Definitions) -> PackageContent:
    def concepts(system: str) -> Concepts | None:
        known = beside.code_system(system)
        return Concepts.flat(known.codes) if known is not None and known.is_complete else None

    label = f"{told.name}#{told.version}"
    try:
        sections = sections_of(resources, label, beside.value_set, concepts)
        guides = [
            f"{one['url']}|{one.get('version', told.version)}"
            for one in resources
            if one["resourceType"] == "ImplementationGuide"
        ]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _fault("package-not-fhir", "a definition in it lacks what R4 demands of it") from error
    bare = sum(
        one["resourceType"] == "StructureDefinition" and "snapshot" not in one and one.get("kind") != "logical"
        for one in resources
    )
    if not any(sections.values()):
        raise _fault("package-not-fhir", "there are no definitions in it")
    origin = Origin(told.name, told.version, told.license, sha256)
    return PackageContent(origin, told.canonical, told.dependencies, tuple(guides), sections, bare)
