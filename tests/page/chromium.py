"""Debian's Chromium as people use it; it notes whatever a page must not do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

SHOTS = Path(__file__).resolve().parents[2] / ".build" / "screenshots"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
DESKTOP, PHONE = (1280, 860), (390, 844)
_NETWORK = ("Failed to load resource", "Failed to fetch", "ERR_", "network error")
"""What browsers say when a page is left, or a service restarted, while something is being fetched."""
VIOLATION = """
addEventListener('securitypolicyviolation', (event) => {
  console.error('CSP violation: ' + event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sample);
});
"""


def program() -> str:
    """Where Chromium is; skips, saying why, where there is none."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        pytest.skip("needs Chromium: apt-get install --no-install-recommends chromium (or CHROMIUM=/path/to/it)")
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser; its sandbox needs a user that is not root."""
    path = program()
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield started
        finally:
            started.close()


class Person:
    """Somebody in front of the page: a context of their own, and what went wrong in it."""

    def __init__(self, started: Browser, address: str, **options: object) -> None:
        self.address = address.rstrip("/")
        width, height = options.pop("size", DESKTOP)  # type: ignore[misc, call-overload]
        self.context: BrowserContext = started.new_context(
            base_url=self.address, viewport={"width": width, "height": height}, **options
        )
        self.context.set_default_timeout(45_000)
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.context.add_init_script(VIOLATION)
        self.context.on("request", self._asked)
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("console", lambda said: self._said(said.type, said.text))
        self.page.on("dialog", lambda dialog: (self.faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def go(self, path: str) -> Page:
        """Open a page of the service."""
        answer = self.page.goto(path)
        assert answer is not None
        assert answer.status < 500, path
        return self.page

    def shot(self, name: str) -> None:
        """Keep what is seen, for people to look at."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def leave(self) -> None:
        """Close everything, and tell what went wrong."""
        self.context.close()
        assert not self.faults, self.faults

    def _asked(self, request: object) -> None:
        url = str(request.url)  # type: ignore[attr-defined]
        self.requests.append(url)
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and f"{parts.scheme}://{parts.netloc}" != self.address:
            self.faults.append(f"another host was asked: {url}")

    def _said(self, kind: str, text: str) -> None:
        if "CSP violation" in text or "Content Security Policy" in text:
            self.faults.append(text)
        elif kind == "error" and not any(each in text for each in _NETWORK):
            self.faults.append(f"console: {text}")
