"""The inventory: what a team knows about the place where the agent works, and the rules of what is whose.

The schema is that of the documented YAML file. Everything is optional. `Place` answers questions about it; it never
touches a machine.
"""

from __future__ import annotations

import os.path
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from devops_agent.errors import ConfigError, NotFound


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | int | float | dict) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Part(BaseModel):
    """Base of the inventory's parts: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Prefix(Part):
    """A host that is reached by putting a command before every other command."""

    command: tuple[str, ...]


def _host(value: str | Prefix) -> str | Prefix:
    if isinstance(value, str) and not re.match(r"(local|localhost)?$|(ssh|docker|kubectl)://.", value):
        raise ValueError(f"{value!r} is none of local, ssh://, docker://, kubectl://, {{command: [...]}}")
    return value


def _address(value: str) -> str:
    if not re.match(r"https?://[^/]", value):
        raise ValueError(f"{value!r} is no address such as http://127.0.0.1:8000/")
    return value


def _age(value: str | int) -> str | int:
    if not re.fullmatch(r"\d{1,9}\s*[smhdw]?", str(value)):
        raise ValueError(f"{value!r} is no age: seconds, or 30m, 6h, 7d")
    return value


HostSpec = Annotated[str | Prefix, AfterValidator(_host)]


class HealthCheck(Part):
    """How to see that a service works: one of an HTTP address, a TCP port (or host:port), a command."""

    http: Annotated[str, AfterValidator(_address)] | None = None
    tcp: int | str | None = None
    command: tuple[str, ...] | None = None
    status: int | None = None
    contains: str | None = None
    timeout: float = 5.0


class Releases(Part):
    """A link to the release in use, and the folder with all of them."""

    current: str
    all: str


class Service(Part):
    """A service and how it is supervised, configured and checked."""

    supervisor: Literal["systemd", "runit", "supervisord", "docker", "command"] | None = None
    unit: str | None = None
    host: HostSpec | None = None
    control: tuple[str, ...] = ()
    files: dict[str, str] = {}
    run: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    user: str | None = None
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = ()
    config: Names = ()
    templates: Names = ()
    logs: Names = ()
    releases: Releases | None = None
    health: HealthCheck | None = None
    depends_on: Names = ()
    labels: dict[str, str] = {}


def _memory(value: Any) -> Any:
    """An amount of memory in bytes, from `64mb` and the like."""
    found = re.fullmatch(r"(?i)\s*(\d{1,9})\s?([kmgt]?)i?b?\s*", value) if isinstance(value, str) else None
    return int(found[1]) * 1024 ** ("", "k", "m", "g", "t").index(found[2].lower()) if found else value


Memory = Annotated[int, BeforeValidator(_memory)]


class Datastore(Part):
    """A database or cache, with the address by which the agent may look into it.

    `memory` is how much may be given to it (bytes, or `64mb`); up to there its limit may be raised.
    """

    kind: str
    admin: str | None = None
    url: str | None = None
    config: str | None = None
    service: str | None = None
    memory: Memory | None = None
    host: HostSpec | None = None


class Repository(Part):
    """A git work tree. `author` (`Name <address>`) is whose name a commit of a repair bears."""

    path: str
    remote: str = "origin"
    branch: str | None = None
    author: str | None = None
    host: HostSpec | None = None


class Environment(Part):
    """A Python or npm environment that is installed from its lock or requirements file."""

    kind: Literal["python", "npm"]
    path: str
    requirements: str | None = None
    index: dict[str, str] | None = None
    mirror: str | None = None
    offline: bool = False
    service: str | None = None
    host: HostSpec | None = None


class Migrations(Part):
    """How the state of database migrations is asked for, and how they are applied."""

    status: tuple[str, ...] = ()
    apply: tuple[str, ...] = ()


class Certificate(Part):
    """A certificate file and how it is renewed; `{names}` becomes the names, joined by commas."""

    file: str
    renew: tuple[str, ...] = ()
    names: Names = ()
    service: str | None = None
    host: HostSpec | None = None


class Trust(Part):
    """A bundle of trusted certificates, and those that may be added to it."""

    bundle: str
    candidates: Names = ()


class Lock(Part):
    """A lock file: which field names its holder, how it is released, how long waiting for it is sensible (seconds)."""

    file: str
    holder: str | None = None
    release: tuple[str, ...] = ()
    wait: float = 30.0


class Cleanup(Part):
    """Files of a volume that may be deleted: a glob below its path, older than seconds or `1d`, `6h`, `30m`."""

    glob: str
    older_than: Annotated[str | int, AfterValidator(_age)] = 0


class Volume(Part):
    """A filesystem of the place, what may be deleted on it, and how it is grown (`{megabytes}`)."""

    path: str
    cleanup: tuple[Cleanup, ...] = ()
    grow: tuple[str, ...] = ()


class Secrets(Part):
    """A directory of secrets, one a file: compared and filled in, never shown."""

    directory: str


class PlaceCheck(Part):
    """What failed and may be run again: the proof that it is fixed. `effect` says what running it does."""

    command: tuple[str, ...]
    timeout: float = 60.0
    effect: Literal["read", "change", "destroy"] = "read"
    host: HostSpec | None = None
    cwd: str | None = None


class Inventory(Part):
    """The whole file."""

    name: str | None = None
    workspace: str | None = None
    host: HostSpec = "local"
    labels: dict[str, str] = {}
    worker: dict[str, str] = {}
    protected: Names = ()
    services: dict[str, Service] = {}
    datastores: dict[str, Datastore] = {}
    repositories: dict[str, Repository] = {}
    environments: dict[str, Environment] = {}
    migrations: Migrations | None = None
    certificates: dict[str, Certificate] = {}
    trust: Trust | None = None
    locks: dict[str, Lock] = {}
    volumes: dict[str, Volume] = {}
    secrets: Secrets | None = None
    checks: dict[str, PlaceCheck] = {}


class Place:
    """Where an incident happens: the inventory with its paths made absolute, and what belongs to whom."""

    def __init__(self, inventory: Inventory | None = None, folder: str | Path = ".", name: str = "default") -> None:
        self.inventory = inventory or Inventory()
        self.name = self.inventory.name or name
        self.known = inventory is not None
        base = Path(folder).absolute()
        self.workspace = str(base / self.inventory.workspace) if self.inventory.workspace else str(base)

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the whole place; rules of policy match on them."""
        return self.inventory.labels

    def path(self, path: str) -> str:
        """An absolute path; relative ones start at the workspace."""
        return os.path.normpath(os.path.join(self.workspace, path))

    def service(self, name: str) -> Service:
        """The service of that name; raises NotFound, naming those that there are."""
        try:
            return self.inventory.services[name]
        except KeyError:
            known = ", ".join(self.inventory.services) or "none"
            raise NotFound(f"no service {name!r} in the inventory (known: {known})") from None

    def service_on(self, port: int) -> str | None:
        """The service that the inventory gives this port to."""
        for name, service in self.inventory.services.items():
            if port in service.ports or (service.health and service.health.tcp in (port, str(port))):
                return name
        return None

    def concerned(self, facts: dict[str, Any]) -> str | None:
        """The service that a log's facts speak of: by port, unit, container or name; else the only one there is, unless
        the log names another."""
        services = self.inventory.services
        port = facts.get("port")
        if isinstance(port, str | int) and str(port).isdigit() and (name := self.service_on(int(port))):
            return name
        for key in ("service", "unit", "container"):
            wanted = str(facts.get(key, "")).removesuffix(".service")
            for name, service in services.items():
                if wanted and wanted in (name, (service.unit or "").removesuffix(".service")):
                    return name
        if len(services) != 1 or self._elsewhere(str(facts.get("host", ""))):
            return None
        return next(iter(services))

    def _elsewhere(self, host: str) -> bool:
        """Whether a host that a log names is none of those that the inventory knows."""
        known = {"", "localhost", "0.0.0.0", "::", "::1", socket.gethostname(), *self.inventory.services}  # noqa: S104
        if host in known or host.startswith("127."):
            return False
        return all(host not in str(spec) for spec in (self.inventory.host, *map(self.host_of, self.inventory.services)))

    def services_here(self) -> list[str]:
        """The services on the place's own host: what a call that names no service is about."""
        return [name for name in self.inventory.services if self.host_of(name) == self.inventory.host]

    def service_with(self, file: str) -> str | None:
        """The service whose configuration, template or log a file is."""
        wanted = self.path(file)
        for name, service in self.inventory.services.items():
            if wanted in (self.path(each) for each in (*service.config, *service.templates, *service.logs)):
                return name
        return None

    def host_of(self, service: str | None) -> HostSpec:
        """Where a service runs; the place's own host for anything else."""
        entry = self.inventory.services.get(service) if service else None
        return entry.host if entry and entry.host else self.inventory.host

    def is_protected(self, path: str) -> bool:
        """Whether a path lies at or below a protected one; links are followed on this machine."""
        candidates = {self.path(path), os.path.realpath(self.path(path))}
        for entry in self.inventory.protected:
            guarded = self.path(entry)
            for one in (guarded, os.path.realpath(guarded)):
                if any(path == one or path.startswith(one.rstrip("/") + "/") for path in candidates):
                    return True
        return False

    def may_edit(self, path: str) -> bool:
        """Whether a repair may edit this file: listed as some service's `config`, and not protected."""
        wanted = self.path(path)
        listed = any(
            wanted == self.path(entry) for service in self.inventory.services.values() for entry in service.config
        )
        return listed and not self.is_protected(path)

    def folders(self) -> Iterator[str]:
        """Folders named in the inventory: what runs from one of them belongs to this place."""
        yield self.workspace if self.known and self.inventory.workspace else ""
        for service in self.inventory.services.values():
            if service.releases:
                yield self.path(service.releases.all)
        for environment in self.inventory.environments.values():
            yield self.path(environment.path)
        for repository in self.inventory.repositories.values():
            yield self.path(repository.path)


def load(path: str | Path) -> Place:
    """Read an inventory file; errors name file and field. Relative paths in it start at its workspace."""
    from devops_agent.yamlfile import read, wrong

    file = Path(path)
    data = read(file) or {}
    if not isinstance(data, dict):
        raise ConfigError(f"{file}: the inventory must be a mapping, not a {type(data).__name__}")
    try:
        return Place(Inventory.model_validate(data), folder=file.parent, name=file.stem)
    except ValidationError as error:
        first = next((each for each in error.errors() if each["type"] == "extra_forbidden"), error.errors()[0])
        field = ".".join(str(part) for part in first["loc"] if not str(part).endswith(("Prefix", "str")))
        raise ConfigError(f"{file}: {field or 'inventory'}: {wrong(first, Inventory)}") from None


def load_all(path: str | Path | None) -> dict[str, Place]:
    """Every place of a file or a directory of files, by name; without one, the machine as it can be seen."""
    if path is None:
        return {"default": Place()}
    file = Path(path)
    if file.is_dir():
        places = {place.name: place for place in (load(each) for each in sorted(file.glob("*.y*ml")))}
        if not places:
            raise ConfigError(f"{file}: no inventory (*.yaml) in this directory")
        return places
    place = load(file)
    return {place.name: place}
