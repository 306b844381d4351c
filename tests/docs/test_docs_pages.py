"""The pages hold together: links lead somewhere, every page is in the index, nothing of one machine is in a file."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from docs_cli_reference import BEGIN, PAGE, commands, updated
from docs_pages import PAGES, ROOT, anchors, blocks, links, name_of, prose

DOCS = ROOT / "docs"
# Folders of people and build machines, and package mirrors that are not the public ones.
FOREIGN = re.compile(
    rb"/(?:home|Users|root|work|workspace)/[a-z]|https?://[\w.-]*(?:artifactory|nexus|mirror|proxy)[\w.-]*/"
)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_inside_the_project_lead_somewhere(page: Path) -> None:
    broken = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.is_file() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert not broken


def test_the_scan_finds_links_and_anchors() -> None:
    assert sum(len(links(page)) for page in PAGES) > 40
    assert "what-happens-at-the-door" in anchors(DOCS / "hl7.md")


@pytest.mark.parametrize("folder", [DOCS, DOCS / "codes"], ids=name_of)
def test_every_page_is_in_the_index_of_its_folder(folder: Path) -> None:
    listed = {target.partition("#")[0] for target in links(folder / "README.md")}
    pages = {page.name for page in folder.glob("*.md")} - {"README.md"}
    assert len(pages) > 10
    assert pages <= listed


def test_the_readme_leads_to_every_page() -> None:
    assert {f"docs/{page.name}" for page in DOCS.glob("*.md")} <= set(links(ROOT / "README.md"))


def test_the_page_of_commands_is_what_the_program_offers() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == updated(page), "python tests/docs/docs_cli_reference.py renews it"


def test_every_command_and_option_is_on_the_page_of_commands() -> None:
    text = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2]
    found = list(commands())
    assert len(found) > 15
    for command in found:
        part = text.partition(f"### hilum {command.name}\n")[2].partition("\n### ")[0]
        missing = [option.name for option in command.options if f"`{option.name}`" not in part]
        assert part, command.name
        assert not missing, f"{command.name}: {missing}"


def test_every_benchmark_is_on_the_page_of_measurements() -> None:
    page = (DOCS / "measured.md").read_text(encoding="utf-8")
    modules = sorted((ROOT / "bench").glob("*.py"))
    assert len(modules) > 5
    assert [module.name for module in modules if f"`bench/{module.name}`" not in page] == []


def test_marks_of_blocks_give_a_reason() -> None:
    for page in PAGES:
        for block in blocks(page, "sh"):
            known = block.mark in ("", "keeps running") or re.fullmatch(r"not run: .{10,}", block.mark)
            assert known, f"{block.place}: <!-- not run: REASON --> or <!-- keeps running -->, not {block.mark!r}"


def test_no_tracked_file_names_a_machine_or_a_package_mirror() -> None:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if names.returncode:
        pytest.skip("not a git working tree")
    own = Path(__file__).resolve()
    files = [ROOT / name.decode() for name in names.stdout.split(b"\0") if name]
    assert len(files) > 100
    hits = {
        f"{name_of(file)}: {found.group().decode()}"
        for file in files
        if file.is_file() and file.resolve() != own
        for found in [FOREIGN.search(file.read_bytes())]
        if found
    }
    assert not hits


def test_prose_says_nothing_of_work_to_do() -> None:
    for page in PAGES:
        assert not re.search(r"\b(?:TODO|TBD|FIXME|coming soon)\b", prose(page)), name_of(page)
