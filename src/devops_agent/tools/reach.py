"""Can it be reached: TCP connections, HTTP requests and the health checks of the inventory, as seen from a host.

From this machine with the standard library; from any other host with its own curl, so that the answer is that host's.
"""

from __future__ import annotations

import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any

from devops_agent.errors import AgentError, NotAllowed, ToolError
from devops_agent.inventory import HealthCheck, Place
from devops_agent.tools.base import Host
from devops_agent.tools.outward import is_metadata, resolved

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
    try:
        error = _tcp_here(address, port, timeout) if host.local else _tcp_there(host, address, port, timeout)
    except NotAllowed as refused:
        error = f"not allowed: {refused}"
    return {"open": error is None, "error": error, "seconds": round(time.monotonic() - begun, 3)}


def http(host: Host, url: str, timeout: float = 5.0, method: str = "GET") -> dict[str, Any]:
    """`{status, error, body, headers, seconds}`; status None where there was no answer. Proxies are not used."""
    if not url.lower().startswith(("http://", "https://")):
        raise NotAllowed(f"not an http address: {url!r}")
    begun = time.monotonic()
    try:
        seen = _http_here(url, timeout, method) if host.local else _http_there(host, url, timeout, method)
    except NotAllowed as error:
        seen = {"status": None, "error": f"not allowed: {error}", "body": "", "headers": {}}
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


def _connected(address: tuple[str, int], timeout: float | None = None, *_: Any, **__: Any) -> socket.socket:
    """A connection to a name whose addresses were looked at first: nothing is sent to a metadata service."""
    failure: OSError = ConnectionRefusedError()
    for each in resolved(*address):
        try:
            return socket.create_connection((each, address[1]), timeout=timeout)
        except OSError as error:
            failure = error
    raise failure


def _checked(kind: type[HTTPConnection]) -> type[HTTPConnection]:
    """A connection that is not made to a metadata service, whatever name leads to it."""

    class Checked(kind):  # type: ignore[valid-type, misc]
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self._create_connection = _connected

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
    split = urllib.parse.urlsplit(url)
    pinned = _pinned(host, split.hostname or "", split.port or (443 if split.scheme.lower() == "https" else 80))
    limits = ("--max-time", f"{timeout:g}", "--max-filesize", str(BODY * 16), "--globoff", "--proto", "=http,https")
    asked = ("-X", method) if method != "HEAD" else ("-I",)
    ended = host.attempt(
        "curl",
        "-sS",
        "--noproxy",
        "*",
        *limits,
        *asked,
        *pinned,
        "-w",
        f"{marker}%{{http_code}} %{{remote_ip}}",
        "--url",
        url,
        timeout=timeout + 10,
    )
    body, _, seen = ended.output.rpartition(marker)
    status, _, peer = seen.partition(" ")
    if peer.strip() and is_metadata(peer):
        raise NotAllowed(f"{split.hostname} leads to a metadata service or a link-local address")
    code = int(status) if status.isdigit() else 0
    if code:
        return {"status": code, "error": None, "body": body[:BODY], "headers": {}}
    return {"status": None, "error": _curl(ended.code) or ended.errors.strip()[:200], "body": "", "headers": {}}


def _tcp_here(address: str, port: int, timeout: float) -> str | None:
    try:
        with _connected((address, port), timeout):
            return None
    except OSError as error:
        return reason(error)


def _tcp_there(host: Host, address: str, port: int, timeout: float) -> str | None:
    limits = ("--connect-timeout", f"{timeout:g}", "--max-time", f"{timeout + 1:g}")
    where = f"[{address}]" if ":" in address else address
    more = (*limits, *_pinned(host, address, port))
    ended = host.attempt(
        "curl", "-sS", "-v", "--noproxy", "*", *more, "--url", f"telnet://{where}:{port}", timeout=timeout + 10
    )
    if ended.code == 0 or "Connected to" in ended.errors:
        return None
    return _curl(ended.code) or ended.errors.strip()[-200:]


def _pinned(host: Host, name: str, port: int) -> tuple[str, ...]:
    """Options that have curl ask the addresses that were looked at, and no others. Raises NotAllowed where the name
    leads to a metadata service there. Without getent, what came from one is not told (`http`)."""
    if is_metadata(name):
        raise NotAllowed(f"{name} is a metadata service or a link-local address; it is never asked")
    if name.startswith("-"):
        raise NotAllowed(f"not a name: {name!r}")
    if ":" in name or not name.isascii() or name.replace(".", "").isdigit():
        return ()
    ended = host.attempt("getent", "ahosts", name, timeout=10.0)
    found = [words[0] for line in ended.output.splitlines() if (words := line.split())] if ended.code == 0 else []
    if any(map(is_metadata, found)):
        raise NotAllowed(f"{name} leads to a metadata service or a link-local address; it is never asked")
    usable = [f"[{each}]" if ":" in each else each for each in dict.fromkeys(found) if "%" not in each]
    return ("--resolve", f"{name}:{port}:{','.join(usable)}") if usable else ()


def _curl(code: int) -> str | None:
    """Why curl ended with this status. Source: curl(1), EXIT CODES."""
    return {
        6: "unresolved",
        7: "refused",
        28: "timeout",
        35: "tls: handshake failed",
        60: "tls: certificate not trusted",
    }.get(code, "curl is not installed there" if code == 127 else None)
