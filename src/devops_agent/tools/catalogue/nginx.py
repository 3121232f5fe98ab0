"""nginx configuration: a statement that was not ended, found by reading the file as nginx does, and ended.

Source: nginx's core `ngx_conf_read_token`: words are separated by white space, `;` ends a statement, `{` and `}` are
blocks, `#` begins a comment at the start of a word, quotes go over lines, `${` does not begin a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from devops_agent.errors import NotAllowed, StalePlan
from devops_agent.inventory import Place
from devops_agent.model import Run
from devops_agent.tools import settings
from devops_agent.tools.base import Commands, Host, change, probe
from devops_agent.tools.commands import planned_edit

_BEGINS = frozenset(
    (
        "accept_mutex",
        "access_log",
        "add_header",
        "alias",
        "allow",
        "auth_basic",
        "auth_basic_user_file",
        "charset",
        "client_body_timeout",
        "client_max_body_size",
        "default_type",
        "deny",
        "error_log",
        "error_page",
        "expires",
        "fastcgi_pass",
        "fastcgi_param",
        "gzip",
        "gzip_types",
        "include",
        "index",
        "keepalive_timeout",
        "limit_req",
        "listen",
        "location",
        "pid",
        "proxy_buffering",
        "proxy_cache",
        "proxy_connect_timeout",
        "proxy_http_version",
        "proxy_pass",
        "proxy_read_timeout",
        "proxy_redirect",
        "proxy_send_timeout",
        "proxy_set_header",
        "resolver",
        "return",
        "rewrite",
        "root",
        "send_timeout",
        "sendfile",
        "server",
        "server_name",
        "server_tokens",
        "set",
        "ssl_certificate",
        "ssl_certificate_key",
        "ssl_ciphers",
        "ssl_protocols",
        "tcp_nodelay",
        "tcp_nopush",
        "try_files",
        "types",
        "upstream",
        "user",
        "uwsgi_pass",
        "worker_connections",
        "worker_processes",
    )
)
"""Words that begin a statement; on a new line inside another one they show that this was not ended."""


@dataclass(frozen=True, slots=True)
class Unended:
    """A statement that a closing brace, or the next statement, cuts off: where its last word ends."""

    line: int
    offset: int
    words: tuple[str, ...]


@probe
def nginx_statement(host: Host, place: Place, file: str) -> dict[str, Any]:
    """Whether exactly one statement of an nginx file lacks its `;`: `unended`, its line, and its words."""
    text = settings.text_of(host, place.path(file))
    found = unended(text or "")
    one = found[0] if len(found) == 1 else None
    shown = " ".join(one.words)[:200] if one else None
    return {"file": file, "unended": len(found), "line": one.line if one else None, "statement": shown}


@change(effect="change", repeatable=True)
def end_nginx_statement(host: Host, place: Place, service: str, file: str) -> Commands:
    """Put the `;` after the one statement of an nginx file that lacks it, then test the configuration."""
    settings.require_editable(host, place, file)
    text = settings.text_of(host, place.path(file)) or ""
    found = unended(text)
    if not found:
        return
    if len(found) > 1:
        raise NotAllowed(f"{file}: {len(found)} statements are not ended; a person must look at it")
    line = text.splitlines()[found[0].line - 1]
    if text.count(line) != 1:
        raise NotAllowed(f"{file}: line {found[0].line} stands there more than once")
    column = found[0].offset - (text.rfind("\n", 0, found[0].offset) + 1)
    edit = planned_edit(host, place, file, "replace", {"old": line, "new": f"{line[:column]};{line[column:]}"})
    if edit is None:
        raise StalePlan(f"{file} has changed")
    yield edit
    test = place.service(service).test
    if test:
        yield Run(argv=test, cwd=place.workspace)


@end_nginx_statement.already
def _ended(host: Host, place: Place, file: str) -> bool:
    return not unended(settings.text_of(host, place.path(file)) or "")


def unended(text: str) -> list[Unended]:
    """All statements that run into a closing brace or into the next statement on a line of its own.

    Empty for files that embed another language (`_by_lua_block`).
    """
    if "_by_lua_block" in text:
        return []
    found: list[Unended] = []
    words: list[str] = []
    last = (0, 0)
    for word, line, end in _tokens(text):
        if word in (";", "{"):
            words = []
        elif word == "}":
            if words:
                found.append(Unended(*last, tuple(words)))
            words = []
        else:
            if words and line > last[0] and word in _BEGINS and words[0] in _BEGINS:
                found.append(Unended(*last, tuple(words)))
                words = []
            words.append(word)
            last = (line, end)
    return found


def _tokens(text: str) -> list[tuple[str, int, int]]:
    """Words and `; { }` with the line of their last character and the offset behind them."""
    tokens: list[tuple[str, int, int]] = []
    position, size = 0, len(text)
    while position < size:
        character = text[position]
        if character.isspace():
            position += 1
        elif character == "#":
            newline = text.find("\n", position)
            position = size if newline < 0 else newline
        elif character in ";{}":
            position += 1
            tokens.append((character, text.count("\n", 0, position) + 1, position))
        else:
            end = _word_end(text, position)
            tokens.append((text[position:end], text.count("\n", 0, end) + 1, end))
            position = end
    return tokens


def _word_end(text: str, start: int) -> int:
    """Where the word that begins here ends: quoted to its quote, bare to white space or an unescaped `;`, `{`."""
    quote = text[start] if text[start] in "'\"" else None
    position = start + 1 if quote else start
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 2
            continue
        if quote:
            if character == quote:
                return position + 1
        elif character.isspace() or character == ";" or (character == "{" and text[position - 1] != "$"):
            return position
        elif character == "{":
            close = text.find("}", position)
            position = close if close > 0 else len(text) - 1
        position += 1
    return len(text)
