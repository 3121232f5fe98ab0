"""Which model is meant: `gpt-4o`, `anthropic:claude-…`, `ollama:llama3`, or any name on an OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KEYS: dict[str, tuple[str, ...]] = {
    "openai": ("OPEN_AI_API_KEY", "OPENAI_API_KEY"),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "google": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "azure": ("AZURE_OPENAI_API_KEY",),
    "mistral": ("MISTRAL_API_KEY",),
    "groq": ("GROQ_API_KEY",),
    "cohere": ("CO_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY",),
    "together": ("TOGETHER_API_KEY",),
    "fireworks": ("FIREWORKS_API_KEY",),
    "huggingface": ("HF_TOKEN",),
    "cerebras": ("CEREBRAS_API_KEY",),
    "xai": ("XAI_API_KEY",),
}
"""Where each provider's key is looked for, in this order."""

KEYLESS = frozenset({"bedrock", "google-cloud", "ollama", "vllm"})
"""Providers that are reached with credentials of the machine, or with none."""

_FAMILIES = (("claude", "anthropic"), ("gemini", "google"), ("mistral", "mistral"), ("codestral", "mistral"))
OWN_KEY = "DEVOPS_AGENT_MODEL_KEY"
FALLBACK_KEY = "DEVOPS_AGENT_MODEL_FALLBACK_KEY"


@dataclass(frozen=True)
class Choice:
    """One model: who serves it, its name there, and where. The key is never shown."""

    provider: str
    name: str
    base_url: str | None = None
    key: str | None = field(default=None, repr=False)

    @property
    def configured(self) -> bool:
        """Whether it can be asked at all: there is a key, or none is needed."""
        return bool(self.key or self.base_url or self.provider in KEYLESS)

    @property
    def label(self) -> str:
        """For people: `gpt-4o`, `anthropic:claude-…`."""
        return self.name if self.provider == "openai" else f"{self.provider}:{self.name}"


def choose(model: str, base_url: str | None, environ: Mapping[str, str], own_key: str = OWN_KEY) -> Choice:
    """The model of that name; its key comes from the environment.

    A key of a provider is not sent to another server than the provider's own, unless `own_key` names it.
    """
    prefix, colon, rest = model.partition(":")
    if colon and (prefix in KEYS or prefix in KEYLESS):
        provider, name = prefix, rest
    elif base_url:
        provider, name = "openai", model
    else:
        provider = next((known for start, known in _FAMILIES if model.lower().startswith(start)), "openai")
        name = model
    if provider in ("ollama", "vllm") and base_url:
        provider = "openai"  # both speak its protocol, and a base URL is all that is needed
    known = [environ[each] for each in KEYS.get(provider, ()) if environ.get(each)]
    usual = own_key == OWN_KEY or base_url is None
    key = environ.get(own_key) or (known[0] if known and usual else None)
    return Choice(provider, name, base_url or None, key)
