"""From a log of any size to the lines that matter: formats, failing place, rank, budget, baseline, redaction."""

from devops_agent.distil.digest import distil, distil_source
from devops_agent.distil.redact import Redactor, redact

__all__ = ["Redactor", "distil", "distil_source", "redact"]
