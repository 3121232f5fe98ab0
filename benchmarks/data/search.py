"""Lists and search over many stored incidents: how long `find` takes, by kind of question.

    python benchmarks/data/search.py sqlite|postgres [--rows 1000000] [--keep FOLDER]

Incidents are drawn from a fixed seed: causes and words by Zipf's law, as real ones are. Each question is asked with
many different values; p50, p95 and the worst are printed in milliseconds.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import insert, text

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from devops_agent.jobs.search import document, find
from devops_agent.jobs.tables import batches, jobs, open_engine, searched
from devops_agent.model import Incident

SEED = 7
FIRST = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
CAUSES = [f"cause_{number}" for number in range(90)]
PLACES = [f"place-{number}" for number in range(40)]
OUTCOMES = ["resolved"] * 50 + ["needs_person"] * 30 + ["unresolved"] * 10 + ["no_failure"] * 8 + ["error"] * 2
PIECE = 20_000


def words() -> list[str]:
    drawn = random.Random(SEED)
    letters = "etaoinshrdlucmfwypvbgk"
    return ["".join(drawn.choices(letters, k=drawn.randint(3, 10))) for _ in range(30_000)]


def zipf(drawn: random.Random, values: list[str]) -> str:
    return values[min(len(values) - 1, int(len(values) ** drawn.random()) - 1)]


def fill(engine, count: int) -> None:
    drawn, vocabulary = random.Random(SEED), words()
    stamp = FIRST
    for start in range(0, count, PIECE):
        heads, rows, notes = [], [], []
        for number in range(start, min(count, start + PIECE)):
            stamp += drawn.expovariate(1 / 20)
            name = f"job_{number:09d}"
            title = " ".join(zipf(drawn, vocabulary) for _ in range(10))
            cause, place, outcome = zipf(drawn, CAUSES), zipf(drawn, PLACES), drawn.choice(OUTCOMES)
            incident = Incident(
                id=f"inc_{number}",
                title=title,
                place=place,
                labels={"env": drawn.choice(("production", "staging")), "team": f"team{drawn.randrange(200)}"},
            )
            status = "error" if outcome == "error" else "done"
            if number > count - 2000:
                status, outcome = drawn.choice((("queued", None), ("waiting", None), ("running", None)))
            marks = document(
                (name, title, cause, place),
                incident,
                status if status in ("done", "error") else "open",
                cause=cause,
                outcome=outcome,
            )
            heads.append({"id": name, "created": stamp, "requester": "http", "size": 1})
            rows.append(
                {
                    "id": name,
                    "batch": name,
                    "number": 1,
                    "status": status,
                    "waiting": "approval" if status == "waiting" else None,
                    "due": stamp,
                    "created": stamp,
                    "finished": stamp + 5,
                    "title": title,
                    "incident": incident.model_dump_json(),
                    "options": "{}",
                    "cause": cause,
                    "outcome": outcome,
                    "place": place,
                    "progress": 100,
                    "fence": 1,
                    "tries": 0,
                    "version": 1,
                }
            )
            notes.append({"job": name, "created": stamp, "words": marks})
        with engine.begin() as connection:
            connection.execute(insert(batches), heads)
            connection.execute(insert(jobs), rows)
            connection.execute(insert(searched), notes)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def questions(count: int) -> dict[str, list[dict]]:
    drawn, vocabulary = random.Random(SEED + 1), words()
    later = FIRST + count * 20 * 0.9

    def several(make) -> list[dict]:
        return [make() for _ in range(40)]

    return {
        "newest": several(dict),
        "status": [{"status": each} for each in ("queued", "running", "waiting", "approval", "done", "error")] * 5,
        "cause": several(lambda: {"cause": zipf(drawn, CAUSES)}),
        "outcome": several(lambda: {"outcome": drawn.choice(OUTCOMES)}),
        "place": several(lambda: {"place": zipf(drawn, PLACES)}),
        "cause and outcome": several(lambda: {"cause": zipf(drawn, CAUSES), "outcome": drawn.choice(OUTCOMES)}),
        "cause, place, outcome": several(
            lambda: {"cause": drawn.choice(CAUSES), "place": drawn.choice(PLACES), "outcome": drawn.choice(OUTCOMES)}
        ),
        "label": several(lambda: {"label": f"team=team{drawn.randrange(200)}"}),
        "last tenth, by cause": several(
            lambda: {"cause": zipf(drawn, CAUSES), "since": datetime.fromtimestamp(later, UTC)}
        ),
        "a month, by outcome": several(
            lambda: {
                "outcome": drawn.choice(OUTCOMES),
                "since": datetime.fromtimestamp(FIRST + 86400 * 20, UTC),
                "until": datetime.fromtimestamp(FIRST + 86400 * 50, UTC),
            }
        ),
        "one common word": several(lambda: {"text": vocabulary[drawn.randrange(20)]}),
        "one word": several(lambda: {"text": zipf(drawn, vocabulary)}),
        "one rare word": several(lambda: {"text": vocabulary[drawn.randrange(10_000, 30_000)]}),
        "two words": several(lambda: {"text": f"{zipf(drawn, vocabulary)} {zipf(drawn, vocabulary)}"}),
        "beginning of a word": several(lambda: {"text": zipf(drawn, vocabulary)[:3]}),
        "word, cause": several(lambda: {"text": zipf(drawn, vocabulary), "cause": zipf(drawn, CAUSES)}),
        "word, waiting": several(lambda: {"text": zipf(drawn, vocabulary), "status": "waiting"}),
        "words that are nowhere together": several(lambda: {"text": f"{vocabulary[0]} {vocabulary[1]} nowhere"}),
    }


def measure(engine, count: int) -> None:
    every: list[float] = []
    print(f"{'question':34} {'p50':>8} {'p95':>8} {'worst':>8}   ms")
    for name, asked in questions(count).items():
        find(engine, **asked[0])
        took = []
        for each in asked:
            begun = time.perf_counter()
            page = find(engine, **each)
            took.append((time.perf_counter() - begun) * 1000)
            if page.next_cursor:
                begun = time.perf_counter()
                find(engine, **each, cursor=page.next_cursor)
                took.append((time.perf_counter() - begun) * 1000)
        every += took
        took.sort()
        print(f"{name:34} {took[len(took) // 2]:8.1f} {took[int(len(took) * 0.95)]:8.1f} {took[-1]:8.1f}", flush=True)
    every.sort()
    print(f"{'all':34} {every[len(every) // 2]:8.1f} {every[int(len(every) * 0.95)]:8.1f} {every[-1]:8.1f}")


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("database", choices=("sqlite", "postgres"))
    given.add_argument("--rows", type=int, default=1_000_000)
    given.add_argument("--keep", type=Path, help="keep the SQLite file here, and use it again")
    asked = given.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.database == "sqlite":
            file = (asked.keep or Path(folder)) / f"search-{asked.rows}.db"
            there = file.exists()
            run(f"sqlite:///{file}", asked.rows, there)
            print(f"{file.stat().st_size / asked.rows:.0f} bytes an incident on the disk")
            return
        from postgres import Postgres

        with Postgres(shared_buffers="512MB", maintenance_work_mem="256MB") as server:
            run(server.database(), asked.rows, False)


def run(url: str, count: int, there: bool) -> None:
    engine = open_engine(url)
    begun = time.monotonic()
    if not there:
        fill(engine, count)
        print(f"{count} incidents stored in {time.monotonic() - begun:.0f} s")
    measure(engine, count)
    engine.dispose()


if __name__ == "__main__":
    main()
