"""A folder in, a typed tree or every finding out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct, field

from hilum.config import INTEGRATION, Integration, Secret, Section, Tree, examine, load
from hilum.config.environment import overlay_schema
from hilum.config.folder import MAX_BYTES
from hilum.config.schema import group
from hilum.errors import ConfigError
from hilum.model import Finding, Severity


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Inner values."""

    messages: Annotated[int, Meta(ge=1, le=10, description="how many at once")] = 5
    share: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    names: Annotated[list[str], Meta(min_length=1, max_length=2)] = field(default_factory=lambda: ["a"])


class Door(Struct, frozen=True, tag_field="kind", tag="door"):
    """A way in."""

    port: Annotated[int, Meta(ge=0, le=65535)]
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    mode: Literal["open", "closed", "ajar"] = "closed"
    secret: Secret | None = None
    folder: Path | None = None
    limits: Limits = Limits()
    nested: Limits | None = None
    flag: bool = False
    headers: dict[str, str] = {}


class Window(Struct, frozen=True, tag_field="kind", tag="window"):
    """Another way in."""

    path: Path

    def __post_init__(self) -> None:
        if self.path.name == "wall":
            raise ValueError("a wall is no window")


class Way(Struct, frozen=True, tag_field="kind", tag="way"):
    """A way out."""

    url: str = "http://127.0.0.1"


def no_port_80(tree: Tree) -> Iterator[Finding]:
    for door in tree.all(Door).values():
        if door.port == 80:
            yield Finding("port-privileged", "not 80", tree.where(door, "port"), Severity.WARNING)


SECTIONS = (
    INTEGRATION,
    Section("sources/*.yaml", Door, (no_port_80,)),
    Section("sources/*.yaml", Window),
    Section("destinations/*.yaml", Way),
)

USE = "use: test\n"
DOOR = "kind: door\nport: 1\n"


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def small(folder: Path, door: str = DOOR, use: str = USE, **more: str | bytes) -> Path:
    files = {"integration.yaml": use, "sources/ehr.yaml": door}
    return write(folder, files | {name.replace("__", "/") + ".yaml": text for name, text in more.items()})


def said(folder: Path, environment: str | None = None) -> list[tuple[str, str]]:
    return [(f.location, f.code) for f in examine(folder, SECTIONS, environment).findings]


def test_the_smallest_folder_has_two_files_and_every_default(tmp_path: Path) -> None:
    tree = load(small(tmp_path), SECTIONS)
    it = tree.one(Integration)
    assert (it.use, it.store.path, it.api.host, it.api.port) == ("test", ".hilum/hilum.db", "127.0.0.1", 8080)
    assert it.store.file(tmp_path) == tmp_path / ".hilum" / "hilum.db"
    assert tree.all(Door) == {"ehr": Door(port=1)}
    assert tree.all(Window) == {}
    assert tree.names("sources") == ["ehr"]
    assert tree.findings == ()


def test_all_findings_come_at_once_sorted_by_place(tmp_path: Path) -> None:
    small(
        tmp_path,
        use="usr: [{}]\nuse: 5\nrisk: {safety: hihg}\n",
        door="kind: door\nprot: 1\nmode: open!\nflag: yes\nlimits: {messages: 11, share: 1, names: [], x: 1}\n",
        sources__pane="kind: windw\n",
        sources__bad="a: [\n",
        sources__none="port: 1\n",
    )
    assert said(tmp_path) == [
        ("integration.yaml:1:1", "key-unknown"),
        ("integration.yaml:2:6", "type-wrong"),
        ("integration.yaml:3:16", "value-unknown"),
        ("sources/bad.yaml:2:1", "yaml-syntax"),
        ("sources/ehr.yaml:2:1", "key-unknown"),
        ("sources/ehr.yaml:3:7", "value-unknown"),
        ("sources/ehr.yaml:4:7", "type-wrong"),
        ("sources/ehr.yaml:5:20", "value-invalid"),
        ("sources/ehr.yaml:5:31", "value-invalid"),
        ("sources/ehr.yaml:5:41", "value-invalid"),
        ("sources/ehr.yaml:5:45", "key-unknown"),
        ("sources/none.yaml:1:1", "key-missing"),
        ("sources/pane.yaml:1:7", "value-unknown"),
    ]


