"""Logging in at an OpenID provider: a small real one on loopback, with real signatures, and some that lie."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from web_service import serving

from devops_agent.config import Settings
from devops_agent.errors import ConfigError
from devops_agent.inventory import Place
from devops_agent.web import oidc
from devops_agent.web.body import Scenario

pytest.importorskip("authlib")
KEY = RSAKey.generate_key(2048, {"kid": "one"}, private=True)
OTHER = RSAKey.generate_key(2048, {"kid": "one"}, private=True)


class Provider:
    """Issues codes and tokens for one account. `claims` are put over what is right; `sign` signs."""

    def __init__(self):
        self.account = {"sub": "4711", "email": "ann@corp.example", "email_verified": True, "groups": ["sre", "all"]}
        self.claims: dict[str, object] = {}
        self.sign = lambda claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, KEY)
        self.asked: dict[str, dict[str, str]] = {}
        self.more: dict[str, object] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                provider.answer(self, "")

            def do_POST(self):
                provider.answer(self, self.rfile.read(int(self.headers["Content-Length"])).decode())

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request, body):
        path = urlsplit(request.path).path
        found = {
            "/.well-known/openid-configuration": lambda: {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
            },
            "/keys": lambda: {"keys": [KEY.as_dict(private=False)]},
            "/userinfo": lambda: self.more,
            "/token": lambda: self.token(request, body),
        }[path]()
        text = json.dumps(found).encode()
        request.send_response(400 if "error" in found else 200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    def login(self, address):
        """What the provider's own page does: the address that it sends the browser back to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"]
        self.asked["code-1"] = asked
        return f"{asked['redirect_uri']}?code=code-1&state={asked['state']}"

    def token(self, request, body):
        sent = {name: values[0] for name, values in parse_qs(body).items()}
        asked = self.asked.pop(sent.get("code", ""), None)
        secret = base64.b64encode(b"agent:hush").decode()
        if asked is None or request.headers["Authorization"] != f"Basic {secret}":
            return {"error": "invalid_grant"}
        challenge = base64.urlsafe_b64encode(hashlib.sha256(sent["code_verifier"].encode()).digest()).rstrip(b"=")
        if challenge.decode() != asked["code_challenge"]:
            return {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "agent", "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims |= self.account | self.claims
        return {"access_token": "a", "token_type": "Bearer", "expires_in": 300, "id_token": self.sign(claims)}


@pytest.fixture
def provider():
    made = Provider()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def service(tmp_path, provider):
    settings = {"oidc_issuer": provider.issuer, "oidc_client_id": "agent", "oidc_client_secret": "hush"}
    with serving(tmp_path, oidc_roles="sre=approver, dev=responder", **settings) as running:
        yield running


def enter(service, provider, change=lambda address: address):
    """A browser's way through the log-in: the browser, and the last answer."""
    browser = httpx.Client(base_url=service.http.base_url)
    begun = browser.get("/dashboard/oidc?next=/dashboard/history")
    assert begun.status_code == 303
    assert "hush" not in begun.headers["Location"] + begun.headers["Set-Cookie"]
    return browser, browser.get(change(provider.login(begun.headers["Location"])))


def test_an_account_with_a_role_is_let_in_under_its_verified_name(service, provider):
    assert service.http.get("/api/v1/me").status_code == 401
    page = service.http.get("/dashboard", headers={"Accept": "text/html"})
    assert page.headers["Location"].startswith("/dashboard/login")
    browser, entered = enter(service, provider)
    assert entered.status_code == 200
    assert 'content="0;url=/dashboard/history"' in entered.text
    assert "SameSite=Strict" in entered.headers["Set-Cookie"]
    with closing(browser):
        who = browser.get("/api/v1/me").json()
        assert (who["name"], who["role"]) == ("ann@corp.example", "approver")
        assert browser.post("/api/v1/incidents", json={"log": "it fails"}).status_code == 403  # no token of a form
        page = browser.get("/dashboard").text
        token = re.search(r'name="token" value="([^"]+)"', page)[1]
        headers = {"X-CSRF-Token": token}
        job = browser.post("/api/v1/incidents", json={"log": "it fails"}, headers=headers).json()["batch"]
        assert service.backend.wait(job, 20)
        said = browser.post(f"/api/v1/jobs/{job}/approve", json={"by": "boss"}, headers=headers).json()
        assert said["approval"]["by"] == "ann@corp.example"
        assert browser.get("/api/v1/keys").status_code == 403


def test_what_is_not_right_is_refused(service, provider):
    now = int(time.time())
    secret = OctKey.import_key(b"hush" * 8)
    lies = [
        ({"iss": "https://evil.example"}, None),
        ({"aud": "somebody else"}, None),
        ({"aud": ["agent", "other"], "azp": "other"}, None),
        ({"exp": now - 3600}, None),
        ({"nonce": "another"}, None),
        ({}, lambda claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, OTHER)),
        ({}, lambda claims: jwt.encode({"alg": "HS256", "kid": "one"}, claims, secret)),
        ({}, lambda claims: "e30." + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=") + "."),
        ({}, lambda claims: "nonsense"),
    ]
    good = provider.sign
    for claims, sign in lies:
        provider.claims, provider.sign = claims, sign or good
        browser, answer = enter(service, provider)
        with closing(browser):
            assert answer.status_code == 403, claims
            assert "devops_agent_session" not in answer.headers.get("Set-Cookie", "")
            assert browser.get("/api/v1/me").status_code == 401
    provider.claims, provider.sign = {}, good
    for change in (
        lambda address: address.replace("state=", "state=x"),
        lambda address: address.replace("code-1", "code-2"),
        lambda address: address.split("?")[0] + "?error=access_denied",
    ):
        browser, answer = enter(service, provider, change)
        browser.close()
        assert answer.status_code == 403
    with httpx.Client(base_url=service.http.base_url) as stranger:  # a browser that never began
        begun = service.http.get("/dashboard/oidc")
        assert stranger.get(provider.login(begun.headers["Location"])).status_code == 403


def test_roles_come_from_the_claim_or_from_userinfo_and_none_is_refused(service, provider):
    provider.account["groups"] = ["others"]
    browser, answer = enter(service, provider)
    browser.close()
    assert answer.status_code == 403
    assert "role" in answer.text
    del provider.account["groups"]
    provider.more = {"sub": "4711", "groups": "dev"}
    provider.account["email_verified"] = False
    browser, answer = enter(service, provider)
    with closing(browser):
        assert browser.get("/api/v1/me").json() | {"places": 0} == {
            "name": "4711@127.0.0.1",
            "role": "responder",
            "places": 0,
            "keys": True,
        }
    provider.more = {"sub": "4712", "groups": "dev"}
    browser, answer = enter(service, provider)
    browser.close()
    assert answer.status_code == 403


def test_an_account_is_for_the_places_of_its_groups(tmp_path, provider):
    settings = {"oidc_issuer": provider.issuer, "oidc_client_id": "agent", "oidc_client_secret": "hush"}
    with serving(tmp_path, oidc_roles="all=viewer, sre=approver@bank", **settings) as service:
        places = service.backend.agent.places
        here = next(iter(places))
        places["bank"] = Place(places[here].inventory, folder=tmp_path, name="bank")
        browser, entered = enter(service, provider)
        assert entered.status_code == 200
        with closing(browser):
            token = re.search(r'name="token" value="([^"]+)"', browser.get("/dashboard").text)
            who = browser.get("/api/v1/me").json()
            assert (who["role"], who["places"]) == ("approver", None)  # looks everywhere
            headers = {"X-CSRF-Token": token[1]}

            def post(path, **body):
                return browser.post(path, json=body, headers=headers)

            assert post("/api/v1/incidents", log="it fails", place=here).status_code == 404
            at = {"bank": post("/api/v1/incidents", log="it fails", place="bank").json()["batch"]}
            at[here] = service.backend.submit([Scenario("it fails", place=here)]).id
            for name, job in at.items():
                assert service.backend.wait(job, 20)
                assert browser.get(f"/api/v1/jobs/{job}").json()["waiting"] == "approval"
                assert ("Approve exactly this" in browser.get(f"/dashboard/jobs/{job}").text) == (name == "bank")
                assert post(f"/api/v1/jobs/{job}/approve").status_code == (200 if name == "bank" else 404)
    # what is configured anew counts at once, also for who has logged in before
    session = entered.headers["Set-Cookie"].partition(";")[0]
    with serving(tmp_path, oidc_roles="sre=viewer@bank", **settings) as service:
        who = service.http.get("/api/v1/me", headers={"Cookie": session}).json()
        assert (who["role"], who["places"]) == ("viewer", ["bank"])
    with serving(tmp_path, oidc_roles="others=viewer", **settings) as service:
        assert service.http.get("/api/v1/me", headers={"Cookie": session}).status_code == 401


def test_a_provider_that_is_gone_is_told(tmp_path, provider):
    issuer = provider.issuer
    provider.server.shutdown()
    provider.server.server_close()
    with serving(tmp_path, oidc_issuer=issuer, oidc_client_id="agent", oidc_roles="*=viewer") as service:
        answer = service.http.get("/dashboard/oidc")
        assert answer.status_code == 503
        assert "provider" in answer.text


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"oidc_issuer": "http://sso.corp.example"}, "OIDC_ISSUER"),
        ({"oidc_client_id": ""}, "OIDC_CLIENT_ID"),
        ({"oidc_roles": ""}, "OIDC_ROLES"),
        ({"oidc_roles": "sre=boss"}, "OIDC_ROLES"),
    ],
)
def test_settings_that_cannot_work_are_named(tmp_path, more, named):
    values = {"oidc_issuer": "https://sso.corp.example", "oidc_client_id": "agent", "oidc_roles": "*=viewer"}
    with pytest.raises(ConfigError, match=named):
        oidc.check(Settings(data_dir=tmp_path, **(values | more)))
