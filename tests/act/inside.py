"""Plays a scene where it runs (in a container): takes the names of methods line by line, answers with JSON lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from act.more_scenes import SCENES, FreePortByNow, GitLock

KINDS = {kind.__name__: kind for kind in (*SCENES, GitLock, FreePortByNow)}


def play(name: str, folder: Path) -> None:
    """Do what is asked of the scene until nothing more is."""
    scene = KINDS[name](folder)
    try:
        for line in sys.stdin:
            answer = getattr(scene, line.strip())()
            print(json.dumps(answer), flush=True)
    finally:
        scene.clean()


if __name__ == "__main__":
    play(sys.argv[1], Path(sys.argv[2]))
