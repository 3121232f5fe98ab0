"""What a language model was asked, what it answered, and what that cost: kept in the journal, so it is paid once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import Field

from devops_agent.record import Record, now


class FunctionCall(Record):
    """A function that a model wants called. `args` is None where what it wrote is no JSON object: `raw` is that."""

    id: str
    name: str
    args: dict[str, Any] | None = None
    raw: str = ""


class ModelCall(Record):
    """One question to a model and its answer. Kept under `<attempt>/model/<turn>`; where it failed, `error` says why.

    `request` is the SHA-256 of all that was sent, `sent` those messages that no earlier call of the attempt had (with
    `system` in the first one), all of it as it was sent: redacted. `problems` are the tries that failed before the last
    one. `priced` is False where nobody knows the model's price: `dollars` then is 0 without meaning that.
    """

    turn: int
    purpose: str = "diagnose"
    model: str = ""
    provider: str = ""
    request: str = ""
    request_bytes: int = 0
    system: str = ""
    sent: tuple[dict[str, Any], ...] = ()
    offered: tuple[str, ...] = ()
    text: str = ""
    calls: tuple[FunctionCall, ...] = ()
    finish: str = ""
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    dollars: float = 0.0
    priced: bool = True
    seconds: float = 0.0
    tries: int = 1
    problems: tuple[str, ...] = ()
    error: str | None = None
    at: datetime = Field(default_factory=now)

    def brief(self) -> ModelCall:
        """Without what was sent: what reports carry along. The journal has it all."""
        return self.model_copy(update={"system": "", "sent": ()})


class Usage(Record):
    """What the calls to models of one incident came to."""

    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    dollars: float = 0.0
    seconds: float = 0.0
    unpriced: bool = False
    failed: int = 0
    models: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens in both directions."""
        return self.tokens_in + self.tokens_out


def total(calls: Iterable[ModelCall]) -> Usage:
    """The sum of these calls. One that failed before anything was sent to a model counts as no request."""
    made = list(calls)
    return Usage(
        requests=sum(1 for call in made if call.tries),
        tokens_in=sum(call.tokens_in for call in made),
        tokens_out=sum(call.tokens_out for call in made),
        dollars=round(sum(call.dollars for call in made), 6),
        seconds=round(sum(call.seconds for call in made), 3),
        unpriced=any(not call.priced for call in made),
        failed=sum(1 for call in made if call.error),
        models=tuple(dict.fromkeys(call.model for call in made if call.model)),
    )
