"""Settings, read once from the environment, a `.env` file and an optional TOML or YAML file; the environment wins."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from devops_agent.errors import ConfigError

PREFIX = "DEVOPS_AGENT_"
DEFAULT_MODEL = "gpt-4o"


def default_data_dir() -> Path:
    """The platform's folder for an application's data."""
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library/Application Support/devops_agent"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share") / "devops_agent"


class Settings(BaseModel):
    """Everything that can be set. `DEVOPS_AGENT_<NAME>` in the environment, `name` in the TOML file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(default_factory=default_data_dir, description="where everything that is kept lies")
    database_url: str | None = Field(None, description="SQLAlchemy URL; default: SQLite in the data directory")
    inventory: Path | None = Field(None, description="inventory file, or a directory of them")
    policy: Path | None = Field(None, description="policy file; default: probes allowed, changes and destruction asked")
    runbooks: Path | None = Field(None, description="directory of own runbooks; they override by id")
    planner: Literal["auto", "runbooks", "model_first", "model"] = Field(
        "auto", description="who plans: auto (runbooks, a model where they do not know), runbooks, model_first, model"
    )
    model: str = Field(DEFAULT_MODEL, description="language model, `provider:name` or a name (docs/models.md)")
    model_base_url: str | None = Field(
        None, description="OpenAI-compatible server to ask instead of the provider's own"
    )
    model_fallback: str | None = Field(None, description="model to ask where the first one gives no answer")
    model_fallback_base_url: str | None = Field(None, description="server of the fallback")
    model_timeout_seconds: float = Field(60.0, gt=0, description="how long one try of a question to a model may take")
    model_patience_seconds: float = Field(
        120.0, gt=0, description="how long a question to one model may take with all its tries"
    )
    model_answer_tokens: int = Field(4000, ge=200, description="most tokens of one answer")
    model_price: str | None = Field(
        None, description="dollars a million tokens, IN/OUT or MODEL=IN/OUT, …; default: a price list that is built in"
    )
    max_turns: int = Field(5, ge=1, le=50, description="requests to a model for one incident")
    budget_call_tokens: int | None = Field(None, ge=1, description="most tokens of one request with its answer")
    budget_call_dollars: float | None = Field(None, ge=0, description="most that one request may cost")
    budget_incident_tokens: int | None = Field(200_000, ge=1, description="most tokens of one incident")
    budget_incident_dollars: float | None = Field(1.0, ge=0, description="most that one incident may cost")
    budget_day_tokens: int | None = Field(None, ge=1, description="most tokens of one day (UTC), all incidents")
    budget_day_dollars: float | None = Field(20.0, ge=0, description="most that one day (UTC) may cost, all incidents")
    budget_caller_tokens: int | None = Field(None, ge=1, description="most tokens a day of one caller or API key")
    budget_caller_dollars: float | None = Field(
        None, ge=0, description="most that one caller or API key may cost a day"
    )
    api_key_configured: bool = Field(False, description="whether OPEN_AI_API_KEY or OPENAI_API_KEY is set")
    read_only: bool = Field(False, description="hard read-only mode: nothing is changed, whatever policy or people say")
    redact: tuple[str, ...] = Field((), description="own expressions to mask as secrets; lines, or a list in the file")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(5000, ge=0, le=65535, description="port to listen on; PORT is read too")
    cors_origins: str = Field("*", description="allowed origins, comma separated; * in development")
    allowed_hosts: str = Field("", description="names of this service besides addresses and localhost, comma separated")
    insecure: bool = Field(False, description="serve without keys on an address that others reach")
    requests_per_minute: int = Field(
        1200, ge=0, description="requests of one key, or of one other machine's address, in one process; 0: no limit"
    )
    proxies: int = Field(0, ge=0, le=5, description="reverse proxies in front, whose X-Forwarded-* are believed")
    session_secret: str | None = Field(
        None, repr=False, description="what sessions of the page are signed with; default: a key in the data directory"
    )
    session_hours: float = Field(12.0, gt=0, le=720, description="after how long one has to log in at the page again")
    oidc_issuer: str = Field("", description="OpenID provider for logging in at the page; its address")
    oidc_client_id: str = Field("", description="this service's name at the provider")
    oidc_client_secret: str | None = Field(None, repr=False, description="its secret there")
    oidc_claim: str = Field("groups", description="claim of the provider that oidc_roles look at")
    oidc_roles: str = Field("", description="roles by value of that claim: sre=approver, dev=viewer@shop, *=viewer")
    workers: int = Field(2, ge=0, le=64, description="jobs worked on at the same time in one process; 0: by others")
    worker_labels: str = Field("", description="labels of this machine's workers on Postgres: name=value,name=value")
    worker_places: str = Field("", description="places whose jobs they take, comma separated; default: all that fit")
    job_retention_seconds: int = Field(3600, ge=1, description="how long /job_status remembers a finished job")
    incident_retention_days: int = Field(90, ge=1, description="how long incidents and their journals are kept")
    audit_retention_days: int = Field(
        0, ge=0, description="how long the audit trail is kept, never shorter than incidents; 0: for ever"
    )
    approval_seconds: int = Field(24 * 3600, ge=1, description="how long a plan waits for approval")
    patience_seconds: float = Field(20.0, ge=0, description="how long verification waits for a service to come back")
    settle_seconds: float = Field(2.0, ge=0, description="after how long a passing check is looked at again")
    max_attempts: int = Field(3, ge=1, le=10, description="rounds of repair before a person is asked")
    max_body_bytes: int = Field(32 << 20, ge=1024, description="largest request body")
    max_errors: int = Field(1000, ge=1, description="most errors in one request")
    excerpt_lines: int = Field(50, ge=1, le=2000, description="lines of the excerpt")
    log_format: Literal["text", "json"] = Field(
        "text", description="the service's own log: `text` (with `key=value`) or `json`, one line for each thing"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="from which level on it logs")
    hooks: dict[str, Any] = Field(
        {}, repr=False, description="webhooks that are taken in, as tables of the file (docs/connect.md)"
    )
    notify: dict[str, Any] = Field(
        {}, repr=False, description="where answers go, as tables of the file (docs/connect.md)"
    )
    public_url: str = Field("", description="address under which people reach this service; links in messages begin so")
    link_secret: str | None = Field(
        None, repr=False, description="what approval links are signed with; default: a key made in the data directory"
    )

    mcp_servers: dict[str, Any] = Field(
        {}, repr=False, description="other MCP servers whose tools are probes, as tables of the file (docs/mcp.md)"
    )
    mcp_may_approve: bool = Field(
        False, description="whether clients of `devops-agent mcp` may approve plans; by default a person does"
    )

    @field_validator("redact", mode="before")
    @classmethod
    def _lines(cls, value: Any) -> Any:
        return [line for line in value.splitlines() if line.strip()] if isinstance(value, str) else value

    @property
    def url(self) -> str:
        """The database's SQLAlchemy URL."""
        return self.database_url or f"sqlite:///{self.data_dir / 'devops_agent.db'}"


