"""The inventory: what is read, refused, and whose is what."""

import pytest

from devops_agent.errors import ConfigError, NotFound
from devops_agent.inventory import Inventory, Place, load, load_all

TEXT = """
workspace: site
labels: {env: staging}
protected: [data/orders.log, secrets]
services:
  shop: {supervisor: runit, unit: sv/app, ports: [8000], config: [app.env], health: {http: "http://127.0.0.1:8000/"}}
  db: {supervisor: systemd, unit: postgresql.service, health: {tcp: 5432}, host: {command: [bin/in-machine]}}
checks:
  deploy: {command: [bin/deploy, apply], timeout: 60, effect: change}
"""


@pytest.fixture
def place(tmp_path):
    file = tmp_path / "shop.yaml"
    file.write_text(TEXT)
    return load(file)


def test_paths_start_at_the_workspace(place, tmp_path):
    assert place.name == "shop"
    assert place.path("app.env") == str(tmp_path / "site/app.env")
    assert place.path("/etc/hosts") == "/etc/hosts"


def test_what_a_repair_may_edit(place):
    assert place.may_edit("app.env")
    assert place.may_edit("x/../app.env")
    assert not place.may_edit("other.env")


@pytest.mark.parametrize(
    ("path", "protected"),
    [
        ("data/orders.log", True),
        ("data/../data/orders.log", True),
        ("secrets/token", True),
        ("secrets", True),
        ("secrets2/token", False),
        ("data", False),
    ],
)
def test_what_is_protected(place, path, protected):
    assert place.is_protected(path) is protected


def test_protection_follows_links(tmp_path):
    (tmp_path / "keep").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "keep")
    place = Place(Inventory(protected=("keep",)), folder=tmp_path)
    assert place.is_protected("link/file")


def test_whom_a_log_speaks_of(place):
    assert place.concerned({"port": "8000"}) == "shop"
    assert place.concerned({"port": 5432}) == "db"
    assert place.concerned({"unit": "postgresql"}) == "db"
    assert place.concerned({"port": "9"}) is None
    assert place.host_of("db") != "local"
    assert place.host_of("shop") == "local"
    with pytest.raises(NotFound, match="known: shop, db"):
        place.service("web")


def test_the_only_service_is_not_meant_where_another_machine_is_named(tmp_path):
    file = tmp_path / "inventory.yaml"
    file.write_text("services: {shop: {run: [shop], ports: [8767]}}")
    place = load(file)
    assert place.concerned({}) == "shop"
    assert place.concerned({"host": "127.0.0.1", "port": "5433"}) == "shop"
    assert place.concerned({"host": "db-1", "port": "8767"}) == "shop"
    assert place.concerned({"host": "db-1", "port": "5432"}) is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("servces: {}", "servces"),
        ("services: {shop: {supervisor: upstart}}", "services.shop.supervisor"),
        ("services: {shop: {ports: [http]}}", "services.shop.ports"),
        ("checks: {a: {timeout: 3}}", "checks.a.command"),
        ("- a\n- b", "must be a mapping"),
        ("a: [", "line 1|line 2"),
    ],
)
def test_errors_name_file_and_field(tmp_path, text, named):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=named) as error:
        load(file)
    assert str(file) in str(error.value)


def test_a_directory_of_places(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text("labels: {env: test}\n")
    assert list(load_all(tmp_path)) == ["one", "two"]
    assert load_all(None)["default"].known is False
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no inventory"):
        load_all(tmp_path / "empty")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("servces: {}", "servces: no such field (perhaps services)"),
        ("services: {shop: {prots: [80]}}", "services.shop.prots: no such field (perhaps ports)"),
        (
            "volumes: {d: {path: x, cleanup: [{glob: a, older_then: 7d}]}}",
            "older_then: no such field (perhaps older_than)",
        ),
        ("services: {shop: {run: python3 app.py}}", "services.shop.run: expected a list, such as [one, two]"),
        ("services: {shop: {ports: [99999]}}", "ports.0: expected a number less than or equal to 65535"),
        ("services: {shop: {health: {http: '127.0.0.1:80'}}}", "health.http: '127.0.0.1:80' is no address"),
        ("host: ftp://x", "host: 'ftp://x' is none of local, ssh://"),
        ("host: {comand: [a]}", "no such field (perhaps command)"),
        ("volumes: {d: {path: x, cleanup: [{glob: a, older_than: soon}]}}", "older_than: 'soon' is no age"),
        ("checks: {a: {}}", "checks.a.command: missing"),
    ],
)
def test_what_is_wrong_is_said_in_words_of_who_wrote_it(tmp_path, text, said):
    file = tmp_path / "shop.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(file)
    assert said in str(error.value)
    assert "Input should" not in str(error.value)
