"""Which door leads to a host of the inventory."""

from __future__ import annotations

from pathlib import Path

from devops_agent.errors import ConfigError
from devops_agent.inventory import HostSpec, Prefix
from devops_agent.tools.base import Host
from devops_agent.tools.local import LocalHost
from devops_agent.tools.remote import DockerHost, KubectlHost, PrefixHost, SshHost


def connect(spec: HostSpec, workspace: str | None = None, data_dir: Path | None = None) -> Host:
    """The door to a host of the inventory. Nothing is contacted yet; raises ConfigError for an unknown address."""
    local = LocalHost(workspace, data_dir)
    if isinstance(spec, Prefix):
        return PrefixHost(local, spec.command)
    if spec in ("local", "localhost", ""):
        return local
    kind, _, rest = spec.partition("://")
    if kind == "ssh" and rest:
        return SshHost(local, rest)
    if kind == "docker" and rest:
        return DockerHost(local, rest)
    if kind == "kubectl" and rest:
        return KubectlHost(local, rest)
    raise ConfigError(f"host: {spec!r} is none of local, ssh://, docker://, kubectl://, {{command: [...]}}")