def load_settings(overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from a TOML file (`DEVOPS_AGENT_CONFIG`), `.env`, the environment, and what the command line says.

    Raises ConfigError that names the setting.
    """
    env = {**dotenv(Path(".env")), **(os.environ if environ is None else environ)}
    values = _toml(env.get(PREFIX + "CONFIG"))
    for name in Settings.model_fields:
        if (value := env.get(PREFIX + name.upper())) not in (None, ""):
            values[name] = value
    if "port" not in values and env.get("PORT", "").isdigit():
        values["port"] = env["PORT"]  # what platforms and existing .env files call it
    values["api_key_configured"] = bool(env.get("OPEN_AI_API_KEY") or env.get("OPENAI_API_KEY"))
    values.update({name: value for name, value in (overrides or {}).items() if value is not None})
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        from devops_agent.yamlfile import wrong

        raise ConfigError(f"{PREFIX}{name.upper()}: {wrong(first)}") from None


def misspelt(environ: Mapping[str, str] | None = None) -> list[str]:
    """What is set under a name that nothing reads and that is nearly that of a setting: most likely a slip."""
    env = {**dotenv(Path(".env")), **(os.environ if environ is None else environ)}
    others = {"CONFIG", "MODEL_KEY", "MODEL_FALLBACK_KEY"}
    unknown = [
        name.removeprefix(PREFIX)
        for name in sorted(env)
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).lower() not in Settings.model_fields
    ]
    said = []
    for name in (each for each in unknown if each not in others):
        import difflib

        if near := difflib.get_close_matches(name.lower(), Settings.model_fields, 1, 0.8):
            said.append(f"{PREFIX}{name}: no such setting (perhaps {PREFIX}{near[0].upper()})")
    return said


def dotenv(file: Path) -> dict[str, str]:
    """`NAME=value` lines of a `.env` file: comments, `export`, and single or double quotes are understood."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    values = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if not equals or name.startswith("#") or not name.strip().isidentifier():
            continue
        value = value.strip()
        quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
        values[name.strip()] = value[1:-1] if quoted else value.split(" #")[0].strip()
    return values


def environment() -> dict[str, str]:
    """The environment, and below it what `.env` says: where keys are looked for."""
    return {**dotenv(Path(".env")), **os.environ}


def _toml(path: str | None) -> dict[str, Any]:
    if not path:
        return {}
    if path.endswith((".yaml", ".yml")):
        from devops_agent import yamlfile

        found = yamlfile.read(Path(path)) or {}
        if not isinstance(found, dict):
            raise ConfigError(f"{path}: expected settings as `name: value`")
        return found
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
