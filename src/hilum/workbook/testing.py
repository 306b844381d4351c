"""The tests of a workbook: the sample of every row, and whole messages. Nothing is read here but what is handed over.

**Samples** test a row. Those of the base run in the base workbook alone, in the setting in which they were written:
times in Chicago, and `urn:example:...` for the authorities that samples use. Those of a site run in the site's workbook
with its own decisions; authorities of samples that the site does not know get the same `urn:example:...`.

**Whole messages** (`tests.csv`) test an integration: they run in the workbook as it stands, and what they expect is a
value by path, all resources, exceptions, accounting, or why the message is held.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from msgspec import Struct, structs

from hilum.errors import ConfigError
from hilum.formats import hl7v2
from hilum.formats.records import ResourceRecord
from hilum.formats.stored import Stored
from hilum.mapping import (
    Context,
    Mapped,
    Plan,
    Row,
    Rule,
    TestCase,
    Workbook,
    compile_table,
    compile_workbook,
    load_base,
    read_rules,
)
from hilum.model import Finding, Severity
from hilum.workbook.comparing import Discrepancy, decode, differences, shown
from hilum.workbook.expecting import compare_resources, look_up, pathless
from hilum.workbook.record_samples import read_record, read_record_sample
from hilum.workbook.samples import read_sample
from hilum.workbook.setting import in_setting
from hilum.workbook.verdicts import Check, TestReport, Verdict

__all__ = ["TestRun"]

RECEIVED = 1_706_700_000_000_000  # every test is received at 2024-01-31T11:20:00Z
_OF_RECORDS = Context("test", "TEST|", RECEIVED)
MERGING = ("merge", "unmerge")
Param = str | int | float | bool


class _Task(Struct, frozen=True):
    """One test to run: a sample when `rule` is set, else a whole message."""

    name: str
    where: str
    layer: str
    expect: str
    rule: Rule | None = None
    sample: str = ""
    case: TestCase | None = None
    row: str = ""


class TestRun:
    """The tests of one workbook, to be run one by one: `len(run)` of them.

    `read_file(layer, name)` gives the bytes of a message or of expected resources that `tests.csv` names; it raises
    OSError. `rows` leaves only tests of these rows, `own` those of the site's tables. Raises ConfigError when the
    workbook does not compile.
    """

    __test__ = False

    def __init__(
        self,
        book: Workbook,
        params: Mapping[str, Param] | None = None,
        *,
        read_file: Callable[[str, str], bytes],
        rows: Iterable[str] = (),
        own: bool = False,
    ) -> None:
        self._params = dict(params or {})
        self._plan = compile_workbook(book, params=self._params)
        self._read_file = read_file
        self._plans: dict[tuple[str, tuple[tuple[str, str], ...]], Plan] = {}
        self._rules = {rule.row.row_id: rule for rule in read_rules(self._plan.book)[0]}
        self._wanted = frozenset(rows)
        self._findings: list[Finding] = []
        self._book = book
        self._tasks = [task for task in self._collect() if not own or task.layer == "site"]
        self._judge_completeness()

    def __len__(self) -> int:
        return len(self._tasks)

    def run(self) -> Iterator[Check]:
        """Run all tests."""
        for task in self._tasks:
            yield self._check(task)

    def report(self, checks: Iterable[Check]) -> TestReport:
        """The report over what `run` gave."""
        return TestReport(tuple(checks), tuple(self._untested()), tuple(self._findings))

    # -- which tests there are ---------------------------------------------------------------------------------

    def _collect(self) -> Iterator[_Task]:
        for row in self._book.rows:
            if (row.sample or row.expect) and self._is_wanted(row.row_id):
                where = _place(row, "expect")
                rule = self._rules[row.row_id]
                yield _Task(row.row_id, where, row.where.layer, row.expect, rule, row.sample, row=row.row_id)
        for case in self._book.tests:
            where = _place(case, "expect")
            if case.row_id and not case.message:
                found = self._rules.get(case.row_id)
                if found is None:
                    self._unknown_row(case.row_id, _place(case, "row_id"))
                elif self._is_wanted(case.row_id):
                    task = _Task(
                        case.test_id, where, case.where.layer, case.expect, found, case.sample, row=case.row_id
                    )
                    yield task
            elif self._is_wanted(case.row_id):
                yield _Task(case.test_id, where, case.where.layer, case.expect, case=case, row=case.row_id)

    def _is_wanted(self, row: str) -> bool:
        return not self._wanted or row in self._wanted

    def _unknown_row(self, row: str, where: str) -> None:
        near = difflib.get_close_matches(row, self._rules, 1)
        hint = f"did you mean `{near[0]}`?" if near else ""
        self._findings.append(Finding("test-row-unknown", f"there is no row `{row}`", where, hint=hint))

    def _judge_completeness(self) -> None:
        """Nothing passes because nothing was asked."""
        for row in sorted(self._wanted - self._rules.keys()):
            self._unknown_row(row, "")
        for row, where, _ in self._untested():
            text = f"the row `{row}` has no sample: nothing says what it is to do"
            self._findings.append(Finding("row-untested", text, where, Severity.WARNING))
        if self._wanted:
            if not self._tasks:
                text = f"no test is of the row {', '.join(sorted(self._wanted))}"
                self._findings.append(Finding("workbook-untested", text, hint="fill `sample` and `expect`"))
            return
        book = self._book
        own = [one for table in (book.rows, book.maps, book.namespaces, book.codesystems) for one in table]
        if any(one.where.layer == "site" for one in own) and all(task.layer == "base" for task in self._tasks):
            text = "the site's tables have not one test: no sample of a row, no line of tests.csv"
            hint = (
                "fill `sample` and `expect` of a row, or name a message and what must come of it in workbook/tests.csv"
            )
            self._findings.append(Finding("workbook-untested", text, "workbook", hint=hint))
        elif not self._tasks:
            self._findings.append(Finding("workbook-untested", "the workbook has not one test", "workbook"))

    def _untested(self) -> Iterator[tuple[str, str, str]]:
        named = {case.row_id for case in self._book.tests}
        for row in self._book.rows:
            if not row.expect and row.row_id not in named and self._is_wanted(row.row_id):
                yield row.row_id, _place(row, "sample"), row.where.layer

    # -- running one -------------------------------------------------------------------------------------------

    def _check(self, task: _Task) -> Check:
        try:
            found = self._run_sample(task) if task.rule is not None else self._run_message(task)
        except ConfigError as error:
            said = "; ".join(str(one) for one in error.findings[:3]) or error.message
            return Check(task.name, task.layer, task.where, Verdict.BROKEN, task.row, problem=f"{error.code}: {said}")
        except ValueError as error:
            return Check(task.name, task.layer, task.where, Verdict.BROKEN, task.row, problem=str(error))
        verdict = Verdict.FAILED if found else Verdict.PASSED
        return Check(task.name, task.layer, task.where, verdict, task.row, tuple(found))

    def _run_sample(self, task: _Task) -> list[Discrepancy]:
        rule = task.rule
        assert rule is not None
        if ":" in next(iter(rule.applies), ""):
            record, params = read_record_sample(task.sample, rule, self._rules.values())
            return self._run_record(task, rule, record, params)
        sample = read_sample(task.sample, rule)
        message, context = _record(sample.message())
        return self._judge(task, rule, self._plan_for(task, sample.params), message, context)

    def _run_record(self, task: _Task, rule: Rule, record: Stored, params: dict[str, str]) -> list[Discrepancy]:
        if not rule.target.is_cell:
            return self._judge(task, rule, self._plan_for(task, params), record, _OF_RECORDS)
        assert isinstance(record, ResourceRecord)
        table = compile_table(self._set(task, params), f"csv:{rule.target.type}", params={**self._params, **params})
        line = table.run(record, _OF_RECORDS)
        if not rule.target.steps:  # the line itself
            got: dict[str, Any] = {"line": line.cells is not None}
        else:
            got = dict(zip(table.columns, line.cells or (), strict=False))
            got = {name: text for name, text in got.items() if name == rule.element and text}
        return self._compare(task, rule, line.mapped, got)

    def _judge(self, task: _Task, rule: Rule, plan: Plan, record: Stored, context: Context) -> list[Discrepancy]:
        mapped = plan.run(record, context)
        return self._compare(task, rule, mapped, _outcome(rule, mapped, plan, record, context))

    def _compare(self, task: _Task, rule: Rule, mapped: Mapped, got: dict[str, Any]) -> list[Discrepancy]:
        if not mapped.accounting.adds_up:
            raise ValueError("the fields of the sample do not add up: a fault of hilum")
        wanted = _expected(task.expect)
        if mapped.held is not None and not (isinstance(wanted, dict) and "held" in wanted):
            held = mapped.held
            raise ValueError(f"its message is held: {held.code} {held.location} {held.message}")
        if isinstance(wanted, dict):
            beside = {"held": mapped.held and mapped.held.code, "exceptions": _items(rule, mapped)}
            got |= {name: value for name, value in beside.items() if name in wanted}
            return list(differences(wanted, got))
        values = list(got.values())
        if len(values) == 1 and (values[0] == wanted or _plain(values[0]) == task.expect):
            return []
        if len(values) == 1:
            return [Discrepancy(next(iter(got)), shown(wanted), shown(values[0]))]
        return [Discrepancy("", shown(wanted), shown(got) if got else "")]

    def _plan_for(self, task: _Task, params: dict[str, str]) -> Plan:
        key = (task.layer, tuple(sorted(params.items())))
        if key not in self._plans:
            decided = params if task.layer == "base" else {**self._params, **params}
            self._plans[key] = compile_workbook(self._set(task, params), params=decided)
        return self._plans[key]

    def _set(self, task: _Task, params: dict[str, str]) -> Workbook:
        """The workbook in the setting that samples take for granted."""
        is_base = task.layer == "base"
        is_zoned = "zone" in (params if is_base else {**self._params, **params})
        return in_setting(_base() if is_base else self._book, is_base=is_base, is_zoned=is_zoned)

    def _run_message(self, task: _Task) -> list[Discrepancy]:
        assert task.case is not None
        given = read_record(task.case.message)
        plan = self._plan_for(task, given[1] if given else {}) if task.layer == "base" or given else self._plan
        record, context = (given[0], _OF_RECORDS) if given else _record(self._message(task))
        mapped = plan.run(record, context)
        path = task.case.path
        wanted = self._resources(task) if not path else _expected(task.expect)
        if not path:
            return list(compare_resources(wanted, pathless(mapped)))
        got = look_up(mapped, path)
        if isinstance(got, list) and len(got) == 1 and not isinstance(wanted, list):
            got = got[0]
        if isinstance(wanted, list) and not isinstance(got, list):
            got = [] if got is None else [got]
        if not isinstance(got, list | dict) and got is not None and _plain(got) == task.expect:
            return []
        if path == "accounting" and isinstance(wanted, dict):
            got = {name: got[name] for name in wanted if name in got}
        return list(differences(wanted, got, path))

    def _message(self, task: _Task) -> bytes:
        assert task.case is not None
        text = task.case.message
        if not text:
            raise ValueError("it names neither a row nor a message")
        if text.startswith("MSH"):
            return text.replace("\r\n", "\r").replace("\n", "\r").replace("\\r", "\r").encode() + b"\r"
        raw = self._bytes(task.layer, text)
        return raw if b"\r" in raw else raw.replace(b"\n", b"\r")  # editors end lines in their own way

    def _bytes(self, layer: str, name: str) -> bytes:
        try:
            return self._read_file(layer, name)
        except OSError as error:
            raise ValueError(f"{name} cannot be read: {error.strerror or 'no such file in the workbook'}") from None

    def _resources(self, task: _Task) -> list[Any]:
        """All resources that a message is to make: JSON in the cell or in a file; a list, a Bundle or one resource."""
        text: str | bytes = task.expect
        if task.expect.endswith(".json"):
            text = self._bytes(task.layer, task.expect)
        try:
            value = decode(text)
        except ValueError:
            raise ValueError("without a path `expect` is JSON of all resources, or the name of a .json file") from None
        if isinstance(value, dict) and value.get("resourceType") == "Bundle":
            value = [entry.get("resource", {}) for entry in value.get("entry", [])]
        return value if isinstance(value, list) else [value]


@cache
def _base() -> Workbook:
    return structs.replace(load_base(), inspection=False)


def _place(line: Row | TestCase, column: str) -> str:
    return f"{line.where.file}:{line.where.line}:{line.cells.get(column, 1)}"


def _record(raw: bytes) -> tuple[Stored, Context]:
    admission = hl7v2.admit(raw, hl7v2.Rules(), source="test", received_at=RECEIVED)
    if admission.message is None:
        raise ValueError(f"its message cannot be read: {admission.worst}")
    return admission.message, Context.of(admission.envelope)


def _expected(text: str) -> Any:
    try:
        return decode(text)
    except ValueError:
        return text


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else shown(value)


def _items(rule: Rule, mapped: Mapped) -> list[str]:
    return sorted(f"{one.code} {one.location}" for one in mapped.exceptions if one.row == rule.row.row_id)


def _outcome(rule: Rule, mapped: Mapped, plan: Plan, record: Stored, context: Context) -> dict[str, Any]:
    """What the row wrote: path in its resource to value; what it cleared; whom it merged."""
    if rule.transform.name == "clear":
        return {"cleared": sorted({name for draft in mapped.drafts for name in draft.cleared})}
    if rule.target.role in MERGING:
        merges = mapped.merges
        return {"retired": [one.retired for one in merges], "survivor": [one.survivor for one in merges]}
    wrote = [trace for trace in plan.trace(record, context) if trace.row == rule.row.row_id]
    return {trace.path: decode(trace.value) for trace in wrote}
