#!/usr/bin/env python3
"""Tell devops_agent about a failed job, from any pipeline: send the log, print the diagnosis, comment on the change.

Needs Python 3.8 and nothing else. It never fails the pipeline and never holds it up: whatever goes wrong here is one
line on standard error and exit status 0, after `--limit` seconds at the latest. Only with `--gate` the status is the
agent's: 0 resolved or no failure, 3 a person is needed.

Where the log comes from: `--log FILE` (`-`: standard input), or, without it, the failed jobs of this pipeline are asked
of the forge (GitHub: GITHUB_TOKEN, GitLab: DEVOPS_AGENT_FORGE_TOKEN, Jenkins: DEVOPS_AGENT_FORGE_TOKEN as user:token).

Who answers: the service at DEVOPS_AGENT_URL (with DEVOPS_AGENT_KEY, where it asks for one), or without an address the
`devops-agent` that is installed here, which then looks at nothing but the log.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

MOST = 256 << 20
"""Bytes of one log that are read; of a longer one the last so many."""
INLINE = 8 << 20
"""Longer logs, and packed ones, are sent compressed, as a file."""
EXPANDED = 96 << 20
"""Bytes of a log that a service takes in, once it is expanded (a quarter below what it does unless it is told so)."""
PACKED = 24 << 20
"""Bytes of a request, likewise."""
PACKS = (b"\x1f\x8b", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"BZh", b"\xff\xfe", b"\xfe\xff")
"""How a log begins that is packed, or in a wide encoding: the service reads it as it is."""
COMMENT = 60_000
"""Characters of a comment; forges take 65,536 and more."""
NAMELESS = "job"
FAILED_JOBS = 5
"""At most so many failed jobs of one pipeline are asked about."""


class Trouble(Exception):
    """What went wrong, in words for the pipeline's log."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Hands redirects back: a token must not follow one to another host."""

    def redirect_request(self, *_args):
        """Nothing is followed."""


def main(argv: list[str] | None = None) -> int:
    """What `python3 report.py` does; the exit status."""
    try:
        options = arguments(argv)
    except SystemExit as wrong:
        return say("wrong options; the pipeline goes on without a diagnosis") if wrong.code else 0
    clock = threading.Timer(options.limit, give_up, [options.limit])
    clock.daemon = True
    clock.start()
    try:
        return report(options)
    except Trouble as trouble:
        return say(f"{trouble}; the pipeline goes on without a diagnosis")
    except Exception as error:  # noqa: BLE001  the pipeline must not suffer from us, whatever this is
        return say(f"{type(error).__name__}: {error}; the pipeline goes on without a diagnosis")


