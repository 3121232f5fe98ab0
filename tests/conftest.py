"""What holds for all tests: generated examples are the same in every run, and a busy machine fails none of them.

`HYPOTHESIS_PROFILE=search` looks for new ones.
"""

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
