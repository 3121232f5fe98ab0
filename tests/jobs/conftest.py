"""Databases of both kinds."""

import pytest

from postgres import Postgres


@pytest.fixture(scope="session")
def postgres():
    """One server for all tests of this process."""
    with Postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    """The URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.db'}"
    return request.getfixturevalue("postgres").database()
