"""What is generated from the declarations: the reference page, schemas for editors, and a page for every code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest

import hilum.config
from hilum.app.reference_page import updated
from hilum.app.sections import SECTIONS
from hilum.config import editor_schemas, reference

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)+")


def test_the_reference_in_the_docs_is_current() -> None:
    page = (ROOT / "docs" / "integration-folder.md").read_text()
    assert page == updated(page), "run: python -m hilum.app.reference_page docs/integration-folder.md"


def test_every_declared_key_is_described() -> None:
    rows = [line for line in reference(SECTIONS).splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    codes_of_answers = ("| `AE`", "| `AR`", "| `CE`", "| `CR`")  # explained by the text above their table
    assert [row for row in rows if row.endswith("|  |") and not row.startswith(codes_of_answers)] == []


def test_editor_schemas_accept_what_the_templates_write_and_refuse_a_typo() -> None:
    schemas = {name: msgspec.json.decode(text) for name, text in editor_schemas(SECTIONS).items()}
    assert sorted(schemas) == [
        "destinations.schema.json",
        "environments.schema.json",
        "integration.schema.json",
        "sources.schema.json",
        "subscribers.schema.json",
        "topics.schema.json",
    ]
    for schema in schemas.values():
        jsonschema_rs.meta.validate(schema)
    sources = jsonschema_rs.validator_for(schemas["sources.schema.json"])
    assert sources.is_valid({"kind": "mllp", "port": 2575})
    assert not sources.is_valid({"kind": "mllp", "prot": 2575, "port": 1})
    environments = jsonschema_rs.validator_for(schemas["environments.schema.json"])
    assert environments.is_valid({"sources": {"ehr": {"port": 1}}, "store": {"key": "env:A"}})
    assert not environments.is_valid({"store": {"retain": "P7Y"}})


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="reference"):
        updated("# nothing here")


def codes_in(folder: Path) -> set[str]:
    """Codes given to Finding, ConfigError and the `say` of composer, overlay and words."""
    found = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            texts = [*node.args[:2], *(k.value for k in node.keywords if k.arg == "code")]
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in ("Finding", "ConfigError", "say"):
                found |= {t.value for t in texts if isinstance(t, ast.Constant) and isinstance(t.value, str)}
    return {code for code in found if CODE.fullmatch(code)}


def test_every_code_of_config_and_of_the_command_line_has_a_paragraph() -> None:
    package = Path(hilum.config.__file__).parent
    said = codes_in(package) | {"config-invalid"}
    assert len(said) > 40
    headings = re.findall(r"^## ([a-z0-9-]+)$", (ROOT / "docs" / "codes" / "config.md").read_text(), re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert said - set(headings) == set()
    assert set(headings) - said == set(), "codes that nothing says any more"
