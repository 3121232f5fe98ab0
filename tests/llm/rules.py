"""What a competent engineer knows about the failures of the laboratory: what to look at, and what it then means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Call = tuple[str, dict[str, Any]]
Check = tuple[str, dict[str, Any], list[str]]


@dataclass(frozen=True)
class Rule:
    """What one knows about one kind of failure.

    `$name` is a group of the pattern or a word of the place, `$probe.field` what a look showed. `cite` are fields that
    decide; `words` is what one would search the tools for.
    """

    when: str
    cause: str
    summary: str
    looks: tuple[Call, ...] = ()
    cite: tuple[str, ...] = ()
    steps: tuple[Call, ...] = ()
    checks: tuple[Check, ...] = ()
    words: str = ""


_START = ("start_service", {"service": "$service"})
_RESTART = ("restart_service", {"service": "$service"})

RULES = (
    Rule(
        r"Could not get lock (?P<path>\S+?)\. It is held by process (?P<pid>\d+)",
        "file_locked",
        "A hung package manager holds the lock.",
        (("file_lock", {"path": "$path"}),),
        ("file_lock.state",),
        (("end_process", {"pid": "$file_lock.pid"}),),
        (("file_lock", {"path": "$path"}, ['result.state != "stopped"']),),
        "who holds the lock on a file",
    ),
    Rule(
        r"certificate has expired",
        "certificate_expired",
        "The certificate is past its end.",
        (("certificate_state", {}),),
        ("certificate_state.file_valid",),
        (
            ("renew_certificate", {"certificate": "$certificate_state.name"}),
            ("reload_service", {"service": "$certificate_state.service"}),
        ),
        (("certificate_state", {"certificate": "$certificate_state.name"}, ["result.served_valid == true"]),),
        "certificate state",
    ),
    Rule(
        r"No space left on device",
        "disk_full",
        "The volume has no space, or no inodes, left.",
        (("volume_of", {"service": "$service"}),),
        ("volume_of.percent", "volume_of.inode_percent"),
        (("clean_volume", {"volume": "$volume_of.volume"}),),
        (("volume_of", {"path": "$volume_of.path"}, ["result.percent < 95", "result.inode_percent < 95"]),),
        "filesystem of a volume and what its cleanup rules would free",
    ),
    Rule(
        r"Could not resolve host: (?P<name>[\w.-]+)",
        "dns_failure",
        "The resolver's hosts file lacks the name.",
        (("host_entry", {"name": "$name"}),),
        ("host_entry.known",),
        (
            ("add_host_entry", {"service": "$host_entry.service", "file": "$host_entry.file", "name": "$name"}),
            ("reload_service", {"service": "$host_entry.service"}),
        ),
        (("host_entry", {"name": "$name"}, ["result.known == true"]),),
        "hosts file name resolvers entry",
    ),
    Rule(
        r'container name "/(?P<container>[\w-]+)" is already in use',
        "container_name_conflict",
        "A container that has ended still has the name.",
        (("container_left", {"service": "$service"}),),
        ("container_left.state",),
        (("recreate_container", {"service": "$service"}),),
        (("container_left", {"service": "$service"}, ["result.down == false"]),),
        "state of a service's container that ended",
    ),
    Rule(
        r"KeyError: '(?P<name>[A-Z][A-Z0-9_]+)'",
        "environment_variable_missing",
        "A variable that the service needs is not set.",
        (("variable", {"name": "$name", "service": "$service"}),),
        ("variable.present",),
        (("set_variable", {"service": "$service", "name": "$name", "value": "$hinted"}), _START),
        (("variable", {"name": "$name", "service": "$service"}, ["result.needed == false"]),),
        "variable that a service needs",
    ),
    Rule(
        r"Too many open files",
        "file_descriptors_exhausted",
        "The service's limit of open files is lower than what is documented for it.",
        (("open_files_limit", {"service": "$service"}),),
        ("open_files_limit.limit",),
        (
            (
                "set_value",
                {"file": "$open_files_limit.file", "key": "$open_files_limit.key", "value": "$open_files_limit.proper"},
            ),
            _RESTART,
        ),
        (("open_files_limit", {"service": "$service"}, ["result.waiting == false", "result.below == false"]),),
        "how many open files a service may have",
    ),
    Rule(
        r"(?P<test>test_\w+) \([\w.]+\) \.\.\. ERROR",
        "test_failure",
        "A test failed that depends on a server's start; it passes when it is run again.",
    ),
    Rule(
        r"detected dubious ownership in repository at '(?P<path>[^']+)'",
        "git_repository_unsafe",
        "Another user owns the work tree.",
        (("repository_of", {"path": "$path"}),),
        ("repository_of.owner",),
        (("git_safe_directory", {"repository": "$repository_of.name"}),),
        (("git_status", {"repository": "$repository_of.name"}, ["result.ok == true"]),),
        "repository owner of a path; git safe directory",
    ),
    Rule(
        r"Unable to create '(?P<path>[^']+index\.lock)': File exists",
        "file_locked",
        "A killed git left its lock file behind.",
        (("repository_of", {"path": "$path"}), ("git_lock", {"path": "$path", "repository": "$repository"})),
        ("git_lock.working",),
        (("remove_git_lock", {"repository": "$repository_of.name", "kind": "index"}),),
        (("git_lock", {"repository": "$repository_of.name", "kind": "index"}, ["result.exists == false"]),),
        "git lock file in a work tree; repository of a path",
    ),
    Rule(
        r'open\(\) "(?P<path>[^"]+)" failed \(2: No such file',
        "file_not_found",
        "The folder that the service writes to is missing.",
        (("missing_path", {"path": "$path", "service": "$service"}),),
        ("missing_path.missing",),
        (("make_directory", {"path": "$missing_path.missing", "service": "$service"}), _START),
        (("missing_path", {"path": "$path"}, ["result.folder_exists == true"]),),
        "what of a path is missing",
    ),
    Rule(
        r'unexpected "}" in (?P<file>\S+?):\d+',
        "config_syntax_error",
        "One statement lacks its semicolon.",
        (("nginx_statement", {"file": "$file"}),),
        ("nginx_statement.unended",),
        (("end_nginx_statement", {"service": "$service", "file": "$file"}), _RESTART),
        (("nginx_statement", {"file": "$file"}, ["result.unended == 0"]),),
        "nginx statement",
    ),
    Rule(
        r"onnection refused.*(?:upstream: \"\w+://127\.0\.0\.1:|port )(?P<port>\d+)"
        r"|port (?P<port_2>\d+) failed: Connection refused",
        "connection_refused",
        "The service behind the port does not run.",
        (("service_status", {"service": "$owner"}), ("tcp_check", {"port": "$port"})),
        ("service_status.state",),
        (("start_service", {"service": "$owner"}),),
        (("tcp_check", {"port": "$port"}, ["result.open == true"]),),
        "whether a TCP connection comes about",
    ),
    Rule(
        r"Missing: (?P<package>\S+)@\S+ from lock file",
        "lockfile_out_of_sync",
        "The lock file lacks what the manifest asks for.",
        (("npm_lock", {"environment": "$environment"}),),
        ("npm_lock.in_sync",),
        (("update_npm_lock", {"environment": "$environment"}),),
        (("npm_lock", {"environment": "$environment"}, ["result.in_sync == true"]),),
        "package-lock.json differs",
    ),
    Rule(
        r"permission denied for table (?P<table>\w+)",
        "access_forbidden",
        "The role lacks one right on the table.",
        (("postgres_denied", {"datastore": "$datastore", "table": "$table"}),),
        ("postgres_denied.role",),
        (
            (
                "grant_privilege",
                {
                    **(
                        _RIGHT := {
                            "datastore": "$datastore",
                            "role": "$postgres_denied.role",
                            "privilege": "$postgres_denied.privilege",
                            "table": "$table",
                        }
                    )
                },
            ),
        ),
        (("postgres_privilege", _RIGHT, ["result.has == true"]),),
        "postgres right on a table was refused denied privilege",
    ),
    Rule(
        r"too many clients|too many connections|remaining connection slots",
        "too_many_connections",
        "An application leaves its transactions open and holds all connections.",
        (("postgres_connections", {"datastore": "$datastore"}),),
        ("postgres_connections.leak",),
        (("end_idle_sessions", {"datastore": "$datastore", "application": "$postgres_connections.leak"}),),
        (("postgres_connections", {"datastore": "$datastore"}, ["result.free > 0"]),),
        "postgres connections against the limit",
    ),
    Rule(
        r"Address already in use",
        "port_in_use",
        "A stray process holds the service's port.",
        (("port_owner", {"service": "$service"}), ("service_status", {"service": "$service"})),
        ("port_owner.supervisor", "port_owner.pid"),
        (("free_port", {"port": "$port_owner.port"}), _START),
        (("port_owner", {"port": "$port_owner.port"}, ["result.ours == false"]),),
        "who listens on a port",
    ),
    Rule(
        r"No module named '(?P<module>\w+)'",
        "module_not_found",
        "A package of the requirements is not installed in the service's environment.",
        (("python_module", {"module": "$module", "environment": "$environment"}),),
        ("python_module.required",),
        (("install_requirements", {"environment": "$environment"}), _RESTART),
        (("python_module", {"module": "$module", "environment": "$environment"}, ["result.present == true"]),),
        "python module in an environment",
    ),
    Rule(
        r"Read-only file system: '(?P<path>[^']+)'",
        "read_only_filesystem",
        "The volume was mounted read-only.",
        (("volume_of", {"path": "$path"}),),
        ("volume_of.read_only",),
        (("remount_writable", {"volume": "$volume_of.volume"}),),
        (("disk_usage", {"path": "$path"}, ["result.read_only == false"]),),
        "filesystem of a volume",
    ),
    Rule(
        r"OOM command not allowed",
        "cache_out_of_memory",
        "Redis is allowed less memory than what its configuration sets aside for it.",
        (("redis_info", {"datastore": "$datastore"}), ("memory_documented", {"datastore": "$datastore"})),
        ("redis_info.percent", "memory_documented.hinted"),
        (("redis_set", {"datastore": "$datastore", "name": "maxmemory", "value": "$memory_documented.hinted"}),),
        (("redis_info", {"datastore": "$datastore"}, ["result.percent < 95"]),),
        "redis memory; datastore's configuration comment about memory set aside",
    ),
    Rule(
        r"Error acquiring the state lock",
        "state_locked",
        "The lock's holder is dead.",
        (("lock_holder", {"lock": "$lock"}),),
        ("lock_holder.state",),
        (("release_lock", {"lock": "$lock"}),),
        (("lock_holder", {"lock": "$lock"}, ['result.state == "free"']),),
        "who holds a lock of the inventory",
    ),
    Rule(
        r"can't find command '(?P<path>[^']+)'|ExecStart=(?P<path_2>\S+) \(code=exited, status=203",
        "service_failed",
        "The service's program has moved.",
        (("service_program", {"service": "$service", "path": "$path"}),),
        ("service_program.moved",),
        (
            ("correct_program", {"path": "$path", "service": "$service", "new": "$service_program.moved"}),
            ("reload_units", {"service": "$service"}),
            _START,
        ),
        (("service_program", {"service": "$service"}, ["result.exists == true"]),),
        "program that a service's configuration names",
    ),
)
