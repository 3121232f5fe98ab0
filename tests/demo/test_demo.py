"""The demonstration itself: it exits 0 only if everything that it promises came true, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "demo"))

from scenes import SCENES  # noqa: E402


def test_the_demonstration_keeps_its_promises_and_cleans_up(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "demo" / "demo.py")],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len({scene.cause for scene in SCENES}) == len(SCENES) == 3
    parts = ran.stdout.split("\n\n")
    assert len(parts) == len(SCENES) + 1
    for scene, part in zip(SCENES, parts, strict=False):
        assert scene.title in part
        assert f"cause  {scene.cause}" in part
        assert all(f"done  {tool}(" in part for tool in scene.tools)
        assert f"unharmed  {scene.neighbour}" in part
        assert "looked  it works again" in part
        assert part.endswith("Nothing was changed.")
        assert len(part.splitlines()) < 16
    assert "3 faults repaired and proven" in parts[-1]
    assert list(tmp_path.iterdir()) == []
    assert not _processes_that_mention(str(tmp_path))


def test_a_demonstration_that_cannot_keep_its_promises_says_so(tmp_path: Path) -> None:
    """Without its permission to change anything, the agent repairs nothing: the demonstration must not pretend."""
    program = (tmp_path / "broken").resolve()
    program.mkdir()
    for name in ("demo.py", "scenes.py", "shop.py", "deploy.py"):
        text = (ROOT / "demo" / name).read_text()
        (program / name).write_text(text.replace('"--yes", "--json"', '"--dry-run", "--json"'))
    (tmp_path / "tmp").mkdir()
    ran = subprocess.run(
        [sys.executable, str(program / "demo.py")],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert "NOT as promised: planned" in ran.stderr
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not _processes_that_mention(str(tmp_path))


def _processes_that_mention(text: str) -> list[str]:
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in command:
            found.append(command)
    return found
