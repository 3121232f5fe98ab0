"""What is wrong with a request is said so that a person knows what to send instead."""

import pytest


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"log": "  \n"}, "log: must not be empty"),
        ({"log": 5}, "log: expected a valid string"),
        ({"log": "x", "lables": {}}, "lables: unknown field"),
        ({}, "log: missing"),
        ([], "body: expected an object"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_expected(shared, sent, said) -> None:
    answer = shared.http.post("/api/v1/incidents", json=sent)
    assert answer.status_code == 400
    assert answer.json()["detail"] == said
