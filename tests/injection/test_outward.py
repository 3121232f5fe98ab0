"""What may be asked for on the network: addresses in every spelling, names that stand somewhere, nothing made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from devops_agent.errors import NotAllowed
from devops_agent.inventory import Inventory, Place
from devops_agent.model import Digest, Evidence
from devops_agent.tools.outward import Outward, is_metadata

PLACE = Place(
    Inventory.model_validate(
        {
            "services": {
                "shop": {
                    "ports": [8000],
                    "health": {"http": "http://shop.lan:8000/deep/health?full=1"},
                    "depends_on": ["db"],
                },
                "db": {"health": {"tcp": 5432}},
            },
            "datastores": {"cache": {"kind": "redis", "url": "redis://cache.lan:6379/0"}},
        }
    )
)


@pytest.fixture
def outward() -> Outward:
    made = Outward(PLACE)
    lines = ("GET http://api.partner.example:8443/v1/orders?id=5 failed", "cannot resolve db-3.lan.", "see 10.1.2.3")
    made.reported(Digest(evidence=tuple(Evidence(id=str(n), source="log", text=each) for n, each in enumerate(lines))))
    return made


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.170.2", "2852039166", "0xA9FEA9FE", "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376",
        "169.254.43518", "::ffff:169.254.169.254", "[::ffff:a9fe:a9fe]", "fe80::1", "fe80::1%eth0", "fd00:ec2::254",
        "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "100.100.100.200", "168.63.129.16", "metadata.google.internal",
        "metadata.google.internal.", "METADATA", "instance-data", "metadata.goog", "instance-data.ec2.internal",
        "169.254.169.254.", "①⑥⑨.②⑤④.①⑥⑨.②⑤④", "169。254。169。254", "::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe",
        "fd20:ce::254", "192.0.0.192", " 169.254.169.254", "169.16689662",
    ],
)  # fmt: skip
def test_metadata_services_in_every_spelling(address: str) -> None:
    assert is_metadata(address)


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "127.0.0.1", "::1", "8.8.8.8", "localhost", "shop.lan", "metadata-api.lan"]
)
def test_other_addresses_are_none(address: str) -> None:
    assert not is_metadata(address)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("url", "http://shop.lan:8000/deep/health?full=1"),
        ("url", "http://127.0.0.1:8000/health"),
        ("url", "http://localhost:8000"),
        ("url", "http://api.partner.example:8443/v1/orders?id=5"),
        ("url", "http://api.partner.example:8443/"),
        ("name", "db-3.lan"),
        ("name", "cache.lan"),
        ("address", "10.1.2.3"),
        ("address", "127.0.0.1"),
        ("server", None),
    ],
)
def test_what_stands_somewhere_may_be_asked_for(outward: Outward, name: str, value: Any) -> None:
    outward.require((name,), {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("url", "http://api.partner.example:8443/v1/orders?id=6"),
        ("url", "http://api.partner.example:8443/v1/orders?id=5&d=c2VjcmV0"),
        ("url", "http://evil.example/"),
        ("url", "http://127.0.0.1:8000/admin/delete"),
        ("url", "http://127.0.0.1:8000/health?d=c2VjcmV0"),
        ("url", "http://127.0.0.1:9999/health"),
        ("url", "http://169.254.169.254/"),
        ("name", "c2VjcmV0.partner.example"),
        ("name", "partner"),
        ("name", "lan"),
        ("address", "10.1.2.34"),
        ("address", "10.1.2.4"),
        ("server", "9.9.9.9"),
    ],
)
def test_what_was_made_up_may_not(outward: Outward, name: str, value: str) -> None:
    with pytest.raises(NotAllowed):
        outward.require((name,), {name: value})


def test_what_a_probe_repeats_of_its_arguments_is_not_known_by_that(outward: Outward) -> None:
    made_up = "c2VjcmV0.evil.example"
    outward.learn(json.dumps({"name": made_up, "known": False, "address": "10.9.9.9"}), {"name": made_up})
    outward.learn(json.dumps({"text": f"again {made_up}"}))
    with pytest.raises(NotAllowed):
        outward.require(("name",), {"name": made_up})
    outward.require(("address",), {"address": "10.9.9.9"})


@pytest.mark.parametrize(
    ("probe", "asked", "seen"),
    [
        ("file_stat", {"path": "/tmp//c2VjcmV0.evil.example"}, {"path": "/tmp/c2VjcmV0.evil.example", "exists": False}),
        ("file_stat", {"path": "/tmp/x/../c2VjcmV0.evil.example"}, {"path": "/tmp/c2VjcmV0.evil.example"}),
        (
            "find_files",
            {"path": "/tmp", "name": "c2VjcmV0.EVIL.example"},
            {"top": "/tmp", "asked": "c2VjcmV0.evil.example."},
        ),
        (
            "postgres_query",
            {"query": "select 'c2Vj' || 'cmV0.evil.example' as x"},
            {"rows": [{"x": "c2VjcmV0.evil.example"}]},
        ),
        ("there__echo", {"text": "c2Vj cmV0"}, {"text": "c2VjcmV0.evil.example"}),
    ],
)
def test_no_probe_can_be_made_to_say_it(
    outward: Outward, probe: str, asked: dict[str, Any], seen: dict[str, Any]
) -> None:
    outward.learn(json.dumps(seen), asked, probe)
    with pytest.raises(NotAllowed):
        outward.require(("name",), {"name": "c2VjcmV0.evil.example"})
    again = Outward(PLACE)
    words = ", ".join(f"{name}={value}" for name, value in asked.items())
    again.recall([Evidence(id=f"{probe}({words})#1", source=probe, text="", data=seen)])
    with pytest.raises(NotAllowed):
        again.require(("name",), {"name": "c2VjcmV0.evil.example"})


def test_what_a_guessed_file_says_is_known(outward: Outward) -> None:
    outward.learn(
        json.dumps({"path": "/etc/shop/db.conf", "text": "host=shop-db.lan\nport=5432"}), {"path": "/etc/shop/db.conf"}
    )
    outward.require(("address",), {"address": "shop-db.lan"})


def test_what_was_seen_before_an_interruption_is_known_after_it(outward: Outward) -> None:
    seen = Evidence(id="read_file(path=app.env)#1", source="read_file", text="", data={"text": "HOST=late.lan"})
    asked = Evidence(
        id="host_entry(name=x9.evil.example)#1", source="host_entry", text="", data={"name": "x9.evil.example"}
    )
    outward.recall((seen, asked))
    outward.require(("name",), {"name": "late.lan"})
    with pytest.raises(NotAllowed):
        outward.require(("name",), {"name": "x9.evil.example"})


def test_only_what_the_inventory_names_is_read(tmp_path: Path, outward: Outward) -> None:
    assert outward.named("http://127.0.0.1:8000/")
    assert not outward.named("http://api.partner.example:8443/v1/orders?id=5")
