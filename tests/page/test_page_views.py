"""Every page, as it looks: accessible, whole on a phone, light and dark, nothing from elsewhere, and light to load."""

import gzip

import pytest
from axe_playwright_python.sync_playwright import Axe
from chromium import DESKTOP, PHONE
from playwright.sync_api import expect
from screenshot import furnished
from web_service import serving

PAGES = {
    "now": "/dashboard",
    "waiting": "/dashboard/jobs/{waiting}",
    "proven": "/dashboard/jobs/{approved}",
    "log": "/dashboard/jobs/{approved}/log",
    "try": "/dashboard/try?example=0",
    "history": "/dashboard/history",
    "statistics": "/dashboard/statistics",
    "runbooks": "/dashboard/runbooks",
    "runbook": "/dashboard/runbooks/port_in_use",
    "edit": "/dashboard/runbooks/edit",
    "pattern": "/dashboard/pattern?pattern=already%20in%20use",
    "tools": "/dashboard/tools?q=port",
    "tool": "/dashboard/tools/free_port",
    "audit": "/dashboard/audit",
    "settings": "/dashboard/settings",
    "missing": "/dashboard/jobs/none",
    "login": "/dashboard/login",
}
VIEWS = {
    "desktop-light": (DESKTOP, "light"),
    "desktop-dark": (DESKTOP, "dark"),
    "phone-light": (PHONE, "light"),
    "phone-dark": (PHONE, "dark"),
}
MORE = ("desktop-dark", "phone-light")
FIRST_VIEW = 100_000
"""Bytes over the wire."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("views")
    (folder / "own").mkdir()
    with furnished(folder / "srv", (9, 9, 17), DEVOPS_AGENT_RUNBOOKS=str(folder / "own")) as made:
        yield made


@pytest.mark.parametrize(
    "view", ["desktop-light", "phone-dark", *(pytest.param(each, marks=pytest.mark.slow) for each in MORE)]
)
def test_every_page(place, person, view):
    """Pictures lie in `.build/screenshots` afterwards: look at them."""
    service, jobs = place
    size, scheme = VIEWS[view]
    somebody = person(service.address, size=size, color_scheme=scheme)
    found = []
    for name, path in PAGES.items():
        page = somebody.go(path.format(**jobs))
        page.wait_for_load_state("load")
        page.wait_for_timeout(100)
        somebody.shot(f"{name}-{view}")
        if page.evaluate("document.documentElement.scrollWidth") > size[0]:
            found.append(f"{name}: wider than the screen")
        if view in ("desktop-light", "phone-dark"):
            for fault in Axe().run(page).response["violations"]:
                where = [node["target"] for node in fault["nodes"]][:3]
                found.append(f"{name}: {fault['impact']} {fault['id']} {where}")
    assert not found, "\n".join(found)


def test_the_first_view_is_light(place, person):
    service, _ = place
    somebody = person(service.address)
    sizes = {}

    def weigh(answer):
        request = answer.request
        if "event-stream" not in (answer.headers.get("content-type") or ""):
            sizes[request.url] = request.sizes()["responseBodySize"] + request.sizes()["responseHeadersSize"]

    somebody.page.on("requestfinished", lambda request: weigh(request.response()))
    page = somebody.go("/dashboard")
    page.wait_for_load_state("load")
    page.wait_for_timeout(300)
    assert sum(sizes.values()) < FIRST_VIEW, sizes
    assert any(url.endswith("htmx.min.js") for url in sizes)
    sizes.clear()
    somebody.go("/dashboard/history")
    assert not [url for url in sizes if "/static/" in url and sizes[url] > 1000]


def test_what_is_asked_for_compressed_is_sent_so(place):
    service, _ = place
    page = service.http.get("/dashboard", headers={"Accept": "text/html", "Accept-Encoding": "gzip"})
    assert page.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in page.headers["Vary"]
    plain = service.http.get("/dashboard", headers={"Accept": "text/html", "Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    address = plain.text.split('href="', 2)[2].split('"')[0]
    asset = service.http.get("/dashboard/static/0/page.css", headers={"Accept-Encoding": "identity"})
    packed = service.http.get("/dashboard/static/0/page.css", headers={"Accept-Encoding": "gzip"})
    assert asset.content == packed.content
    assert int(packed.headers["Content-Length"]) <= len(gzip.compress(asset.content, 9))
    assert address


def test_a_large_log_opens_as_fast(tmp_path, person):
    with serving(tmp_path) as service:
        lines = [
            f"2026-11-22T10:00:00Z step {number} went well, nothing to see here, going on" for number in range(150_000)
        ]
        lines[90_000] = "ERROR: the thing is broken at last"
        log = "\n".join(lines)
        assert len(log) > 10 << 20
        job = service.post(log).json()["results"][0]["job_id"]
        page = person(service).go(f"/dashboard/jobs/{job}")
        expect(page.locator("#excerpt")).to_contain_text("the thing is broken at last")
        assert len(page.content()) < 200_000
        page.get_by_role("link", name="Whole log").click()
        expect(page.locator(".line")).to_have_count(500)
        page.get_by_label("go to line").fill("90001")
        page.get_by_role("button", name="Go").click()
        expect(page.locator("#L90001 code")).to_have_text("ERROR: the thing is broken at last")
        page.get_by_label("find in this log").fill("BROKEN AT LAST")
        page.keyboard.press("Enter")
        expect(page.locator(".line")).to_have_count(1)
        expect(page.locator(".line .no")).to_have_text("90001")
        last = service.http.get(f"/dashboard/jobs/{job}/log?line=140000").text
        assert 'id="L140000"' in last
        assert (
            service.http.get(f"/dashboard/jobs/{job}/log?line=150600", headers={"Accept": "text/html"}).status_code
            == 404
        )
        assert len(service.http.get(f"/dashboard/jobs/{job}/log.txt").content) == len(log)
