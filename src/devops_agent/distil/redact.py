"""Secrets are masked before anything leaves the process or is stored. Clean lines stay as they are.

The same secret gets the same placeholder from one `Redactor`; where it was recognised once by its name, it is masked
wherever else it stands. Rules lie in `secrets.py`; a team's own expressions come from its settings.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from devops_agent.distil.following import Expected, expected
from devops_agent.distil.rule import Rule
from devops_agent.distil.secrets import KEY, KEY_BEGIN, KEY_BODY, KEY_END, KEY_LINES, RULES, possible
from devops_agent.distil.value import is_secret
from devops_agent.errors import ConfigError

if TYPE_CHECKING:
    from devops_agent.distil.sieve import Sieve, Strings

_PLACEHOLDER = re.compile(r"\[redacted:[a-z-]+:\d+\]")
_REPEATED = 8
"""A secret of at least this length is also masked where nothing but its value gives it away."""
_REMEMBERED = 100_000
"""Secrets that one redactor tells apart; more only grow its memory."""
_ONE_BY_ONE = 200
"""Secrets of one text that are looked for one by one: each costs a pass over all of it."""
_WORTH = 4 << 20
"""Characters of a text times secrets, from which on all are looked for together rather than one by one."""
_TOGETHER = 5000
"""Secrets beyond which putting them together takes longer than it saves."""
_WORD = re.compile(r"[^\s\"'`,;&<>()\[\]{}|=]{8,400}")
_LARGE = 16 << 10
"""Characters from which on a text's lines are sifted before they are looked at."""
_ESCAPED = re.compile(r"((?:\\+[nrt])+)")
"""Line ends and tabs of a text that stands in a JSON string."""
_TAIL = (150, 500)
"""Characters at the end of a line that may announce a secret in the next, and those of a command that goes on."""
_COLOURS = re.compile(r"\x1b\[[0-9;:?]*[A-Za-z]")


_IN_FORCE: list[tuple[tuple[re.Pattern[str], ...], set[str]]] = [((), set())]
"""A team's own expressions, and lines in which nothing was found to mask, with these expressions: what was masked when
it came in is masked again before it is shown, and logs say the same again and again."""
_CLEAN_LINES = 8192
_CLEAN_LENGTH = 300
"""Lines that are remembered at most, and the characters of each."""


def also(patterns: Iterable[str]) -> None:
    """Mask these expressions too, in all of this process: a team's own kinds of secrets, from its settings.

    Raises ConfigError for one that is no expression, or that would match nothing at all or everything.
    """
    made = []
    for pattern in patterns:
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise ConfigError(f"DEVOPS_AGENT_REDACT: {pattern!r}: {error}") from None
        if compiled.search(""):
            raise ConfigError(f"DEVOPS_AGENT_REDACT: {pattern!r} matches the empty text")
        made.append(compiled)
    _IN_FORCE[:] = [(tuple(made), set())]


def own_expressions() -> tuple[re.Pattern[str], ...]:
    """The team's own expressions that are in force: what is masked depends on them."""
    return _IN_FORCE[0][0]


