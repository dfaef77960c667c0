"""The console in a real browser: Debian's Chromium, driven by playwright."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from support.server_device import enroll

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SCRIPT = "<img src=x onerror=document.title='stolen'>"


class Site:
    """A fleet server, and an operator's shell beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {"EDGEFLEET_HOME": str(folder / "home")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgefleet", "server", "run", "--port", "0", "--broker", "amqtt", "--json"],
            env=self.environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.url = json.loads(self.process.stdout.readline())["console"]
        self.token = (folder / "home" / "server" / "admin.token").read_text().strip()

    def run(self, *words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "edgefleet", *words, "--json"],
            env=self.environment, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        return json.loads(done.stdout)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    running = Site(tmp_path_factory.mktemp("site"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path="/usr/bin/chromium", args=quiet)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page; whatever its scripts complain of fails the test."""
    context = browser.new_context()
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield opened
    context.close()
    assert [text for text in complaints if "401" not in text] == []


def sign_in(page: Page, site: Site, token: str) -> None:
    page.goto(site.url)
    page.fill("input[name=token]", token)
    page.keyboard.press("Enter")


def test_a_wrong_token_shows_nothing_of_the_fleet(page: Page, site: Site) -> None:
    sign_in(page, site, "wrong")
    expect(page.locator("input[name=token]")).to_be_visible()
    assert page.request.get(f"{site.url}/console/snapshot").status == 401


def test_the_console_shows_the_next_command_and_then_the_devices_with_their_words_as_text(
    page: Page, site: Site
) -> None:
    sign_in(page, site, site.token)
    expect(page.get_by_text("edgefleet device token").first).to_be_visible()
    token = site.run("device", "token")
    device = enroll(token["server"], token["token"], hardware=SCRIPT).device
    expect(page.get_by_text(device).first).to_be_visible(timeout=15_000)
    expect(page.get_by_text(SCRIPT).first).to_be_visible()
    assert page.title() != "stolen"


def test_the_page_may_load_nothing_from_elsewhere(page: Page, site: Site) -> None:
    answer = page.goto(f"{site.url}/sign-in")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy or "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http:" not in policy
