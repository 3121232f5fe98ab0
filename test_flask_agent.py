"""Walks through the service's HTTP contract against a running server and prints what it sees.

    python test_flask_agent.py [URL]        (http://127.0.0.1:5000 unless given)

Ends with status 1 when the contract is broken, 2 when nobody answers. It changes nothing beyond what the service's own
policy allows for the example failures.
"""

from __future__ import annotations

import json
import re
import sys
import time
from typing import Any, NamedTuple

import httpx

ROW = {
    "scenario_id": int,
    "status": str,
    "error_context": str,
    "final_response": str,
    "tools_used": list,
    "iterations": int,
    "planned_actions": list,
    "tool_results": list,
}
TOTALS = ("total_scenarios", "successful_scenarios", "failed_scenarios", "total_tools_executed")
BAD_INPUT: list[tuple[str, Any]] = [
    ("no JSON", b"errors=1"),
    ("not an object", []),
    ("no errors", {}),
    ("errors not a list", {"errors": "port in use"}),
    ("errors empty", {"errors": []}),
    ("an item that is no object", {"errors": ["port in use"]}),
    ("no context", {"errors": [{}]}),
    ("an empty context", {"errors": [{"context": " "}]}),
    ("max_scenarios 0", {"errors": [{"context": "x"}], "max_scenarios": 0}),
    ("max_scenarios true", {"errors": [{"context": "x"}], "max_scenarios": True}),
    ("max_scenarios 1.5", {"errors": [{"context": "x"}], "max_scenarios": 1.5}),
]


class Answer(NamedTuple):
    """What the server said."""

    status: int
    body: Any
    text: str


class Walk:
    """The server's address, and what was found wrong so far."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.wrong: list[str] = []

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        """One request; JSON bodies are encoded, bytes are sent as a form would send them."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data is not None and not isinstance(body, bytes) else {}
        response = httpx.request(method, self.url + path, content=data, headers=headers, timeout=300)
        try:
            parsed = response.json()
        except ValueError:
            parsed = None
        return Answer(response.status_code, parsed, response.text)

    def expect(self, good: bool, what: str) -> bool:
        """Note and print one promise."""
        print(f"  {'ok  ' if good else 'FAIL'} {what}")
        if not good:
            self.wrong.append(what)
        return good

    def results(self, body: Any, wanted: int) -> None:
        """The totals and rows of a completed answer."""
        rows = body.get("results", [])
        self.expect(all(isinstance(body.get(name), int) for name in TOTALS), f"totals: {', '.join(TOTALS)}")
        self.expect(len(rows) == wanted == body.get("total_scenarios"), f"{wanted} results for {wanted} scenarios")
        self.expect(body.get("successful_scenarios", 0) + body.get("failed_scenarios", 0) == wanted, "totals add up")
        for row in rows:
            right = all(isinstance(row.get(name), kind) for name, kind in ROW.items())
            right = (
                right and row["status"] in ("success", "error") and (row["status"] != "error" or "error_message" in row)
            )
            right = right and all({"tool", "params", "when"} <= set(each) for each in row["planned_actions"])
            right = right and all({"name", "content", "status"} <= set(each) for each in row["tool_results"])
            self.expect(right, f"scenario {row.get('scenario_id')}: fields as in the contract, {row.get('status')}")
            for line in str(row.get("final_response", "")).splitlines():
                print(f"       | {line}")


def health(walk: Walk) -> None:
    """`GET /health`."""
    print("GET /health")
    answer = walk.call("GET", "/health")
    print(f"       | {answer.text.strip()}")
    fields = {"status", "service", "model", "api_key_configured", "timestamp"}
    walk.expect(answer.status == 200 and fields <= set(answer.body or ()), f"200 with {', '.join(sorted(fields))}")
    walk.expect((answer.body or {}).get("status") == "healthy", "healthy")


def examples(walk: Walk) -> list[dict[str, Any]]:
    """`GET /example_errors`."""
    print("GET /example_errors")
    answer = walk.call("GET", "/example_errors")
    listed: list[dict[str, Any]] = (answer.body or {}).get("example_errors", [])
    walk.expect(
        answer.status == 200 and answer.body.get("total_examples") == len(listed) > 0, f"{len(listed)} examples"
    )
    walk.expect(all(each.get("context") and each.get("description") for each in listed), "context and description")
    return listed