def report(options: argparse.Namespace) -> int:
    """Ask about each failed log, show the answers, and comment."""
    status = 0
    texts = []
    for name, data in logs(options):
        outcome, text = ask(options, name, data)
        texts.append(text)
        show(text)
        if options.gate and outcome not in ("resolved", "no_failure"):
            status = 3
    if texts and options.comment:
        comment("\n\n".join(texts))
    return status


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Options; each can be given as a variable of the environment, as pipelines like it."""
    env = os.environ
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default=env.get("DEVOPS_AGENT_LOG") or None, help="the log; - reads standard input")
    parser.add_argument("--url", default=env.get("DEVOPS_AGENT_URL") or None, help="the service's address")
    parser.add_argument("--place", default=env.get("DEVOPS_AGENT_PLACE") or None, help="a place of the inventory")
    parser.add_argument("--wait", type=float, default=env.get("DEVOPS_AGENT_WAIT") or 120, help="seconds for an answer")
    parser.add_argument("--limit", type=float, default=env.get("DEVOPS_AGENT_LIMIT") or 300, help="seconds for all")
    parser.add_argument("--gate", action="store_true", help="exit with the agent's status instead of always 0")
    parser.add_argument("--comment", action="store_true", help="comment on the change that this pipeline is for")
    options = parser.parse_args(argv)
    options.gate = options.gate or env.get("DEVOPS_AGENT_GATE") == "true"
    options.comment = options.comment or env.get("DEVOPS_AGENT_COMMENT") == "true"
    return options


# Logs


def logs(options: argparse.Namespace) -> list[tuple[str, bytes]]:
    """Name and bytes of each log to ask about."""
    if options.log:
        return [(job_name(), tail_of(options.log))]
    if os.environ.get("GITHUB_ACTIONS"):
        return github_logs()
    if os.environ.get("GITLAB_CI"):
        return gitlab_logs()
    if os.environ.get("BUILD_URL"):
        return [(job_name(), get(env("BUILD_URL").rstrip("/") + "/consoleText", basic("DEVOPS_AGENT_FORGE_TOKEN")))]
    raise Trouble("no log: name one with --log, or run this in a pipeline of GitHub, GitLab or Jenkins")


def tail_of(path: str) -> bytes:
    """A file, or what stands on standard input; of more than MOST bytes the end."""
    if path == "-":
        data = b""
        while piece := sys.stdin.buffer.read(1 << 20):
            data = (data + piece)[-MOST:]
        return data
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - MOST))
            return file.read(MOST)
    except OSError as error:
        raise Trouble(f"{path}: {error.strerror}") from None


def github_logs() -> list[tuple[str, bytes]]:
    """Logs of the failed jobs of this run that are over (the job that this step runs in is not)."""
    base = f"{env('GITHUB_API_URL')}/repos/{env('GITHUB_REPOSITORY')}/actions"
    headers = {"Authorization": f"Bearer {env('GITHUB_TOKEN')}", "Accept": "application/vnd.github+json"}
    jobs = json.loads(get(f"{base}/runs/{env('GITHUB_RUN_ID')}/jobs?filter=latest&per_page=100", headers))["jobs"]
    failed = [job for job in jobs if job.get("conclusion") in ("failure", "timed_out")][:FAILED_JOBS]
    return [(str(job["name"]), get(f"{base}/jobs/{int(job['id'])}/logs", headers)) for job in failed]


def gitlab_logs() -> list[tuple[str, bytes]]:
    """Traces of the failed jobs of this pipeline."""
    base = f"{env('CI_API_V4_URL')}/projects/{env('CI_PROJECT_ID')}"
    headers = {"PRIVATE-TOKEN": env("DEVOPS_AGENT_FORGE_TOKEN")}
    asked = f"{base}/pipelines/{env('CI_PIPELINE_ID')}/jobs?scope[]=failed&per_page=100"
    failed = json.loads(get(asked, headers))[:FAILED_JOBS]
    return [(str(job["name"]), get(f"{base}/jobs/{int(job['id'])}/trace", headers)) for job in failed]


# Answers


def ask(options: argparse.Namespace, name: str, data: bytes) -> tuple[str, str]:
    """Outcome and report (Markdown) for a log."""
    if not data.strip():
        raise Trouble("the log is empty" if name == NAMELESS else f"the log of {name} is empty")
    return asked_service(options, name, data) if options.url else asked_here(data, options.limit)


def asked_here(data: bytes, limit: float) -> tuple[str, str]:
    """By the `devops-agent` of this machine; nothing is kept, and nothing is changed."""
    program = shutil.which("devops-agent")
    if program is None:
        raise Trouble("DEVOPS_AGENT_URL is not set and no devops-agent is installed here")
    with tempfile.TemporaryDirectory() as folder:
        given = {**os.environ, "DEVOPS_AGENT_DATA_DIR": folder, "DEVOPS_AGENT_READ_ONLY": "1"}
        command = [program, "handle", "-", "--dry-run", "--markdown"]
        done = subprocess.run(command, input=data, env=given, capture_output=True, check=False, timeout=limit - 1)
    if done.returncode not in (0, 3):
        raise Trouble(f"devops-agent: {done.stderr.decode(errors='replace').strip()[-300:]}")
    return ("no_failure" if done.returncode == 0 else "needs_person"), done.stdout.decode(errors="replace")


def asked_service(options: argparse.Namespace, name: str, data: bytes) -> tuple[str, str]:
    """By the service: send, wait as long as wanted, fetch the report."""
    url = options.url.rstrip("/")
    headers = {"User-Agent": "devops-agent-report"}
    if key := os.environ.get("DEVOPS_AGENT_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    accepted = sent(url, headers, options.place, name, data)
    deadline = time.monotonic() + options.wait
    address = url + accepted["check_status_endpoint"]
    pause = 0.2
    while True:
        state = json.loads(get(address, headers))
        if state["status"] == "completed":
            row = state["results"][0]
            text = get(f"{url}/jobs/{row['job_id']}/report.md", headers).decode(errors="replace")
            return row.get(
                "outcome"
            ) or "error", f"{text.rstrip()}\n\n[{row['job_id']}]({url}/dashboard/jobs/{row['job_id']})"
        if time.monotonic() >= deadline:
            raise Trouble(f"no answer within {options.wait:g} s; it goes on at {address}")
        time.sleep(min(pause, max(0.1, deadline - time.monotonic())))
        pause = min(5.0, pause * 1.5)


def sent(url: str, headers: dict[str, str], place: str | None, name: str, data: bytes) -> dict:
    """The service's answer to a log: as JSON with its labels, a long one as a compressed file with them beside it."""
    if len(data) > INLINE or data.startswith(PACKS):
        mark = uuid.uuid4().hex
        given = {"title": name[:200], "labels": json.dumps(labels(name)), **({"place": place} if place else {})}
        fields = [
            f'--{mark}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{each}\r\n' for key, each in given.items()
        ]
        head = f'--{mark}\r\nContent-Disposition: form-data; name="log"; filename="log"\r\n\r\n'
        body = ("".join(fields) + head).encode() + packed(data) + f"\r\n--{mark}--\r\n".encode()
        kind, address = f"multipart/form-data; boundary={mark}", "/incidents"
    else:
        item = {"context": data.decode("utf-8", "replace"), "title": name[:200], "labels": labels(name)}
        if place:
            item["place"] = place
        body, kind, address = json.dumps({"errors": [item]}).encode(), "application/json", "/process_errors_async"
    answer: dict = json.loads(get(url + address, {**headers, "Content-Type": kind}, body))
    return answer


