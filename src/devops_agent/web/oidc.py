"""Log in at the page with an account of an OpenID provider: authorization code flow with PKCE.

The provider's word counts only where its signature, issuer, audience, time and our nonce are right. The account's roles
and places come from a claim (`grants`); one for which none is configured is not let in. Whoever logged in is called by
the e-mail address that the provider has verified, or else by the subject, which nobody chooses: names count when two
persons must approve.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, make_response, redirect, render_template, request, url_for

from devops_agent.errors import ConfigError
from devops_agent.web import auth, grants
from devops_agent.web.problems import Busy, Forbidden

if TYPE_CHECKING:
    import httpx
    from authlib.integrations.httpx_client import OAuth2Client  # type: ignore[import-untyped]
    from flask import Flask
    from flask.typing import ResponseReturnValue

    from devops_agent.config import Settings

blueprint = Blueprint("oidc", __name__, url_prefix="/dashboard/oidc")

COOKIE = "devops_agent_login"
SECONDS = 600
TIMEOUT = 10.0
LARGEST = 1 << 20
SIGNED = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures with a key pair. Without one (`none`), or with the shared secret, anybody else could make them."""
LEEWAY = 60
FRESH_SECONDS = 300.0


class Provider:
    """What a provider says about itself, asked for again after a while."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.issuer = settings.oidc_issuer.rstrip("/")
        self._known: tuple[float, dict[str, Any], dict[str, Any]] | None = None

    def metadata(self) -> dict[str, Any]:
        """Its addresses."""
        return self._look()[0]

    def keys(self, anew: bool = False) -> dict[str, Any]:
        """The keys that it signs with."""
        if anew and self._known is not None and time.monotonic() - self._known[0] > LEEWAY:
            self._known = None
        return self._look()[1]

    def client(self) -> OAuth2Client:
        """Who talks to it in our name."""
        from authlib.integrations.httpx_client import OAuth2Client

        method = "client_secret_basic" if self.settings.oidc_client_secret else "none"
        return OAuth2Client(
            self.settings.oidc_client_id,
            self.settings.oidc_client_secret,
            scope="openid email profile",
            redirect_uri=_back(self.settings),
            code_challenge_method="S256",
            token_endpoint_auth_method=method,
            timeout=TIMEOUT,
        )

    def _look(self) -> tuple[dict[str, Any], dict[str, Any]]:
        import httpx

        if self._known is None or time.monotonic() - self._known[0] > FRESH_SECONDS:
            with httpx.Client(timeout=TIMEOUT) as http:
                found = fetched(http, f"{self.issuer}/.well-known/openid-configuration")
                if str(found.get("issuer", "")).rstrip("/") != self.issuer:
                    raise Busy("the provider says that it is another one (DEVOPS_AGENT_OIDC_ISSUER)")
                self._known = (time.monotonic(), found, fetched(http, str(found.get("jwks_uri"))))
        return self._known[1], self._known[2]


def check(settings: Settings) -> None:
    """Refuse settings that cannot work. Raises ConfigError."""
    parts = urlsplit(settings.oidc_issuer)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise ConfigError("DEVOPS_AGENT_OIDC_ISSUER: expected an https address")
    if not settings.oidc_client_id:
        raise ConfigError("DEVOPS_AGENT_OIDC_CLIENT_ID: missing; the provider knows this service by it")
    if not grants.parse(settings.oidc_roles):
        raise ConfigError("DEVOPS_AGENT_OIDC_ROLES: missing; without it nobody is let in (sre=approver, *=viewer)")
    try:
        import authlib  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        raise ConfigError("DEVOPS_AGENT_OIDC_ISSUER: needs pip install 'devops-agent[oidc]'") from None


def register(app: Flask, settings: Settings) -> None:
    """Add the log-in, where a provider is configured. Raises ConfigError for settings that cannot work."""
    if settings.oidc_issuer:
        check(settings)
        app.extensions["devops_agent_provider"] = Provider(settings)
        app.register_blueprint(blueprint)


@blueprint.get("")
@auth.public
def begin() -> ResponseReturnValue:
    """To the provider, with what it must send back to show that the answer is to this question."""
    provider, sessions = _provider(), auth.doors().sessions
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    with provider.client() as client:
        address, _ = client.create_authorization_url(
            provider.metadata()["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier
        )
    asked = {"state": state, "nonce": nonce, "verifier": verifier, "until": time.time() + SECONDS}
    answer = redirect(address, 303)
    text = sessions.signed("login").dumps({**asked, "next": _next(request.args.get("next", ""))})
    secure = request.is_secure or provider.settings.public_url.startswith("https:")
    answer.set_cookie(
        COOKIE, str(text), max_age=SECONDS, path=blueprint.url_prefix, httponly=True, samesite="Lax", secure=secure
    )
    return answer


@blueprint.get("/back")
@auth.public
def back() -> ResponseReturnValue:
    """Back from the provider: find out who it is, and begin a session."""
    provider, sessions = _provider(), auth.doors().sessions
    asked = _asked()
    if "error" in request.args or "code" not in request.args:
        raise Forbidden(f"the provider did not let you in ({request.args.get('error', 'no code')[:100]})")
    claims = _claims(provider, asked)
    values = values_of(claims, provider.settings)
    if not grants.of(values, auth.doors().grants):
        raise Forbidden("no role is configured for your account here; ask an administrator (DEVOPS_AGENT_OIDC_ROLES)")
    # A cookie that is Strict does not come along on the way from another site; it does from a page of ours.
    answer = make_response(render_template("entered.html", next=_next(asked["next"])))
    sessions.begin(answer, {"name": name_of(claims, provider.issuer), "values": values})
    answer.delete_cookie(COOKIE, path=blueprint.url_prefix)
    return _protected(answer)


def name_of(claims: Mapping[str, Any], issuer: str) -> str:
    """What an account is called: nothing that its owner can choose freely."""
    if claims.get("email") and claims.get("email_verified") is True:
        return str(claims["email"])[:200]
    return f"{claims['sub']}@{urlsplit(issuer).hostname}"[:200]


def values_of(claims: Mapping[str, Any], settings: Settings) -> list[str]:
    """The account's values of the claim, of those that something is configured for."""
    value = claims.get(settings.oidc_claim)
    has = {str(each) for each in (value if isinstance(value, list | tuple) else [value]) if each is not None}
    return sorted(has & set(grants.parse(settings.oidc_roles)))


