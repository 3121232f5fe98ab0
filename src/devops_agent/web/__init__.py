"""The HTTP service: the contract that existing clients speak, decisions, and the page for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from devops_agent.config import Settings
    from devops_agent.pipeline import Agent


def create_app(
    settings: Settings | None = None, agent: Agent | None = None, work: bool = True, debug: bool = False
) -> Flask:
    """The WSGI application. Nothing is opened and no thread started before the first request or `start`.

    `agent` replaces the one that the settings describe; without `work` only what others work on is shown.
    """
    from flask import Flask
    from werkzeug.middleware.proxy_fix import ProxyFix

    from devops_agent.config import load_settings
    from devops_agent.web import (
        api,
        auth,
        decisions,
        headers,
        metrics,
        oidc,
        origins,
        pages,
        problems,
        ready,
        reports,
        v1,
    )
    from devops_agent.web import hooks as incoming
    from devops_agent.web import links as decided_by_link
    from devops_agent.web.backend import Backend

    settings = settings or load_settings()

    class Service(Flask):
        """Flask without asynchronous functions, which it would else look for at every step of every request."""

        def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
            """The function as it is."""
            return func

    app = Service(__name__, static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.merge_slashes = False
    app.config.update(
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
        MAX_FORM_MEMORY_SIZE=settings.max_body_bytes,
        PROPAGATE_EXCEPTIONS=False,
    )
    backend = app.extensions["devops_agent"] = Backend(settings, agent, work)
    problems.register(app, details=debug)
    headers.register(app)
    metrics.register(app)
    doors = auth.register(app, backend)
    known = origins.Origins(settings.cors_origins, settings.allowed_hosts, settings.public_url)
    origins.register(app, known, api.PUBLIC, doors.closed)
    if settings.proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, *[settings.proxies] * 3)  # type: ignore[method-assign]
    for part in (api, ready, decisions, reports, pages, incoming, decided_by_link):
        app.register_blueprint(part.blueprint)
    v1.register(app)
    oidc.register(app, settings)
    return app
