"""Sessions of the page: a signed cookie that says who logged in, and the token that its forms send along.

Nothing is kept on the server: a session that a key began ends with the key; all end when the secret changes.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from typing import TYPE_CHECKING, Any

from flask import request

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Response
    from itsdangerous import URLSafeSerializer

    from devops_agent.config import Settings

COOKIE = "devops_agent_session"
CSRF_HEADER = "X-CSRF-Token"


class Sessions:
    """Begins, reads and ends sessions with one secret, which all processes of an installation share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.seconds = settings.session_hours * 3600
        self._secret: bytes | None = None

    def begin(self, response: Response, who: dict[str, Any]) -> None:
        """Log in: `who` is what `read` gives back until the session ends."""
        text = self._signer().dumps({**who, "until": time.time() + self.seconds, "n": secrets.token_hex(8)})
        secure = request.is_secure or self.settings.public_url.startswith("https:")
        response.set_cookie(
            COOKIE,
            text if isinstance(text, str) else text.decode(),
            max_age=int(self.seconds),
            httponly=True,
            samesite="Strict",
            secure=secure,
        )

    def end(self, response: Response) -> None:
        """Log out."""
        response.delete_cookie(COOKIE, httponly=True, samesite="Strict")

    def read(self) -> dict[str, Any] | None:
        """Who the request's cookie says is logged in; None where there is none, or it is not ours, or it is over."""
        from itsdangerous import BadData

        text = request.cookies.get(COOKIE)
        if not text:
            return None
        try:
            found = self._signer().loads(text)
        except BadData:
            return None
        return found if isinstance(found, dict) and found.get("until", 0) > time.time() else None

    def token(self) -> str:
        """What a form of this session has to send along; empty without a session."""
        text = request.cookies.get(COOKIE, "")
        return hmac.new(self.secret(), b"form " + text.encode(), hashlib.sha256).hexdigest() if text else ""

    def sent_token(self) -> bool:
        """Whether the request brought the session's token, as a header or in its form."""
        sent = request.headers.get(CSRF_HEADER) or request.form.get("token", "")
        expected = self.token()
        return bool(expected) and hmac.compare_digest(sent.encode("utf-8", "replace"), expected.encode())

    def secret(self) -> bytes:
        """What is signed with."""
        if self._secret is None:
            given = self.settings.session_secret
            self._secret = given.encode() if given else _kept(self.settings.data_dir / "session.key")
        return self._secret

    def signed(self, purpose: str) -> URLSafeSerializer:
        """A signer for something else than sessions."""
        from itsdangerous import URLSafeSerializer

        return URLSafeSerializer(
            self.secret(), salt=f"devops_agent {purpose}", signer_kwargs={"digest_method": hashlib.sha256}
        )

    def _signer(self) -> URLSafeSerializer:
        return self.signed("session")


def _kept(file: Path) -> bytes:
    """The secret of this data directory, made by whoever needs it first; readable by its owner only."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    if not file.exists():
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as out:
            out.write(secrets.token_urlsafe(48))
        try:
            os.link(fresh, file)
        except FileExistsError:
            pass  # another process was first: its secret counts
        finally:
            fresh.unlink()
    return file.read_bytes()
