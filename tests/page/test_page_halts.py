"""The kill switch on the page: told everywhere, with a way to go on."""

import re

from playwright.sync_api import expect


def test_stopped_and_gone_on_with(service, person):
    somebody = person(service)
    page = somebody.go("/dashboard")
    page.get_by_text("Stop everything").click()
    page.get_by_label("Why").fill("wrong <b>repairs</b>")
    page.get_by_label("Your name").fill("ann")
    page.get_by_role("button", name="Stop", exact=True).click()
    told = page.get_by_role("region", name="Halt")
    expect(told).to_contain_text(re.compile(r"Nothing is changed\. ann stopped it .*: wrong <b>repairs</b>"))
    somebody.go("/dashboard/history")
    expect(told).to_be_visible()
    page.get_by_role("button", name="Go on").click()
    page.wait_for_url("**/dashboard")
    expect(told).to_have_count(0)
    kept = service.http.get("/api/v1/halts?ended=true").json()["items"]
    assert [(each["by"], each["ended_by"]) for each in kept] == [("ann", "ann")]


def test_who_looks_at_the_page_learns_of_it_without_loading_again(service, person):
    page = person(service).go("/dashboard")
    page.evaluate("window.same = true")
    assert service.http.post("/api/v1/halts", json={"by": "bob"}).status_code == 201
    page.evaluate("document.body.dispatchEvent(new Event('look'))")
    expect(page.get_by_role("region", name="Halt")).to_contain_text("bob stopped it")
    assert page.evaluate("window.same") is True
