"""A long log reaches the worker on another machine; with one machine it stays the file that it is."""

from pathlib import Path

from devops_agent.jobs import logs
from devops_agent.jobs.tables import open_engine
from devops_agent.model import Incident


def incident(folder: Path, text: bytes) -> Incident:
    """With a long log, spooled on the machine that it was sent to."""
    file = folder / "logs" / "inc_1.log"
    file.parent.mkdir(parents=True)
    file.write_bytes(text)
    return Incident(id="inc_1", title="x", source="http", log_file=str(file))


def test_a_log_travels_with_its_job(postgres, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(logs, "PIECE_BYTES", 1000)
    engine = open_engine(postgres.database())
    text = bytes(range(256)) * 10 + b"the last line\n"
    sent = incident(tmp_path / "here", text)
    with engine.begin() as connection:
        logs.keep(connection, {"job_1": sent})
    assert logs.here(engine, "job_1", sent, tmp_path / "here") == sent
    Path(sent.log_file).unlink()
    got = logs.here(engine, "job_1", sent, tmp_path / "there")
    assert Path(got.log_file).read_bytes() == text
    assert Path(got.log_file).parent == tmp_path / "there" / "logs"
    assert Path(got.log_file).stat().st_mode & 0o777 == 0o600
    assert [each.name for each in (tmp_path / "there" / "logs").iterdir()] == ["inc_1.log"]


def test_with_one_machine_nothing_is_copied(tmp_path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'jobs.db'}")
    sent = incident(tmp_path / "here", b"short\n")
    with engine.begin() as connection:
        logs.keep(connection, {"job_1": sent})
        assert connection.exec_driver_sql("select count(*) from log_piece").scalar() == 0
    assert logs.here(engine, "job_1", sent, tmp_path) is sent
