"""The page stays right whatever happens to the service, and everything that can be done there is done."""

import re
import sys
from functools import partial

import pytest
from playwright.sync_api import expect
from screenshot import furnished
from web_service import serving

from devops_agent.model import Run, Step
from devops_agent.tools.base import Commands, Host, change
from pipeline_parts import Wanting


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    (folder / "own").mkdir()
    with furnished(folder / "srv", (0,), DEVOPS_AGENT_RUNBOOKS=str(folder / "own")) as made:
        yield made


def test_a_real_repair_is_watched_over_a_restart(place, person):
    service, jobs = place
    page = person(service.address).go(f"/dashboard/jobs/{jobs['waiting']}")
    page.evaluate("window.same = true")
    expect(page.locator(".diff .plus")).to_contain_text("+SHOP_CURRENCY=CHF")
    expect(page.get_by_role("button", name="Approve exactly this")).to_be_visible()
    service.stop()
    service.start()
    service.http.post(f"/jobs/{jobs['waiting']}/approve", json={"by": "bob"}).raise_for_status()
    expect(page.get_by_text("The incident is over")).to_be_visible(timeout=45_000)
    assert page.evaluate("window.same") is True
    row = page.get_by_role("row", name=re.compile("health:shop"))
    expect(row.get_by_role("cell").nth(0)).to_have_text("fails")
    expect(row.get_by_role("cell").nth(1)).to_have_text("passes")
    page.get_by_text("Output").first.click()
    expect(page.locator("details.output pre").first).to_be_visible()
    page.get_by_text("Was this the cause?").click()
    page.get_by_role("button", name=re.compile("^Yes,")).click()
    expect(page.get_by_text("confirmed this cause")).to_be_visible()
    page.get_by_role("button", name="Look at it again").click()
    page.wait_for_url(lambda url: not url.endswith(jobs["waiting"]))
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Reading the log")


def test_an_own_runbook_is_checked_while_it_is_typed(place, person):
    service, _ = place
    page = person(service.address).go("/dashboard/runbooks/edit")
    expect(page.get_by_text("Nothing is wrong with it")).to_be_visible()
    text = page.get_by_label("Runbook", exact=True)
    good = text.input_value()
    text.fill(good.replace("cause: ", "cause: no_such_"))
    expect(page.locator(".problems")).to_contain_text("cause")
    text.fill(good.replace("(?P<variable>[A-Z_]+)", "(?P<variable>(A+)+)"))
    expect(page.locator(".problems")).to_contain_text("match.any")
    page.get_by_role("button", name="Keep it").click()
    expect(page.locator(".problems")).to_contain_text("match.any")
    page.get_by_label("Runbook", exact=True).fill(good)
    expect(page.get_by_text("Nothing is wrong with it")).to_be_visible()
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The service lacks a variable")
    expect(page.get_by_text("own", exact=True)).to_be_visible()
    log = "starting\nmy-service: DATABASE_URL is not set\nexit status 1"
    job = service.send(log)
    assert (
        service.http.get(f"/jobs/{job}").json()["report"]["attempts"][0]["diagnosis"]["runbook"]
        == "my_service_cannot_start"
    )
    assert service.http.get("/dashboard/runbooks/edit?name=port_in_use").status_code == 404


def test_a_pattern_is_tried_on_stored_logs(place, person):
    service, _ = place
    page = person(service.address).go("/dashboard/pattern")
    page.get_by_label("A regular expression").fill(r"address already in use :::(?P<port>\d+)")
    expect(page.locator(".rows li")).to_have_count(1)
    expect(page.locator("mark")).to_have_text("address already in use :::3000")
    expect(page.locator(".facts")).to_contain_text("3000")
    page.get_by_label("A regular expression").fill(r"(a+)+$")
    expect(page.locator(".problems")).to_be_visible()


def test_the_trail_is_verified_and_exported(place, person):
    service, jobs = place
    page = person(service.address).go("/dashboard/audit")
    expect(page.get_by_text("The chain is whole")).to_be_visible()
    service.http.post("/process_errors", json={"errors": [{"context": f"ERROR {each}"} for each in range(40)]})
    page.reload()
    expect(page.locator(".trail > li")).to_have_count(50)
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name="Newest")).to_be_visible()
    page.go_back()
    page.get_by_label("Only this incident").fill(jobs["approved"])
    page.keyboard.press("Enter")
    expect(page.locator(".trail")).to_contain_text("approved by ada")
    lines = service.http.get("/dashboard/audit.jsonl").text.splitlines()
    assert len(lines) > 50
    assert '"event": "submitted"' in lines[0]


