"""A name with a slip in a service's configuration: mended where three things prove it, asked about otherwise."""

import shutil
import subprocess

import pytest

from act.handled import Site, done, eventually, free_port
from act.places import toolbox
from act.test_act_postgres import server, sql
from devops_agent.tools.catalogue.spelling import similar

__all__ = ["server"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("shpo", "shop", True),
        ("shopp", "shop", True),
        ("wwww-data", "www-data", True),
        ("inventroy_writer", "inventory_writer", True),
        ("shop", "shop", False),
        ("shop_ro", "shop", False),
        ("db1", "db2", False),
        ("orders2024", "orders2025", False),
        ("app", "api", True),
        ("ab", "ba", False),
        ("staging", "billing", False),
    ],
)
def test_what_is_a_slip(one, other, same):
    assert similar(one, other) is same


@pytest.fixture
def place(server, tmp_path):
    sql(server, "drop role if exists shop", "drop role if exists shop_ro", "create role shop login")
    sql(server, "create role shop_ro login")

    def made(config, template):
        (tmp_path / "app.env").write_text(config)
        (tmp_path / "app.example").write_text(template)
        ask = ["sh", "-c", f". ./app.env; psql -X -d '{server[1]}' -U $DB_USER -c 'select 1'"]
        entry = {"config": ["app.env"], "templates": ["app.example"], "health": {"command": ask}}
        stores = {"shop": {"kind": "postgres", "admin": server[1]}}
        return toolbox(tmp_path, services={"app": entry}, datastores=stores)

    yield made
    sql(server, "drop role shop", "drop role shop_ro")


@pytest.mark.parametrize(
    ("config", "template", "right", "proposed"),
    [
        ("DB_USER=shpo\n", "DB_USER=shop\n", "shop", "shop"),
        ("URL=postgresql://shpo@db/x\n", "URL=postgresql://shop@localhost/x\n", "shop", "shop"),
        ("DB_USER=shpo\n", "DB_USER=shpoo\n", None, "shpoo"),
        ("DB_USER=shpo\n", "# DB_USER=shop\n", None, None),
        ("DB_USER=shpo\nOTHER=shpo\n", "DB_USER=shop\n", None, None),
        ("DB_USER=shpo\n", "DB_USER=shop_ro\n", None, None),
        ("DB_USER=shop_ro\n", "DB_USER=shop\n", None, None),
        ("DB_PASSWORD=shpo\n", "DB_PASSWORD=shop\n", None, "shop"),
    ],
    ids=["a slip", "in an address", "documented wrongly", "in a comment", "twice", "too far", "exists", "a secret"],
)
def test_a_role(place, config, template, right, proposed):
    word = "shop_ro" if "=shop_ro" in config else "shpo"
    seen = place(config, template).probe("misspelt_setting", {"word": word, "kind": "role"})
    assert (seen["right"], seen["proposed"]) == (right, proposed)
    if right:
        assert seen["value"] == config.strip().partition("=")[2].replace("shpo", "shop")


def test_a_user_of_the_machine(tmp_path):
    (tmp_path / "nginx.conf").write_text("user nobodyy;\nevents {}\n")
    box = toolbox(tmp_path, services={"web": {"config": ["nginx.conf"], "user": "nobody"}})
    seen = box.probe("misspelt_setting", {"word": "nobodyy", "kind": "user"})
    assert (seen["exists"], seen["right"], seen["key"]) == (False, "nobody", "user")


@pytest.mark.timeout(120)
@pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx here")
@pytest.mark.parametrize("known", [True, False])
def test_the_whole_agent_with_a_misspelt_user(tmp_path, known):
    site = Site(tmp_path)
    try:
        port = free_port()
        head = f"user nobodyy nogroup;\nerror_log {tmp_path}/log/e.log;\npid {tmp_path}/n.pid;\ndaemon off;\n"
        web = f"events {{}}\nhttp {{ access_log off; server {{ listen 127.0.0.1:{port}; return 200 ok; }} }}\n"
        site.write("nginx.conf", head + web)
        entry = {"ports": [port], "config": ["nginx.conf"], "health": {"http": f"http://127.0.0.1:{port}/"}}
        run = f"exec nginx -c {tmp_path}/nginx.conf -e stderr"
        site.service("web", run, **entry, **({"user": "nobody"} if known else {}))
        log = eventually(lambda: (tmp_path / "log/web.log").exists() and (tmp_path / "log/web.log").read_text())
        report = site.handle(log)
        assert report["attempts"][0]["diagnosis"]["cause"] == "config_invalid"
        if known:
            assert (report["status"], site.get(port)) == ("resolved", 200), report["summary"]
            assert "user nobody nogroup;" in (tmp_path / "nginx.conf").read_text()
        else:
            assert (report["status"], done(report)) == ("needs_person", [])
            assert (tmp_path / "nginx.conf").read_text() == head + web
    finally:
        site.close()


@pytest.mark.timeout(120)
def test_the_whole_agent_with_a_misspelt_role(place, server, tmp_path):
    site = Site(tmp_path)
    box = place("DB_USER=shpo\n", "DB_USER=shop\n")
    site.inventory = box.place.inventory.model_dump(mode="json", exclude_defaults=True)
    url = server[1].replace("postgres@", "shpo@")
    ended = subprocess.run(["psql", "-X", "-d", url], capture_output=True, text=True, check=False, input="")
    before = sql(server, "select string_agg(rolname || rolsuper::text, ',' order by rolname) from pg_roles")
    report = site.handle(f"{ended.stderr}exit status 2\n")
    assert report["status"] == "resolved", report["summary"]
    assert done(report) == ["set_value"]
    assert (tmp_path / "app.env").read_text() == "DB_USER=shop\n"
    assert sql(server, "select string_agg(rolname || rolsuper::text, ',' order by rolname) from pg_roles") == before
    site.close()
