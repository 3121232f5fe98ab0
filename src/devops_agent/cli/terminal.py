"""What is written where: results on standard output, progress and hints on standard error of a terminal only."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

READER_GONE = 141
"""Exit status when nobody reads our output any more: 128 + SIGPIPE."""
_STEERING = (*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_CONTROL = {code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" for code in _STEERING}


def rich_wanted() -> bool:
    """Whether people read standard output on a terminal (else: plain text for scripts)."""
    return sys.stdout.isatty()


def printable(text: str) -> str:
    """Text from logs and tools with control characters made visible, so that it cannot steer the terminal."""
    return text.translate(_CONTROL)


def write(text: str = "") -> None:
    """One text on standard output; what the output's encoding lacks is written as an escape."""
    data = printable(text)
    encoding = sys.stdout.encoding or "utf-8"
    _out(data.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def write_json(data: Any, indent: int | None = 2) -> None:
    """JSON on standard output: indented for one answer, one line each for a batch."""
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    if not _can_be_encoded(text):
        text = json.dumps(data, indent=indent)
    _out(text + "\n")


def hint(text: str) -> None:
    """A remark for the person at the terminal; nothing where standard error is a file or pipe."""
    if sys.stderr.isatty():
        sys.stderr.write(printable(text) + "\n")


def remark(text: str) -> None:
    """What the caller must know beside the result: on standard error, also in a pipe."""
    sys.stderr.write(printable(text) + "\n")


def console() -> Console:
    """Standard output as rich shows it; imported here, so that scripts do not pay for it."""
    from rich.console import Console

    return Console(highlight=False, emoji=False, markup=False)


def styled(text: str, style: str = "") -> Text:
    """Text that is shown as it is: no markup in it is obeyed."""
    from rich.text import Text

    return Text(printable(text), style=style)


def heading(title: str, rest: str = "", good: bool = False) -> None:
    """What is said first."""
    if rich_wanted():
        line = styled(title, "bold green" if good else "bold red")
        console().print(line.append(f"  {rest}", style="dim") if rest else line)
    else:
        write(f"{title}  {rest}".rstrip())


def report(text: str) -> None:
    """A report's text; on a terminal its status, decisive lines, headings and proofs stand out."""
    if not rich_wanted():
        write(text)
        return
    out = console()
    for number, each in enumerate(text.split("\n")):
        out.print(styled(each, _style(each, number == 0)), soft_wrap=True)


def _style(line: str, first: bool) -> str:
    if first:
        return "bold green" if line.startswith(("RESOLVED", "NO FAILURE")) else "bold yellow"
    if line.startswith("  FAIL"):
        return "red"
    if line.startswith("  pass"):
        return "green"
    if line.startswith(" > "):
        return "bold"
    return "bold cyan" if line[:1].isalpha() else ""


def line(label: str, text: str, strong: bool = False, dim: bool = False) -> None:
    """A line of a log behind its number; `strong` ones are what a conclusion rests on."""
    if not rich_wanted():
        write(f"{label}{'>' if strong else ' '} {text}".rstrip())
        return
    shown = styled(f"{label} ", "cyan").append(printable(text), style="bold" if strong else "dim" if dim else "")
    console().print(shown, soft_wrap=True)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """A table: drawn on a terminal, aligned plain columns in a pipe."""
    cells = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
    if rich_wanted():
        from rich.table import Table

        drawn = Table(title=title or None, header_style="bold", box=None, pad_edge=False)
        for number, name in enumerate(head):
            drawn.add_column(name, no_wrap=number == 0)  # what one copies into the next command stays in one piece
        for row in cells:
            drawn.add_row(*(styled(cell) for cell in row))
        console().print(drawn)
        return
    widths = [max(len(row[n]) for row in [list(head), *cells]) for n in range(len(head))]
    for row in [list(head), *cells]:
        write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def working(text: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that something takes a while, with words that may change; leave no trace of it."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console

    with Console(stderr=True).status(styled(text), spinner="dots") as status:
        yield lambda text: status.update(styled(text))


def _out(text: str) -> None:
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        raise SystemExit(READER_GONE) from None


def _can_be_encoded(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