def test_a_file_that_cannot_be_read_hides_nothing_of_the_others(tmp_path: Path) -> None:
    use = "use: test\nroutes: [{to: dash}, {to: outt}]\n"
    small(tmp_path, "kind: door\nport: 80\n", use, sources__bad="a: [\n", destinations__dash="kind: [\n")
    assert said(tmp_path) == [
        ("destinations/dash.yaml:2:1", "yaml-syntax"),
        ("integration.yaml:2:27", "reference-unknown"),
        ("sources/bad.yaml:2:1", "yaml-syntax"),
        ("sources/ehr.yaml:2:7", "port-privileged"),
    ]
    small(tmp_path, "kind: door\nport: 80\n", "use: 5\n")
    assert ("sources/ehr.yaml:2:7", "port-privileged") in said(tmp_path)


def hints(folder: Path) -> list[str]:
    return [finding.hint for finding in examine(folder, SECTIONS).findings]


def test_near_misses_are_named(tmp_path: Path) -> None:
    small(tmp_path, door="kind: door\nprot: 1\nmode: Closd\nLimits: {}\nflag: no\nhost: 12\nheaders: {a: 1}\n")
    assert hints(tmp_path) == [
        "did you mean `port`?",
        "did you mean `closed`?",
        "did you mean `limits`?",
        "write `false`",
        "put it in quotes",
        "put it in quotes",
    ]


def test_a_misspelt_key_is_said_once_and_a_missing_one_by_its_mapping(tmp_path: Path) -> None:
    small(tmp_path, door="kind: door\nhost: a\n")
    assert said(tmp_path) == [("sources/ehr.yaml:1:1", "key-missing")]
    small(tmp_path, door="kind: door\nPort: 1\n")
    assert said(tmp_path) == [("sources/ehr.yaml:2:1", "key-unknown")]


def test_an_optional_mapping_says_what_is_wrong_inside_it(tmp_path: Path) -> None:
    small(tmp_path, door=DOOR + "nested: {messages: 0}\n")
    assert said(tmp_path) == [("sources/ehr.yaml:3:20", "value-invalid")]
    small(tmp_path, door=DOOR + "nested: 5\n")
    (finding,) = examine(tmp_path, SECTIONS).findings
    assert finding.message == "`nested` must be a mapping (`key: value`), not a whole number"


def test_a_file_that_is_no_mapping_is_a_finding(tmp_path: Path) -> None:
    small(tmp_path, door="- a\n", use="just text\n")
    assert said(tmp_path) == [("integration.yaml:1:1", "type-wrong"), ("sources/ehr.yaml:1:1", "type-wrong")]


