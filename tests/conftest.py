"""What holds for all tests: generated examples are the same in every run, a busy machine fails none of them, and what a
repair started as a service ends with them.

`HYPOTHESIS_PROFILE=search` looks for new examples.
"""

import contextlib
import os
import socket
from pathlib import Path

import psutil
import pytest
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_running(tmp_path_factory):
    """Services that the agent started in a test's folder would outlive it: that is what services do."""
    yield
    ours = tmp_path_factory.getbasetemp()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(ours) and process.pid != os.getpid():
                process.kill()


@pytest.fixture
def misled(monkeypatch):
    """This machine's resolver, which gives a metadata service for `innocent.example`; what is connected to."""
    real, asked = socket.getaddrinfo, []

    def lying(host, *args, **more):
        named = host if isinstance(host, str) else host.decode()
        return real("169.254.169.254" if named == "innocent.example" else named, *args, **more)

    def connecting(_self, address, _real=socket.socket.connect):
        asked.append(address[0])
        return _real(_self, address)

    monkeypatch.setattr(socket, "getaddrinfo", lying)
    monkeypatch.setattr(socket.socket, "connect", connecting)
    return asked
