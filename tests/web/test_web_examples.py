"""Every example that the service offers is diagnosed as what it says it is, with the line that shows it."""

import pytest

from devops_agent.bootstrap import Diagnoser
from devops_agent.config import Settings
from devops_agent.model import Attempt, Incident, Report
from devops_agent.runbooks.causes import FILE, from_data
from devops_agent.web import contract
from devops_agent.web.examples import examples
from devops_agent.yamlfile import read


@pytest.fixture(scope="module")
def diagnoser(tmp_path_factory):
    return Diagnoser(Settings(data_dir=tmp_path_factory.mktemp("data")))


@pytest.mark.parametrize("example", examples(), ids=lambda example: example["description"])
def test_the_cause_is_found(diagnoser, example):
    digest, diagnosis = diagnoser.diagnose(example["context"].encode())
    assert diagnosis.cause == example["cause"]
    cited = [each for each in digest.evidence if each.id in diagnosis.evidence]
    assert cited
    assert all(each.line for each in cited)
    assert diagnosis.advice
    made = Report(
        incident=Incident(id="i", log=example["context"]),
        digest=digest,
        attempts=(Attempt(diagnosis=diagnosis),),
        status="needs_person",
    )
    row = contract.row(1, "job", made)
    assert row["planned_actions"]
    assert f"line {cited[0].line}: " in row["final_response"]
    assert "Next:" in row["final_response"]


def test_examples_are_of_the_vocabulary():
    vocabulary = from_data(read(FILE))
    assert {each["cause"] for each in examples()} <= set(vocabulary.meanings)


def test_examples_are_told_apart():
    assert len({each["context"] for each in examples()}) == len({each["description"] for each in examples()}) == 37
