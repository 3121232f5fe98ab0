"""API v1 against its own description, with all checks of schemathesis on: what fits is taken, what does not is refused,
every answer is as described, nothing is answered without a key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from web_service import serving

from devops_agent.jobs import keys

HOOKS = Path(__file__).with_name("fuzz_hooks.py")


def fuzz(service, folder, phases, examples):
    engine = service.backend.jobs.engine
    made, text = keys.create(engine, "fuzz", "admin")
    headers = {"Authorization": f"Bearer {text}"}
    service.http.post("/process_errors", json={"errors": [{"context": "it fails"}]}, headers=headers)
    description = folder / "openapi.json"
    description.write_text(json.dumps(service.http.get("/api/v1/openapi.json", headers=headers).json()))
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(description), "--url", str(service.http.base_url)]
    command += ["--checks", "all", "--phases", phases, "--max-examples", str(examples), "--seed", "7"]
    command += ["--header", f"Authorization: Bearer {text}", "--request-timeout", "30", "--workers", "1", "--no-color"]
    environ = os.environ | {"SCHEMATHESIS_HOOKS": str(HOOKS), "FUZZ_KEY_ID": made.id}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert keys.opened(engine, text), "the fuzzer took its own key away, so that it looked at little"
    assert "Authentication failed" not in done.stdout


def test_the_api_is_as_described_in_every_corner_of_its_types(tmp_path):
    with serving(tmp_path, requests_per_minute=0) as service:
        fuzz(service, tmp_path, "examples,coverage", 1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_api_is_as_described_for_what_nobody_thought_of(tmp_path):
    with serving(tmp_path, requests_per_minute=0) as service:
        fuzz(service, tmp_path, "coverage,fuzzing,stateful", 60)