class Redactor:
    """Masks secrets; `counts` says how many places of which kind were masked so far."""

    def __init__(self, own: Iterable[str] = ()) -> None:
        self.counts: Counter[str] = Counter()
        everywhere, clean = _IN_FORCE[0]
        self._own = [*everywhere, *(re.compile(pattern) for pattern in own)]
        self._clean = clean if len(self._own) == len(everywhere) else set()
        self._known: dict[str, str] = {}
        self._block = ""
        self._column = 0
        self._next: Expected | None = None
        self._only: frozenset[int] | None = None
        self._strings: tuple[int, Strings] | None = None

    def text(self, text: str) -> str:
        """The text with its secrets masked. Lines stay lines: their number does not change."""
        masked = self.piece(text)
        self._block, self._next = "", None
        return self.again(masked)

    def piece(self, text: str) -> str:
        """Whole lines of a text that goes on: masked where their own words say so; `again` is for the rest."""
        sieve = self._sieve(len(text)) if len(text) >= _LARGE else None
        if sieve is not None:
            return self._sifted(text.encode("utf-8", "surrogatepass"), sieve)
        lines = text.split("\n")
        unknown = [line for line in lines if line not in self._clean]
        if not self._open and not unknown:
            return text
        rules = possible("\n".join(unknown).lower())
        return "\n".join([self._line(line, RULES if self._open else rules) for line in lines])

    def _sieve(self, size: int) -> Sieve | None:
        from devops_agent.distil.sieve import sieve

        return sieve([*(rule.source for rule in RULES), KEY_LINES, *(own.pattern for own in self._own)], size)

    @property
    def _open(self) -> bool:
        """Whether a secret goes on in the next line, or may."""
        return bool(self._block or self._next)

    def _sifted(self, raw: bytes, sieve: Sieve) -> str:
        """The same, where only lines that may hold a secret are looked at, and those in which it goes on."""
        done: list[str] = []
        at = self._rest(raw, 0, done) if self._open else 0
        for start, stop, numbers in sieve.lines(raw):
            if start < at:
                continue
            self._only = numbers if max(numbers) < len(RULES) else None
            done.append(_decoded(raw[at:start]))
            done.append(self._line(_decoded(raw[start:stop]), RULES))
            self._only = None
            at = self._rest(raw, stop + 1, done) if self._open else stop
        done.append(_decoded(raw[at:]))
        return "".join(done)

    def _rest(self, raw: bytes, at: int, done: list[str]) -> int:
        """Mask whole lines from this offset on, as long as a secret goes on; where the next line feed or the end is."""
        first = at == 0
        while True:
            if not first:
                if at > len(raw):
                    return len(raw)
                done.append("\n")
            first = False
            stop = raw.find(b"\n", at)
            stop = len(raw) if stop < 0 else stop
            done.append(self._line(_decoded(raw[at:stop]), RULES))
            if not self._open or stop == len(raw):
                return stop
            at = stop + 1

    @property
    def known(self) -> int:
        """How many secrets it has seen so far."""
        return len(self._known)

    @property
    def repeatable(self) -> bool:
        """Whether there are secrets that `again` would look for."""
        return any(map(_telling, self._known))

    def again(self, masked: str) -> str:
        """The text with secrets masked where nothing but their value gives them away, the longest first.

        Of very many secrets the rest is masked where it stands as a word of its own: one pass for all of them.
        """
        known = sorted(filter(_telling, self._known), key=len, reverse=True)
        if self._none_of(known, masked):
            return masked
        for secret in known[:_ONE_BY_ONE]:
            if secret in masked:
                self.counts[self._known[secret].split(":")[1]] += masked.count(secret)
                masked = masked.replace(secret, self._known[secret])
        rest = set(known[_ONE_BY_ONE:])
        return _WORD.sub(lambda found: self._word(found[0], rest), masked) if rest else masked

    def _none_of(self, known: list[str], text: str) -> bool:
        """Whether it is certain, with little work, that none of them stands in a large text."""
        if len(text) < _LARGE or len(text) * len(known) < _WORTH or len(known) > _TOGETHER:
            return False
        if self._strings is None or self._strings[0] != len(known):
            from devops_agent.distil.sieve import Strings
            from devops_agent.scan.compiled import Unavailable

            try:
                self._strings = (len(known), Strings(known))
            except Unavailable:
                return False
        return not self._strings[1].any(text)

    def _word(self, word: str, secrets: set[str]) -> str:
        if word not in secrets:
            return word
        placeholder = self._known[word]
        self.counts[placeholder.split(":")[1]] += 1
        return placeholder

    def line(self, line: str) -> str:
        """One line of a text whose lines are given in order (private keys go over several)."""
        return self._line(line, RULES)

    def _line(self, line: str, rules: Sequence[Rule]) -> str:
        """One line. Where nothing had to be masked, that is remembered."""
        if self._open:
            return self._uncoloured(line, rules)
        if line in self._clean:
            return line
        masked = self._uncoloured(line, rules)
        if masked == line and len(line) <= _CLEAN_LENGTH and not self._open:
            if len(self._clean) >= _CLEAN_LINES:
                self._clean.clear()
            self._clean.add(line)
        return masked

    def _uncoloured(self, line: str, rules: Sequence[Rule]) -> str:
        """One line; where colours stand in it and something is masked, they are lost."""
        if "\x1b" not in line:
            return self._whole(line, rules)
        plain = _COLOURS.sub("", line)
        masked = self._whole(plain, rules)
        return line if masked == plain else masked

    def _whole(self, line: str, rules: Sequence[Rule]) -> str:
        """One line; where it holds a text of several lines, as JSON does, each of those too."""
        if "\\" not in line or not _ESCAPED.search(line):
            return self._single(line, rules)
        if self._block or _may_begin(line):
            line = self._key(line)
            if self._block:
                return line
        if '"' not in line:
            return self._parts(self._single(line, rules), rules)
        return self._single(self._parts(line, rules), rules)

    def _parts(self, line: str, rules: Sequence[Rule]) -> str:
        return "".join(
            part if number % 2 else self._single(part, rules) for number, part in enumerate(_ESCAPED.split(line))
        )

    def _single(self, line: str, rules: Sequence[Rule]) -> str:
        if self._block or _may_begin(line):
            line = self._key(line)
            if self._block:
                return line
        if self._next:
            line = self._announced(line, rules)
        before = lower = line.lower()
        for number, rule in enumerate(rules):
            if (self._only is not None and number not in self._only) or not rule.possible(before):
                continue
            if rule.kind.startswith("next"):
                if rule.expression.search(line, max(0, len(line) - _TAIL[rule.kind == "next-carried"])):
                    self._next = expected(rule.kind, line)
                continue
            masked = rule.masked(line, lower, partial(self._mask, kind=rule.kind))
            if masked is not line and masked != line:
                line, lower = masked, masked.lower()
                self._only = None
        for own in self._own:
            line = own.sub(lambda found: self._mask(found, "own"), line)
        return line

    def _announced(self, line: str, rules: Sequence[Rule]) -> str:
        """A line after one that said what stands here."""
        said, self._next, self._only = self._next, None, None
        if not said:
            return line
        if said.kind == "next-carried":
            whole = self._single(said.text + line, rules)
            return whole.removeprefix(said.text) if whole.startswith(said.text) else line
        spans = said.spans(line)
        self._next = said.later(line, bool(spans))
        for start, stop in reversed(spans):
            if not _PLACEHOLDER.search(line[start:stop]):
                line = line[:start] + self._placeholder(line[start:stop], "assigned") + line[stop:]
        return line

    def _mask(self, found: re.Match[str], kind: str) -> str:
        """The match with its group `s` (or all of it, where there is none) replaced."""
        whole = found[0]
        named = "s" in found.re.groupindex
        secret = found["s"] if named else whole
        if not secret or (named and not is_secret(kind, secret)):
            return whole
        if "[redacted:" in secret and kind != "cookie":
            return whole
        start = found.start("s") - found.start() if named else 0
        if _within_placeholder(found.string, found.start() + start):
            return whole
        pieces = _PLACEHOLDER.split(secret)
        masks = [self._placeholder(each, kind) if len(each) > 2 or len(pieces) == 1 else each for each in pieces]
        kept = [*_PLACEHOLDER.findall(secret), ""]
        return whole[:start] + "".join(map("".join, zip(masks, kept, strict=True))) + whole[start + len(secret) :]

    def _placeholder(self, secret: str, kind: str) -> str:
        self.counts[kind] += 1
        if secret not in self._known:
            if len(self._known) >= _REMEMBERED:
                return f"[redacted:{kind}:0]"
            self._known[secret] = f"[redacted:{kind}:{len(self._known) + 1}]"
        return self._known[secret]

    def _key(self, line: str) -> str:
        """A private key's lines, from its BEGIN to its END, or to the first line that cannot belong to it."""
        found = None if self._block else KEY_BEGIN.search(line)
        if not self._block and not found:
            return line
        head, rest = (line[: found.start()], line[found.end() :]) if found else ("", line)
        end = KEY_END.search(rest)
        inner = rest if found else line[self._column :]
        if not end and inner.strip() and not (KEY_BODY.search(rest) or KEY_BODY.search(inner)):
            self._block = ""
            return line
        if found:
            self._column = found.start()
            self._block = self._placeholder(f"key {len(self._known)}", "private-key")
        if end:
            placeholder, self._block = self._block, ""
            return head + placeholder + rest[end.end() :]
        return head + self._block


def _telling(secret: str) -> bool:
    """Whether its value alone gives a secret away: not where it is short, or one plain word."""
    return len(secret) >= _REPEATED and not (secret.isalpha() and secret[1:].islower())


def _may_begin(line: str) -> bool:
    return KEY in line or "Private-Lines" in line


def _within_placeholder(line: str, at: int) -> bool:
    """Whether a place of the line lies within what stands for a secret."""
    start = line.rfind("[", 0, at)
    return start >= 0 and line.startswith("[redacted:", start) and line.find("]", start) >= at


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def redact(text: str, own: Iterable[str] = ()) -> tuple[str, dict[str, int]]:
    """The text with its secrets masked, and how many of which kind there were."""
    redactor = Redactor(own)
    return redactor.text(text), dict(redactor.counts)
