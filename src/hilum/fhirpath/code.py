"""What the compiler makes: closures with what is known of their results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hilum.fhirpath.failure import fail
from hilum.fhirpath.frame import Frame
from hilum.fhirpath.shapes import BOOLEAN, Shape

__all__ = ["Applied", "Code", "Items", "Run", "Step", "Test", "boolean", "constant", "truth", "truth_of"]

Items = list[Any]
Run = Callable[[Items, Frame], Items]  # ($this, frame) -> items
Test = Callable[[Items, Frame], bool | None]  # ($this, frame) -> three-valued answer
Step = Callable[[Items, Items, Frame], Items]  # (input, $this, frame) -> items
StepTest = Callable[[Items, Items, Frame], bool | None]


@dataclass(frozen=True, slots=True)
class Code:
    """A compiled expression. `$this` is a list of one item, or of none.

    `test` gives a boolean without a list around it. `constant` is known before any resource is seen. `key` is set where
    the code only reads one primitive that does not repeat from `$this`: its JSON name.
    """

    run: Run
    shape: Shape
    test: Test | None = None
    constant: tuple[Any, ...] | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """A compiled function or step: what is done to its input."""

    step: Step
    shape: Shape
    test: StepTest | None = None

    @classmethod
    def answer(cls, test: StepTest) -> Applied:
        """A step whose result is one boolean or nothing."""

        def step(items: Items, this: Items, frame: Frame) -> Items:
            found = test(items, this, frame)
            return [] if found is None else [found]

        return cls(step, BOOLEAN, test)


def boolean(test: Test) -> Code:
    """Code whose result is one boolean or nothing."""

    def run(this: Items, frame: Frame) -> Items:
        found = test(this, frame)
        return [] if found is None else [found]

    return Code(run, BOOLEAN, test)


def constant(values: tuple[Any, ...], shape: Shape) -> Code:
    """Code that always gives the same."""
    return Code(lambda _this, _frame: list(values), shape, constant=values)


def truth_of(items: Items, at: int) -> bool | None:
    """Items as a condition: nothing is unknown, one item that is no boolean is true (4.5 "Singleton evaluation")."""
    if not items:
        return None
    if len(items) > 1:
        raise fail("a condition takes one item, and here are several", "fhirpath-not-single", at)
    item = items[0]
    if type(item) is not bool:
        item = getattr(item, "value", item)
    return item if type(item) is bool else True


def truth(code: Code, at: int) -> Test:
    """The code as a condition."""
    if code.test is not None:
        return code.test
    run = code.run
    return lambda this, frame: truth_of(run(this, frame), at)
