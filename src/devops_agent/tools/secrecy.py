"""What must not be told or weakened: names that look secret, files that hold secrets, settings that guard something."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from devops_agent.errors import NotAllowed
from devops_agent.inventory import Place
from devops_agent.tools.base import Host

_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?($|[_\W])|pwd($|[_\W])|secret|token|credential|api_?key|private_?key|access_?key|_key$|^key$|dsn$|salt$|cookie"
    r"|auth$|signing",
    re.I,
)
_SECRET_VALUE = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@|-----BEGIN [A-Z ]*PRIVATE KEY|^(gh[pousr]_|sk-|xox[abpr]-|AKIA|eyJ)"
)
_SECRET_FILES = re.compile(
    r"^/etc/(g?shadow|sudoers)|/\.ssh/(id_[^/]*|[^/]*_key)$|\.(key|p12|pfx|jks|keystore)$|/\.(netrc|pgpass|npmrc|pypirc|git-credentials)$"
    r"|/\.(aws|azure|docker|kube|gnupg|password-store)/|/\.config/(gcloud|gh|op)/|/\.(my\.cnf|vault-token|htpasswd|terraformrc)$"
    r"|/\.(\w*_history|lesshst|viminfo)$|^/(var/)?run/secrets/|\.(keytab|kdbx|ovpn|tfstate)$|/\.git/config$|^/proc/[^/]+/(environ|mem)$|^/(dev|sys/firmware)/|/ssl/private/|/etc/ssh/ssh_host_[^/]*_key$"
)
_GUARD = re.compile(
    r"verif|check(sum)?s?$|auth|tls|ssl|selinux|apparmor|seccomp|csrf|password|encrypt|fsync|protected-mode|sign", re.I
)
_UNGUARD = re.compile(
    r"insecure|skip|disable|allow_?(empty|any|all|root)|no[-_]?(verify|check|auth)|trust_?all|permit_?root", re.I
)
_LIMIT = re.compile(r"limit|(^|[._-])max|maxmemory|quota|tasksmax|nofile|nproc|time_?out", re.I)
_USER = re.compile(r"(^|[._-])run_?(as|user)$|^user$", re.I)
_IN_ADDRESS = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")
_IN_OPTION = re.compile(r"(--?[\w-]*(?:pass(?:word)?|secret|token|credentials?|api-?key)[\w-]*)([= ]\s*)\S+", re.I)
_IN_ASSIGNMENT = re.compile(r"(?<![\w-])([A-Za-z_][\w.-]*)(\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s;,]+)")
_OFF = ("false", "off", "no", "0", "none", "disable", "disabled", "trust", "never", "optional", "permissive", "")
_ON = ("true", "on", "yes", "1", "always", "all")
_NO_LIMIT = ("", "0", "-1", "unlimited", "infinity", "infinite", "inf", "none", "null", "off", "no", "false", "max")


def is_secret(name: str, value: str = "") -> bool:
    """Whether a setting looks as if its value should not be told."""
    return bool(_SECRET_NAME.search(name) or _SECRET_VALUE.search(value))


def masked(text: str) -> str:
    """A command line or a line of a file without the secrets in it; the same text always gives the same."""
    text = _IN_ADDRESS.sub(r"\1***@", text)
    text = _IN_OPTION.sub(r"\1\2***", text)
    return _IN_ASSIGNMENT.sub(lambda found: found[0] if not is_secret(found[1]) else f"{found[1]}{found[2]}***", text)


def require_readable(host: Host, place: Place, path: str) -> str:
    """The path with links followed; raises NotAllowed for files that hold secrets."""
    full = place.path(path)
    real = host.resolve(full)
    secrets = place.inventory.secrets
    folder = host.resolve(place.path(secrets.directory)) if secrets else None
    for one in (full, real):
        if _SECRET_FILES.search(one):
            raise NotAllowed(f"{path} holds secrets; it is not read")
        if folder and (one == folder or one.startswith(folder.rstrip("/") + "/")):
            raise NotAllowed(f"{path} is one of the inventory's secrets; it is not shown")
    return posixpath.normpath(real)


def require_not_weaker(key: str, before: str | None, value: Any) -> None:
    """Raise NotAllowed where a new value would switch a safeguard off, remove a limit or give a program root's rights:
    nothing is weakened to make it green."""
    name = key.rsplit(".", 1)[-1]
    new = str(value).strip().lower()
    if before is not None and before.strip().lower() == new:
        return
    weaker = (_GUARD.search(name) and new in _OFF) or (_UNGUARD.search(name) and new in _ON)
    weaker = weaker or (before is not None and _LIMIT.search(name) and new in _NO_LIMIT)
    weaker = weaker or (_USER.search(name) and new in ("root", "0", "administrator"))
    if weaker or re.search(r"sslmode=disable|verify=(false|0)|insecure", new):
        raise NotAllowed(f"{key} = {value} would weaken a safeguard; a person must decide that")
