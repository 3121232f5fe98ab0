"""The page for people: what it shows, that nothing hostile gets through, that forms are ours."""

import re

import pytest
from web_service import serving

from devops_agent.model import Step
from devops_agent.tools.base import Commands, Host, change
from devops_agent.web.pages.shown import ago, shown
from pipeline_parts import Wanting

HTML = {"Accept": "text/html"}
HOSTILE = "ERROR <script>alert(1)</script> \x1b[31m\x1b]0;owned\x07 \u202egnp.exe \" onload='x' {{ 7*7 }} & <img src=x>"


def token(text):
    return re.search(r'name="token" value="([^"]+)"', text)[1]


def field(text, name):
    return re.search(rf'name="{name}" value="([^"]+)"', text)[1]


def incident(service):
    job = service.post("ERROR: the thing is broken").json()["results"][0]["job_id"]
    page = service.http.get(f"/dashboard/jobs/{job}")
    assert page.status_code == 200
    return job, page.text


def test_quiet(service):
    page = service.http.get("/dashboard")
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "All is quiet" in page.text
    assert "Nothing has been handled yet" in page.text


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_inline(service):
    job, text = incident(service)
    for page in (
        service.http.get("/dashboard"),
        service.http.get("/dashboard/try"),
        service.http.get(f"/dashboard/jobs/{job}"),
    ):
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "script-src 'self';" in policy
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["Cache-Control"] == "no-store"
        assert set(re.findall(r"<script([^>]*)></script>", page.text)) == set(re.findall(r"<script([^>]*)>", page.text))
        assert "<style" not in page.text
        assert not re.search(r' style="| on\w+="', page.text)
        for address in re.findall(r'(?:href|src|action)="([^"]+)"', page.text):
            assert address.startswith(("/dashboard", "#"))
            if address.startswith("/dashboard/static/"):
                asset = service.http.get(address)
                assert asset.status_code == 200
                assert asset.headers["Cache-Control"] == "public, max-age=31536000, immutable"
                again = service.http.get(address, headers={"If-None-Match": asset.headers["ETag"]})
                assert (again.status_code, again.content) == (304, b"")
                assert service.http.get(re.sub("/[0-9a-f]{12}/", "/0/", address)).headers["Cache-Control"] == "no-cache"
    assert "http://www.w3.org" not in text


def test_what_waits_comes_first_and_is_decided_on_its_page(service):
    job, text = incident(service)
    board = service.http.get("/dashboard").text
    assert "A plan waits for you" in board
    assert board.index("Waits for your decision") < board.index(f"/dashboard/jobs/{job}#decide")
    assert "Approve exactly this" in text
    assert str(service.file) in text
    assert field(text, "fingerprint") in str(service.http.get(f"/jobs/{job}").json()["approval"])
    form = {"token": token(text), "fingerprint": field(text, "fingerprint"), "decision": "approve", "by": "ada"}
    answer = service.http.post(f"/dashboard/jobs/{job}/decision", data=form)
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/dashboard/jobs/{job}"
    assert service.backend.wait(job, 20)
    text = service.http.get(f"/dashboard/jobs/{job}").text
    assert re.search(r">approved</span> by <b>ada</b>", text)
    assert "resolved" in text
    assert "The incident is over" in text
    assert "Approve exactly this" not in text
    assert service.file.read_text() == "x"
    assert service.http.post(f"/dashboard/jobs/{job}/decision", data=form, headers=HTML).status_code == 409


def test_forms_that_are_not_ours(service):
    job, text = incident(service)
    address = f"/dashboard/jobs/{job}/decision"
    good = {"token": token(text), "fingerprint": field(text, "fingerprint"), "decision": "approve"}
    own = str(service.http.base_url).rstrip("/")
    assert service.http.post(address, data={**good, "token": "x" * 32}).status_code == 403
    assert service.http.post(address, data={**good, "token": ""}).status_code == 403
    assert service.http.post(address, data=good, headers={"Origin": "http://evil.example"}).status_code == 403
    assert service.http.post(address, data=good, headers={"Cookie": ""}).status_code == 403
    assert service.http.post(address, data={**good, "decision": "maybe"}).status_code == 400
    assert service.http.post(address, data={**good, "fingerprint": ""}).status_code == 400
    assert (
        service.http.post(address, data={**good, "fingerprint": "0" * 32}, headers={"Origin": own}).status_code == 409
    )
    assert service.http.get(f"/jobs/{job}").json()["job"]["waiting"] == "approval"
    assert not service.file.exists()


def test_the_cookie_is_kept_from_scripts_and_other_sites(service):
    kept = service.http.get("/dashboard").headers["Set-Cookie"]
    assert "HttpOnly" in kept
    assert "SameSite=Strict" in kept
    assert "Path=/dashboard" in kept


@change(effect="destroy")
def remove(host: Host, path: str) -> Commands:
    """Remove a file."""
    yield from ()


def test_a_plan_that_destroys_wants_a_second_look(tmp_path):
    with serving(tmp_path, planner=Wanting([[Step(tool="remove", args={"path": "/x"})]])) as service:
        agent = service.backend._given
        object.__setattr__(agent, "toolbox", with_tool(agent.toolbox))
        job, text = incident(service)
        assert "ends or deletes something" in text
        form = {"token": token(text), "fingerprint": field(text, "fingerprint"), "decision": "approve"}
        answer = service.http.post(f"/dashboard/jobs/{job}/decision", data=form, headers=HTML)
        assert answer.status_code == 400
        assert "confirm that you have read" in answer.text
        assert service.http.post(f"/dashboard/jobs/{job}/decision", data={**form, "read": "yes"}).status_code == 303


