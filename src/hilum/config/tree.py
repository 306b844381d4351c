"""The integration folder, read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any, TypeVar

from hilum.config.document import Node, locate
from hilum.config.secrets import Secret
from hilum.errors import ConfigError
from hilum.model import Finding, Severity

__all__ = ["Tree"]

T = TypeVar("T")


class Tree:
    """Typed values by file. `findings` holds warnings, and errors too when it comes from `examine`."""

    def __init__(
        self,
        folder: FilePath,
        environment: str | None,
        files: Mapping[str, Node],
        values: Mapping[str, Any],
        findings: tuple[Finding, ...] = (),
        environments: tuple[str, ...] = (),
        present: Iterable[str] = (),
    ) -> None:
        self.folder = folder
        self.environment = environment  # the one that is laid over the folder
        self.environments = environments  # those that the folder has
        self.findings = findings
        self._files = dict(files)
        self._values = dict(values)
        self._present = frozenset(present) | frozenset(self._files)
        self._file_of = {id(value): file for file, value in values.items()}

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that keep the folder from being run."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    def one(self, kind: type[T]) -> T:
        """The value of a section with one file. Raises ConfigError `file-missing` when it could not be read."""
        for value in self._values.values():
            if isinstance(value, kind):
                return value
        raise ConfigError(f"nothing in this folder is a {kind.__name__}", code="file-missing")

    def all(self, kind: type[T]) -> dict[str, T]:
        """Values of one kind by name (the file's name without `.yaml`), sorted by name."""
        return {
            file.rpartition("/")[2].removesuffix(".yaml"): value
            for file, value in sorted(self._values.items())
            if isinstance(value, kind)
        }

    def names(self, part: str) -> list[str]:
        """Names of the files in a part of the folder (`sources`), readable or not, sorted."""
        return sorted(
            file.removeprefix(f"{part}/").removesuffix(".yaml") for file in self._present if file.startswith(f"{part}/")
        )

    def where(self, value: object, *path: str | int) -> str:
        """`file:line:col` of what stands at `path` (as in the file) in a value that came from `one` or `all`."""
        file = self._file_of[id(value)]
        return str(locate(self._files[file], path))

    def secrets(self) -> Iterator[tuple[str, Secret]]:
        """Every secret reference in use, with the place where it is written."""
        for file, value in sorted(self._values.items()):
            for path, secret in _secrets_in(value, ()):
                yield str(locate(self._files[file], path)), secret


def _secrets_in(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Secret]]:
    if isinstance(value, Secret):
        yield path, value
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _secrets_in(child, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, child in enumerate(value):
            yield from _secrets_in(child, (*path, index))
    elif hasattr(value, "__struct_fields__"):
        for name, key in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
            yield from _secrets_in(getattr(value, name), (*path, key))
