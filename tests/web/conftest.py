"""Fixtures of the HTTP tests; parts of the pipeline's own tests lie one folder up."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from web_service import serving


@pytest.fixture
def service(tmp_path):
    with serving(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One service for many tests that do not mind each other."""
    with serving(tmp_path_factory.mktemp("web")) as running:
        yield running
