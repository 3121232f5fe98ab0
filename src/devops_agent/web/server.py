"""The server: gunicorn with threads, embedded workers in each of its processes; for debugging, one that reloads."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import signal
import socket
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from devops_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from devops_agent.config import Settings

THREADS = 64
"""More than may wait for results at the same time, so that health and status are always answered."""
GRACE = 30


def main(arguments: list[str] | None = None) -> int:
    """`python flask_agent_app.py [--debug]`: serve with the settings of the environment and `.env`."""
    from devops_agent.config import dotenv, load_settings
    from devops_agent.errors import AgentError

    given = sys.argv[1:] if arguments is None else arguments
    if unknown := [each for each in given if each != "--debug"]:
        print(
            f"unknown argument {unknown[0]!r}; only --debug is known, all else is set by DEVOPS_AGENT_*",
            file=sys.stderr,
        )
        return 2
    from pathlib import Path

    flag = {**dotenv(Path(".env")), **os.environ}.get("FLASK_DEBUG", "")
    try:
        serve(load_settings(), debug="--debug" in given or flag.lower() in ("1", "true", "yes", "on"))
    except AgentError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def serve(settings: Settings, debug: bool = False) -> None:
    """Serve until ended. `debug` reloads on changes and tells details of errors; on loopback only."""
    from devops_agent.web import create_app, loglines

    listening = _listen(settings.host) if settings.port == 0 else None
    if listening is not None:
        settings = settings.model_copy(update={"port": listening.getsockname()[1]})
    if debug:
        if listening is not None:
            listening.close()
        _debug(settings)
        return
    loglines.set_up(settings)
    app = create_app(settings)
    app.extensions["devops_agent"].check()
    check_keys(settings)
    if listening is None:
        _listen(settings.host, settings.port).close()
    check_data(settings)
    chosen = options(settings)
    _announce(settings)
    _gunicorn(app, chosen if listening is None else chosen | {"bind": f"fd://{listening.fileno()}"})


def options(settings: Settings) -> dict[str, Any]:
    """gunicorn's settings: one process with many threads unless WEB_CONCURRENCY says otherwise."""
    from devops_agent.web import loglines, metrics, slow

    metrics.prepare(settings.data_dir)
    loglines.set_up(settings)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return {
        "bind": f"{host}:{settings.port}",
        "worker_class": slow.PatientWorker,
        "threads": THREADS,
        "timeout": 120,
        "graceful_timeout": GRACE,
        "keepalive": 5,
        "post_worker_init": after_start,
        "worker_exit": before_exit,
        "child_exit": after_exit,
        "limit_request_line": 8190,
        "limit_request_fields": 100,
        "limit_request_field_size": 8190,
        "accesslog": None,
        "logger_class": loglines.gunicorn_logger(),
        "control_socket_disable": True,
    }


def after_start(worker: Any) -> None:
    """gunicorn's hook in every process after the fork: start the embedded workers; end waits when told to stop."""
    app = _application(worker)
    if app is None:
        return
    backend = app.extensions["devops_agent"]
    backend.start()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, _noticing(backend.stopping.set, signal.getsignal(number)))


def before_exit(_server: Any, worker: Any) -> None:
    """gunicorn's hook at the end of a process: let the jobs in hand come to a kept step."""
    app = _application(worker)
    if app is not None:
        app.extensions["devops_agent"].stop()


def after_exit(_server: Any, worker: Any) -> None:
    """gunicorn's hook in the first process when another has ended, however that was."""
    from devops_agent.web import metrics

    metrics.forget(worker.pid)


def check_keys(settings: Settings) -> None:
    """Refuse to serve everybody who reaches this machine, unless told so. Raises ConfigError."""
    if is_loopback(settings.host) or settings.insecure or settings.oidc_issuer:
        return
    from devops_agent import bootstrap
    from devops_agent.jobs import keys

    if not keys.exist(bootstrap.open_jobs(settings).engine):
        raise ConfigError(
            f"DEVOPS_AGENT_HOST: on {settings.host} others reach the service, and there is no key yet: make one "
            "(devops-agent keys create NAME --role admin), or serve everybody (--insecure, DEVOPS_AGENT_INSECURE=1)"
        )


def check_data(settings: Settings) -> None:
    """Find out before the first process is started whether what is kept can be kept. Raises ConfigError."""
    from devops_agent import bootstrap

    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=settings.data_dir):
            pass
    except OSError as error:
        raise ConfigError(f"DEVOPS_AGENT_DATA_DIR: {settings.data_dir}: {error.strerror or error}") from None
    bootstrap.open_jobs(settings).engine.dispose()


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int = 0) -> socket.socket:
    """A socket on this port, or on one that is free. Raises ConfigError."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(2048)
    except OSError as error:
        taken = port and error.errno in (errno.EADDRINUSE, errno.EACCES)
        field, what = ("PORT", f"{host}:{port}") if taken else ("HOST", host)
        raise ConfigError(f"DEVOPS_AGENT_{field}: cannot listen on {what}: {error.strerror or error}") from None
    return made


def _debug(settings: Settings) -> None:
    from werkzeug.serving import run_simple

    from devops_agent.web import create_app

    if not is_loopback(settings.host):
        raise ConfigError(
            f"DEVOPS_AGENT_HOST: debugging shows internals and is for loopback addresses only, not {settings.host}"
        )
    logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    app = create_app(settings, debug=True)
    backend = app.extensions["devops_agent"]
    if os.environ.get("WERKZEUG_RUN_MAIN") == "true":
        backend.start()
    else:
        _announce(settings)
    try:
        run_simple(settings.host, settings.port, app, use_reloader=True, use_debugger=False, threaded=True)
    finally:
        backend.stop()


def _gunicorn(app: Flask, chosen: dict[str, Any]) -> None:
    from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

    class Server(BaseApplication):  # type: ignore[misc]
        """gunicorn without its command line and configuration files."""

        def load_config(self) -> None:
            for name, value in chosen.items():
                if name in self.cfg.settings:
                    self.cfg.set(name, value)

        def load(self) -> Flask:
            return app

    Server().run()


def _announce(settings: Settings) -> None:
    name = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 (compared, not bound)
    name = f"[{name}]" if ":" in name else name
    print(
        f"devops-agent serves http://{name}:{settings.port}/  (page: /dashboard, data: {settings.data_dir})", flush=True
    )


def _application(worker: Any) -> Flask | None:
    from flask import Flask

    app = getattr(worker, "application", None) or getattr(worker, "wsgi", None)
    return app if isinstance(app, Flask) else None


def _noticing(notice: Callable[[], None], before: Any) -> Callable[[int, Any], None]:
    def handle(number: int, frame: Any) -> None:
        notice()
        if callable(before):
            before(number, frame)

    return handle
