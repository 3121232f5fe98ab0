"""The door, through the real client libraries, against a scripted server on loopback."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from devops_agent.distil.redact import redact
from devops_agent.errors import BudgetSpent, ConfigError
from devops_agent.llm.budget import Cap, Caps
from devops_agent.llm.door import Door, Terms
from devops_agent.llm.names import Choice, choose
from devops_agent.llm.preview import shown
from devops_agent.llm.prices import dollars, read
from devops_agent.llm.request import Function, Message, Request
from devops_agent.usage import FunctionCall, Usage
from llm.scripted import Reply, nobody, serving

LOOK = Function(
    "disk_usage", "How full a filesystem is.", {"type": "object", "properties": {"path": {"type": "string"}}}
)
ASK = Request("You diagnose.", (Message("user", "log:1| No space left on device"),), (LOOK,))
CALL = Reply(calls=[("disk_usage", {"path": "/"})])


def door(*choices: Choice, **terms) -> Door:
    terms = {"timeout": 5.0, "patience": 8.0, "answer_tokens": 500, "pause": 0.05} | terms
    return Door(Terms(choices, **terms), lambda text: redact(text)[0])


def openai(server) -> Choice:
    return Choice("openai", "gpt-4o", server if isinstance(server, str) else server.url, "sk-test")


def claude(server) -> Choice:
    return Choice("anthropic", "claude-sonnet-5-5", server.root, "sk-test")


@pytest.mark.parametrize("kind", [openai, claude])
def test_a_call_of_a_function_comes_back_with_what_it_cost(kind):
    with serving(Reply(calls=[("disk_usage", {"path": "/"})], tokens=(1200, 30))) as server:
        made = door(kind(server)).ask(ASK, 1, Usage())
    assert (made.error, made.problems) == (None, ())
    assert [(call.name, call.args) for call in made.calls] == [("disk_usage", {"path": "/"})]
    assert (made.tokens_in, made.tokens_out, made.tries, made.offered) == (1200, 30, 1, ("disk_usage",))
    assert made.priced
    assert made.dollars == pytest.approx(dollars({}, kind(server).provider, kind(server).name, 1200, 30))
    assert made.sent == ({"role": "user", "text": "log:1| No space left on device"},)
    asked = server.asked[0]
    assert (asked.system, asked.functions) == ("You diagnose.", ["disk_usage"])
    assert "log:1| No space left on device" in asked.said
    assert made.request == ASK.digest()


@pytest.mark.parametrize("kind", [openai, claude])
def test_a_conversation_goes_on_with_the_results_of_functions(kind):
    call = FunctionCall(id="c1", name="disk_usage", args={"path": "/"})
    more = (Message("assistant", "", (call,)), Message("function", '{"percent": 100}', call="c1", name="disk_usage"))
    with serving(CALL) as server:
        made = door(kind(server)).ask(replace(ASK, messages=ASK.messages + more), 2, Usage())
    assert made.error is None
    assert server.asked[0].results == [("disk_usage", {"path": "/"}, '{"percent": 100}')]
    assert [each["role"] for each in made.sent] == ["function"]
    assert made.system == ""


def test_secrets_are_masked_at_the_door_wherever_they_stand():
    secret = "ghp_" + "a1B2" * 9
    call = FunctionCall(id="c1", name="read_file", args={"path": "/x", "password": "hunter2hunter2", "deep": [secret]})
    request = Request(
        "s",
        (
            Message("user", f"log:1| token {secret}"),
            Message("assistant", "", (call,)),
            Message("function", "DB_PASSWORD=tr0ub4dor&3", call="c1", name="read_file"),
        ),
        (LOOK,),
    )
    with serving(CALL) as server:
        made = door(openai(server)).ask(request, 1, Usage())
    for text in (server.asked[0].raw.decode(), made.model_dump_json()):
        assert secret not in text
        assert "hunter2" not in text
        assert "tr0ub4dor" not in text


def test_a_busy_server_is_asked_again_when_it_said_so():
    busy = Reply(status=429, headers={"retry-after": "1"}, message="slow down")
    with serving(busy, Reply(status=503), CALL) as server:
        made = door(openai(server)).ask(ASK, 1, Usage())
    assert (made.error, made.tries) == (None, 3)
    assert "slow down" in made.problems[0]
    assert server.asked[1].at - server.asked[0].at >= 1.0


def test_who_is_to_wait_longer_than_patience_is_told_at_once_and_others_do_not_try():
    with serving(Reply(status=429, headers={"retry-after": "3600"}, message="quota of the hour")) as server:
        way = door(openai(server))
        first, second = way.ask(ASK, 1, Usage()), way.ask(ASK, 1, Usage())
        assert len(server.asked) == 1
    assert first.seconds < 5
    assert "quota of the hour" in first.error
    assert "left alone" in second.error
    assert second.tries == 0


@pytest.mark.parametrize(
    ("reply", "tries", "word"),
    [
        (Reply(status=500, message="broken"), 4, "broken"),
        (Reply(status=401, message="wrong key"), 1, "wrong key"),
        (Reply(status=404, message="no such model"), 1, "no such model"),
        (Reply(raw=b"<html>gateway</html>"), 2, "cannot be read"),
        (Reply(raw=b'{"id": "x", "choices": []}'), 2, ""),
        (Reply(), 2, "empty"),
        (Reply(drop=True), 3, ""),
        (Reply(finish="content_filter"), 1, "filter"),
    ],
)
def test_what_gives_no_answer_is_said_in_words(reply, tries, word):
    with serving(reply) as server:
        made = door(openai(server)).ask(ASK, 1, Usage())
    assert made.error
    assert word in made.error
    assert (made.tries, len(server.asked)) == (tries, tries)
    assert made.calls == ()


def test_nobody_there():
    made = door(openai(nobody())).ask(ASK, 1, Usage())
    assert made.error
    assert made.seconds < 6


@pytest.mark.parametrize("reply", [Reply(text="x", delay=30), Reply(text="x" * 3000, drip=0.2)])
def test_slow_and_dripping_answers_end_at_the_limit(reply):
    with serving(reply) as server:
        made = door(openai(server), timeout=0.5, patience=2.0).ask(ASK, 1, Usage())
    assert "within" in made.error
    assert made.seconds < 5


def test_the_second_model_answers_where_the_first_does_not():
    with serving(Reply(status=401, message="wrong key")) as first, serving(CALL) as second:
        way = door(openai(first), claude(second))
        made = way.ask(ASK, 1, Usage())
        again = way.ask(ASK, 2, Usage())
        assert len(first.asked) == 1
    assert (made.error, made.provider) == (None, "anthropic")
    assert "wrong key" in made.problems[0]
    assert again.error is None


def test_a_request_that_is_too_long_is_sent_again_shorter():
    long = Reply(status=400, error="context_length_exceeded", message="maximum context length is 8192 tokens")
    request = replace(ASK, messages=(Message("user", "start " + "x" * 20_000 + " end"),))
    with serving(long, CALL) as server:
        made = door(openai(server)).ask(request, 1, Usage())
    assert made.error is None
    assert len(server.asked[1].raw) < len(server.asked[0].raw) * 0.6
    assert server.asked[1].said[0].startswith("start")
    assert server.asked[1].said[0].endswith("end")


def test_a_model_without_functions_is_asked_in_plain_text():
    refusal = Reply(status=400, message="this model does not support tools")
    answer = Reply(text='Let me look: {"call": "disk_usage", "args": {"path": "/srv"}}')
    with serving(refusal, answer) as server:
        way = door(openai(server))
        made = way.ask(ASK, 1, Usage())
        way.ask(ASK, 2, Usage())
    assert [(call.name, call.args) for call in made.calls] == [("disk_usage", {"path": "/srv"})]
    assert server.asked[1].functions == []
    assert "disk_usage: How full" in server.asked[1].system
    assert len(server.asked) == 3  # it is remembered


def test_arguments_that_are_no_json_are_kept_as_they_are():
    with serving(Reply(calls=[("disk_usage", '{"path": ')])) as server:
        made = door(openai(server)).ask(ASK, 1, Usage())
    assert (made.calls[0].args, made.calls[0].raw) == (None, '{"path": ')


class Book:
    """A ledger with a cap on dollars."""

    def __init__(self, cap: float) -> None:
        self.cap, self.rows = cap, []

    def reserve(self, tokens: int, dollars: float) -> int:
        if sum(each[1] for each in self.rows) + dollars > self.cap:
            raise BudgetSpent("the day may cost more, but not this")
        self.rows.append((tokens, dollars))
        return len(self.rows) - 1

    def settle(self, ticket: int, tokens: int, dollars: float) -> None:
        self.rows[ticket] = (tokens, dollars)


def test_caps_stop_before_they_are_passed():
    with serving(CALL) as server:
        way = door(openai(server), caps=Caps(incident=Cap(dollars=0.02)))
        assert way.ask(ASK, 1, Usage()).error is None
        stopped = way.ask(ASK, 2, Usage(requests=1, dollars=0.018))
        one = door(openai(server), caps=Caps(call=Cap(tokens=300))).ask(ASK, 1, Usage())
        assert len(server.asked) == 1
    assert "one incident may cost $0.02" in stopped.error
    assert stopped.tries == 0
    assert "one call may use 300 tokens" in one.error


def test_the_ledger_is_asked_before_and_told_after():
    book = Book(0.02)
    with serving(CALL, Reply(text="x", delay=2)) as server:
        way = door(openai(server), timeout=0.3, patience=0.5)
        made = way.ask(ASK, 1, Usage(), book)
        assert book.rows == [(1100, pytest.approx(made.dollars))]
        assert way.ask(ASK, 2, Usage(), book).error  # no answer came: what was put aside stands
    assert book.rows[1][0] > 500


def test_prices_can_be_given_and_unknown_ones_are_told():
    assert read("2.5/10")[""].of(1_000_000, 100_000) == pytest.approx(3.5)
    assert read("gpt-4o=2/4, own=0/0")["own"].of(10**6, 10**6) == 0
    for wrong in ("x", "1/2/3", "a=1", "-1/2"):
        with pytest.raises(ConfigError, match="DEVOPS_AGENT_MODEL_PRICE"):
            read(wrong)
    with serving(CALL) as server:
        made = door(Choice("openai", "of-the-house", server.url, "k")).ask(ASK, 1, Usage())
    assert (made.priced, made.dollars) == (False, 0.0)


def test_what_would_be_sent_can_be_seen_without_sending_it():
    with serving(CALL) as server:
        for kind in (openai, claude):
            seen = shown(door(kind(server)), replace(ASK, messages=(Message("user", "password=hunter2hunter2"),)))
            assert "sk-test" not in str(seen)
            assert "hunter2" not in str(seen)
            assert seen["body"]["model"] == kind(server).name
            assert seen["bytes"] > 100
        assert server.asked == []


def test_many_threads_share_one_door():
    with serving(CALL) as server:
        way = door(openai(server))
        made = []
        threads = [threading.Thread(target=lambda: made.append(way.ask(ASK, 1, Usage()).error)) for _ in range(16)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(30)
    assert made == [None] * 16


@pytest.mark.parametrize(
    ("model", "base", "environ", "provider", "name", "configured"),
    [
        ("gpt-4o", None, {"OPEN_AI_API_KEY": "k"}, "openai", "gpt-4o", True),
        ("gpt-4o", None, {"OPENAI_API_KEY": "k"}, "openai", "gpt-4o", True),
        ("gpt-4o", None, {}, "openai", "gpt-4o", False),
        ("claude-sonnet-4-5", None, {"ANTHROPIC_API_KEY": "k"}, "anthropic", "claude-sonnet-4-5", True),
        ("anthropic:claude-x", None, {"OPENAI_API_KEY": "k"}, "anthropic", "claude-x", False),
        ("gemini-2.5-flash", None, {"GEMINI_API_KEY": "k"}, "google", "gemini-2.5-flash", True),
        ("ollama:llama3:8b", "http://127.0.0.1:1/v1", {}, "openai", "llama3:8b", True),
        ("llama3:8b", "http://127.0.0.1:1/v1", {}, "openai", "llama3:8b", True),
        ("bedrock:x.y", None, {}, "bedrock", "x.y", True),
    ],
)
def test_names_of_models(model, base, environ, provider, name, configured):
    chosen = choose(model, base, environ)
    assert (chosen.provider, chosen.name, chosen.configured) == (provider, name, configured)
    assert "key" not in repr(chosen)


def test_a_provider_s_key_does_not_go_to_the_fallback_s_own_server():
    environ = {"OPENAI_API_KEY": "k", "DEVOPS_AGENT_MODEL_FALLBACK_KEY": ""}
    assert choose("m", "http://127.0.0.1:1/v1", environ, "DEVOPS_AGENT_MODEL_FALLBACK_KEY").key is None
    assert choose("gpt-4o", None, environ, "DEVOPS_AGENT_MODEL_FALLBACK_KEY").key == "k"


def test_the_server_streams_to_clients_that_ask_for_it():
    import asyncio

    from pydantic_ai.direct import model_request_stream
    from pydantic_ai.messages import ModelRequest

    from devops_agent.llm.wire import build

    async def streamed(choice: Choice) -> str:
        async with model_request_stream(build(choice, 5.0), [ModelRequest.user_text_prompt("hi")]) as stream:
            async for _ in stream:
                pass
        return stream.get().text

    for kind in (openai, claude):
        with serving(Reply(text="one\ntwo")) as server:
            assert asyncio.run(streamed(kind(server))) == "one\ntwo"