def verified(text: str, provider: Provider, nonce: str) -> dict[str, Any]:
    """The claims of an ID token. Raises Forbidden where anything about it is not right."""
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    wanted = jwt.JWTClaimsRegistry(
        leeway=LEEWAY,
        iss={"essential": True, "value": provider.metadata()["issuer"]},
        aud={"essential": True, "value": provider.settings.oidc_client_id},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
        nonce={"essential": True, "value": nonce},
    )
    for anew in (False, True):
        try:
            keys = KeySet.import_key_set(provider.keys(anew))  # type: ignore[arg-type]
            found = jwt.decode(text, keys, algorithms=list(SIGNED)).claims
            wanted.validate(found)
            break
        except (JoseError, ValueError) as error:
            if anew:
                raise Forbidden(f"the provider's answer is not right ({type(error).__name__})") from None
    audience = found["aud"]
    if isinstance(audience, list) and len(audience) > 1 and found.get("azp") != provider.settings.oidc_client_id:
        raise Forbidden("the provider's answer is for somebody else")
    return dict(found)


def fetched(http: httpx.Client, address: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A JSON object from the provider, of limited size, from exactly this address. Raises Busy where it has none."""
    import httpx

    try:
        with http.stream("GET", address, headers=dict(headers or {}), follow_redirects=False) as answer:
            answer.raise_for_status()
            body = b""
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > LARGEST:
                    raise Busy("the provider's answer is too large")
        found = httpx.Response(200, content=body).json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        raise Busy("the provider cannot be reached, or answers something else; try again shortly") from None
    if not isinstance(found, dict):
        raise Busy("the provider answers something else than expected")
    return found


def _claims(provider: Provider, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Who the provider says it is, with what only its `userinfo` tells where the role depends on that."""
    import httpx
    from authlib.common.errors import AuthlibBaseError  # type: ignore[import-untyped]

    metadata = provider.metadata()
    with provider.client() as client:
        try:
            token = client.fetch_token(
                metadata["token_endpoint"], code=request.args["code"], code_verifier=asked["verifier"]
            )
        except (AuthlibBaseError, httpx.HTTPError, ValueError):
            raise Forbidden("the provider does not accept the code that you came back with; log in again") from None
    claims = verified(str(token.get("id_token", "")), provider, asked["nonce"])
    if provider.settings.oidc_claim not in claims and (address := metadata.get("userinfo_endpoint")):
        with httpx.Client(timeout=TIMEOUT) as http:
            more = fetched(http, address, {"Authorization": f"Bearer {token.get('access_token')}"})
        if more.get("sub") != claims["sub"]:
            raise Forbidden("the provider's answers are about two accounts")
        claims = {**more, **claims}
    return claims


def _asked() -> dict[str, Any]:
    """What this browser was sent to the provider with."""
    from itsdangerous import BadData

    try:
        found: dict[str, Any] = auth.doors().sessions.signed("login").loads(request.cookies.get(COOKIE, ""))
    except BadData:
        raise Forbidden("state: this log-in did not begin here, or too long ago; begin again") from None
    state = request.args.get("state", "")
    if found["until"] < time.time() or not secrets.compare_digest(state.encode(), found["state"].encode()):
        raise Forbidden("state: this log-in did not begin here, or too long ago; begin again")
    return found


def _provider() -> Provider:
    found: Provider = current_app.extensions["devops_agent_provider"]
    return found


def _back(settings: Settings) -> str:
    if settings.public_url:
        return settings.public_url.rstrip("/") + url_for("oidc.back")
    return url_for("oidc.back", _external=True)


def _next(address: str) -> str:
    plain = address.startswith("/dashboard") and "//" not in address and "\\" not in address and address.isprintable()
    return address if plain else "/dashboard"


@blueprint.after_request
def _protected(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
