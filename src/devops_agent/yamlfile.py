"""YAML files, read safely and with errors that name the file and the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from devops_agent.errors import ConfigError

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path) -> Any:
    """The content of a YAML file; raises ConfigError where it is missing or cannot be parsed."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> Any:
    """The content of YAML text; `name` stands for the file in errors."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a safe loader, the C one where there is it)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{name}{where}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not valid YAML: {error}") from None