def test_load_raises_with_all_findings_and_examine_does_not(tmp_path: Path) -> None:
    small(tmp_path, use="a: 1\nb: 2\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, SECTIONS)
    assert len(caught.value.findings) == 3
    assert caught.value.code == "config-invalid"
    assert "3 errors" in caught.value.message
    with pytest.raises(ConfigError):
        examine(tmp_path, SECTIONS).one(Integration)


def test_warnings_do_not_stop_a_folder(tmp_path: Path) -> None:
    tree = load(small(tmp_path, door="kind: door\nport: 80\n"), SECTIONS)
    assert [(f.code, f.location) for f in tree.findings] == [("port-privileged", "sources/ehr.yaml:2:7")]


def test_what_a_struct_itself_refuses_has_its_place(tmp_path: Path) -> None:
    small(tmp_path, sources__pane="kind: window\npath: wall\n")
    assert said(tmp_path) == [("sources/pane.yaml:1:1", "value-invalid")]


def test_paths_start_at_the_folder(tmp_path: Path) -> None:
    small(tmp_path, sources__pane="kind: window\npath: a/b\n", sources__far="kind: window\npath: /x\n")
    windows = load(tmp_path, SECTIONS).all(Window)
    assert windows["pane"].path == tmp_path / "a" / "b"
    assert windows["far"].path == Path("/x")


def test_secrets_are_references_that_start_at_the_folder(tmp_path: Path) -> None:
    small(tmp_path, door=DOOR + "secret: file:key\n", destinations__out="kind: way\n")
    write(tmp_path, {"key": b"s3cret\n"})
    tree = load(tmp_path, SECTIONS)
    ((where, secret),) = tree.secrets()
    assert where == "sources/ehr.yaml:3:9"
    assert secret.resolve() == "s3cret"
    assert "s3cret" not in repr(tree.all(Door))


@pytest.mark.parametrize(
    "line",
    [
        "secret: hunter2",
        "secret: 90071992",
        "secret: [hunter2]",
        "secret: 'env:hunter2 with spaces'",
        "password: hunter2",
        "headers: {Authorization: Bearer hunter2}",
        "headers: {x-api-key: hunter2}",
        "host: https://me:hunter2@host/",
        "host: |\n  -----BEGIN PRIVATE KEY-----\n  hunter2",
        "limits: {token: hunter2}",
        "mode: &a hunter2\nsecret: *a",
    ],
)
def test_a_literal_secret_is_found_and_never_repeated(tmp_path: Path, line: str) -> None:
    tree = examine(small(tmp_path, door=f"{DOOR}{line}\n"), SECTIONS)
    text = "\n".join(str(finding) for finding in tree.findings if finding.code != "value-unknown")
    assert "secret-literal" in text
    assert "hunter2" not in text
    assert "90071992" not in text


def test_an_environment_changes_endpoints_and_secrets_and_is_named_in_findings(tmp_path: Path) -> None:
    small(
        tmp_path,
        environments__prod="sources:\n  ehr: {port: 2, secret: env:X, folder: /f}\n"
        "store: {path: /db}\napi: {port: 1}\n",
        environments__bad="sources:\n  ehr: {port: 70000}\n",
    )
    tree = load(tmp_path, SECTIONS, "prod")
    assert tree.all(Door)["ehr"] == Door(port=2, secret=Secret("env:X", tmp_path), folder=Path("/f"))
    assert tree.one(Integration).store.path == "/db"
    assert (tree.environment, tree.environments) == ("prod", ("bad", "prod"))
    assert load(tmp_path, SECTIONS).all(Door)["ehr"].port == 1
    assert said(tmp_path, "bad") == [("environments/bad.yaml:2:15", "value-invalid")]


def test_an_environment_cannot_change_what_the_integration_does(tmp_path: Path) -> None:
    small(
        tmp_path,
        environments__prod="sources:\n  ehr: {mode: open, limits: {messages: 2}, prot: 1}\n  erh: {}\nusers: []\n"
        "destinations: 5\nstore: 7\napi: {max_count: 3}\n",
    )
    assert said(tmp_path, "prod") == [
        ("environments/prod.yaml:2:9", "environment-not-endpoint"),
        ("environments/prod.yaml:2:30", "environment-not-endpoint"),
        ("environments/prod.yaml:2:44", "key-unknown"),
        ("environments/prod.yaml:3:3", "environment-target-unknown"),
        ("environments/prod.yaml:4:1", "key-unknown"),
        ("environments/prod.yaml:5:15", "type-wrong"),
        ("environments/prod.yaml:6:8", "type-wrong"),
        ("environments/prod.yaml:7:7", "environment-not-endpoint"),
    ]
    schema = overlay_schema(group(SECTIONS))
    door = schema["properties"]["sources"]["additionalProperties"]["anyOf"][0]
    assert sorted(door["properties"]) == ["folder", "host", "port", "secret"]


def test_an_unknown_environment_is_a_finding_with_a_near_miss(tmp_path: Path) -> None:
    small(tmp_path, environments__production="sources: {}\n")
    (finding,) = examine(tmp_path, SECTIONS, "prodution").findings
    assert (finding.code, finding.hint) == ("environment-unknown", "did you mean `production`?")
    assert examine(tmp_path, SECTIONS, "production").findings == ()


def test_a_folder_that_is_not_there_is_one_finding(tmp_path: Path) -> None:
    assert [code for _, code in said(tmp_path / "none")] == ["folder-missing"]
    write(tmp_path, {"file": "x"})
    assert [code for _, code in said(tmp_path / "file")] == ["folder-missing"]


def test_an_empty_folder_lacks_both_files(tmp_path: Path) -> None:
    assert said(tmp_path) == [("integration.yaml", "file-missing"), ("sources", "source-missing")]


def test_a_link_out_of_the_folder_and_a_circle_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"secret.yaml": DOOR})
    folder = small(tmp_path / "folder")
    (folder / "sources" / "out.yaml").symlink_to(tmp_path / "secret.yaml")
    (folder / "sources" / "circle.yaml").symlink_to("circle.yaml")
    (folder / "sources" / "gone.yaml").symlink_to("nowhere.yaml")
    (folder / "sources" / "inside.yaml").symlink_to("ehr.yaml")
    assert said(folder) == [
        ("sources/circle.yaml:1:1", "file-unreadable"),
        ("sources/gone.yaml:1:1", "file-unreadable"),
        ("sources/out.yaml:1:1", "path-outside-folder"),
    ]


