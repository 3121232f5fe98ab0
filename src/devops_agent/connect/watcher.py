"""The watcher: follows sources, and hands each failure on, in a thread of its own, so that following never waits."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from devops_agent.connect.bursts import Bursts, CoolDown, Failure, judged
from devops_agent.connect.follow import Source
from devops_agent.connect.positions import Mark, Position
from devops_agent.errors import AgentError

log = logging.getLogger("devops_agent.watch")

POLL_SECONDS = 0.25
WAITING = 200
"""Failures that wait to be handed on; beyond, new ones are dropped, and that is said."""
_WAITS = (1.0, 60.0)
_ONCE = 8.0
"""Whoever looks once only waits for somebody: a service that is not there is tried for a quarter of a minute."""
CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0

Report = Callable[[Failure], None]


class NotTaken(Exception):
    """The service did not take a failure. `again`: trying later may help."""

    def __init__(self, message: str, again: bool = True) -> None:
        super().__init__(message)
        self.again = again


class _Followed(NamedTuple):
    source: Source
    bursts: Bursts
    position: Position


class Watcher:
    """Follows all sources until `stop`. `positions`: of each source, which are kept while it goes on."""

    def __init__(
        self,
        sources: Sequence[Source],
        report: Report,
        quiet: float = 2.0,
        longest: float = 30.0,
        cool: float = 300.0,
        positions: Sequence[Position] = (),
    ) -> None:
        of = [*positions, *(Position() for _ in sources[len(positions) :])]
        self.sources = [
            _Followed(each, Bursts(each.name, judged, quiet, longest), position)
            for each, position in zip(sources, of, strict=True)
        ]
        self.report = report
        self.cool = CoolDown(cool)
        for position in of:
            for key, at in position.told.items():
                self.cool.told(key, max(0.0, time.time() - at))
        self.lost = 0
        """Failures that could not be handed on."""
        self._once = False
        self._stop = threading.Event()
        self._found: queue.Queue[tuple[Failure, Position] | None] = queue.Queue(WAITING)
        self._hand = threading.Thread(target=self._hand_on, name="report", daemon=True)

    def stop(self) -> None:
        """End `run`."""
        self._stop.set()

    def run(self, once: bool = False) -> None:
        """Follow. `once`: only what is there now. At the end what has begun is handed on too, within some seconds."""
        self._once = once
        self._hand.start()
        try:
            while not self._stop.is_set() and self._hand.is_alive():
                if not self._look() and (once or self._stop.wait(POLL_SECONDS)):
                    break
        finally:
            for each in self.sources:
                self._pass_on(each, each.bursts.ended(now=True))
                self._reached(each)
            if self._hand.is_alive():
                self._found.put(None)
                self._hand.join(None if once else 15.0)
            for each in self.sources:
                each.position.save(now=True)
                each.source.close()

    def _look(self) -> bool:
        """Whether any source had lines."""
        any_came = False
        for each in self.sources:
            source, bursts = each.source, each.bursts
            try:
                before, lines = self._mark(each), source.read()
            except OSError as error:
                log.warning("%s: %s", source.name, error.strerror or error)
                continue
            any_came = any_came or bool(lines)
            idle = not bursts.open
            bursts.add(lines)
            if idle and bursts.open:
                each.position.began(before)
            failure = bursts.ended()
            if not bursts.open:
                self._pass_on(each, failure)
            self._reached(each)
            each.position.save()
        return any_came

    def _reached(self, each: _Followed) -> None:
        with suppress(OSError):
            each.position.came(self._mark(each))

    def _mark(self, each: _Followed) -> Mark | None:
        return each.source.mark() if each.position.file is not None else None

    def _pass_on(self, each: _Followed, failure: Failure | None) -> None:
        passed = self.cool.passes(failure) if failure is not None else None
        begun = each.position.ended(waits=passed is not None)
        if passed is None:
            return
        name = each.position.name(each.source.name, begun)
        try:
            self._found.put_nowait((replace(passed, name=name) if name is not None else passed, each.position))
        except queue.Full:
            each.position.dropped()
            log.error("%s: a failure is dropped: %s wait already", passed.source, WAITING)

    def _hand_on(self) -> None:
        while (found := self._found.get()) is not None:
            failure, position = found
            taken = self._taken(failure)
            if taken is None:
                return
            position.handed_on(failure.key if taken else None)

    def _taken(self, failure: Failure) -> bool | None:
        """Whether it was taken; None where it was still tried when all ended."""
        wait = _WAITS[0]
        while True:
            try:
                self.report(failure)
                return True
            except NotTaken as problem:
                if not problem.again or (self._once and wait > _ONCE):
                    self.lost += 1
                    log.error("%s: not taken: %s", failure.source, problem)
                    return False
                log.warning("%s: %s; trying again in %.0f s", failure.source, problem, wait)
                if self._stop.wait(wait):
                    self.lost += 1
                    log.error("%s: a failure was not handed on before the end", failure.source)
                    return None
                wait = min(_WAITS[1], wait * 2)
            except (AgentError, OSError) as problem:
                self.lost += 1
                log.error("%s: a failure could not be worked on: %s", failure.source, problem)
                return False


def to_service(url: str, key: str | None, place: str | None, labels: dict[str, str]) -> Report:
    """Hands failures to a service; what it took once it does not take again, however often it is tried."""

    def report(failure: Failure) -> None:
        import httpx

        from devops_agent.distil.redact import redact

        item = {
            "log": redact(failure.text)[0],
            "title": title(failure),
            "labels": {**labels, "source": failure.source},
        }
        headers = {"User-Agent": "devops-agent watch", "Idempotency-Key": failure.name}
        headers |= {"Authorization": f"Bearer {key}"} if key else {}
        wanted = {**item, **({"place": place} if place else {})}
        limits = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        begun = time.monotonic()
        try:
            answer = httpx.post(f"{url.rstrip('/')}/api/v1/incidents", json=wanted, headers=headers, timeout=limits)
        except httpx.HTTPError as error:
            raise NotTaken(f"the service cannot be reached ({type(error).__name__})") from None
        if answer.status_code == 202:
            log.info("%s: %s (%.1f s)", failure.source, answer.json().get("batch"), time.monotonic() - begun)
            return
        if answer.status_code == 409:
            log.info("%s: it was taken before", failure.source)
            return
        again = answer.status_code >= 500 or answer.status_code in (408, 425, 429)
        raise NotTaken(f"the service answered {answer.status_code}", again)

    return report


def title(failure: Failure) -> str:
    """What the incident of a failure is called."""
    again = f" ({failure.repeats} equal ones since the last report)" if failure.repeats else ""
    return f"{failure.source}: failure{again}"[:300]
