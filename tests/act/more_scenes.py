"""Two more real faults of the kind that the demonstration plays, for hosts that are far away."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "demo"))

from scenes import SCENES, Scene, ShopScene, end, until, write_inventory

__all__ = ["SCENES", "FreePortByNow", "GitLock", "Scene", "write_inventory"]


class GitLock(Scene):
    """A git that was killed has left its lock file in a work tree; a fresh one of another tree must stay."""

    title = "A killed git has left its lock file"
    cause = "file_locked"
    tools = ("remove_git_lock", "run_check")
    neighbour = "the fresh lock file of another work tree"

    def set_up(self) -> None:
        """Two work trees."""
        for name in ("work", "theirs"):
            git(self.folder, "init", "-q", name)
            (self.folder / name / "file").write_text("1\n")
            git(self.folder / name, "add", "--all")
            git(self.folder / name, "commit", "-q", "-m", "first")

    def ruin(self) -> None:
        """One lock is an hour old, one is fresh."""
        for name, age in (("work", 3600), ("theirs", 0)):
            lock = self.folder / name / ".git" / "index.lock"
            lock.touch()
            os.utime(lock, (time.time() - age, time.time() - age))
        (self.folder / "work" / "file").write_text("2\n")

    def fail(self) -> str:
        """Commit what was changed."""
        argv = ["git", "-C", str(self.folder / "work"), "add", "--all"]
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
        return f"$ git add --all\n{ran.stdout}{ran.stderr}exit status {ran.returncode}\n"

    def works(self) -> bool:
        """What was changed has been added."""
        argv = ["git", "-C", str(self.folder / "work"), "diff", "--cached", "--name-only"]
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
        return ran.stdout == "file\n" and not (self.folder / "work" / ".git" / "index.lock").exists()

    def unharmed(self) -> bool:
        """The other lock is there."""
        return (self.folder / "theirs" / ".git" / "index.lock").exists()

    def inventory(self) -> dict[str, Any]:
        """Both work trees, and the check that adds."""
        check = {"command": ["git", "-C", "work", "add", "--all"], "effect": "change"}
        trees = {name: {"path": name, "branch": "master"} for name in ("work", "theirs")}
        return {"workspace": str(self.folder), "repositories": trees, "checks": {"add": check}}


class FreePortByNow(ShopScene):
    """The stray has gone by itself; the shop that it kept from starting has not come back."""

    title = "A service that could not start has not come back"
    cause = "port_in_use"
    tools = ("start_service",)
    neighbour = "a web server of the same kind on another port"

    def set_up(self) -> None:
        """The shop is open; a web server runs beside it."""
        self.innocent = self.web_server(self.other, "innocent")
        self.running = self.open_shop()

    def ruin(self) -> None:
        """The shop is stopped, the stray comes."""
        end(self.running)
        self.stray = self.web_server(self.port, "forgotten")

    def fail(self) -> str:
        """The shop cannot start; then the stray goes."""
        said = super().fail()
        end(self.stray)
        until(lambda: self.stray.poll() is not None, "the stray stays")
        return said

    def unharmed(self) -> bool:
        """The other web server lives."""
        return self.innocent.poll() is None


def git(folder: Path, *argv: str) -> None:
    """Run git, as nobody in particular."""
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=master")
    subprocess.run(["git", *who, *argv], cwd=folder, check=True, capture_output=True, timeout=30)
