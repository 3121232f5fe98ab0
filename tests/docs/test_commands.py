"""Every command of the documents is run, as a reader would type it.

A block of ```sh is run in a folder of the document's own, the blocks of a document one after the other. Remarks that a
reader does not see say more: `<!-- file: NAME -->` before a block writes it to that file (all files first),
`<!-- exit: 3 -->` says with which status the block ends, `<!-- not run: REASON -->` why it cannot be run here.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"(?:^<!-- (?P<kind>file|exit|not run): (?P<value>.+?) -->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```",
    re.M | re.S,
)
SHELLS = ("sh", "bash", "shell", "console")
PORT = re.compile(r"\b(127\.0\.0\.1|localhost):(5000|8765)\b|\b8765\b")


class Block(NamedTuple):
    """A block of a document: what to do with it, and its text."""

    kind: str | None
    value: str
    language: str
    text: str


def documents() -> list[str]:
    """Those with commands in them; the generated ones have none of their own."""
    files = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "integrations").rglob("*.md"))]
    return [str(file.relative_to(ROOT)) for file in files if any(each.language in SHELLS for each in blocks(file))]


def blocks(file: Path) -> list[Block]:
    """The blocks of a document, in order."""
    found = BLOCK.finditer(file.read_text(encoding="utf-8"))
    return [Block(each["kind"], each["value"] or "", each["language"], each["text"]) for each in found]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Reader:
    """Somebody who follows a document: a folder, a service of the document's own, and ports nobody else uses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {"5000": str(free_port()), "8765": str(free_port())}
        self.env = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "DEVOPS_AGENT_DATA_DIR": str(folder / "data"),
            "LANG": "C.UTF-8",
        }
        self.server: subprocess.Popen[bytes] | None = None

    def follow(self, block: Block) -> None:
        """Write a file, or run the commands."""
        text = PORT.sub(lambda m: f"{m[1]}:{self.ports[m[2]]}" if m[1] else self.ports["8765"], block.text)
        if block.kind == "file":
            target = self.folder / block.value
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        elif block.language in SHELLS and block.kind != "not run":
            if self.ports["5000"] in text and self.server is None:
                self.serve()
            self.run(text, int(block.value) if block.kind == "exit" else 0)

    def run(self, text: str, status: int) -> None:
        """The commands of a block; each must succeed, but where another status is said the last must end with it."""
        shell = ["sh", *(["-e"] if status == 0 else []), "-c", text.replace(".venv/bin/", "")]
        with (self.folder / "said").open("wb") as said:
            done = subprocess.run(
                shell, cwd=self.folder, env=self.env, stdout=said, stderr=said, timeout=100, check=False
            )
        assert done.returncode == status, f"{text}\n{(self.folder / 'said').read_text(errors='replace')}"

    def serve(self) -> None:
        """The service that the document talks to."""
        command = ["devops-agent", "serve", "--port", self.ports["5000"]]
        with (self.folder / "served").open("wb") as said:
            self.server = subprocess.Popen(
                command, cwd=self.folder, env=self.env, stdout=said, stderr=said, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", int(self.ports["5000"]))) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError((self.folder / "served").read_text(errors="replace"))

    def leave(self) -> None:
        """End what was started: the service, and what the commands left running in the folder."""
        if self.server is not None:
            os.killpg(self.server.pid, signal.SIGTERM)
            self.server.wait(60)
        for process in Path("/proc").glob("[0-9]*"):
            try:
                inside = (process / "cwd").resolve().is_relative_to(self.folder)
            except OSError:
                continue
            if inside and int(process.name) != os.getpid():
                os.kill(int(process.name), signal.SIGKILL)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    one = Reader(tmp_path)
    yield one
    one.leave()


def test_there_are_documents_with_commands() -> None:
    assert "README.md" in documents()
    assert "docs/tutorial.md" in documents()


@pytest.mark.parametrize("name", documents())
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_command_of(name: str, reader: Reader) -> None:
    for block in sorted(blocks(ROOT / name), key=lambda each: each.kind != "file"):
        reader.follow(block)
