"""Transforms that other packages bring: entry points of the group `hilum.transforms`.

A package that is installed beside hilum names a function in its metadata, and rows name it in `transform`:

    [project.entry-points."hilum.transforms"]
    acme-ward = "acme_transforms:ward"

The function gets the components of one repetition, escapes undone, then the arguments of the cell as texts, and gives
what JSON has (str, bool, int, Decimal, dict, list; a list is one value per item), or None for no value. ValueError says
that it cannot take the value. It has to be pure: hilum remembers what it gave. Transforms of hilum go first.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from hilum.mapping.syntax import Path
from hilum.mapping.transforms.frame import NOTHING, Env, Evaluator, Factory, Spec

__all__ = ["PluginProblem", "package_of", "plugin_names", "plugin_of"]

GROUP = "hilum.transforms"

_encode = msgspec.json.Encoder(decimal_format="number").encode


class PluginProblem(Exception):
    """A transform that is named in the metadata of a package, and cannot be had. Its text is for people."""


def plugin_names() -> tuple[str, ...]:
    """Every transform that installed packages name, sorted; none of them is loaded."""
    return tuple(sorted(_found()))


def package_of(name: str) -> str:
    """`acme-transforms 1.2`: the package that brings a transform; "" when none does."""
    return ", ".join(sorted({_package(entry) for entry in _found().get(name, ())}))


def plugin_of(name: str) -> Factory | None:
    """The transform of that name; None when no package names it. Raises PluginProblem."""
    return _loaded(name) if name in _found() else None


@cache
def _found() -> dict[str, tuple[Any, ...]]:
    from importlib.metadata import entry_points  # looks through every package: only for names that are not hilum's

    found: dict[str, tuple[Any, ...]] = {}
    for entry in entry_points(group=GROUP):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


@cache
def _loaded(name: str) -> Factory:
    entry, *others = _found()[name]
    if others:
        raise PluginProblem(f"several packages bring it: {package_of(name)}")
    try:
        function = entry.load()
    except Exception as error:  # what a package does when it is imported is its own
        raise PluginProblem(f"{_package(entry)} cannot be loaded ({type(error).__name__})") from error
    if not callable(function):
        raise PluginProblem(f"{entry.value} of {_package(entry)} is no function")
    return _factory(function)


def _package(entry: Any) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else str(entry.value)


def _factory(function: Callable[..., Any]) -> Factory:
    def factory(spec: Spec, env: Env) -> Evaluator:
        arguments = _arguments(spec, env)

        def evaluate(raw: str, *extra: str) -> Any:
            positional, named = arguments(extra)
            try:
                found = function(tuple(env.text(part) for part in raw.split(env.component)), *positional, **named)
                return _json(found)
            except ValueError:  # its words may hold the value
                env.report(spec, "transform-refused", f"`{spec.transform}` cannot take this value")
            except Exception as error:  # noqa: BLE001 - a package that breaks holds the message, not the engine
                broke = f"`{spec.transform}` of {package_of(spec.transform)} broke ({type(error).__name__})"
                env.report(spec, "transform-broke", broke, hold=True)
            return NOTHING

        return evaluate

    return factory


def _arguments(spec: Spec, env: Env) -> Callable[[tuple[str, ...]], tuple[list[str], dict[str, str]]]:
    """The arguments of the cell as texts: constants, and of paths the text that they have in this message."""
    paths = spec.path_arguments()
    constants = {name: env.literal(value) for name, value in spec.named if not isinstance(value, Path)}
    places = [None if isinstance(value, Path) else env.literal(value) for value in spec.args]

    def given(extra: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
        texts = dict(zip(paths, map(env.first, extra), strict=True))
        positional = [texts.pop(str(at)) if known is None else known for at, known in enumerate(places)]
        return positional, {**constants, **texts}

    return given


def _json(found: Any) -> Any:
    if found is None or found == "":
        return NOTHING
    if isinstance(found, list | tuple):
        return [_one(item) for item in found]
    return _one(found)


def _one(value: Any) -> bytes:
    _refuse_floats(value)
    return _encode(value)


def _refuse_floats(value: Any) -> None:
    """A float has lost the digits of the text that it was made of (0.10 became 0.1)."""
    if isinstance(value, float) or (isinstance(value, Decimal) and not value.is_finite()):
        raise TypeError("numbers are int or Decimal")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    for one in inner:
        _refuse_floats(one)