def sync(walk: Walk, listed: list[dict[str, Any]]) -> None:
    """`POST /process_errors`: bounded, and with all examples."""
    print("POST /process_errors, max_scenarios 2")
    answer = walk.call("POST", "/process_errors", {"errors": listed[:4], "max_scenarios": 2})
    if walk.expect(answer.status == 200 and answer.body.get("status") == "completed", "200 completed"):
        walk.results(answer.body, 2)
    print("POST /process_errors, a text that says nothing")
    answer = walk.call("POST", "/process_errors", {"errors": [{"context": "it does not work"}]})
    said = answer.body["results"][0]["final_response"] if answer.status == 200 else answer.text
    walk.expect("Not enough information to proceed" in said, "says that there is not enough information")


def background(walk: Walk, listed: list[dict[str, Any]]) -> None:
    """`POST /process_errors_async` with every example, and `GET /job_status/<id>` until it is completed."""
    print(f"POST /process_errors_async, {len(listed)} scenarios")
    answer = walk.call("POST", "/process_errors_async", {"errors": listed})
    if not walk.expect(answer.status == 202 and answer.body.get("status") == "accepted", "202 accepted"):
        return
    job = answer.body["job_id"]
    walk.expect(bool(re.fullmatch(r"job_\d{8}_\d{6}_\w+", job)), f"the job's id: {job}")
    walk.expect(answer.body.get("check_status_endpoint") == f"/job_status/{job}", "check_status_endpoint")
    seen: list[int] = []
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        state = walk.call("GET", f"/job_status/{job}")
        seen.append(state.body["progress"])
        if state.body["status"] != "processing":
            break
        time.sleep(0.2)
    print(f"       | progress: {' '.join(map(str, dict.fromkeys(seen)))}")
    walk.expect(seen == sorted(seen) and seen[-1] == 100, "progress grows to 100")
    walk.expect(state.body["status"] == "completed" and bool(state.body["completed_at"]), "completed, with a time")
    walk.results(state.body, len(listed))
    for example, row in zip(listed, state.body.get("results", []), strict=False):
        if wanted := example.get("cause"):
            found = (row.get("diagnosis") or {}).get("cause")
            walk.expect(found == wanted, f"{example['description']}: {wanted}" + (f", not {found}" * (found != wanted)))


def refusals(walk: Walk) -> None:
    """Bad input, unknown addresses and ids."""
    print("Bad input")
    for path in ("/process_errors", "/process_errors_async"):
        for what, body in BAD_INPUT:
            answer = walk.call("POST", path, body)
            said = (answer.body or {}).get("error", "") if isinstance(answer.body, dict) else ""
            right = answer.status == 400 and bool(said) and "Traceback" not in said
            walk.expect(right, f"{path}: {what}: {answer.status} {said}")
    print("Unknown addresses")
    answer = walk.call("GET", "/job_status/job_20200101_000000_none")
    walk.expect(answer.status == 404 and "error" in (answer.body or ()), f"unknown job: {answer.status} {answer.body}")
    answer = walk.call("GET", "/nothing/here")
    walk.expect(
        answer.status == 404 and bool((answer.body or {}).get("available_endpoints")), "404 lists the endpoints"
    )
    answer = walk.call("GET", "/dashboard")
    walk.expect(answer.status == 200 and "<html" in answer.text, "GET /dashboard is a page")


def main(arguments: list[str]) -> int:
    """Walk through all of it; 0 where every promise was kept."""
    walk = Walk(arguments[0] if arguments else "http://127.0.0.1:5000")
    try:
        health(walk)
        listed = examples(walk)
        sync(walk, listed)
        background(walk, listed)
        refusals(walk)
    except httpx.HTTPError as error:
        print(f"nobody answers at {walk.url}: {error}", file=sys.stderr)
        return 2
    print(f"\n{len(walk.wrong)} broken promises" if walk.wrong else "\nthe contract holds")
    for each in walk.wrong:
        print(f"  FAIL {each}")
    return 1 if walk.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
