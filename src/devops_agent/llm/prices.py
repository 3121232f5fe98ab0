"""What a call costs: what the settings say, else the price list of the genai-prices package."""

from __future__ import annotations

from dataclasses import dataclass

from devops_agent.errors import ConfigError

_IDS = {"bedrock": "aws", "google-cloud": "google", "xai": "x-ai"}


@dataclass(frozen=True)
class Price:
    """Dollars for a million tokens in each direction."""

    given: float
    made: float

    def of(self, tokens_in: int, tokens_out: int) -> float:
        """Dollars for so many tokens."""
        return (tokens_in * self.given + tokens_out * self.made) / 1e6


def read(text: str | None) -> dict[str, Price]:
    """`2.5/10` for every model, or `gpt-4o=2.5/10, llama3=0/0`: dollars for a million tokens in and out."""
    prices: dict[str, Price] = {}
    for part in filter(None, (text or "").replace("\n", ",").split(",")):
        name, equals, value = part.rpartition("=")
        given, slash, made = value.strip().partition("/")
        try:
            if not slash:
                raise ValueError
            prices[name.strip() if equals else ""] = price = Price(float(given), float(made))
            if min(price.given, price.made) < 0:
                raise ValueError
        except ValueError:
            raise ConfigError(
                f"DEVOPS_AGENT_MODEL_PRICE: {part.strip()!r} is not IN/OUT or MODEL=IN/OUT, in dollars a million tokens"
            ) from None
    return prices


def dollars(
    own: dict[str, Price], provider: str, model: str, tokens_in: int, tokens_out: int, cached: int = 0
) -> float | None:
    """What so many tokens cost; None where nobody knows. `cached` of those in came from the provider's cache."""
    price = own.get(model) or own.get("")
    if price is not None:
        return price.of(tokens_in, tokens_out)
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=tokens_in, output_tokens=tokens_out, cache_read_tokens=min(cached, tokens_in))
    try:
        return float(calc_price(usage, model, provider_id=_IDS.get(provider, provider)).total_price)
    except (LookupError, ValueError):
        return None
