"""The patient portal against a real `hilum demo`: driven by a browser, and the same by HTTP where there is none."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

PORTAL = Path(__file__).resolve().parents[2] / "examples" / "portal"
RUN = PORTAL / "run.py"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")


class Portal:
    """The page, the account that was made for it, and where its hilum listens."""

    def __init__(self, told: dict[str, str], folder: Path) -> None:
        self.page, self.client_id = told["page"], told["client_id"]
        self.user, self.password, self.patient = told["user"], told["password"], told["patient"]
        self.fhir = f"{json.loads((folder / '.hilum' / 'address.json').read_text())['url']}/fhir"

    def read(self, path: str, token: str) -> httpx2.Response:
        return httpx2.get(f"{self.fhir}/{path}", headers={"Authorization": f"Bearer {token}"}, timeout=30)


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    folder = tmp_path_factory.mktemp("portal") / "demo"
    words = [sys.executable, "-m", "hilum.app.cli", "demo", "--keep", str(folder), "--rate", "20", "--json"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as demo:
        try:
            while not (folder / ".hilum" / "address.json").exists():
                assert demo.poll() is None, "the demo has ended"
                time.sleep(0.05)
            words = [sys.executable, str(RUN), str(folder), "--port", "0", "--json"]
            with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as serving:
                assert serving.stdout is not None
                line = serving.stdout.readline()
                assert line, "the portal said nothing"
                yield Portal(json.loads(line), folder)
                serving.terminate()
                assert serving.wait(30) == 0
                words = [sys.executable, "-m", "hilum.app.cli", "user", "list", str(folder), "--json"]
                listed = subprocess.run(words, capture_output=True, text=True, check=True)
                assert [one["state"] for one in json.loads(listed.stdout)["users"]] == ["locked"]
        finally:
            demo.send_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)  # with a profile of its own
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new browser profile; a message of the browser that something is wrong fails the test."""
    wrong: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            wrong.append(message.text)

    context = browser.new_context()
    context.set_default_timeout(20_000)
    opened = context.new_page()
    opened.on("console", hear)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    yield opened
    context.close()
    assert wrong == []


@needs_browser
def test_a_person_sees_their_record_and_is_refused_after_logging_out(portal: Portal, page: Page) -> None:
    tokens = heard_tokens(page, portal.fhir)
    to_consent(page, portal)
    expect(page.get_by_role("checkbox")).to_have_count(3)
    page.get_by_role("button", name="Allow", exact=True).click()

    expect(page.get_by_role("heading", level=1)).to_be_focused()
    patient = portal.read(f"Patient/{portal.patient}", tokens[-1]).json()
    expect(page.get_by_role("heading", level=1)).to_contain_text(patient["name"][0]["family"])
    result = portal.read(f"Observation?patient={portal.patient}&_sort=-date&_count=100", tokens[-1]).text
    with_range = page.get_by_role("row").filter(has_text=re.compile(r"[\d.]+ to [\d.]+ \S+")).first
    value, usual = with_range.get_by_role("cell").all_inner_texts()[:2]
    assert re.fullmatch(r"[\d.]+ \S+", value), value
    assert f'"value":{value.split()[0]},' in result  # to the last nought, as the laboratory wrote it
    assert usual.split()[-1] == value.split()[-1]  # in the same unit
    expect(page.get_by_role("region", name="Appointments").get_by_role("listitem")).not_to_have_count(0)
    assert page.url == portal.page  # without the code
    assert page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]") == [0, 0, ""]

    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("alert")).to_have_text("You are logged out.")
    expect(page.get_by_text(patient["name"][0]["family"])).to_have_count(0)
    assert [portal.read(f"Patient/{portal.patient}", token).status_code for token in set(tokens)] == [401]
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Password")).to_be_visible()  # whoever comes next is asked who they are


@needs_browser
def test_what_a_person_does_not_share_is_absent(portal: Portal, page: Page) -> None:
    tokens = heard_tokens(page, portal.fhir)
    to_consent(page, portal)
    page.get_by_role("checkbox").filter(visible=True).last.uncheck()
    page.get_by_role("button", name="Allow", exact=True).click()
    shown = page.get_by_role("region", name="Appointments")
    expect(shown).to_contain_text("You did not share this with this page.")
    expect(shown.get_by_role("listitem")).to_have_count(0)
    expect(page.get_by_role("region", name="Results").get_by_role("row")).not_to_have_count(0)
    assert portal.read(f"Appointment?patient={portal.patient}", tokens[-1]).status_code == 403


@needs_browser
def test_who_allows_nothing_is_told_that_nothing_was_read(portal: Portal, page: Page) -> None:
    tokens = heard_tokens(page, portal.fhir)
    to_consent(page, portal)
    page.get_by_role("button", name="Do not allow").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was read.")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert tokens == []


