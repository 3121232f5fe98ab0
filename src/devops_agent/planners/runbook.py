"""The planner that needs no model: signatures say which runbook, probes say what it is, the runbook says what helps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from devops_agent.condition import Unbound, bind, parse
from devops_agent.model import (
    UNKNOWN,
    Alternative,
    Attempt,
    Check,
    Diagnosis,
    Digest,
    Evidence,
    Hit,
    Proposal,
    Step,
)
from devops_agent.planners import Looking
from devops_agent.planners.choose import ANSWER, CERTAINTY, Candidate, candidates, confidences, quiet
from devops_agent.planners.endings import went_well
from devops_agent.planners.experience import Recall, moved, nothing
from devops_agent.planners.facts import around, facts, typed
from devops_agent.run import Run
from devops_agent.runbooks.causes import Causes
from devops_agent.runbooks.lines import compiled
from devops_agent.runbooks.load import Library

WIDTH = 3
"""How many candidates are looked into where the first is not (or not any more) what is wrong."""

SNIPPETS = {"high": 40, "medium": 15, "low": 0}
"""A text of so few lines is what somebody pasted, not a whole log with an end that says how it went."""

_FLOORS = ((6, 0.7), (40, 0.3))
"""In a text of at most so many lines, every line counts for so much: somebody chose them."""

_UNSURE = frozenset({"path", "port", "command"})
"""What only stands somewhere near is shown, but never bound into a tool's arguments."""

_LAST = 3
"""So many lines are the end of a log."""

_BEGAN = 30
"""So many lines before the decisive one, the same words are about the same failure."""

_END = 3
"""So many lines are the end of a log."""

PASSED = "passed"
"""How the ids of findings begin that say: the log shows it, but it is over."""


class RunbookPlanner:
    """Diagnoses with the library of runbooks."""

    name = "runbooks"
    quick = True
    """It asks no model: what is lost of a walk that did not act is made again within moments."""

    def __init__(self, library: Library, recall: Recall = nothing) -> None:
        self.library = library
        self.recall = recall

    def diagnose(self, digest: Digest, history: tuple[Attempt, ...], look: Looking) -> Diagnosis:
        """The cause that the evidence speaks for, or `unknown`; `failure` is False where the log shows none."""
        floor = next((value for lines, value in _FLOORS if digest.lines_read <= lines), 0.0)
        found = candidates(digest.hits, self.library.runbooks, self.library.causes, floor)
        failing = digest.failing or _speaks_for_itself(digest, found) or _ends_with_it(digest, found)
        last_sign = max((line for one in found for hit in one.hits for line in hit.lines), default=0)
        if went_well(digest, last_sign) or not failing:
            return Diagnosis(failure=False, summary="The log shows no failure.", evidence=_excerpt(digest, ()))
        sure = confidences(found)
        if not found or found[0].score < ANSWER:
            return self._unknown(digest, sure)
        tried = {(one.diagnosis.runbook, one.diagnosis.finding) for one in history if one.diagnosis}
        fallback: Diagnosis | None = None
        settled: Diagnosis | None = None
        for candidate in [one for one in found[:WIDTH] if one.score >= max(ANSWER, 0.5 * found[0].score)]:
            if settled and candidate.cause != settled.cause:
                continue
            diagnosis = self._look_into(candidate, found, sure, digest, look)
            if diagnosis.finding is None or diagnosis.finding.startswith(PASSED):
                fallback = fallback or diagnosis
            elif (diagnosis.runbook, diagnosis.finding) not in tried:
                if self.finding(diagnosis) and self.finding(diagnosis).remedy:
                    return diagnosis
                settled = settled or diagnosis
            else:
                fallback = fallback or diagnosis  # what was tried did not help, but it still is what is wrong
        return settled or fallback or self._unknown(digest, sure)

    def propose(self, diagnosis: Diagnosis, run: Run) -> Proposal:  # noqa: ARG002
        """The remedy of the finding with everything bound, and the checks that show whether the cause is gone."""
        runbook = self.library.runbooks.get(diagnosis.runbook or "")
        if runbook is None or not diagnosis.failure:
            return Proposal(cause=diagnosis.cause)
        acting = self._acting(runbook)
        finding = self.finding(diagnosis)
        bindings = diagnosis.bindings
        steps: list[Step] = []
        question = None
        for item in finding.remedy if finding else ():
            try:
                steps.append(_step(item, bindings))
            except Unbound as missing:
                question = f"The log does not say what ${missing} is; without it nothing is changed."
                steps = []
                break
        if finding and finding.ask:
            question = _question(finding.ask, bindings)
        checks = tuple(_checks(finding.gone if finding and finding.gone else acting.gone, bindings))
        return Proposal(cause=diagnosis.cause, steps=tuple(steps), checks=checks, question=question)

    def _unknown(self, digest: Digest, sure: Mapping[str, float]) -> Diagnosis:
        return Diagnosis(
            cause=UNKNOWN,
            summary="Not enough information to proceed: no known cause stands out in this log.",
            confidence=0.0,
            evidence=_excerpt(digest, ()),
            alternatives=tuple(Alternative(cause=cause, confidence=value) for cause, value in list(sure.items())[:3]),
            advice=("Read the excerpt; give the log of the failing step from its start, or of the service concerned.",),
        )

    def finding(self, diagnosis: Diagnosis) -> Any:
        """What the diagnosis concluded, with its remedy; None where it concluded nothing."""
        runbook = self.library.runbooks.get(diagnosis.runbook or "")
        findings = self._acting(runbook).findings if runbook else ()
        return next((each for each in findings if each.id == diagnosis.finding), None)

    def _acting(self, runbook: Any) -> Any:
        """Whose observations and findings are used: the runbook's own, else those of its cause's general one (the one
        that is named like the cause): a technology often has words of its own, but not another remedy."""
        general = self.library.runbooks.get(runbook.cause)
        return general if not runbook.findings and general and general.findings else runbook

    def _look_into(
        self, candidate: Candidate, found: list[Candidate], sure: Mapping[str, float], digest: Digest, look: Looking
    ) -> Diagnosis:
        runbook = candidate.runbook
        candidate.named, candidate.facts = _facts(candidate, digest)
        service = look.place.concerned(typed(candidate.facts)) or (look.failing[0] if len(look.failing) == 1 else None)
        acting = self._acting(runbook)
        bindings = _bindings(acting, candidate.named, service, look)
        before = len(look.seen)
        for observation in acting.observe:
            _observe(observation, bindings, look)
        looked = tuple(look.seen[before:])
        finding = next((each for each in acting.findings if _holds(each.when, bindings)), None)
        cause = (finding.cause if finding else None) or runbook.cause
        confidence = sure.get(runbook.cause, candidate.score)
        if finding and finding.when and finding.confidence:
            confidence = max(confidence, CERTAINTY[finding.confidence])
        others = _alternatives(found, sure, cause)
        known = self.recall(runbook.id, finding.id if finding else "", digest.fingerprint)
        return Diagnosis(
            cause=cause,
            summary=finding.summary if finding else f"{runbook.title}.",
            confidence=moved(round(min(confidence, 0.99), 3), known),
            evidence=_excerpt(digest, candidate.hits) + tuple(one.id for one in looked if one.data is not None),
            facts=candidate.facts,
            alternatives=others,
            runbook=runbook.id,
            finding=finding.id if finding else None,
            service=service,
            advice=(finding.advice if finding and finding.advice else runbook.advice),
            references=runbook.references,
            bindings=bindings,
            looked=looked,
            planned=tuple(_planned(runbook, cause, self.library.causes, bindings)),
            right=known[0].right,
            judged=known[0].judged,
        )


