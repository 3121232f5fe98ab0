"""From the settings to who plans: the runbooks, alone or with a model, on which terms and at what cost at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devops_agent.config import Settings
from devops_agent.errors import ConfigError

if TYPE_CHECKING:
    from devops_agent.llm.budget import Caps
    from devops_agent.llm.door import Door
    from devops_agent.llm.names import Choice
    from devops_agent.planners import Planner
    from devops_agent.planners.runbook import RunbookPlanner

INSTALL = "pip install 'devops-agent[llm]'"


def planner(settings: Settings, runbooks: RunbookPlanner) -> Planner:
    """Who plans: the runbooks, alone or with a model where one is configured. Raises ConfigError where one is wanted
    and there is none."""
    if settings.planner == "runbooks":
        return runbooks
    from importlib.util import find_spec

    chosen = choices(settings)
    if not chosen:
        if settings.planner == "auto":
            return runbooks
        raise ConfigError(
            f"DEVOPS_AGENT_PLANNER: {settings.planner} needs a model, and there is no key for {settings.model}: set "
            "OPEN_AI_API_KEY (or the key of its provider), or DEVOPS_AGENT_MODEL_BASE_URL"
        )
    if find_spec("pydantic_ai") is None:
        if settings.planner == "auto":
            return runbooks
        raise ConfigError(f"DEVOPS_AGENT_PLANNER: {settings.planner} needs a package more: {INSTALL}")
    from devops_agent.planners.cascade import CascadePlanner
    from devops_agent.planners.model import ModelPlanner

    model = ModelPlanner(door(settings, chosen), runbooks.library.causes, settings.max_turns)
    return CascadePlanner(runbooks, model, settings.planner)


def who_plans(settings: Settings) -> tuple[str, str]:
    """Who plans under these settings, and that in a sentence."""
    from importlib.util import find_spec

    chosen = choices(settings) if settings.planner != "runbooks" else ()
    if not chosen:
        return "runbooks", "Runbooks plan; no model is needed."
    if find_spec("pydantic_ai") is None:
        return "runbooks", f"Runbooks plan. There is a key for {chosen[0].label}, but not the package for it: {INSTALL}"
    asked = " or ".join(each.label for each in chosen)
    words = {
        "auto": f"Runbooks plan; {asked} is asked where they do not know.",
        "model_first": f"{asked} plans, with the runbooks as context; they answer where it does not.",
        "model": f"{asked} plans alone; of the runbooks only their reading is reported where it does not answer.",
    }
    return settings.planner, words[settings.planner]


def choices(settings: Settings) -> tuple[Choice, ...]:
    """The models that can be asked, in order: those for which there is a key, or none is needed."""
    from devops_agent.config import environment
    from devops_agent.llm.names import FALLBACK_KEY, choose

    known = environment()
    made = [choose(settings.model, settings.model_base_url, known)]
    if settings.model_fallback:
        made.append(choose(settings.model_fallback, settings.model_fallback_base_url, known, FALLBACK_KEY))
    return tuple(each for each in made if each.configured)


def door(settings: Settings, models: tuple[Choice, ...]) -> Door:
    """The door to these models, on the settings' terms."""
    from devops_agent.distil.redact import redact
    from devops_agent.llm import prices
    from devops_agent.llm.door import Door, Terms

    terms = Terms(
        models,
        timeout=settings.model_timeout_seconds,
        patience=settings.model_patience_seconds,
        answer_tokens=settings.model_answer_tokens,
        caps=caps(settings),
        prices=prices.read(settings.model_price),
    )
    return Door(terms, lambda text: redact(text)[0])


def caps(settings: Settings) -> Caps:
    """What asking models may cost."""
    from devops_agent.llm.budget import Cap, Caps

    return Caps(
        call=Cap(settings.budget_call_tokens, settings.budget_call_dollars),
        incident=Cap(settings.budget_incident_tokens, settings.budget_incident_dollars),
        day=Cap(settings.budget_day_tokens, settings.budget_day_dollars),
        caller=Cap(settings.budget_caller_tokens, settings.budget_caller_dollars),
    )
