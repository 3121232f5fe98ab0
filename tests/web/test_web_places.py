"""Who is for some places only sees figures of these only: keys, and accounts of a provider."""

from __future__ import annotations

import pytest
from web_service import serving

from devops_agent.config import Settings
from devops_agent.errors import ConfigError
from devops_agent.inventory import Place
from devops_agent.jobs import keys
from devops_agent.jobs.spending import Spending
from devops_agent.jobs.statistics import of_runbook
from devops_agent.llm.budget import Cap
from devops_agent.model import Step
from devops_agent.web import grants
from devops_agent.web.backend import Backend
from pipeline_parts import Wanting, healthy_when, step


class Naming(Wanting):
    """Names the runbook that the log names; unknown where it names none."""

    def diagnose(self, digest, history, look):
        made = super().diagnose(digest, history, look)
        words = " ".join(each.text for each in digest.evidence).split()
        named = next((each for each in words if each.startswith("book-")), None)
        return made.model_copy(update={"runbook": named} if named else {"cause": "unknown"})


LOGS = {
    "shop": ["it fails by book-a", "it fails by book-a", "ERROR: nobody knows this"],
    "bank": ["it fails by book-b"],
}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A service of two places with incidents in each; the shop's repair is approved and helps."""
    folder = tmp_path_factory.mktemp("places")
    steps: list[list[Step]] = [[step(folder / "file")]]
    with serving(folder, planner=Naming(steps)) as service:
        places = service.backend.agent.places
        only = places.pop(next(iter(places)))
        for name in ("shop", "bank"):
            places[name] = Place(only.inventory.model_copy(update={"name": name}), folder=folder, name=name)
        places["bank"] = Place(healthy_when(folder / "other", "x"), folder=folder, name="bank")
        texts = {"all": keys.create(service.backend.jobs.engine, "all", "admin")[1]}
        for name in ("shop", "bank"):
            texts[name] = keys.create(service.backend.jobs.engine, name, "approver", [name])[1]

        def call(who, method, path, **more):
            return service.http.request(method, path, headers={"X-API-Key": texts[who]}, **more)

        for place, logs in LOGS.items():
            for log in logs:
                job = call("all", "POST", "/api/v1/incidents", json={"log": log, "place": place}).json()["batch"]
                assert service.backend.wait(job, 20)
                if call("all", "GET", f"/api/v1/jobs/{job}").json()["waiting"] == "approval":
                    granted = "approve" if place == "shop" else "deny"
                    assert call("all", "POST", f"/api/v1/jobs/{job}/{granted}", json={}).status_code == 200
                    assert service.backend.wait(job, 20)
        book = Spending(service.backend.jobs.engine, Cap(), Cap())
        for who, dollars in (("all", 7.5), ("shop", 0.25)):
            book.page(who).reserve(10, dollars)
        yield service, call


@pytest.mark.parametrize("path", ["/stats", "/api/v1/statistics"])
def test_statistics_tell_of_the_keys_own_places(two, path):
    _, call = two
    said = {who: call(who, "GET", path).json() for who in ("all", "shop", "bank")}
    fired = {who: {each["runbook"]: each["fired"] for each in told["by_runbook"]} for who, told in said.items()}
    assert fired == {"all": {"book-a": 2, "book-b": 1}, "shop": {"book-a": 2}, "bank": {"book-b": 1}}
    assert {who: told["answers"] for who, told in said.items()} == {"all": 4, "shop": 3, "bank": 1}
    assert {who: sum(told["jobs_by_outcome"].values()) for who, told in said.items()} == {
        "all": 4,
        "shop": 3,
        "bank": 1,
    }
    assert [len(said[who]["stays_unknown"]) for who in ("all", "shop", "bank")] == [1, 1, 0]
    assert "nobody knows" in said["shop"]["stays_unknown"][0]["example"]
    assert said["shop"]["fails_most"][0]["fired"] == 2
    assert said["shop"]["solved"] == said["all"]["solved"]
    assert said["shop"]["solved"]["acted"] >= 1
    assert said["bank"]["solved"] == {"repaired": 0, "without_a_person": 0, "acted": 0}
    assert [len(told["models"]) for told in said.values()] == [3, 1, 0]
    assert said["shop"]["models"][0]["caller"] == "shop"


def test_what_a_person_says_is_told_to_who_sees_the_place(two):
    service, call = two
    [job] = [each["id"] for each in call("bank", "GET", "/api/v1/incidents").json()["items"]]
    said = call("bank", "POST", f"/jobs/{job}/cause", json={"cause": "disk_full"})
    assert said.status_code == 200, said.text
    told = {who: call(who, "GET", "/stats").json()["corrected_most"] for who in ("all", "shop", "bank")}
    assert [len(each) for each in told.values()] == [1, 0, 1]
    assert told["bank"] == told["all"]
    counted = of_runbook(service.backend.jobs.engine, "book-b", {"bank"})
    assert [(each.fired, each.corrected, each.judged) for each in counted] == [(1, 1, 1)]
    assert of_runbook(service.backend.jobs.engine, "book-b", {"shop", None}) == []


def test_the_page_shows_figures_of_ones_own_places(two):
    _, call = two
    pages = {who: call(who, "GET", "/dashboard/statistics").text for who in ("all", "shop", "bank")}
    assert {who: "<b>4</b> incidents" in page for who, page in pages.items()} == {"all": 1, "shop": 0, "bank": 0}
    assert "<b>3</b> incidents" in pages["shop"]
    assert "<b>1</b> incidents" in pages["bank"]
    assert {who: "7.7500" in page for who, page in pages.items()} == {"all": 1, "shop": 0, "bank": 0}
    assert "Of bank only" in pages["bank"]
    for who in ("shop", "bank"):
        assert call(who, "GET", "/metrics").status_code == 403
    assert call("all", "GET", "/metrics").status_code == 200


def test_roles_and_places_are_read_strictly_and_added_up():
    known = grants.parse("sre=approver, cn=shop team=responder@shop + bank, *=viewer@shop")
    assert known["cn=shop team"] == [grants.Grant("responder", frozenset({"shop", "bank"}))]
    mine = grants.of(["cn=shop team", "others"], known)
    assert grants.highest(mine) == "responder"
    assert grants.places(mine, "viewer") == {"shop", "bank"}
    assert grants.places(mine, "approver") == set()
    both = grants.of(["cn=shop team"], grants.parse("*=viewer, cn=shop team=approver@bank"))
    assert grants.places(both, "viewer") is None
    assert grants.places(both, "responder") == {"bank"}
    assert grants.highest(()) is None
    for wrong in ("sre", "sre=boss", "=viewer", "sre=viewer@", "sre=viewer@+", "sre=@shop"):
        with pytest.raises(ConfigError, match="OIDC_ROLES"):
            grants.parse(wrong)


def test_a_place_that_is_not_there_is_told_at_the_start(tmp_path):
    settings = Settings(
        data_dir=tmp_path,
        oidc_issuer="https://sso.corp.example",
        oidc_client_id="agent",
        oidc_roles="*=viewer@nowhere",
    )
    with pytest.raises(ConfigError, match="no place 'nowhere'"):
        Backend(settings).check()
