"""One browser for all tests of the page; services with real jobs behind them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "web"))
sys.path.insert(0, str(Path(__file__).parents[2] / "demo"))
sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

import chromium
from playwright.sync_api import expect
from web_service import serving

expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def browser():
    with chromium.browser() as started:
        yield started


@pytest.fixture
def person(browser):
    """Makes persons; when the test is over, nothing may have gone wrong in front of any of them."""
    made = []

    def make(service, **options):
        address = service if isinstance(service, str) else str(service.http.base_url)
        made.append(chromium.Person(browser, address, **options))
        return made[-1]

    yield make
    for each in made:
        each.leave()


@pytest.fixture
def service(tmp_path):
    with serving(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One service for many tests that only look."""
    with serving(tmp_path_factory.mktemp("page")) as running:
        yield running
