"""Long logs where several machines share one database: they travel with the job, since a file is on one machine only.

With SQLite there is one machine, and nothing to do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, select

from devops_agent.jobs.tables import log_pieces, reading
from devops_agent.model import Incident

PIECE_BYTES = 4 << 20
"""Of a log in one row, before it is compressed."""
FIELDS = ("log_file", "baseline_file")


def keep(connection: Connection, incidents: Mapping[str, Incident]) -> None:
    """Within the transaction that submits these jobs: put their files into the database."""
    if connection.dialect.name == "sqlite":
        return
    for job, incident in incidents.items():
        for field in FIELDS:
            if path := getattr(incident, field):
                for number, data in enumerate(_pieces(Path(path))):
                    connection.execute(insert(log_pieces), {"job": job, "field": field, "number": number, "data": data})


def here(engine: Engine, job: str, incident: Incident, data_dir: Path | None) -> Incident:
    """The incident with its files on this machine; those that are missing are fetched."""
    if engine.dialect.name == "sqlite" or data_dir is None:
        return incident
    found = {}
    for field in FIELDS:
        path = getattr(incident, field)
        if path and not Path(path).is_file():
            mine = data_dir / "logs" / Path(path).name
            if not mine.is_file():
                _fetch(engine, job, field, mine)
            found[field] = str(mine)
    return incident.model_copy(update=found) if found else incident


def _pieces(file: Path) -> Iterator[bytes]:
    import zstandard

    with file.open("rb") as log:
        while plain := log.read(PIECE_BYTES):
            yield zstandard.compress(plain, 3)


def _fetch(engine: Engine, job: str, field: str, file: Path) -> None:
    """Written beside, then renamed: two threads that fetch the same log do no harm."""
    import zstandard

    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = file.with_suffix(f".{os.getpid()}.{os.urandom(4).hex()}.part")
    query = select(log_pieces.c.data).order_by(log_pieces.c.number)
    with reading(engine) as connection, open(part, "xb", opener=_private) as log:
        number = 0
        while True:
            wanted = {"job": job, "field": field, "number": number}
            piece = connection.execute(query.filter_by(**wanted)).scalar()
            if piece is None:
                break
            log.write(zstandard.decompress(piece, PIECE_BYTES))
            number += 1
    part.replace(file)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
