"""One model, spoken to through pydantic-ai. Everything that can go wrong becomes a `Trouble` that says of what kind.

The provider's own client does not try again by itself: the door decides that, and counts it.
"""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from devops_agent.errors import ConfigError
from devops_agent.llm import plain
from devops_agent.llm.names import Choice
from devops_agent.llm.request import Request
from devops_agent.usage import FunctionCall

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import Model

Kind = Literal[
    "rate", "server", "connection", "timeout", "refused", "context", "tools", "filter", "unreadable", "empty"
]

_MESSAGE = 300
_CALLS = 12
"""Calls of one answer that are read; more are no plan but noise."""


class Trouble(Exception):
    """A call that gave no answer, of what kind, and how long the provider asks to wait."""

    def __init__(self, kind: Kind, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after


@dataclass(frozen=True)
class Answer:
    """What a model said."""

    text: str
    calls: tuple[FunctionCall, ...]
    finish: str
    model: str
    tokens_in: int
    tokens_cached: int
    tokens_out: int


class Wire:
    """Speaks to one model. `plain`: it refused functions, so they are written into the text instead."""

    def __init__(self, choice: Choice, timeout: float, answer_tokens: int) -> None:
        self.choice = choice
        self.timeout = timeout
        self.answer_tokens = answer_tokens
        self.plain = False
        self._model: Model | None = None

    async def send(self, request: Request, client: Any = None) -> Answer:
        """The answer to one request; raises Trouble. `client` is an HTTP client to use instead of a kept one."""
        from pydantic_ai.direct import model_request

        wanted = plain.request(request) if self.plain else request
        try:
            model = self._model if client is None and self._model else build(self.choice, self.timeout, client)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                response = await model_request(
                    model,
                    messages(wanted),
                    model_settings={"max_tokens": self.answer_tokens, "timeout": self.timeout},
                    model_request_parameters=parameters(wanted),
                )
        except TimeoutError:
            raise Trouble("timeout", f"no answer within {self.timeout:g} s") from None
        except Exception as error:  # noqa: BLE001 (whatever a provider's client raises is a trouble of that provider)
            raise trouble(error) from None
        return answer(response, self.plain)

    def prepare(self) -> None:
        """Load the provider's client, which may take seconds the first time: no part of the time for an answer.

        Raises Trouble.
        """
        if self._model is not None:
            return
        try:
            import pydantic_ai.direct  # noqa: F401

            self._model = build(self.choice, self.timeout)
        except Exception as error:  # noqa: BLE001 (whatever a provider's client raises is a trouble of that provider)
            raise trouble(error) from None


def build(choice: Choice, timeout: float, client: Any = None) -> Model:
    """pydantic-ai's model for this choice; raises ConfigError where a package or a setting for it is missing."""
    for name in ("httpx2", "httpx", "openai", "anthropic"):
        logging.getLogger(name).setLevel(logging.WARNING)  # they tell of every request, with its address
    try:
        if choice.provider == "openai":
            return _openai(choice, timeout, client)
        if choice.provider == "anthropic":
            return _anthropic(choice, timeout, client)
        return _other(choice)
    except ImportError as error:
        extra = "'devops-agent[llm]'" if "pydantic_ai" in str(error.name) else f"'pydantic-ai-slim[{choice.provider}]'"
        raise ConfigError(f"DEVOPS_AGENT_MODEL: {choice.label} needs a package more: pip install {extra}") from None


def _openai(choice: Choice, timeout: float, client: Any) -> Model:
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    sdk = AsyncOpenAI(
        api_key=choice.key or "none", base_url=choice.base_url, timeout=timeout, max_retries=0, http_client=client
    )
    return OpenAIChatModel(choice.name, provider=OpenAIProvider(openai_client=sdk))


def _anthropic(choice: Choice, timeout: float, client: Any) -> Model:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    sdk = AsyncAnthropic(
        api_key=choice.key or "none", base_url=choice.base_url, timeout=timeout, max_retries=0, http_client=client
    )
    return AnthropicModel(choice.name, provider=AnthropicProvider(anthropic_client=sdk))


def _other(choice: Choice) -> Model:
    from pydantic_ai.exceptions import UserError
    from pydantic_ai.models import infer_model
    from pydantic_ai.providers import infer_provider_class

    given = {"api_key": choice.key, "base_url": choice.base_url}

    def provider(name: str) -> Any:
        return infer_provider_class(name)(**{key: value for key, value in given.items() if value})

    try:
        return infer_model(f"{choice.provider}:{choice.name}", provider)
    except (UserError, TypeError, ValueError) as error:
        raise ConfigError(f"DEVOPS_AGENT_MODEL: {choice.label}: {str(error)[:_MESSAGE]}") from None


def messages(request: Request) -> list[ModelMessage]:
    """Our messages in pydantic-ai's form; answers to several calls of one turn travel together."""
    from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart

    made: list[ModelMessage] = []
    parts: list[Any] = []
    for each in request.messages:
        if each.role == "assistant":
            if parts:
                made.append(ModelRequest(parts=parts, instructions=request.system))
            said: list[Any] = [TextPart(each.text)] if each.text else []
            said += [ToolCallPart(call.name, call.args or {}, tool_call_id=call.id) for call in each.calls]
            made.append(ModelResponse(parts=said or [TextPart("(nothing)")]))
            parts = []
        elif each.role == "function":
            parts.append(ToolReturnPart(each.name, each.text, tool_call_id=each.call))
        else:
            parts.append(UserPromptPart(each.text))
    made.append(ModelRequest(parts=parts, instructions=request.system))
    return made


def parameters(request: Request) -> Any:
    """The functions that are offered. Where there are any, one of them must be called."""
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.tools import ToolDefinition

    offered = [
        ToolDefinition(name=each.name, description=each.description, parameters_json_schema=each.schema, strict=False)
        for each in request.functions
    ]
    return ModelRequestParameters(function_tools=offered, allow_text_output=not offered)


def answer(response: ModelResponse, as_text: bool) -> Answer:
    """Our form of a response; raises Trouble for an empty or refused one."""
    from pydantic_ai.messages import TextPart, ToolCallPart

    text = "\n".join(part.content for part in response.parts if isinstance(part, TextPart)).strip()
    calls = tuple(_call(part) for part in response.parts if isinstance(part, ToolCallPart))
    finish = str(response.finish_reason or "")
    if finish == "content_filter":
        raise Trouble("filter", "the provider's filter refused to answer")
    if not calls:
        calls = plain.calls(text)
    if not calls and not text:
        cut = " (it was cut off: allow it more tokens)" if finish == "length" else ""
        raise Trouble("empty", f"an empty answer{cut}")
    usage = response.usage
    return Answer(
        text="" if as_text and calls else text,
        calls=calls[:_CALLS],
        finish=finish,
        model=response.model_name or "",
        tokens_in=usage.input_tokens,
        tokens_cached=usage.cache_read_tokens,
        tokens_out=usage.output_tokens,
    )


def _call(part: Any) -> FunctionCall:
    args, raw = part.args, ""
    if isinstance(args, str):
        raw = args
        try:
            args = json.loads(args or "{}")
        except (ValueError, RecursionError):
            args = None
    if args is not None and not isinstance(args, dict):
        raw, args = json.dumps(args), None
    return FunctionCall(id=part.tool_call_id, name=part.tool_name, args=args, raw=raw[:2000] if args is None else "")


def trouble(error: Exception) -> Trouble:
    """What kind of trouble an exception of pydantic-ai or of a provider's client is."""
    from pydantic_ai import exceptions as known

    said = _said(error)
    after = getattr(error, "retry_after", None)
    lower = said.lower()
    if isinstance(error, known.ModelContextWindowExceededError) or "context length" in lower or "too long" in lower:
        return Trouble("context", said)
    if isinstance(error, known.ModelQuotaExceededError):
        return Trouble("refused", said)
    if isinstance(error, known.ModelRateLimitError):
        return Trouble("rate", said, after)
    if isinstance(error, known.ModelServerError | known.ModelUnavailableError):
        return Trouble("server", said, after)
    if isinstance(error, known.ModelTimeoutError | known.ModelRequestTimeout):
        return Trouble("timeout", "no answer within the time allowed for it")
    if isinstance(error, known.ContentFilterError):
        return Trouble("filter", said)
    status = getattr(error, "status_code", 0) or 0
    if not status and "decode" in lower:
        return Trouble("unreadable", f"an answer that cannot be read ({said})")
    if isinstance(error, known.ModelAPIError):
        if status in (400, 404, 422, 501) and ("tool" in lower or "function" in lower):
            return Trouble("tools", said)
        if status >= 500 or status in (408, 409, 425):
            return Trouble("server", said, after)
        return Trouble("rate" if status == 429 else "refused" if status else "connection", said, after)
    if isinstance(error, ConfigError | known.UserError):
        return Trouble("refused", said)
    return Trouble("unreadable", f"an answer that cannot be read ({said})")


def _said(error: Exception) -> str:
    """The words of an error, of the provider's where it sent some, on one line."""
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else body
    words = inner.get("message") if isinstance(inner, dict) else None
    status = getattr(error, "status_code", None)
    text = " ".join(str(words or error).split())[:_MESSAGE]
    return f"HTTP {status}: {text}" if status and words else text or type(error).__name__
