"""These tests speak through the real clients; without the extra `llm` there are none."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("pydantic_ai") else ["test_llm_*.py"]
