"""Every code that hilum can say has a paragraph in docs/codes that says what to do about it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)+")
# calls whose first text argument is a code
CARRIERS = {"Finding", "ExceptionItem", "Problem", "Held", "Issue", "_NoAnswer"}


REPORTERS = {"report", "note", "_report"}  # calls with the code as one of their texts


def documented() -> set[str]:
    pages = (ROOT / "docs" / "codes").glob("*.md")
    return {
        match for page in pages for match in re.findall(r"^#+ `?([a-z0-9-]+)`?\s*$", page.read_text(), re.MULTILINE)
    }


def said_by(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (keyword.value.value for keyword in node.keywords if _is_code(keyword.arg, keyword.value))
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in CARRIERS and node.args and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value)
            if name in REPORTERS:
                texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
                yield from [text for text in texts if CODE.fullmatch(text)][:1]
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            if any(getattr(t, "id", "") == "default_code" for t in targets) and isinstance(node.value, ast.Constant):
                yield str(node.value.value)


def _is_code(name: str | None, value: ast.expr) -> bool:
    return name == "code" and isinstance(value, ast.Constant) and isinstance(value.value, str)


def all_said() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted((ROOT / "src" / "hilum").rglob("*.py")):
        for code in said_by(ast.parse(path.read_text())):
            if CODE.fullmatch(code):
                found.setdefault(code, str(path.relative_to(ROOT)))
    return found


def test_the_scan_finds_the_codes_of_every_layer() -> None:
    said = all_said()
    assert len(said) > 100
    assert {"store-full", "secret-literal", "namespace-unknown"} <= said.keys()


def test_every_code_is_documented() -> None:
    missing = {code: path for code, path in all_said().items() if code not in documented()}
    assert not missing, "\n".join(f"{code} ({path}) has no paragraph in docs/codes" for code, path in missing.items())
