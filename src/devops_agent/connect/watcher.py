"""The watcher: follows sources, and hands each failure on, in a thread of its own, so that following never waits."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from devops_agent.connect.bursts import Bursts, CoolDown, Failure, judged
from devops_agent.connect.follow import Source
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


class Watcher:
    """Follows all sources until `stop`."""

    def __init__(
        self, sources: Sequence[Source], report: Report, quiet: float = 2.0, longest: float = 30.0, cool: float = 300.0
    ) -> None:
        self.sources = [(each, Bursts(each.name, judged, quiet, longest)) for each in sources]
        self.report = report
        self.cool = CoolDown(cool)
        self.lost = 0
        """Failures that could not be handed on."""
        self._once = False
        self._stop = threading.Event()
        self._found: queue.Queue[Failure | None] = queue.Queue(WAITING)
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
            for source, bursts in self.sources:
                self._pass_on(bursts.ended(now=True))
                source.close()
            if self._hand.is_alive():
                self._found.put(None)
                self._hand.join(None if once else 15.0)

    def _look(self) -> bool:
        """Whether any source had lines."""
        any_came = False
        for source, bursts in self.sources:
            try:
                lines = source.read()
            except OSError as error:
                log.warning("%s: %s", source.name, error.strerror or error)
                continue
            any_came = any_came or bool(lines)
            bursts.add(lines)
            self._pass_on(bursts.ended())
        return any_came

    def _pass_on(self, failure: Failure | None) -> None:
        passed = self.cool.passes(failure) if failure is not None else None
        if passed is None:
            return
        try:
            self._found.put_nowait(passed)
        except queue.Full:
            log.error("%s: a failure is dropped: %s wait already", passed.source, WAITING)

    def _hand_on(self) -> None:
        while (failure := self._found.get()) is not None:
            wait = _WAITS[0]
            send = partial(self.report, failure)
            while True:
                try:
                    send()
                    break
                except NotTaken as problem:
                    if not problem.again or (self._once and wait > _ONCE):
                        self.lost += 1
                        log.error("%s: not taken: %s", failure.source, problem)
                        break
                    log.warning("%s: %s; trying again in %.0f s", failure.source, problem, wait)
                    if self._stop.wait(wait):
                        self.lost += 1
                        log.error("%s: a failure was not handed on before the end", failure.source)
                        return
                    wait = min(_WAITS[1], wait * 2)
                except (AgentError, OSError) as problem:
                    self.lost += 1
                    log.error("%s: a failure could not be worked on: %s", failure.source, problem)
                    break


def to_service(url: str, key: str | None, place: str | None, labels: dict[str, str]) -> Report:
    """Hands failures to a service; what it took once it does not take again, however often it is tried."""

    def report(failure: Failure) -> None:
        import httpx

        from devops_agent.distil.redact import redact

        item = {
            "context": redact(failure.text)[0],
            "title": title(failure),
            "labels": {**labels, "source": failure.source},
        }
        headers = {"User-Agent": "devops-agent watch", "Idempotency-Key": failure.name}
        headers |= {"Authorization": f"Bearer {key}"} if key else {}
        wanted = {"errors": [{**item, **({"place": place} if place else {})}]}
        limits = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        begun = time.monotonic()
        try:
            answer = httpx.post(f"{url.rstrip('/')}/process_errors_async", json=wanted, headers=headers, timeout=limits)
        except httpx.HTTPError as error:
            raise NotTaken(f"the service cannot be reached ({type(error).__name__})") from None
        if answer.status_code == 202:
            log.info("%s: %s (%.1f s)", failure.source, answer.json().get("job_id"), time.monotonic() - begun)
            return
        again = answer.status_code >= 500 or answer.status_code in (408, 409, 425, 429)
        raise NotTaken(f"the service answered {answer.status_code}", again)

    return report


def title(failure: Failure) -> str:
    """What the incident of a failure is called."""
    again = f" ({failure.repeats} equal ones since the last report)" if failure.repeats else ""
    return f"{failure.source}: failure{again}"[:300]
