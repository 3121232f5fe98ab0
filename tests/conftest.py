"""What holds for all tests: generated examples are the same in every run, a busy machine fails none of them, and what a
repair started as a service ends with them.

`HYPOTHESIS_PROFILE=search` looks for new examples.
"""

import contextlib
import os
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
