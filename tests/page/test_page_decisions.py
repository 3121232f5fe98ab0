"""Deciding on the page: approve and see the proof come in, deny, two persons, without scripts."""

import re

import pytest
from playwright.sync_api import expect
from web_service import serving

from devops_agent import policy
from devops_agent.model import Step
from devops_agent.tools.base import Commands, Host, change
from pipeline_parts import Wanting


@change(effect="destroy")
def remove(host: Host, path: str) -> Commands:
    """Remove a file."""
    yield from ()


def waiting(service, person, log="starting\nERROR: the thing is broken\nexit 1", **options):
    """A person in front of a plan that waits."""
    somebody = person(service, **options)
    page = somebody.go("/dashboard/try")
    page.get_by_label("Log", exact=True).fill(log)
    page.get_by_role("button", name="Find the cause").click()
    page.wait_for_url("**/dashboard/jobs/*")
    expect(page.get_by_role("button", name="Approve exactly this")).to_be_visible()
    return somebody


def test_approved_and_proven_without_loading_again(service, person):
    somebody = waiting(service, person)
    page = somebody.page
    page.evaluate("window.same = true")
    expect(page.locator(".diff .do")).to_contain_text(str(service.file))
    page.get_by_label("Your name").fill("ada")
    page.get_by_label("Reason").fill("seen <b>it</b>")
    page.get_by_role("button", name="Approve exactly this").click()
    expect(page.get_by_text("The incident is over")).to_be_visible()
    expect(page.locator(".decided")).to_contain_text("approved by ada")
    expect(page.locator(".decided")).to_contain_text("seen <b>it</b>")
    row = page.get_by_role("row", name=re.compile("check:content"))
    expect(row.get_by_role("cell").nth(0)).to_have_text("fails")
    expect(row.get_by_role("cell").nth(1)).to_have_text("passes")
    assert service.file.read_text() == "x"
    page = somebody.go("/dashboard")
    expect(page.get_by_role("heading", name=re.compile("Solved in the last 24 hours"))).to_be_visible()
    expect(page.get_by_text("approved by ada")).to_be_visible()


def test_what_happens_elsewhere_appears_by_itself(service, person):
    board = person(service)
    page = board.go("/dashboard")
    page.evaluate("window.same = true")
    expect(page.get_by_role("heading", level=1)).to_have_text("All is quiet")
    job = service.post("ERROR: the thing is broken").json()["results"][0]["job_id"]
    expect(page.get_by_role("heading", level=1)).to_have_text("A plan waits for you")
    expect(page).to_have_title(re.compile(r"^\(1\) "))
    page.get_by_role("button", name="Look and decide").click()
    expect(page.get_by_role("button", name="Approve exactly this")).to_be_visible()
    page.evaluate("window.same = true")
    page.get_by_label("Reason").fill("half written")
    fingerprint = page.locator("[name=fingerprint]").input_value()
    service.http.post(f"/jobs/{job}/approve", json={"by": "bob", "fingerprint": fingerprint})
    expect(page.get_by_text("The incident is over")).to_be_visible()
    expect(page.locator(".decided")).to_contain_text("approved by bob")
    assert page.evaluate("window.same") is True


def test_what_is_being_written_stays_while_the_page_is_renewed(service, person):
    somebody = waiting(service, person)
    page = somebody.page
    page.get_by_label("Reason").fill("half")
    page.get_by_label("Reason").focus()
    page.evaluate("document.body.dispatchEvent(new CustomEvent('look'))")
    with page.expect_response(lambda answer: "/dashboard/jobs/" in answer.url):
        page.evaluate("document.body.dispatchEvent(new CustomEvent('look'))")
    page.keyboard.type(" written")
    expect(page.get_by_label("Reason")).to_have_value("half written")


def test_denied_with_a_reason(service, person):
    somebody = waiting(service, person)
    page = somebody.page
    page.get_by_label("Reason").fill("not on a Friday")
    page.get_by_role("button", name="Deny").click()
    expect(page.locator(".decided")).to_contain_text("not approved by dashboard")
    expect(page.locator(".decided")).to_contain_text("not on a Friday")
    expect(page.get_by_role("button", name="Approve exactly this")).to_have_count(0)
    assert not service.file.exists()
    page.get_by_role("button", name="I take over").click()
    expect(page.get_by_text("In the hands of dashboard")).to_be_visible()
    page.get_by_role("button", name="It is set right").click()
    expect(page.get_by_text("Closed by a person")).to_be_visible()
    expect(somebody.go("/dashboard").get_by_role("heading", level=1)).to_have_text("All is quiet")


@pytest.fixture
def careful(tmp_path):
    """A service whose policy wants two persons."""
    file = tmp_path / "policy.yaml"
    file.write_text("- {ask: {effect: change, persons: 2}}\n- {ask: {effect: read}}\n")
    with serving(tmp_path, policy=policy.load(file)) as running:
        yield running


def test_two_persons(careful, person):
    one = waiting(careful, person)
    other = person(careful)
    other.go(one.page.url)
    expect(one.page.get_by_text("Policy wants 2 persons")).to_be_visible()

    def approve(somebody, name):
        somebody.page.get_by_label("Your name").fill(name)
        somebody.page.get_by_role("button", name="Approve exactly this").click()

    approve(one, "ada")
    expect(one.page.get_by_text("ada approved already")).to_be_visible()
    expect(other.page.get_by_text("ada approved already")).to_be_visible()
    approve(one, "Ada")
    expect(one.page.get_by_text("has approved already")).to_be_visible()
    assert not careful.file.exists()
    approve(other, "bob")
    expect(other.page.get_by_text("The incident is over")).to_be_visible()
    expect(other.page.locator(".decided")).to_contain_text("approved by bob and ada")


def test_a_plan_that_destroys_wants_a_second_look(tmp_path, person):
    from functools import partial

    with serving(tmp_path, planner=Wanting([[Step(tool="remove", args={"path": "/x"})]])) as service:
        made = service.backend._given
        tools = {**made.toolbox.keywords["tools"], "remove": remove}
        box = partial(made.toolbox.func, data_dir=made.toolbox.keywords["data_dir"], tools=tools)
        object.__setattr__(made, "toolbox", box)
        somebody = waiting(service, person)
        page = somebody.page
        page.get_by_role("button", name="Approve exactly this").click()
        expect(page.get_by_text("confirm that you have read its commands")).to_be_visible()
        page.get_by_role("button", name="Back to the incident").click()
        page.get_by_label("I have read the commands above").check()
        page.get_by_role("button", name="Approve exactly this").click()
        expect(page.locator(".decided")).to_contain_text("approved by dashboard")


def test_without_scripts(service, person):
    somebody = waiting(service, person, java_script_enabled=False)
    page = somebody.page
    page.get_by_label("Your name").fill("ada")
    page.get_by_role("button", name="Approve exactly this").click()
    assert service.backend.wait(page.url.rpartition("/")[2], 20)
    page.reload()
    expect(page.get_by_text("The incident is over")).to_be_visible()
    expect(page.get_by_role("button", name="Copy as Markdown")).to_be_hidden()
    page = somebody.go("/dashboard/history?q=broken")
    expect(page.locator(".rows li")).to_have_count(1)


def test_by_keyboard_alone(service, person):
    somebody = person(service)
    page = somebody.go("/dashboard/try")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_label("Log", exact=True).focus()
    page.keyboard.type("ERROR: the thing is broken")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Find the cause":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Approve exactly this")).to_be_visible()
    page.get_by_label("Your name").focus()
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Approve exactly this")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("The incident is over")).to_be_visible()