def packed(data: bytes) -> bytes:
    """A log as it goes through the service's door: compressed, and of a very long one only the end."""
    if data.startswith(PACKS):
        return data
    most = EXPANDED
    while True:
        body = gzip.compress(data[-most:], 5)
        if len(body) <= PACKED:
            return body
        most = int(most * 0.9 * PACKED / len(body))


def labels(name: str) -> dict[str, str]:
    """What is known about this job, for joining equal incidents and finding the last passing log."""
    known = {
        "job": name,
        "repository": ("GITHUB_REPOSITORY", "CI_PROJECT_PATH", "JOB_NAME"),
        "branch": ("GITHUB_REF_NAME", "CI_COMMIT_REF_NAME", "BRANCH_NAME"),
        "commit": ("GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT"),
        "run": ("GITHUB_RUN_ID", "CI_PIPELINE_ID", "BUILD_NUMBER"),
    }
    found = {key: each if isinstance(each, str) else first(*each) for key, each in known.items()}
    return {key: value[:200] for key, value in found.items() if value}


def job_name() -> str:
    """This job's name, as the forge calls it."""
    return first("CI_JOB_NAME", "GITHUB_JOB", "JOB_NAME") or NAMELESS


# Showing


def show(text: str) -> None:
    """On standard output, and in the job's summary where there is one."""
    sys.stdout.buffer.write(text.encode() + b"\n")
    sys.stdout.flush()
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(summary, "a", encoding="utf-8") as file:
            file.write(text + "\n")


