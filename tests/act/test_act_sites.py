"""A real nginx and a real certificate: what the log says is looked into, its twins are not mended the same way."""

import shutil
import subprocess

import pytest

from act.handled import Site, done, eventually, free_port

MAIN = """user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/log/nginx-error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  {temporary}
  include {folder}/conf.d/*.conf;
}}
"""


@pytest.fixture
def site(tmp_path):
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed")
    site = Site(tmp_path)
    site.port = free_port()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    site.write("nginx.conf", MAIN.format(folder=tmp_path, temporary=temporary))
    yield site
    site.close()


def start(site, text, running=False):
    site.write("conf.d/shop.conf", text)
    argv = ["nginx", "-t", "-q", "-c", str(site.folder / "nginx.conf")]
    run = f"exec nginx -c {site.folder}/nginx.conf -g 'daemon off;'"
    health = {"http": f"http://127.0.0.1:{site.port}/"}
    config = ["nginx.conf", "conf.d/shop.conf"]
    site.service("web", run, ports=[site.port], health=health, config=config, test=argv)
    if running:
        assert eventually(lambda: site.get(site.port))
    return subprocess.run(argv, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize(
    "text",
    [
        "server {{\n  listen 127.0.0.1:{port};\n  location / {{\n    return 200 'shop'\n  }}\n}}\n",
        "server {{\n  listen 127.0.0.1:{port}\n  server_name shop;\n  location / {{ return 200 'shop'; }}\n}}\n",
    ],
)
def test_a_statement_that_was_not_ended_is_ended(site, text):
    log = start(site, text.format(port=site.port))
    assert "emerg" in log
    report = site.handle(log)
    assert (report["status"], done(report)) == ("resolved", ["end_nginx_statement", "restart_service"]), report[
        "summary"
    ]
    assert site.get(site.port) == 200


@pytest.mark.parametrize(
    "text",
    [
        "server {{\n  listen 127.0.0.1:{port};\n  location / {{\n    return 200 'shop';\n}}\n",
        "server {{\n  lisen 127.0.0.1:{port};\n  location / {{ return 200 'shop'; }}\n}}\n",
        "server {{\n  listen 127.0.0.1:{port}\n}}\nserver {{\n  listen 127.0.0.1:{port}\n}}\n",
    ],
)
def test_other_errors_are_for_a_person_and_nothing_is_changed(site, text):
    log = start(site, text.format(port=site.port))
    before = (site.folder / "conf.d/shop.conf").read_text()
    report = site.handle(log)
    assert (report["status"], done(report)) == ("needs_person", [])
    assert (site.folder / "conf.d/shop.conf").read_text() == before


def certificate(folder, *, names, days, authority="ca"):
    """A certificate for these names from an authority of ours."""
    quiet = {"capture_output": True, "cwd": folder}
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    if not (folder / f"{authority}.crt").exists():
        argv = [*new, "-x509", "-keyout", f"{authority}.key", "-out", f"{authority}.crt", "-days", "99"]
        subprocess.run([*argv, "-subj", f"/CN={authority}"], check=True, **quiet)
    subprocess.run([*new, "-keyout", "site.key", "-out", "site.csr", "-subj", f"/CN={names[0]}"], check=True, **quiet)
    (folder / "names").write_text("subjectAltName=" + ",".join(f"DNS:{name}" for name in names))
    signed = ["openssl", "x509", "-req", "-in", "site.csr", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key"]
    signed += ["-CAcreateserial", "-days", str(days), "-out", "site.crt", "-extfile", "names"]
    subprocess.run(signed, check=True, **quiet)


RENEW = """set -e
cd {folder}
exec 2>/dev/null
openssl x509 -req -in site.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 90 -out site.crt -extfile names
echo renewed >> renewals
"""
EXPIRED = "curl: (60) SSL certificate problem: certificate has expired\n"
UNTRUSTED = "curl: (60) SSL certificate problem: unable to get local issuer certificate\n"


def tls(site, trusted="ca", candidates=(), wanted=("shop.example",)):
    folder = site.folder
    text = f"server {{\n  listen 127.0.0.1:{site.port} ssl;\n  ssl_certificate {folder}/site.crt;\n"
    text += f"  ssl_certificate_key {folder}/site.key;\n  location / {{ return 200 'shop'; }}\n}}\n"
    site.write("conf.d/shop.conf", text)
    shutil.copy(folder / f"{trusted}.crt", folder / "bundle.pem")
    site.write("renew", RENEW.format(folder=folder))
    site.service(
        "web", f"exec nginx -c {folder}/nginx.conf -g 'daemon off;'", ports=[site.port], health={"tcp": site.port}
    )
    entry = {"file": "site.crt", "renew": ["sh", "renew", "{names}"], "names": list(wanted), "service": "web"}
    site.inventory["certificates"] = {"site": entry}
    site.inventory["trust"] = {"bundle": "bundle.pem", "candidates": [f"{each}.crt" for each in candidates]}
    fetch = ["curl", "-sS", "-m", "5", "--noproxy", "*", "--cacert", "bundle.pem"]
    fetch += ["--resolve", f"shop.example:{site.port}:127.0.0.1", f"https://shop.example:{site.port}/"]
    site.inventory["checks"] = {"fetch": {"command": fetch}}
    assert eventually(lambda: site.pid("web"))
    assert eventually(
        lambda: subprocess.run([*fetch, "-k"], cwd=folder, capture_output=True, check=False).returncode == 0
    )


def test_a_certificate_that_was_renewed_and_not_reloaded_is_not_renewed_again(site):
    certificate(site.folder, names=["shop.example"], days=-1)
    tls(site)
    subprocess.run(["sh", str(site.folder / "renew")], check=True)
    (site.folder / "renewals").unlink()
    report = site.handle(EXPIRED)
    assert (report["status"], done(report)) == ("resolved", ["reload_service"]), report["summary"]
    assert not (site.folder / "renewals").exists()


def test_an_expired_one_is_renewed_and_served(site):
    certificate(site.folder, names=["shop.example"], days=-1)
    tls(site)
    report = site.handle(EXPIRED)
    assert (report["status"], done(report)) == ("resolved", ["renew_certificate", "reload_service"]), report["summary"]


def test_a_renewal_that_would_drop_a_name_is_for_a_person(site):
    certificate(site.folder, names=["shop.example", "api.example"], days=-1)
    tls(site)
    report = site.handle(EXPIRED)
    assert (report["status"], done(report)) == ("needs_person", [])
    assert not (site.folder / "renewals").exists()


def test_an_authority_of_ours_is_added_and_another_is_not(site):
    certificate(site.folder, names=["shop.example"], days=9)
    certificate(site.folder, names=["shop.example"], days=9, authority="other")
    tls(site, trusted="ca", candidates=["ca", "other"])
    report = site.handle(UNTRUSTED)
    assert (report["status"], done(report)) == ("resolved", ["trust_add"]), report["summary"]


def test_an_issuer_that_is_no_candidate_is_never_trusted(site):
    certificate(site.folder, names=["shop.example"], days=9)
    certificate(site.folder, names=["shop.example"], days=9, authority="foreign")
    tls(site, trusted="ca", candidates=["ca"])
    before = (site.folder / "bundle.pem").read_text()
    report = site.handle(UNTRUSTED)
    assert (report["status"], done(report)) == ("needs_person", [])
    assert (site.folder / "bundle.pem").read_text() == before
