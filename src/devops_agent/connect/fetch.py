"""Asking a vendor's REST API: only the configured host, with time limits and caps; a token never leaves that host.

Addresses are made of the configured base and of ids that were checked; nothing in a payload chooses whom we ask. A
redirect within the API keeps the token; one to a configured storage host is followed without it; any other is refused.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from devops_agent.connect.settings import Hook
from devops_agent.errors import AgentError, NotAllowed
from devops_agent.tools.outward import is_metadata, resolved

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 10.0
READ_SECONDS = 20.0
WHOLE_SECONDS = 90.0
JSON_BYTES = 8 << 20
REDIRECTS = 3
_AGAIN = frozenset({404, 408, 409, 425, 429, 500, 502, 503, 504})
"""Answers that may be others a little later; 404 because a log is often there only some seconds after its job."""


class NotFetched(AgentError):
    """The API did not give what was asked for. `again`: it may later, `after` so many seconds."""

    code = "not_fetched"

    def __init__(self, message: str, again: bool = False, after: float | None = None) -> None:
        super().__init__(message)
        self.again = again
        self.after = after


class Door:
    """One API: its base address, how one proves oneself there, and the hosts it may redirect to."""

    def __init__(self, hook: Hook, token: str | None = None) -> None:
        self.base = hook.base
        self.hosts = hook.hosts
        self.kind = hook.kind
        self.token = token or (hook.token.get_secret_value() if hook.token else None)
        self.user = hook.user

    def json(self, path: str) -> Any:
        """A JSON answer."""
        raw, cut = self._read("GET", path, JSON_BYTES, None)
        if cut:
            raise NotFetched(f"{self._name(path)}: the answer is larger than {JSON_BYTES} bytes")
        return self._parsed(raw, path)

    def text(self, path: str, most: int) -> tuple[bytes, int]:
        """A log: at most so many bytes of its end, and how many were left out before them."""
        return self._read("GET", path, most, None)

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Write something; the JSON answer."""
        raw, _ = self._read(method, path, JSON_BYTES, body)
        return self._parsed(raw, path)

    def _parsed(self, raw: bytes, path: str) -> Any:
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            raise NotFetched(f"{self._name(path)}: the answer is no JSON", again=True) from None

    def _read(self, method: str, path: str, most: int, body: Mapping[str, Any] | None) -> tuple[bytes, int]:
        import httpx

        deadline = time.monotonic() + WHOLE_SECONDS
        limits = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        address = f"{self.base}/{path.lstrip('/')}"
        try:
            with httpx.Client(timeout=limits, follow_redirects=False) as client:
                for _ in range(REDIRECTS + 1):
                    with self._asked(client, method, address, body) as answer:
                        if answer.is_redirect and method == "GET":
                            address = self._next(address, answer.headers.get("location", ""))
                            continue
                        self._check(answer, path)
                        return _end(answer, most, deadline, self._name(path))
        except httpx.TransportError as error:
            raise NotFetched(f"{self._name(path)}: {type(error).__name__}", again=True) from None
        except httpx.HTTPError as error:
            raise NotFetched(f"{self._name(path)}: {type(error).__name__}") from None
        raise NotFetched(f"{self._name(path)}: more than {REDIRECTS} redirects")

    @contextmanager
    def _asked(
        self, client: httpx.Client, method: str, address: str, body: Mapping[str, Any] | None
    ) -> Iterator[httpx.Response]:
        headers = {"User-Agent": "devops-agent", "Accept": "application/json, text/plain, */*"}
        auth = None
        if _origin(address) == _origin(self.base) and self.token:
            headers |= self._proof()
            auth = (self.user or "", self.token) if self.kind == "jenkins" else None
        more: dict[str, Any] = {} if body is None else {"json": dict(body)}
        check_host(address)
        with client.stream(method, address, headers=headers, auth=auth, **more) as answer:
            _check_peer(answer)
            yield answer

    def _proof(self) -> dict[str, str]:
        if self.kind == "github":
            return {
                "Authorization": f"Bearer {self.token}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
            }
        return {"PRIVATE-TOKEN": self.token or ""} if self.kind == "gitlab" else {}

    def _next(self, address: str, location: str) -> str:
        """Where a redirect leads, if we may go there."""
        there = urljoin(address, location)
        parts = urlsplit(there)
        if _origin(there) == _origin(self.base):
            return there
        secure = parts.scheme == "https" or (parts.scheme == "http" and urlsplit(self.base).scheme == "http")
        host = (parts.hostname or "").lower()
        known = any(host == each or (each.startswith(".") and host.endswith(each)) for each in self.hosts)
        if not (secure and known and not parts.username):
            raise NotFetched(f"the API redirects to {host or 'nowhere'}, which is not among its storage_hosts")
        return there

    def _check(self, answer: httpx.Response, path: str) -> None:
        if answer.is_success:
            return
        status = answer.status_code
        spent = status == 403 and answer.headers.get("x-ratelimit-remaining") == "0"
        after = _seconds(answer.headers.get("retry-after"))
        if spent and after is None and (reset := _seconds(answer.headers.get("x-ratelimit-reset"))) is not None:
            after = max(1.0, reset - time.time())
        again = status in _AGAIN or spent or after is not None
        raise NotFetched(f"{self._name(path)}: answered {status}", again=again, after=after and min(after, 3600.0))

    def _name(self, path: str) -> str:
        """An address for people: without query, which may hold what should not be told."""
        return f"{urlsplit(self.base).hostname}/{path.lstrip('/').partition('?')[0]}"


def check_host(address: str) -> None:
    """Raises NotFetched where a name leads to a metadata service; who is not known at all, others say better."""
    host = urlsplit(address).hostname or ""
    try:
        resolved(host, _origin(address)[2])
    except NotAllowed as error:
        raise NotFetched(str(error)) from None
    except OSError:
        return


def _check_peer(answer: httpx.Response) -> None:
    """The same of who answers: a name may lead somewhere else a moment later. Nothing of it has been read yet."""
    stream = answer.extensions.get("network_stream")
    peer = stream.get_extra_info("server_addr") if stream is not None else None
    if peer and is_metadata(str(peer[0])):
        raise NotFetched("a metadata service answers there; nothing of it is read")


def _end(answer: httpx.Response, most: int, deadline: float, name: str) -> tuple[bytes, int]:
    """The last bytes of an answer of any length."""
    kept: deque[bytes] = deque()
    size = total = 0
    for chunk in answer.iter_bytes(64 << 10):
        kept.append(chunk)
        size += len(chunk)
        total += len(chunk)
        while size - len(kept[0]) >= most:
            size -= len(kept.popleft())
        if time.monotonic() > deadline:
            raise NotFetched(f"{name}: not there after {WHOLE_SECONDS:.0f} s", again=True)
    raw = b"".join(kept)[-most:]
    return raw, total - len(raw)


def _origin(address: str) -> tuple[str, str, int]:
    parts = urlsplit(address)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and value.isascii() and value.isdigit() and len(value) < 12 else None