def comment(text: str) -> None:
    """One comment on the change; the same one is brought up to date by later runs of the same pipeline."""
    if os.environ.get("GITHUB_ACTIONS"):
        number = change_of_github()
        base = f"{env('GITHUB_API_URL')}/repos/{env('GITHUB_REPOSITORY')}/issues"
        headers = {"Authorization": f"Bearer {env('GITHUB_TOKEN')}", "Accept": "application/vnd.github+json"}
        keep(f"{base}/{number}/comments", f"{base}/comments/", headers, "PATCH", text) if number else None
    elif number := os.environ.get("CI_MERGE_REQUEST_IID"):
        notes = f"{env('CI_API_V4_URL')}/projects/{env('CI_PROJECT_ID')}/merge_requests/{number}/notes"
        keep(notes, notes + "/", {"PRIVATE-TOKEN": env("DEVOPS_AGENT_FORGE_TOKEN")}, "PUT", text)


def change_of_github() -> int | None:
    """The number of the pull request, from the event that started the run."""
    try:
        with open(env("GITHUB_EVENT_PATH"), encoding="utf-8") as file:
            event = json.load(file)
    except (OSError, ValueError):
        return None
    number = (event.get("pull_request") or {}).get("number")
    return int(number) if number else None


def keep(listed: str, one: str, headers: dict[str, str], verb: str, text: str) -> None:
    """Write the comment, or write it anew where an earlier run of this workflow left one."""
    mark = f"<!-- devops-agent: {first('GITHUB_WORKFLOW', 'CI_PROJECT_PATH') or 'report'} -->"
    body = json.dumps({"body": f"{mark}\n{text[:COMMENT]}"}).encode()
    headers = {**headers, "Content-Type": "application/json"}
    for page in range(1, 11):
        known = json.loads(get(f"{listed}?per_page=100&page={page}", headers))
        for each in known:
            if str(each.get("body") or "").startswith(mark):
                get(f"{one}{int(each['id'])}", headers, body, verb)
                return
        if len(known) < 100:
            break
    get(listed, headers, body)


# HTTP


def get(url: str, headers: dict[str, str], body: bytes | None = None, verb: str | None = None) -> bytes:
    """What an address answers; redirects are followed without our headers where they lead to another host."""
    opener = urllib.request.build_opener(NoRedirect)
    for _ in range(5):
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise Trouble(f"{url}: not an address of http or https")
        try:
            request = urllib.request.Request(url, data=body, headers=headers, method=verb)  # noqa: S310
            with opener.open(request, timeout=30) as answer:
                return answer.read(MOST)
        except urllib.error.HTTPError as error:
            target = error.headers.get("Location")
            if body is None and target and 300 <= error.code < 400:
                there = urllib.parse.urljoin(url, target)
                if urllib.parse.urlsplit(there)[:2] != urllib.parse.urlsplit(url)[:2]:
                    headers = {}
                url = there
                continue
            said = error.read(2000).decode(errors="replace").strip()
            raise Trouble(f"{without_query(url)} answered {error.code}: {said[:300]}") from None
        except OSError as error:
            raise Trouble(f"{without_query(url)}: {getattr(error, 'reason', error)}") from None
    raise Trouble(f"{without_query(url)}: too many redirects")


def without_query(url: str) -> str:
    """An address for the log: signatures stand in queries."""
    return urllib.parse.urlsplit(url)._replace(query="").geturl()


def basic(name: str) -> dict[str, str]:
    """The header for `user:token` in a variable, if it is set."""
    import base64

    value = os.environ.get(name)
    return {"Authorization": "Basic " + base64.b64encode(value.encode()).decode()} if value else {}


def env(name: str) -> str:
    """A variable that must be there."""
    value = os.environ.get(name)
    if not value:
        raise Trouble(f"{name} is not set")
    return value


def first(*names: str) -> str:
    """The first of these variables that is set."""
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def say(text: str) -> int:
    """One line of ours on standard error; the exit status that goes with it."""
    sys.stderr.write(f"devops-agent: {text}\n")
    return 0


def give_up(seconds: float) -> None:
    """The time is over, whatever hangs: end at once, with success."""
    say(f"not done after {seconds:g} s; the pipeline goes on without a diagnosis")
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