def test_the_same_by_http_from_signing_in_to_being_refused(portal: Portal) -> None:
    with httpx2.Client(timeout=30) as client:
        said = signed_in(client, portal, without="patient/Appointment.rs")
        token = said["access_token"]
        assert said["patient"] == portal.patient
        assert "patient/Appointment" not in said["scope"]
        assert portal.read(f"Patient/{portal.patient}", token).json()["name"]
        results = portal.read(f"Observation?patient={portal.patient}&category=laboratory", token).json()
        quantities = [one["resource"] for one in results["entry"] if "valueQuantity" in one["resource"]]
        assert quantities
        assert all(one["referenceRange"] and one["valueQuantity"]["unit"] for one in quantities)
        assert portal.read(f"Appointment?patient={portal.patient}", token).status_code == 403

        server = client.get(f"{portal.fhir}/.well-known/smart-configuration").json()
        form = {"token": token, "client_id": portal.client_id}
        assert client.post(server["revocation_endpoint"], data=form).status_code == 200
        assert portal.read(f"Patient/{portal.patient}", token).status_code == 401


def test_the_page_brings_all_it_needs_and_lets_in_nothing_else(portal: Portal) -> None:
    answer = httpx2.get(portal.page)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]* src=)|<style|style=|\son\w+=", answer.text)
    sources = "".join(path.read_text() for path in PORTAL.glob("*.js"))
    named = {*re.findall(r'(?:src|href)="([\w.]+)"', answer.text), *re.findall(r'"\./([\w.]+)"', sources)}
    assert {"portal.js", "smart.js", "fhir.js", "portal.css"} <= named
    assert {name: httpx2.get(portal.page + name).status_code for name in named} == dict.fromkeys(named, 200)
    assert httpx2.get(portal.page + "run.py").status_code == 404
    origin = portal.page.rstrip("/")
    preflight = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    allowed = httpx2.request("OPTIONS", f"{portal.fhir}/Patient/{portal.patient}", headers=preflight)
    assert allowed.headers["access-control-allow-origin"] == origin


def to_consent(page: Page, portal: Portal) -> None:
    page.goto(portal.page)
    page.get_by_role("button", name="Sign in").press("Enter")
    page.get_by_label("User name").fill(portal.user)
    page.get_by_label("Password").fill(portal.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Allow", exact=True)).to_be_visible()


def heard_tokens(page: Page, fhir: str) -> list[str]:
    """Every token that the page sends, as it sends them."""
    heard: list[str] = []

    def hear(request: Request) -> None:
        if request.url.startswith(fhir) and "authorization" in request.headers:
            heard.append(request.headers["authorization"].removeprefix("Bearer "))

    page.on("request", hear)
    return heard


def signed_in(client: httpx2.Client, portal: Portal, *, without: str) -> dict[str, Any]:
    """The token response, after a person took one scope away on the consent page."""
    settings = client.get(f"{portal.page}settings.json").json()
    server = client.get(f"{portal.fhir}/.well-known/smart-configuration").json()
    verifier = "v" * 64
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    asked = {
        "response_type": "code",
        "client_id": settings["client_id"],
        "redirect_uri": portal.page,
        "scope": settings["scope"],
        "state": "of-this-test",
        "aud": settings["fhir"],
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    answer = client.get(server["authorization_endpoint"], params=asked)
    answer = submit(client, answer, name=portal.user, password=portal.password)
    scopes = [unescape(one) for one in re.findall(r"<small>([^<]*)</small>", answer.text)]
    assert without in scopes
    ticked = [str(at) for at, scope in enumerate(scopes) if scope != without]
    answer = submit(client, answer, scope=ticked, decision="allow")
    assert answer.status_code == 303, answer.text
    given = parse_qs(urlsplit(answer.headers["location"]).query)
    assert given["state"] == ["of-this-test"]
    form = {
        "grant_type": "authorization_code",
        "code": given["code"][0],
        "redirect_uri": portal.page,
        "client_id": settings["client_id"],
        "code_verifier": verifier,
    }
    answer = client.post(server["token_endpoint"], data=form)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def submit(client: httpx2.Client, page: httpx2.Response, **fields: Any) -> httpx2.Response:
    """Send the form of a page."""
    assert page.status_code == 200, page.text
    action = re.search(r'<form method="post" action="([^"]+)"', page.text)
    sealed = re.search(r'name="request" value="([^"]+)"', page.text)
    assert action, page.text
    assert sealed, page.text
    return client.post(page.url.join(action[1]), data={"request": unescape(sealed[1]), **fields})
