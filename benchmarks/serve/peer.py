"""What the service is compared with: the least that Flask can do, under the same gunicorn, with its own worker.

`/bare` reads the request and answers in the form of the contract. `/row` commits one row of a SQLite file (WAL,
`synchronous=FULL`, by the standard library's driver, one connection a thread) and answers with its number.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from pathlib import Path

from flask import Flask, request

from devops_agent.config import load_settings
from devops_agent.web.server import options

app = Flask(__name__)
FILE = Path(os.environ.get("PEER_FILE", "peer.db"))
_own = threading.local()


@app.get("/health")
def health():
    return {"status": "ok"}


@app.post("/bare")
def bare():
    errors = request.get_json()["errors"]
    rows = [
        {"scenario_id": at, "status": "success", "error_context": each["context"]} for at, each in enumerate(errors)
    ]
    return {"status": "completed", "total_scenarios": len(rows), "results": rows}


@app.post("/row")
def row():
    connection = getattr(_own, "connection", None)
    if connection is None:
        connection = _own.connection = sqlite3.connect(FILE, timeout=30, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS row (id INTEGER PRIMARY KEY, body TEXT)")
    connection.execute("BEGIN IMMEDIATE")
    number = connection.execute("INSERT INTO row (body) VALUES (?)", [request.get_data(as_text=True)]).lastrowid
    connection.execute("COMMIT")
    return {"status": "accepted", "row": number}, 202


def main() -> None:
    from gunicorn.app.base import BaseApplication

    chosen = options(load_settings())
    ours = ("post_worker_init", "worker_exit", "child_exit", "logger_class", "worker_class")

    class Server(BaseApplication):
        def load_config(self) -> None:
            for name, value in chosen.items():
                if name in self.cfg.settings and name not in ours:
                    self.cfg.set(name, value)
            self.cfg.set("worker_class", "gthread")
            self.cfg.set("bind", f"127.0.0.1:{int(sys.argv[1])}")

        def load(self) -> Flask:
            return app

    Server().run()


if __name__ == "__main__":
    main()
