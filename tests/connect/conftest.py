"""Fixtures of what comes in and goes out; the service is the one of the HTTP tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "web"))
sys.path.insert(0, str(Path(__file__).parent))