def _speaks_for_itself(digest: Digest, found: list[Candidate]) -> bool:
    """Whether a few lines without any other sign of failure are one: pasted lines whose words mean nothing else."""
    hits = [hit for hit in found[0].hits if not quiet(hit.text)] if found else []
    strengths = [found[0].runbook.strength(hit.pattern) for hit in hits]
    return 0 < digest.lines_read <= max((SNIPPETS[strength] for strength in strengths), default=0)


def _ends_with_it(digest: Digest, found: list[Candidate]) -> bool:
    """Whether a log of any length breaks off with words of a known failure: nothing went on after them."""
    last = digest.lines_read - _END
    return any(
        line > last and one.score >= ANSWER and one.runbook.strength(hit.pattern) != "low" and not quiet(hit.text)
        for one in found
        for hit in one.hits
        for line in hit.lines
    )


def _facts(candidate: Candidate, digest: Digest) -> tuple[dict[str, Any], dict[str, Any]]:
    """What patterns named: the candidate's own, then others on its very line. And all that with what stands around."""
    lines = set(candidate.hits[0].lines)
    own = [one for hit in candidate.hits for one in _in_order(hit, candidate.runbook, digest)]
    beside = [hit for hit in digest.hits if hit not in candidate.hits and lines & set(hit.lines)]
    same = [hit for hit in digest.hits if hit.signature == candidate.runbook.id and hit not in candidate.hits]
    named = facts([*own, *same, *beside])
    more = around(named, candidate.hits, digest.evidence, candidate.runbook.match.facts)
    return named | {name: more[name] for name in more if name not in _UNSURE}, named | more


