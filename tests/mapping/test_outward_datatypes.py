"""Each datatype there and back: what a field means after the way out and in again is what it meant before."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outward_kit import RECEIVER, book

from hilum.formats import hl7v2
from hilum.mapping.lookup import CodeMaps, CodeSystems, Namespaces
from hilum.mapping.outward.frame import Out, inverse_of
from hilum.mapping.outward.resources import Resource, View, read_resource
from hilum.mapping.syntax import Literal, Path
from hilum.mapping.transforms import Env, Spec, transform_of

SENDER = "HIS|GENHOSP"
PARAMS = {"zone": "America/New_York", "unknown_namespace": "local", "default_authority": "MSH-4"}
WORD = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=8)
MAYBE = st.one_of(st.just(""), WORD)
NAME = st.text("abcdefghijklmnopqrstuvwxyzABCÄé'^&~\\|", min_size=1, max_size=8).filter(
    lambda text: text.strip() == text
)
LETTERS = st.text("ABCDEFGHIJKL", min_size=2, max_size=6)
DAY = st.dates(min_value=date(1000, 1, 1)).map(lambda day: day.strftime("%Y%m%d"))
PART_OF_DAY = st.builds(lambda day, cut: day[:cut], DAY, st.sampled_from([4, 6, 8]))
ZONED = st.builds(
    lambda day, clock, part, zone: day + clock.strftime("%H%M%S") + part + zone,
    st.dates(min_value=date(1900, 1, 1)).map(lambda day: day.strftime("%Y%m%d")),
    st.times(),
    st.sampled_from(["", ".5", ".0100"]),
    st.sampled_from(["+0000", "-0500", "+0530"]),
)
NUMBER = st.from_regex(r"-?(0|[1-9][0-9]{0,9})(\.[0-9]{1,6})?", fullmatch=True).filter(
    lambda text: float(text) != 0 or text[0] != "-"
)


def env() -> Env:
    tables = book()
    return Env(
        delimiters=("^", "~", "\\", "&"),
        sender=SENDER,
        maps=CodeMaps(tables.maps, SENDER),
        codesystems=CodeSystems(tables.codesystems, "GENHOSP"),
        namespaces=Namespaces(tables.namespaces, SENDER),
        params=PARAMS,
    )


ENV = env()
OUT = Out(book(), PARAMS, RECEIVER)
ENV.unescape = hl7v2.unescape


def raw_of(parts: dict[tuple[int, int], str]) -> str:
    line = hl7v2.build([("ZZZ", {1: [parts]})], charset="UNICODE UTF-8").decode()
    return line[4:-1] if len(line) > 4 else ""


def field(*components: str) -> str:
    return raw_of({(at, 1): text for at, text in enumerate(components, 1)})


def there(spec: Spec, raw: str, *extra: str) -> Any:
    factory = transform_of(spec.transform)
    assert factory is not None
    ENV.pending.clear()
    found = factory(spec, ENV)(raw, *extra)
    if isinstance(found, tuple):
        return {"suffix": found[0], "value": read_resource(b'{"v":%b}' % found[1])["v"]} if found[1] else None
    return [
        read_resource(b'{"v":%b}' % one)["v"]
        for one in (found if isinstance(found, list) else [found] if found else [])
    ]


def back(spec: Spec, value: Any, path: str = "x") -> tuple[list[str], dict[str, str], View]:
    OUT.pending.clear()
    view = View(value, path, Resource({"resourceType": "Patient", "id": "1", "x": value}))
    inverse = inverse_of(spec.transform)
    assert inverse is not None
    found = inverse(view, spec, OUT)
    assert found is not None, value
    assert not OUT.pending, OUT.pending
    return [raw_of(parts) for parts in found.repetitions], {k: raw_of(v) for k, v in found.extra.items()}, view


def spec(transform: str, type_: str = "", map_: str = "", unmapped: str = "keep-local", **named: Any) -> Spec:
    arguments = tuple((name, value if isinstance(value, Path) else Literal(value)) for name, value in named.items())
    return Spec("row", "owner", "PID-5", type_ or transform, transform, (), arguments, map_, unmapped)


def round_trip(one: Spec, raw: str) -> None:
    """The same FHIR after out and in; and nothing of it was left unread."""
    meant = there(one, raw)
    for value in meant:
        (again, *more), _, view = back(one, value)
        assert not more
        assert there(one, again) == [value], (raw, again)
        left = [leaf for leaf in Resource({"x": value}).fates if leaf not in view.taken]
        assert left == [], (value, left)


@given(st.lists(NAME, min_size=2, max_size=6), st.sampled_from(["", "L", "M", "N", "D"]))
def test_names(parts: list[str], code: str) -> None:
    round_trip(spec("XPN", map_="NameType", unmapped="fixed:usual"), field(*parts, *[""] * (6 - len(parts)), code))


@given(NAME, NAME, PART_OF_DAY, PART_OF_DAY)
def test_names_with_a_period(family: str, given_: str, start: str, end: str) -> None:
    round_trip(spec("XPN"), field(family, given_, "", "", "", "", "L", "", "", "", "", start, end))


@given(NAME, NAME, NAME)
def test_parts_of_a_surname(family: str, prefix: str, own: str) -> None:
    round_trip(spec("XPN"), raw_of({(1, 1): family, (1, 2): prefix, (1, 3): own, (2, 1): "Ann"}))


@given(st.lists(MAYBE, min_size=5, max_size=5), st.sampled_from(["", "H", "B", "C", "BA", "BI", "M"]), MAYBE, MAYBE)
def test_addresses(parts: list[str], code: str, county: str, tract: str) -> None:
    round_trip(spec("XAD", map_="AddressUse"), field("1 Hill Street", *parts, code, "", county, tract))


@given(
    st.one_of(
        st.from_regex(r"\([0-9]{3}\)[0-9]{3}-[0-9]{4}", fullmatch=True), st.from_regex(r"[0-9]{5,9}", fullmatch=True)
    ),
    st.sampled_from(["PRN", "WPN", "VHN"]),
    st.sampled_from(["PH", "FX", "BP", "CP"]),
    st.sampled_from(["", "2"]),
)
def test_numbers_of_telephones(number: str, use: str, equipment: str, rank: str) -> None:
    round_trip(spec("XTN", map_="TelecomUse"), field(number, use, equipment, *[""] * 14, rank))


@given(st.from_regex(r"[1-9][0-9]{0,2}", fullmatch=True), st.from_regex(r"[1-9][0-9]{2}", fullmatch=True))
def test_telephones_in_parts_keep_their_parts(country: str, area: str) -> None:
    one = spec("XTN", map_="TelecomUse", use="home")
    raw = field("", "PRN", "PH", "", country, area, "5550100", "12")
    round_trip(one, raw)
    (again,), _, _ = back(one, there(one, raw)[0])
    assert again.split("^")[4:8] == [country, area, "5550100", "12"]


def test_an_e_mail_address_keeps_its_place() -> None:
    one = spec("XTN", map_="TelecomUse", use="home")
    round_trip(one, field("", "NET", "Internet", "a@example.org"))
    assert back(one, {"system": "email", "value": "a@example.org", "use": "home"})[0] == ["^NET^Internet^a@example.org"]


@pytest.mark.parametrize(
    "value", [{"system": "url", "value": "http://x"}, {"system": "phone", "value": "1", "use": "old"}]
)
def test_what_a_telephone_field_cannot_say_is_not_said(value: dict[str, str]) -> None:
    inverse = inverse_of("XTN")
    assert inverse is not None
    view = View(value, "x", Resource({"x": value}))
    assert inverse(view, spec("XTN"), OUT) is None
    assert view.taken == []


@given(WORD, LETTERS, st.sampled_from(["", "MR", "AN", "SS"]), PART_OF_DAY)
def test_identifiers(value: str, authority: str, type_: str, start: str) -> None:
    round_trip(spec("CX", map_="IdentifierType"), field(value, "", "", authority, type_, "", start))


@given(WORD, st.from_regex(r"[0-2](\.[1-9][0-9]{0,5}){2,6}", fullmatch=True))
def test_identifiers_of_an_oid_authority(value: str, oid: str) -> None:
    one = spec("CX")
    raw = raw_of({(1, 1): value, (4, 2): oid, (4, 3): "ISO"})
    round_trip(one, raw)
    (again,), _, _ = back(one, there(one, raw)[0])
    assert again == raw


@given(WORD, WORD, LETTERS)
def test_entity_identifiers(value: str, check: str, authority: str) -> None:
    round_trip(spec("EI"), field(value, authority))
    round_trip(spec("CX"), field(value, check, "M11", authority))


@given(st.from_regex(r"[0-9]{4,9}", fullmatch=True), NAME, NAME, LETTERS)
def test_persons(number: str, family: str, given_: str, authority: str) -> None:
    raw = field(number, family, given_, "", "", "Dr", "", "", authority, "L", "", "", "NPI")
    round_trip(spec("XCN", map_="NameType"), raw)
    round_trip(spec("XCN_ID", "XCN", map_="IdentifierType"), raw)


@given(NAME, WORD, LETTERS)
def test_organizations(name: str, number: str, authority: str) -> None:
    raw = field(name, "", "", "", "", authority, "XX", "", "", number)
    round_trip(spec("XON_ID", "XON", map_="IdentifierType"), raw)


@given(WORD, MAYBE, st.sampled_from(["LN", "SCT", "HL70002", "L", "99LOCAL", "2.16.840.1.113883.6.1"]), MAYBE)
def test_coded_values(code: str, words: str, system: str, text: str) -> None:
    round_trip(spec("CWE"), field(code, words, system, "", "", "", "", "", text))


@given(WORD, WORD, WORD, WORD)
def test_coded_values_with_an_alternate(code: str, words: str, other: str, text: str) -> None:
    round_trip(spec("CWE"), field(code, words, "LN", other, text, "99LAB", "2.5", "7"))


@given(st.sampled_from("MDSWAPLR"), MAYBE)
def test_mapped_codes_mean_the_same_again(code: str, words: str) -> None:
    round_trip(spec("CWE", map_="MaritalStatus"), field(code, words, "HL70002"))
    round_trip(spec("CWE", map_="MaritalStatus"), field(code, words))


@given(st.one_of(PART_OF_DAY, ZONED))
def test_times_keep_their_precision_and_their_zone(raw: str) -> None:
    one = spec("datetime", "DTM", zone="America/New_York")
    round_trip(one, raw)
    (again,), _, _ = back(one, there(one, raw)[0])
    assert again == raw


@given(PART_OF_DAY)
def test_dates_keep_their_precision(raw: str) -> None:
    one = spec("date", "DTM")
    (value,) = there(one, raw)
    assert back(one, value)[0] == [raw]


@given(NUMBER)
def test_numbers_keep_their_digits(raw: str) -> None:
    for transform in ("decimal", "quantity"):
        (value,) = there(spec(transform, "NM"), raw)
        assert back(spec(transform, "NM"), value)[0] == [raw]


@given(NUMBER, st.sampled_from(["mg/dL^mg/dL^UCUM", "mmHg", "10*3/uL", "furlong", "mm[Hg]^^UCUM"]))
def test_quantities_keep_their_units(raw: str, unit: str) -> None:
    one = spec("value", "NM", map_="Units", type=Path("OBX", 0, 2), unit=Path("OBX", 0, 6))
    meant = there(one, raw, "NM", unit)
    (again,), extra, _ = back(one, meant["value"], "valueQuantity")
    assert extra["type"] == "NM"
    assert there(one, again, extra["type"], extra["unit"]) == meant


@given(NUMBER, NUMBER, st.sampled_from(["^{0}", ">^{0}", "<=^{0}", "^{0}^-^{1}", "^{0}^:^{1}"]))
def test_structured_numbers(first: str, second: str, form: str) -> None:
    one = spec("SN", "SN", map_="Units", unit=Path("OBX", 0, 6))
    low_first = sorted((first, second), key=Decimal) if "-^{1}" in form else (first, second)
    raw = form.format(*low_first)
    meant = there(one, raw, "mg/dL")
    (again,), extra, _ = back(one, meant["value"], f"value{meant['suffix']}")
    assert again == raw
    assert there(one, again, extra.get("unit", "")) == meant


@pytest.mark.parametrize("raw", ["3.5-5.0", "<200", ">=10", "negative"])
def test_reference_ranges(raw: str) -> None:
    one = spec("range", "ST", unit=Path("OBX", 0, 6))
    (value,) = there(one, raw, "mg/dL")
    assert back(one, value)[0] == [raw]


def test_a_range_without_words_gets_some() -> None:
    one = spec("range", "ST")
    for value, words in (({"low": {"value": 1}, "high": {"value": 2}}, "1-2"), ({"high": {"value": 5}}, "<=5")):
        assert back(one, value)[0] == [words]


@given(WORD, st.sampled_from(["IL", "CA", "TX"]))
def test_driving_licences(number: str, state: str) -> None:
    round_trip(spec("DLN", "DLN", type="DL"), field(number, state, "20300101"))


@given(NUMBER)
def test_money(amount: str) -> None:
    round_trip(spec("MO", "MO"), field(amount, "USD"))
    round_trip(spec("CP", "CP"), raw_of({(1, 1): amount, (1, 2): "USD"}))


def test_files_keep_their_type_and_their_data() -> None:
    round_trip(spec("attachment", "ED"), field("", "AP", "PDF", "Base64", "JVBERg=="))
    round_trip(spec("attachment", "RP"), field("http://x/y.pdf", "", "AP", "PDF"))


@given(WORD, PART_OF_DAY)
def test_notes(text: str, when: str) -> None:
    one = spec("note", "FT", time=Path("NTE", 0, 6))
    (value,) = there(one, field(text), when)
    (again,), extra, _ = back(one, value)
    assert there(one, again, extra["time"]) == [value]


def test_decimals_of_json_are_not_touched() -> None:
    body = b'{"resourceType":"Observation","id":"1","valueQuantity":{"value":0.10}}'
    assert read_resource(body)["valueQuantity"]["value"] == "0.10"
    assert json.loads(body)["valueQuantity"]["value"] == 0.1
