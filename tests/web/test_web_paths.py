"""Names are names: neither that of an uploaded file, nor a field or an address, leads to a file of this machine."""

from __future__ import annotations

import http.client

import pytest
from web_service import serving

SECRET = "root-of-all-evil"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outer") / "inner"
    folder.mkdir()
    (folder.parent / "secret.log").write_text(f"ERROR: {SECRET}\n")
    with serving(folder) as running:
        yield running


def outside(service):
    """All files beside the service's own folder."""
    inner = service.file.parent
    return {each for each in inner.parent.rglob("*") if each.is_file() and inner not in each.parents}


NAMES = ("../../secret.log", "..\\..\\evil.log", "/etc/cron.d/evil", "....//....//evil", "a\x01b/../evil", "%2e%2fevil")


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_file_is_a_title_without_its_path(service, name):
    before = outside(service)
    for path in ("/api/v1/incidents", "/incidents"):
        taken = service.http.post(path, files=[("log", (name, b"ERROR: it fails\n"))]).json()
        job = taken.get("batch") or taken["job_id"]
        assert service.backend.wait(job, 20)
        title = service.backend.jobs.job(job).title
        assert "/" not in title
        assert "\\" not in title
        assert not (service.backend.settings.data_dir / "logs").exists() or not list(
            (service.backend.settings.data_dir / "logs").glob("*evil*")
        )
    assert outside(service) == before


@pytest.mark.parametrize("field", ["log_file", "baseline_file", "file", "path", "source"])
def test_no_field_names_a_file_to_be_read(service, field):
    path = str(service.file.parent.parent / "secret.log")
    assert service.http.post("/api/v1/incidents", json={"log": "x", field: path}).status_code == 400
    assert service.http.post("/api/v1/incidents", json={field: path}).status_code == 400
    told = service.http.post("/process_errors", json={"errors": [{"context": f"ERROR in {path}", field: path}]})
    assert SECRET not in told.text
    job = told.json()["job_id"]
    for where in (f"/api/v1/incidents/{job}", f"/dashboard/jobs/{job}/log.txt", f"/api/v1/jobs/{job}/report"):
        assert SECRET not in service.http.get(where).text


@pytest.mark.parametrize(
    "address",
    [
        "/dashboard/static/../../web/auth.py",
        "/dashboard/static/..%2f..%2fauth.py",
        "/dashboard/static/%2e%2e/auth.py",
        "/dashboard/static/..\\..\\auth.py",
        "/dashboard/static//etc/passwd",
        "/dashboard/static/vendor/../../auth.py",
        "/dashboard/jobs/..%2f..%2f..%2fetc%2fpasswd/log.txt",
        "/api/v1/incidents/..%2f..%2fsecret.log",
        "/api/v1/runbooks/..%2f..%2fcauses",
        "/dashboard/runbooks/edit?name=..%2f..%2fsecret",
    ],
)
def test_no_address_leads_out(service, address):
    line = http.client.HTTPConnection(service.http.base_url.host, service.http.base_url.port, timeout=20)
    line.request("GET", address)  # as it stands: httpx would tidy it up
    answer = line.getresponse()
    text = answer.read().decode("utf-8", "replace")
    line.close()
    assert answer.status in (400, 404)
    for word in ("import annotations", "root:", SECRET):
        assert word not in text
