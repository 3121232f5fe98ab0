"""What a request looks like on the wire: the provider's own client writes it, and nothing is connected to."""

from __future__ import annotations

import json
from typing import Any

from devops_agent.llm import loop
from devops_agent.llm.door import Door
from devops_agent.llm.request import Request
from devops_agent.llm.wire import Trouble, Wire
from devops_agent.run import Ledger
from devops_agent.usage import ModelCall, Usage

_SECRET_HEADERS = ("authorization", "x-api-key", "api-key")


class Showing:
    """A door that opens to nobody: it keeps what would have been sent first in `seen`."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.seen: dict[str, Any] | None = None

    def ask(self, request: Request, turn: int, spent: Usage, ledger: Ledger | None = None) -> ModelCall:  # noqa: ARG002
        """Nothing is sent; the call says so."""
        self.seen = self.seen or shown(self.door, request)
        return ModelCall(turn=turn, error="nothing was sent: the request is only shown", tries=0)


def shown(door: Door, request: Request) -> dict[str, Any]:
    """Exactly what would be sent to the first model, without sending it."""
    terms = door.terms
    return capture(Wire(terms.choices[0], terms.timeout, terms.answer_tokens), request.redacted(door.redact))


def capture(wire: Wire, request: Request) -> dict[str, Any]:
    """Method, address, headers (keys masked) and body of the request; `bytes` is the body's size."""
    import httpx2

    caught: list[dict[str, Any]] = []

    class Nowhere(httpx2.AsyncBaseTransport):
        """Takes requests and sends none."""

        async def handle_async_request(self, asked: httpx2.Request) -> httpx2.Response:
            body = await asked.aread()
            headers = {
                name: "…" if name.lower() in _SECRET_HEADERS else value
                for name, value in asked.headers.items()
                if not name.lower().startswith("x-stainless")
            }
            caught.append(
                {
                    "method": asked.method,
                    "url": str(asked.url),
                    "headers": headers,
                    "bytes": len(body),
                    "body": json.loads(body),
                }
            )
            return httpx2.Response(418, json={"error": {"message": "nothing was sent"}}, request=asked)

    async def written() -> None:
        async with httpx2.AsyncClient(transport=Nowhere()) as client:
            await wire.send(request, client)

    if wire.choice.provider in ("openai", "anthropic"):
        try:
            loop.run(written(), wire.timeout)
        except Trouble:
            if caught:
                return caught[0]
            raise
    body = json.loads(request.text())
    return {"provider": wire.choice.label, "bytes": len(request.text().encode()), "body": body}