def _in_order(hit: Hit, runbook: Any, digest: Digest) -> Iterator[Hit]:
    """A hit as it was on each line of the excerpt: those shortly before the decisive line first, for they began it."""
    source = runbook.patterns()[hit.pattern][1]
    matched = [one for one in digest.evidence if one.line in hit.lines] if "(?P<" in source else []
    matched.sort(key=lambda one: one.line or 0)
    decisive = next((one.line or 0 for one in matched if one.text.rstrip().endswith(hit.text.strip())), hit.lines[0])
    regex = compiled(source)
    rows = [(one, match) for one in matched if (match := regex.search(one.text))]
    copies = [
        (
            one.line or 0,
            hit.model_copy(update={"groups": {name: text for name, text in match.groupdict().items() if text}}),
        )
        for one, match in rows
    ]
    yield from (copy for line, copy in copies if decisive - _BEGAN <= line < decisive)
    yield hit
    yield from (copy for line, copy in copies if not decisive - _BEGAN <= line < decisive)


def _bindings(runbook: Any, found: dict[str, Any], service: str | None, look: Looking) -> dict[str, Any]:
    """What `$name` stands for: defaults, facts, and the inventory's entry of the service concerned."""
    bindings = {name: value for name, value in typed(found).items() if name != "service"}
    for name, known in (("service", service), ("failing", look.failing[0] if len(look.failing) == 1 else None)):
        if known:
            entry = look.place.inventory.services[known].model_dump(mode="json", exclude_none=True)
            bindings[name] = {"name": known, **entry}
    for name, value in runbook.defaults.items():
        try:
            bindings.setdefault(name, bind(value, bindings))
        except Unbound:
            continue
    return bindings


def _observe(observation: Any, bindings: dict[str, Any], look: Looking) -> None:
    if not _holds(observation.when, bindings):
        return
    try:
        args = arguments(observation.args, bindings)
    except Unbound:
        return
    evidence: Evidence = look(observation.probe, args)
    if evidence.data is not None:
        bindings[observation.name] = evidence.data


def arguments(args: Mapping[str, Any], bindings: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with every `$name` replaced; a key that ends with `?` is left out where its value is not known."""
    bound: dict[str, Any] = {}
    for key, value in args.items():
        try:
            bound[key.removesuffix("?")] = bind(value, bindings)
        except Unbound:
            if not key.endswith("?"):
                raise
    return bound


def _holds(when: tuple[str, ...], bindings: Mapping[str, Any]) -> bool:
    return all(parse(text).holds(bindings) is True for text in when)


def _step(item: Any, bindings: Mapping[str, Any]) -> Step:
    if item.wait_until:
        wait = item.wait_until
        args = {"probe": wait.probe, "args": arguments(wait.args, bindings), "expect": list(wait.expect)}
        return Step(tool="wait_until", args={**args, "limit": bind(wait.limit, bindings)}, when=item.when, why=item.why)
    return Step(tool=item.change, args=arguments(item.args, bindings), when=item.when, why=item.why)


def _checks(goals: tuple[Any, ...], bindings: Mapping[str, Any]) -> Iterator[Check]:
    for goal in goals:
        try:
            yield Check(probe=goal.probe, args=arguments(goal.args, bindings), expect=goal.expect)
        except Unbound:
            continue


def _planned(runbook: Any, cause: str, causes: Causes, bindings: Mapping[str, Any]) -> Iterator[Step]:
    """What a client's plan shows: reading the log, then what the runbook says, or else what is usual for the cause."""
    wanted = [each.model_dump() for each in runbook.planned] or causes.planned.get(cause, [])
    if not any(item["tool"] == "read_log" for item in wanted):
        yield Step(tool="read_log")
    for item in wanted:
        params: dict[str, Any] = {}
        for key, value in item.get("params", {}).items():
            try:
                params[key.removesuffix("?")] = bind(value, bindings)
            except Unbound:
                continue
        yield Step(tool=item["tool"], args=params, when=item.get("when", "always"))


def _question(ask: Any, bindings: Mapping[str, Any]) -> str:
    try:
        value = bind(ask.propose, bindings)
    except Unbound:
        value = None
    return str(ask.question) if value is None else f"{ask.question} (proposed: {value})"


def _alternatives(found: list[Candidate], sure: Mapping[str, float], cause: str) -> tuple[Alternative, ...]:
    named: dict[str, Alternative] = {}
    for candidate in found:
        if candidate.cause != cause and candidate.cause not in named:
            value = sure.get(candidate.cause, 0.0)
            named[candidate.cause] = Alternative(cause=candidate.cause, confidence=value, runbook=candidate.runbook.id)
    return tuple(named.values())[:4]


def _excerpt(digest: Digest, hits: list[Hit] | tuple[()]) -> tuple[str, ...]:
    """Ids of the lines that the conclusion rests on; where no line does, of the excerpt's first lines."""
    wanted = {line for hit in hits for line in hit.lines[:3]}
    cited = tuple(each.id for each in digest.evidence if each.line in wanted)
    if hits and cited:
        return cited[:10]
    return tuple(f"log:{line}" for line in sorted(wanted)[:3]) or tuple(each.id for each in digest.evidence[:5])
