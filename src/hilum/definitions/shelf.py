"""The packages of an integration folder: reduced, hashed, listed in `packages/packages.json`, kept in git with it."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from hilum.errors import HilumError, NotFound

from .definitions import Definitions
from .pack import Pack, open_pack, write_pack
from .packages import read_package

__all__ = ["Added", "Shelf", "Shelved"]

FOLDER, INDEX = "packages", "packages.json"
MOST_INDEX = 1024 * 1024  # bytes


class Shelved(Struct, frozen=True):
    """One package of a folder."""

    name: str
    version: str
    file: str  # in `packages/`
    sha256: str  # of the reduced file
    source_sha256: str  # of the .tgz that it was made from
    canonical: str = ""
    depends_on: dict[str, str] = {}

    @property
    def label(self) -> str:
        """`hl7.fhir.us.core#7.0.0`."""
        return f"{self.name}#{self.version}"


class Added(Struct, frozen=True):
    """What adding a package did."""

    package: Shelved
    replaced: str  # label of another version that was there; "" for none
    profiles: int
    search_parameters: int
    value_sets: int
    code_systems: int
    without_snapshot: int  # profiles left out, because the package gives only differences for them
    size: int  # bytes of the reduced file
    missing: tuple[str, ...]  # packages that it builds on and that are not loaded


class _Index(Struct):
    packages: list[Shelved] = []


class Shelf:
    """The packages of one folder, in the order in which they were added: later ones win."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def all(self) -> tuple[Shelved, ...]:
        """All of them; () where there are none. Raises HilumError `definitions-damaged` for an index that is none."""
        path = self._folder / INDEX
        if not path.exists():
            return ()
        with path.open("rb") as file:
            raw = file.read(MOST_INDEX)
        try:
            found = msgspec.json.decode(raw, type=_Index).packages
        except msgspec.MsgspecError as error:
            raise self._damaged("the list of packages cannot be read") from error
        if any(Path(one.file).name != one.file for one in found):
            raise self._damaged("the list of packages names a file outside of it")
        return tuple(found)

    def definitions(self, base: Definitions) -> Definitions:
        """R4 and the packages. Raises HilumError `definitions-damaged` when a file is not what was written."""
        packs = [self._open(one) for one in self.all()]
        return base.with_packs(packs) if packs else base

    def contents(self) -> dict[str, bytes]:
        """SHA-256 -> bytes of each pack, in order: what another process opens them from."""
        return {one.sha256: self._read(one) for one in self.all()}

    def _open(self, one: Shelved) -> Pack:
        return open_pack(self._read(one), one.sha256)

    def _read(self, one: Shelved) -> bytes:
        try:
            return (self._folder / one.file).read_bytes()
        except OSError as error:
            raise self._damaged(f"{one.label} is listed, and its file is not there") from error

    def add(self, archive: Path, base: Definitions) -> Added:
        """Read a .tgz, reduce it, keep it; another version of the same package gives way.

        Raises as `read_package` does. A crash leaves the list as it was.
        """
        before = self.all()
        content = read_package(archive, self.definitions(base))
        origin = content.origin
        self._folder.mkdir(exist_ok=True)
        file = f"{origin.name}-{origin.version}.pack"
        path = self._folder / file
        fresh = path.with_suffix(".new")
        sha256 = write_pack(
            fresh,
            origin.name,
            origin.version,
            content.canonical,
            [origin],
            content.sections,
            content.depends_on,
            content.guides,
        )
        size = fresh.stat().st_size
        fresh.replace(path)
        package = Shelved(
            origin.name, origin.version, file, sha256, origin.sha256, content.canonical, content.depends_on
        )
        old = [one for one in before if one.name == origin.name and one.version != origin.version]
        self._write([*(one for one in before if one.name != origin.name), package])
        for one in old:
            (self._folder / one.file).unlink(missing_ok=True)
        sections = content.sections
        return Added(
            package,
            replaced=old[0].label if old else "",
            profiles=len(sections["profiles"]),
            search_parameters=len(sections["search"]),
            value_sets=len(sections["value-sets"]),
            code_systems=len(sections["code-systems"]),
            without_snapshot=content.without_snapshot,
            size=size,
            missing=tuple(sorted(self._missing(content.depends_on))),
        )

    def _missing(self, depends_on: dict[str, str]) -> set[str]:
        there = {one.name for one in self.all()} | {"hl7.fhir.r4.core", "hl7.fhir.r4.examples"}
        return {f"{name}#{version}" for name, version in depends_on.items() if name not in there}

    def remove(self, name: str) -> Shelved:
        """Take a package away, by name or `name#version`. Raises NotFound `package-absent`."""
        there = self.all()
        found = next((one for one in there if name in (one.name, one.label)), None)
        if found is None:
            known = ", ".join(one.label for one in there) or "none"
            raise NotFound(f"there is no such package here; loaded are: {known}", code="package-absent")
        self._write([one for one in there if one is not found])
        (self._folder / found.file).unlink(missing_ok=True)
        return found

    def _write(self, packages: list[Shelved]) -> None:
        path = self._folder / INDEX
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(_Index(packages)), indent=2) + b"\n")
        fresh.replace(path)

    def _damaged(self, what: str) -> HilumError:
        return HilumError(
            f"the packages of this folder cannot be used: {what}", code="definitions-damaged", location=FOLDER
        )
