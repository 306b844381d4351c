"""What becomes of messages whose resources are not what FHIR asks for."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hilum.config import ValidationPolicy
from hilum.mapping import load_base
from hilum.model import Effects, Envelope, Held, Message
from hilum.translator import Recipe, translator_of

BODY = (
    b"MSH|^~\\&|LAB|TEST|HILUM|TEST|20261101103000+0000||ADT^A01|1|P|2.5.1\r"
    b"EVN|A01|20261101103000+0000\r"
    b"PID|1||77^^^TEST^MR||Probe^Ada||19840229|F\r"
    b"PV1|1|I|W1^1^1^TEST|||||||||||||||||V1^^^TEST^VN\r"
)


def message() -> Message:
    return Message(1, 0, Envelope("adt", 1_800_000_000_000_000, sender="LAB|TEST", kind="ADT^A01", key="77|TEST"), BODY)


def turn(policy: ValidationPolicy, packages: dict[str, bytes] | None = None) -> Effects | Held:
    recipe = Recipe(load_base(), {}, (), {"adt": "registration"}, policy, packages or {})
    return translator_of(recipe).turn(message())


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a row of the workbook gave a Patient a gender that R4 does not have."""
    from hilum import mapping

    plain = mapping.render

    def render(mapped: mapping.Mapped) -> list[bytes]:
        resources = [msgspec.json.decode(one) for one in plain(mapped)]
        for one in resources:
            if one["resourceType"] == "Patient":
                one["gender"] = "F"
        return [msgspec.json.encode(one) for one in resources]

    monkeypatch.setattr(mapping, "render", render)


@pytest.mark.parametrize("policy", list(ValidationPolicy))
def test_a_message_with_good_resources_is_applied_without_a_word(policy: ValidationPolicy) -> None:
    effects = turn(policy)
    assert isinstance(effects, Effects)
    assert effects.drafts
    assert not [one for one in effects.exceptions if one.code == "resource-invalid"]


@pytest.mark.usefixtures("broken")
def test_off_lets_everything_pass() -> None:
    effects = turn(ValidationPolicy.OFF)
    assert isinstance(effects, Effects)
    assert not [one for one in effects.exceptions if one.code == "resource-invalid"]


@pytest.mark.usefixtures("broken")
def test_warn_applies_the_message_and_tells_its_owner() -> None:
    effects = turn(ValidationPolicy.WARN)
    assert isinstance(effects, Effects)
    items = [one for one in effects.exceptions if one.code == "resource-invalid"]
    assert [(one.location, one.owner) for one in items] == [("Patient.gender", "registration")]
    assert items[0].message.startswith("code-not-in-value-set: ")


@pytest.mark.usefixtures("broken")
def test_hold_holds_the_message_with_the_place_and_the_owner() -> None:
    held = turn(ValidationPolicy.HOLD)
    assert isinstance(held, Held)
    assert (held.code, held.location, held.owner) == ("resource-invalid", "Patient.gender", "registration")
    assert "Probe" not in held.message


def test_a_recipe_with_a_damaged_package_does_not_start(tmp_path: Path) -> None:
    from hilum.errors import HilumError

    with pytest.raises(HilumError) as caught:
        turn(ValidationPolicy.WARN, {"0" * 64: b"not a pack"})
    assert caught.value.code == "definitions-damaged"
