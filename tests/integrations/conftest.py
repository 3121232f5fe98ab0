"""The service of the HTTP tests serves here too."""

import sys
from pathlib import Path

for folder in (Path(__file__).parent, Path(__file__).parents[1] / "web"):
    sys.path.insert(0, str(folder))
