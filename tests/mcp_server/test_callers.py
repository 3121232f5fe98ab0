"""Whose key a request carries decides what it may: roles, places, and nothing at all without a valid one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from devops_agent.config import Settings
from devops_agent.errors import AgentError, NotFound
from devops_agent.jobs import keys
from devops_agent.jobs.tables import open_engine
from devops_agent.mcp.callers import Caller, NotPermitted, known_by
from devops_agent.mcp.offers import Offers

LOG = "Error: listen EADDRINUSE: address already in use 127.0.0.1:39997\nexit code 1\n"


def test_without_keys_everybody_is_the_local_caller_and_with_one_only_keys_count(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'keys.db'}")
    local = Caller("mcp:me")
    assert known_by(engine, {}, local) is local
    made, text = keys.create(engine, "vera", "viewer", places=("shop",))
    assert known_by(engine, {}, local) is None
    assert known_by(engine, {"authorization": "Basic abc"}, local) is None
    assert known_by(engine, {"authorization": f"Bearer {text}"}, local) == Caller("mcp:vera", "viewer", ("shop",))
    assert known_by(engine, {"x-api-key": text}, local) == Caller("mcp:vera", "viewer", ("shop",))
    keys.revoke(engine, made.id)
    assert known_by(engine, {"authorization": f"Bearer {text}"}, local) is None


def test_roles_and_places(tmp_path: Path) -> None:
    (tmp_path / "places").mkdir()
    for name in ("shop", "bank"):
        (tmp_path / "places" / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, "workspace": str(tmp_path)}))
    settings = Settings(
        data_dir=tmp_path / "data", inventory=tmp_path / "places", planner="runbooks", patience_seconds=0
    )
    offers = Offers(settings)
    teller, shopper = Caller("mcp:t", "approver", ("bank",)), Caller("mcp:s", "responder", ("shop",))
    made = offers.handle(teller, LOG, place="bank")
    assert made["report"] in ("planned", "needs_person")
    assert [each["id"] for each in offers.list(teller)["jobs"]] == [made["id"]]
    assert offers.list(shopper)["jobs"] == []
    for refused in (
        lambda: offers.status(shopper, made["id"]),
        lambda: offers.deny(shopper, made["id"]),
        lambda: offers.handle(shopper, LOG, place="bank"),
        lambda: offers.look(shopper, "disk_usage", {}, place="bank"),
    ):
        with pytest.raises(NotFound):
            refused()
    viewer = Caller("mcp:v", "viewer")
    with pytest.raises(NotPermitted, match="role responder"):
        offers.look(viewer, "disk_usage", {})
    with pytest.raises(NotPermitted, match="may not approve"):
        offers.approve(teller, made["id"], "0" * 12)
    with pytest.raises(AgentError):
        offers.deny(teller, made["id"])  # it waits for nobody
    offers.close()
