"""Finding many patterns in a log at once: by literals and `re` in small logs, by hyperscan in large ones."""

from devops_agent.scan.literals import literals
from devops_agent.scan.pattern import Pattern
from devops_agent.scan.signatures import Found, Signatures

__all__ = ["Found", "Pattern", "Signatures", "literals"]
