"""Whatever opens a door is compared in constant time: as keys, sessions, forms, log-ins, hooks and links."""

from __future__ import annotations

import hmac
import json
import secrets
import sys
from pathlib import Path

import pytest
from web_service import serving

sys.path.insert(0, str(Path(__file__).parents[1] / "connect"))

from hooked import hooks, proof

from devops_agent.connect import links
from devops_agent.jobs import keys
from devops_agent.web import oidc


@pytest.fixture
def compared(monkeypatch):
    """Everything that was compared in constant time."""
    seen, real = [], hmac.compare_digest

    def watched(one, other):
        for each in (one, other):
            seen.append(each.decode("latin-1") if isinstance(each, bytes) else each)
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    monkeypatch.setattr(secrets, "compare_digest", watched)
    return seen


@pytest.fixture
def service(tmp_path):
    with serving(tmp_path, hooks=hooks()) as running:
        yield running


def test_keys_by_their_hash_also_those_that_there_are_not(service, compared):
    import hashlib

    key, text = keys.create(service.backend.jobs.engine, "ann", "viewer")
    for sent in (text, f"dak_{key.id}_wrong", f"dak_{'0' * 12}_nobody"):
        compared.clear()
        service.http.get("/api/v1/me", headers={"X-API-Key": sent})
        secret = sent.split("_", 2)[2]
        assert {hashlib.sha256(each.encode()).hexdigest() for each in (sent, secret)} & set(compared), sent


def test_sessions_and_the_tokens_of_forms(service, compared):
    _, text = keys.create(service.backend.jobs.engine, "ann", "admin")
    form = service.http.get("/dashboard/login")
    cookie = form.cookies["devops_agent_form"]
    wrong = "t" * 32
    service.http.post("/dashboard/login", data={"token": wrong, "key": text})
    assert {wrong, cookie} <= set(compared)
    entered = service.http.post("/dashboard/login", data={"token": cookie, "key": text})
    session = entered.cookies["devops_agent_session"]
    compared.clear()
    service.http.get("/api/v1/me", headers={"Cookie": f"devops_agent_session={session}x"})
    assert any(session.rpartition(".")[2][:20] in each for each in compared) or len(compared) >= 2
    compared.clear()
    headers = {"Cookie": f"devops_agent_session={session}", "X-CSRF-Token": wrong}
    assert service.http.post("/api/v1/keys", json={"name": "x"}, headers=headers).status_code == 403
    assert wrong in compared


@pytest.mark.parametrize("kind", sorted(hooks()))
def test_what_proves_a_delivery(service, compared, kind):
    raw = json.dumps({}).encode()
    for secret in ("a-secret-of-this-hook", "quite another secret"):
        compared.clear()
        service.http.post(f"/hooks/{kind}", content=raw, headers=proof(kind, raw, secret))
        sent = proof(kind, raw, secret)
        words = {part for value in sent.values() for part in value.replace("=", " ").replace(",", " ").split()}
        assert (words | {secret}) & set(compared), kind


def test_links_and_the_state_of_a_log_in(service, compared):
    service.http.get("/links/guessed.signature")
    assert "signature" in compared
    assert links.hmac is hmac
    assert oidc.secrets is secrets
    source = Path(oidc.__file__).read_text(encoding="utf-8")
    assert 'secrets.compare_digest(state.encode(), found["state"].encode())' in source
