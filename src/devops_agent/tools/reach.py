"""Can it be reached: TCP connections, HTTP requests and the health checks of the inventory, as seen from a host.

From this machine with the standard library; from any other host with its own curl, so that the answer is that host's.
"""

from __future__ import annotations

import socket
import ssl
import time
import urllib.error
import urllib.request
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any

from devops_agent.errors import AgentError, NotAllowed, ToolError
from devops_agent.inventory import HealthCheck, Place
from devops_agent.tools.base import Host
from devops_agent.tools.outward import is_metadata

BODY = 64 * 1024


def healthy(host: Host, place: Place, check: HealthCheck) -> tuple[bool | None, str]:
    """Whether a health check passes, and what was seen; None where it could not be asked."""
    try:
        if check.http:
            seen = http(host, check.http, check.timeout)
            good = seen["status"] == check.status if check.status else 200 <= (seen["status"] or 0) < 400
            if good and check.contains:
                good = check.contains in seen["body"]
            return good, f"{check.http}: {seen['status'] or seen['error']}"
        if check.tcp is not None:
            address, port = endpoint(check.tcp)
            seen = tcp(host, address, port, check.timeout)
            return seen["open"], f"{address}:{port}: {'open' if seen['open'] else seen['error']}"
        if check.command:
            ended = host.attempt(*check.command, timeout=check.timeout, cwd=place.workspace)
            return ended.code == 0, f"{check.command[0]} ended with status {ended.code}: {ended.text[-500:]}"
    except AgentError as error:
        return (False if isinstance(error, ToolError) and check.command else None), str(error)
    return None, "the health check names neither http, tcp nor command"


def endpoint(target: int | str) -> tuple[str, int]:
    """Address and port of `8000`, `host:8000` or `[::1]:8000`."""
    text = str(target)
    address, _, port = text.rpartition(":")
    if not port.isdigit():
        raise NotAllowed(f"not a port, nor host:port: {text!r}")
    return address.strip("[]") or "127.0.0.1", int(port)


def tcp(host: Host, address: str, port: int, timeout: float = 5.0) -> dict[str, Any]:
    """`{open, error, seconds}`: error is refused, timeout, unresolved, unreachable or None."""
    begun = time.monotonic()
    error = _tcp_here(address, port, timeout) if host.local else _tcp_there(host, address, port, timeout)
    return {"open": error is None, "error": error, "seconds": round(time.monotonic() - begun, 3)}


def http(host: Host, url: str, timeout: float = 5.0, method: str = "GET") -> dict[str, Any]:
    """`{status, error, body, headers, seconds}`; status None where there was no answer. Proxies are not used."""
    if not url.lower().startswith(("http://", "https://")):
        raise NotAllowed(f"not an http address: {url!r}")
    begun = time.monotonic()
    seen = _http_here(url, timeout, method) if host.local else _http_there(host, url, timeout, method)
    return seen | {"seconds": round(time.monotonic() - begun, 3)}


def reason(error: BaseException) -> str:
    """One word for why a connection did not come about."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return reason(error.reason)
    if isinstance(error, ssl.SSLError):
        return f"tls: {getattr(error, 'verify_message', '') or error.reason or error}"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, socket.gaierror):
        return "unresolved"
    if isinstance(error, ConnectionError):
        return "reset"
    return (
        "unreachable"
        if isinstance(error, OSError) and error.errno in (101, 113)
        else f"{type(error).__name__}: {error}"
    )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Leave redirects to who asked: the status says where it leads."""


def _checked(kind: type[HTTPConnection]) -> type[HTTPConnection]:
    """A connection that says nothing to a metadata service, whatever name led to it."""

    class Checked(kind):  # type: ignore[valid-type, misc]
        def connect(self) -> None:
            super().connect()
            if is_metadata(str(self.sock.getpeername()[0])):
                self.close()
                raise ConnectionRefusedError

    return Checked


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_checked(HTTPConnection), request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_checked(HTTPSConnection), request)


def _http_here(url: str, timeout: float, method: str) -> dict[str, Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect, _Http, _Https)
    request = urllib.request.Request(url, method=method, headers={"User-Agent": "devops-agent"})  # noqa: S310
    try:
        with opener.open(request, timeout=timeout) as answer:
            return _answer(answer.status, answer.headers, _body(answer, timeout))
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error.headers, _body(error, timeout))
    except (OSError, ValueError) as error:
        return {"status": None, "error": reason(error), "body": "", "headers": {}}
    except HTTPException as error:
        return {"status": None, "error": f"not HTTP: {type(error).__name__}", "body": "", "headers": {}}


def _body(answer: Any, timeout: float) -> str:
    deadline = time.monotonic() + timeout
    parts: list[bytes] = []
    size = 0
    try:
        while size < BODY and time.monotonic() < deadline and (part := answer.read1(8192)):
            parts.append(part)
            size += len(part)
    except OSError:
        pass
    return b"".join(parts)[:BODY].decode("utf-8", "replace")


def _answer(status: int, headers: Any, body: str) -> dict[str, Any]:
    kept = {name.lower(): value for name, value in headers.items() if name.lower() != "set-cookie"}
    return {"status": status, "error": None, "body": body, "headers": kept}


def _http_there(host: Host, url: str, timeout: float, method: str) -> dict[str, Any]:
    marker = "\n--devops-agent-status--"
    limits = ("--max-time", f"{timeout:g}", "--max-filesize", str(BODY * 16), "--globoff", "--proto", "=http,https")
    asked = ("-X", method) if method != "HEAD" else ("-I",)
    ended = host.attempt(
        "curl",
        "-sS",
        "--noproxy",
        "*",
        *limits,
        *asked,
        "-w",
        f"{marker}%{{http_code}}",
        "--url",
        url,
        timeout=timeout + 10,
    )
    body, _, status = ended.output.rpartition(marker)
    code = int(status) if status.isdigit() else 0
    if code:
        return {"status": code, "error": None, "body": body[:BODY], "headers": {}}
    return {"status": None, "error": _curl(ended.code) or ended.errors.strip()[:200], "body": "", "headers": {}}


def _tcp_here(address: str, port: int, timeout: float) -> str | None:
    try:
        with socket.create_connection((address, port), timeout=timeout) as connection:
            return "not allowed: a metadata service" if is_metadata(str(connection.getpeername()[0])) else None
    except OSError as error:
        return reason(error)


def _tcp_there(host: Host, address: str, port: int, timeout: float) -> str | None:
    limits = ("--connect-timeout", f"{timeout:g}", "--max-time", f"{timeout + 1:g}")
    where = f"[{address}]" if ":" in address else address
    ended = host.attempt(
        "curl", "-sS", "-v", "--noproxy", "*", *limits, "--url", f"telnet://{where}:{port}", timeout=timeout + 10
    )
    if ended.code == 0 or "Connected to" in ended.errors:
        return None
    return _curl(ended.code) or ended.errors.strip()[-200:]


def _curl(code: int) -> str | None:
    """Why curl ended with this status. Source: curl(1), EXIT CODES."""
    return {
        6: "unresolved",
        7: "refused",
        28: "timeout",
        35: "tls: handshake failed",
        60: "tls: certificate not trusted",
    }.get(code, "curl is not installed there" if code == 127 else None)
