"""`python -m devops_agent.distil LOG --lines N [--json]`: the stage alone, for measuring it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from devops_agent.distil.digest import distil_source
from devops_agent.scan import Signatures


def main() -> None:
    """Print the excerpt of one log."""
    parser = argparse.ArgumentParser()
    parser.add_argument("log", nargs="?", default="-")
    parser.add_argument("--lines", type=int, default=50)
    parser.add_argument("--baseline", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    source = sys.stdin.buffer if given.log == "-" else Path(given.log)
    digest = distil_source(source, Signatures([]), lines=given.lines, baseline=given.baseline)
    if given.json:
        excerpt = [{"line": item.line, "text": item.text} for item in digest.evidence]
        print(json.dumps({"lines_read": digest.lines_read, "bytes_read": digest.bytes_read, "excerpt": excerpt}))
    else:
        for item in digest.evidence:
            print(f"{item.line}: {item.text}")


if __name__ == "__main__":
    main()
