"""Logs of what went well, shipped with the package: no runbook may name a cause on one of them.

They are those of the project's tests (`tests/cases/quiet`); `python -m devops_agent.runbooks.quiet FOLDER` packs them
anew.
"""

from __future__ import annotations

import functools
import gzip
import json
import sys
from pathlib import Path

FILE = Path(__file__).with_name("quiet.json.gz")


@functools.cache
def quiet_logs() -> dict[str, str]:
    """All of them, by name."""
    logs: dict[str, str] = json.loads(gzip.decompress(FILE.read_bytes()))
    return logs


def gathered(folder: Path) -> dict[str, str]:
    """The logs of a folder, by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8", errors="replace") for path in files}


def packed(logs: dict[str, str]) -> bytes:
    """The logs as they are shipped. Other releases of Python and of zlib make other bytes of the same logs."""
    return gzip.compress(json.dumps(logs, ensure_ascii=False, sort_keys=True).encode(), 9, mtime=0)


if __name__ == "__main__":
    FILE.write_bytes(packed(gathered(Path(sys.argv[1]))))