def test_a_link_of_the_whole_part_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"elsewhere/a.yaml": DOOR, "folder/integration.yaml": USE})
    (tmp_path / "folder" / "sources").symlink_to(tmp_path / "elsewhere")
    assert said(tmp_path / "folder") == [("sources/a.yaml:1:1", "path-outside-folder")]


def test_files_that_cannot_be_read_are_findings(tmp_path: Path) -> None:
    small(tmp_path, sources__latin="kind: door\n# caf\xe9\nport: 1\n".encode("latin-1"), sources__empty="")
    write(tmp_path, {"sources/huge.yaml": b"#" * (MAX_BYTES + 1)})
    (tmp_path / "sources" / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "sources" / "pipe.yaml")
    assert said(tmp_path) == [
        ("sources/empty.yaml:1:1", "yaml-empty"),
        ("sources/folder.yaml:1:1", "file-unreadable"),
        ("sources/huge.yaml:1:1", "file-too-large"),
        ("sources/latin.yaml:2:6", "yaml-not-utf8"),
        ("sources/pipe.yaml:1:1", "file-unreadable"),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert load(small(tmp_path, use="\ufeffuse: bom\n"), SECTIONS).one(Integration).use == "bom"


def test_misspelt_files_and_folders_are_named(tmp_path: Path) -> None:
    small(tmp_path)
    write(
        tmp_path,
        {
            "sources/b.yml": DOOR,
            "sources/a b.yaml": DOOR,
            "sources/README.md": "x",
            "sources/.swp.yaml": "x",
            "source/c.yaml": DOOR,
            "intergration.yaml": USE,
            "access.yaml": "x",
            "notes.txt": "x",
            "resource/x.txt": "x",
            "test/x": "x",
            "sources/a:b.yaml": DOOR,
        },
    )
    found = {(f.location, f.code, str(f.severity)) for f in examine(tmp_path, SECTIONS).findings}
    assert found == {
        ("sources/b.yml", "file-ignored", "error"),
        ("sources/a b.yaml", "name-invalid", "error"),
        ("sources/a:b.yaml", "name-invalid", "error"),
        ("source", "file-ignored", "warning"),
        ("intergration.yaml", "file-ignored", "warning"),
        ("access.yaml", "part-not-read", "warning"),
    }


def test_sections_that_cannot_be_told_apart_are_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match="different tags"):
        group([Section("sources/*.yaml", Door | Limits)])


KEYS = """
    use users role systems id kind data flows from to direction risk owners mapping business store path key api tls port
    host limits messages share names nested secret door window sources destinations ehr env:A P7Y read Patient
"""
words = st.sampled_from(KEYS.split())
leaves = words | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=5),
    max_leaves=25,
)


@given(anything, anything, anything)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_whatever_is_written_gives_findings_with_places_or_a_tree_and_never_an_exception(
    tmp_path: Path, main: object, source: object, environment: object
) -> None:
    files = {"integration.yaml": main, "sources/ehr.yaml": source, "environments/e.yaml": environment}
    write(tmp_path, {name: json.dumps(value) for name, value in files.items()})
    for name in (None, "e"):
        tree = examine(tmp_path, SECTIONS, name)
        assert tree.errors or tree.all(Integration)
        assert all(finding.location.startswith(tuple(files)) for finding in tree.findings)
