"""The demonstration's deployment, which keeps a lock while it works: `apply [SECONDS]`, `status`, `force-unlock ID`.

It works in its current folder. A lock that somebody else holds stops it; one whose holder was killed stays behind.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from pathlib import Path

LOCK = Path("state/lock.info")


def apply(seconds: float) -> int:
    """Take the lock, work, write the state, let go."""
    try:
        with LOCK.open("x") as file:
            json.dump({"ID": secrets.token_hex(4), "Operation": "apply", "Pid": os.getpid()}, file)
    except FileExistsError:
        held = json.loads(LOCK.read_text())
        print("Error: Error acquiring the state lock\n", file=sys.stderr)
        print("Lock Info:", *(f"  {name + ':':<11}{value}" for name, value in held.items()), sep="\n", file=sys.stderr)
        print("\ndeploy: failed, another deployment holds the lock", file=sys.stderr)
        return 1
    try:
        time.sleep(seconds)
        with Path("state/deployed").open("a") as state:
            print(f"release by {os.getpid()}", file=state)
    finally:
        LOCK.unlink()
    print("deploy: done")
    return 0


def force_unlock(name: str) -> int:
    """Remove the lock, if it is the one that is meant."""
    if json.loads(LOCK.read_text())["ID"] != name:
        print("deploy: it is another lock", file=sys.stderr)
        return 1
    LOCK.unlink()
    return 0


def status() -> int:
    """Whether somebody holds the lock."""
    print(f"locked: {LOCK.read_text()}" if LOCK.exists() else "free")
    return int(LOCK.exists())


if __name__ == "__main__":
    verb, rest = sys.argv[1], sys.argv[2:]
    if verb == "status":
        sys.exit(status())
    sys.exit(force_unlock(rest[0]) if verb == "force-unlock" else apply(float(rest[0]) if rest else 0.0))