def test_a_file_is_sent_and_worked_on_in_the_background(tmp_path, person):
    with serving(tmp_path) as service:
        page = person(service).go("/dashboard/try")
        log = b"starting, nothing to see\n" * 20_000 + b"ERROR: the thing is broken\n"
        page.locator("#file").set_input_files({"name": "build.log", "mimeType": "text/plain", "buffer": log})
        page.get_by_role("button", name="In the background").click()
        page.wait_for_url("**/dashboard/try?sent=*")
        expect(page.locator("#sent .chip")).to_have_text("waits for approval")
        page.locator("#file").set_input_files({"name": "build.log", "mimeType": "text/plain", "buffer": log})
        page.get_by_role("button", name="Find the cause").click()
        page.wait_for_url("**/dashboard/jobs/*")
        page = person(service, permissions=["clipboard-read", "clipboard-write"]).go("/dashboard/try")
        page.get_by_role("link", name="Port already in use").click()
        expect(page.get_by_label("Log", exact=True)).to_have_value(re.compile("EADDRINUSE"))


def test_a_log_that_is_too_large_is_refused_at_once(tmp_path, person):
    with serving(tmp_path, max_body_bytes=100_000) as service:
        page = person(service).go("/dashboard/try")
        page.locator("#file").set_input_files({"name": "a.log", "mimeType": "text/plain", "buffer": b"x" * 200_000})
        page.get_by_role("button", name="Find the cause").click()
        expect(page.get_by_text("The file is too large")).to_be_visible()
        page.wait_for_timeout(3000)
        expect(page.get_by_text("The file is too large")).to_be_visible()


def test_what_is_no_log_is_refused_where_it_was_chosen(tmp_path, person):
    with serving(tmp_path) as service:
        page = person(service).go("/dashboard/try")
        page.locator("#file").set_input_files(
            {"name": "a.zip", "mimeType": "application/zip", "buffer": b"PK\x03\x04" * 9}
        )
        page.get_by_role("button", name="Find the cause").click()
        expect(page.get_by_text("there is no text in this zip archive")).to_be_visible()


def test_keys_are_given_on_the_page_and_logged_in_with(tmp_path, person):
    with serving(tmp_path) as service:
        job = service.post("ERROR: the thing is broken").json()["results"][0]["job_id"]
        page = person(service).go("/dashboard/settings/keys")
        page.get_by_label("Whose it is").fill("ada")
        page.get_by_label("Role").select_option("admin")
        page.get_by_role("button", name="Make it").click()
        key = page.locator("#secret").inner_text()
        assert key.startswith("dak_")
        assert service.http.get(f"/dashboard/jobs/{job}").status_code == 401
        page = person(service).go(f"/dashboard/jobs/{job}")
        page.wait_for_url("**/dashboard/login?next=**")
        page.get_by_label("Your key").fill("dak_wrong_key")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_contain_text("no key of this service")
        page.get_by_label("Your key").fill(key)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"**/dashboard/jobs/{job}")
        expect(page.get_by_label("Your name")).to_have_count(0)
        page.get_by_role("button", name="Approve exactly this").click()
        expect(page.locator(".decided")).to_contain_text("approved by ada")
        expect(page.get_by_text("The incident is over")).to_be_visible()
        page.goto("/dashboard/settings/keys")
        page.get_by_label("Whose it is").fill("eve")
        page.get_by_label("Role").select_option("viewer")
        page.get_by_role("button", name="Make it").click()
        other = page.locator("#secret").inner_text()
        viewer = person(service)
        page = viewer.go("/dashboard/login")
        page.get_by_label("Your key").fill(other)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("link", name="Settings")).to_have_count(0)
        assert viewer.go("/dashboard/settings").get_by_text("this needs the role admin").count() == 1
        page = viewer.go(f"/dashboard/jobs/{job}")
        expect(page.get_by_role("button", name="Look at it again")).to_have_count(0)
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/dashboard/login")


@change(effect="change")
def slow(host: Host, folder: str) -> Commands:
    """Say something, and wait until a file is there."""
    program = (
        "import sys, time, pathlib\n"
        "print('half way <b>', 'password=hunter2hunter2', flush=True)\n"
        "while not pathlib.Path(sys.argv[1], 'go').exists(): time.sleep(0.05)\n"
        "print('all the way')\n"
    )
    yield Run(argv=(sys.executable, "-c", program, folder))


def test_output_is_seen_while_an_action_runs(tmp_path, person):
    planner = Wanting([[Step(tool="slow", args={"folder": str(tmp_path)})]])
    with serving(tmp_path, planner=planner) as service:
        made = service.backend._given
        tools = {**made.toolbox.keywords["tools"], "slow": slow}
        object.__setattr__(made, "toolbox", partial(made.toolbox.func, data_dir=tmp_path / "data", tools=tools))
        job = service.post("ERROR: the thing is broken").json()["results"][0]["job_id"]
        page = person(service).go(f"/dashboard/jobs/{job}")
        page.get_by_role("button", name="Approve exactly this").click()
        try:
            expect(page.locator(".said")).to_contain_text("half way <b>")
            expect(page.get_by_text(re.compile("running, "))).to_be_visible()
            assert "hunter2" not in page.locator(".said").inner_text()
        finally:
            (tmp_path / "go").write_text("")
        page.locator("details.output summary").click()
        expect(page.locator("details.output pre")).to_contain_text("all the way")
        assert not list((tmp_path / "data" / "aloud").iterdir())
