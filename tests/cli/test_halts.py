"""`halt`, `halts`, `resume`: the kill switch on the command line."""

from __future__ import annotations

import json

import pytest

from devops_agent import cli


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEVOPS_AGENT_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "shop.yaml").write_text("name: shop\n")
    monkeypatch.setenv("DEVOPS_AGENT_INVENTORY", str(tmp_path / "shop.yaml"))

    def call(*arguments, status=0):
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments))
        told = capsys.readouterr()
        assert ended.value.code == status, told.err
        return told

    return call


def test_until_somebody_says_go_on(run):
    assert run("halts").out == ""
    made = json.loads(run("halt", "wrong repairs", "--json").out)[0]
    assert (made["reason"], made["place"], made["ended"]) == ("wrong repairs", None, None)
    shown = run("halts", status=3).out
    for word in (made["id"], "everywhere", "in force", "wrong repairs"):
        assert word in shown
    assert "ended" in run("resume").out
    run("halts")
    assert made["id"] in run("halts", "--all").out
    assert "nothing stands still" in run("resume", status=2).err
    assert "halt ended" in run("audit").out


def test_one_place_or_one_halt_alone(run):
    run("halt")
    shop = json.loads(run("halt", "--place", "shop", "--json").out)[0]
    assert "known: shop" in run("halt", "--place", "shpo", status=2).err
    run("resume", "--place", "shop")
    left = json.loads(run("halts", "--json", status=3).out)
    assert [each["place"] for each in left] == [None]
    run("resume", left[0]["id"])
    assert json.loads(run("halts", "--json").out) == []
    assert shop["id"] in run("halts", "--all").out
