"""Every error that devops_agent raises on purpose.

AgentError (code)             HTTP: by `status`    command line: the message, exit 1
 ├ ConfigError                at start, names file and field; exit 2
 ├ RequestError               400, names the field
 ├ NotFound                   404
 ├ ApprovalMismatch           409, the approval is for another plan, expired or already given
 ├ LeaseLost                  this worker does not own its job any more and must not write
 ├ PlannerError               the incident ends `error`; its digest is still reported
 ├ BudgetSpent                a cap on tokens or money would be passed; no model is asked, runbooks answer
 └ ToolError                  becomes a failed Outcome or evidence that could not be had; never leaves execute()
     ├ NotAllowed             the tool itself refuses (protected, supervised, somebody else's)
     ├ StalePlan              the machine is not what the plan saw
     ├ CommandFailed          a command ended with a status that is not success
     ├ CommandTimedOut        a command was ended at its time limit; on a remote host it may still be running
     ├ HostUnreachable        the host door could not be opened
     ├ BadArguments           the arguments do not fit the tool's signature
     └ UnreadableOutput       a command said something that the probe does not understand
Suspended                     not an error: the job waits; caught in the worker alone
"""

from __future__ import annotations

from datetime import datetime


class AgentError(Exception):
    """Base of all errors that carry a message made for people and nothing internal."""

    code = "agent_error"
    status = 500
    exit_code = 1


class ConfigError(AgentError):
    """A setting, inventory, policy or runbook file is wrong; the message names file and field."""

    code = "config_invalid"
    exit_code = 2


class RequestError(AgentError):
    """The caller's input is wrong; the message names the field."""

    code = "bad_request"
    status = 400
    exit_code = 2


class NotFound(AgentError):
    """No such job, plan, runbook or tool."""

    code = "not_found"
    status = 404
    exit_code = 2


class ApprovalMismatch(AgentError):
    """The approval does not fit: another plan, expired, or already decided."""

    code = "approval_mismatch"
    status = 409
    exit_code = 2


class LeaseLost(AgentError):
    """Another worker took this job over; nothing more may be written."""

    code = "lease_lost"
    status = 409


class PlannerError(AgentError):
    """The planner could not come to a conclusion."""

    code = "planner_failed"


class BudgetSpent(AgentError):
    """A cap on tokens or money would be passed by this call; the message names the cap."""

    code = "budget_spent"


class ToolError(AgentError):
    """A tool could not do what it was asked to."""

    code = "tool_failed"


class NotAllowed(ToolError):
    """The tool refuses: doing so would harm something that is not part of the failure."""

    code = "not_allowed"


class StalePlan(ToolError):
    """The machine is not in the state that the plan was made for."""

    code = "stale_plan"


class CommandFailed(ToolError):
    """A command ended with a status other than success."""

    code = "command_failed"

    def __init__(self, message: str, exit_code: int | None = None, output: str = "") -> None:
        super().__init__(message)
        self.status_code = exit_code
        self.output = output


class CommandTimedOut(ToolError):
    """A command was ended at its time limit. On a remote host it may still be running: its outcome is unknown."""

    code = "command_timed_out"


class HostUnreachable(ToolError):
    """The host could not be reached at all; nothing was run."""

    code = "host_unreachable"


class BadArguments(ToolError):
    """Arguments that do not fit the tool's signature; the message names the parameter."""

    code = "bad_arguments"


class UnreadableOutput(ToolError):
    """The output of a command is not in a form that the probe knows."""

    code = "unreadable_output"


class Suspended(Exception):
    """The job waits: the worker lets go of it and calls `handle` again at `until` (None: when somebody decides)."""

    def __init__(self, reason: str, until: datetime | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.until = until