def with_tool(toolbox):
    from functools import partial

    tools = {**toolbox.keywords["tools"], "remove": remove}
    return partial(toolbox.func, data_dir=toolbox.keywords["data_dir"], tools=tools)


def test_a_pasted_log(service):
    form = {"token": token(service.http.get("/dashboard/try").text), "log": f"first\r\n{HOSTILE}\r\n", "title": "<b>t"}
    answer = service.http.post("/dashboard/try", data=form)
    assert answer.status_code == 303
    job = answer.headers["Location"].rpartition("/")[2]
    assert service.backend.wait(job, 20)
    page = service.http.get(answer.headers["Location"])
    assert "&lt;b&gt;t" in page.text
    assert "<b>t" not in page.text
    assert service.http.post("/dashboard/try", data={**form, "log": " "}, headers=HTML).status_code == 400


def test_a_log_as_a_file(service):
    form = {"token": token(service.http.get("/dashboard/try").text), "log": ""}
    answer = service.http.post("/dashboard/try", data=form, files={"file": ("a.log", b"ERROR \xff in a file")})
    assert answer.status_code == 303
    job = answer.headers["Location"].rpartition("/")[2]
    assert service.backend.wait(job, 20)
    assert "in a file" in service.http.get(f"/jobs/{job}").json()["report"]["incident"]["log"]


def test_hostile_logs_are_harmless(service):
    long = "ERROR " + "A" * 50_000
    body = service.post(f"{HOSTILE}\n{long}").json()
    job = body["results"][0]["job_id"]
    for address in ("/dashboard", f"/dashboard/jobs/{job}"):
        page = service.http.get(address)
        assert page.status_code == 200
        for raw in ("<script>alert", "<img src=x", "\x1b", "\x07", "\u202e", ">49<"):
            assert raw not in page.text
        assert len(page.text) < 200_000
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "{{ 7*7 }}" in page.text


def test_unknown_pages(service):
    page = service.http.get("/dashboard/jobs/none", headers=HTML)
    assert page.status_code == 404
    assert "<h1>" in page.text
    assert service.http.get("/dashboard/jobs/none").headers["Content-Type"] == "application/json"
    assert service.http.get("/dashboard/static/../base.html").status_code == 404
    assert service.http.get("/dashboard/static/%2e%2e/templates/base.html").status_code == 404
    for page in ("0", "-1", "x", "99999999999", "²"):
        assert service.http.get("/dashboard", params={"page": page}).status_code == 200


def test_what_a_person_must_do_is_not_called_quiet(tmp_path):
    with serving(tmp_path, planner=Wanting([[]])) as service:
        service.post("first line\nERROR: the thing is broken")
        text = service.http.get("/dashboard").text
    assert "All is quiet" not in text
    assert "One incident needs a person" in text
    assert "ERROR: the thing is broken" in text


def test_older_ones_are_on_further_pages(tmp_path):
    with serving(tmp_path, planner=Wanting([[]])) as service:
        service.post(*[f"ERROR number {number}{' needle' if number == 7 else ''}" for number in range(40)])
        first = service.http.get("/dashboard/history").text
        older = re.search(r'href="(/dashboard/history\?cursor=[^"]+)"', first)[1].replace("&amp;", "&")
        second = service.http.get(older).text
        board = service.http.get("/dashboard").text
        assert service.http.get("/dashboard/history?cursor=nonsense", headers=HTML).status_code == 400
        found = service.http.get("/dashboard/history", params={"q": "needl"}).text
    rows = [set(re.findall(r'class="row" href="/dashboard/jobs/([^"]+)"', text)) for text in (first, second, found)]
    assert (len(rows[0]), len(rows[1])) == (30, 10)
    assert not rows[0] & rows[1]
    assert "ERROR number 7 needle" in found
    assert len(rows[2]) == 1
    assert "40 incidents need a person" in board
    assert board.count('class="row" href="/dashboard/jobs/') == 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a\x1bb", "a\\x1bb"), ("a\tb", "a\tb"), ("\u202ex", "\\u202ex"), ("\x9b1m", "\\x9b1m"), ("ü 漢", "ü 漢")],
)
def test_what_could_steer_a_display_is_made_visible(text, expected):
    assert shown(text) == expected


def test_lines_are_cut_and_it_is_said():
    assert shown("x" * 2100) == "x" * 2000 + " … (100 more characters)"


def test_times():
    from datetime import timedelta

    from devops_agent.model import now

    assert ago(now() - timedelta(hours=3)) == "3 hours ago"
    assert ago(now() + timedelta(minutes=1, seconds=5)) == "in 1 minute"
    assert ago(None) == ""


def test_where_there_is_no_page_a_person_is_told_so_and_a_program_what_there_is(shared):
    person = shared.http.get("/dashboard/nowhere/at/all", headers={"Accept": "text/html"})
    assert person.status_code == 404
    assert "there is no page nowhere/at/all" in person.text
    assert "Back to now" in person.text
    program = shared.http.get("/dashboard/nowhere")
    assert program.status_code == 404
    assert not [each for each in program.json()["available_endpoints"] if "address" in each]
