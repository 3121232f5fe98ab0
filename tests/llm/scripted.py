"""A model server on loopback that answers as a script says: OpenAI's chat completions and Anthropic's messages.

    with serving(Reply(calls=[("disk_usage", {"path": "/"})]), Reply(text="done")) as server:
        server.url        # base URL for OpenAI's client (Anthropic's takes server.root)
        server.asked      # every request as it came: headers, body, and a view that no provider owns

A script is a list of replies (the last one is repeated), or a function of the request. Delays, errors, broken and
dripping answers, streams and dropped connections are replies too.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What the server does with one request. `raw` is sent as it is, whatever format the client speaks."""

    text: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    message: str = ""
    error: str = ""
    raw: bytes | None = None
    delay: float = 0.0
    drip: float = 0.0
    drop: bool = False
    finish: str = ""
    tokens: tuple[int, int] = (1000, 100)


@dataclass
class Asked:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    raw: bytes
    body: dict[str, Any]
    at: float = field(default_factory=time.monotonic)

    @property
    def anthropic(self) -> bool:
        return self.path.rstrip("/").endswith("/messages")

    @property
    def system(self) -> str:
        if self.anthropic:
            said = self.body.get("system") or ""
            return said if isinstance(said, str) else "\n".join(part["text"] for part in said)
        return "\n".join(str(each["content"]) for each in self.body["messages"] if each["role"] in _SYSTEM)

    @property
    def functions(self) -> list[str]:
        tools = self.body.get("tools") or []
        return [each["name"] if self.anthropic else each["function"]["name"] for each in tools]

    @property
    def said(self) -> list[str]:
        """Texts of the user's messages and of the functions' results, in order."""
        return [text for _, text in self._parts()]

    @property
    def results(self) -> list[tuple[str, dict[str, Any], str]]:
        """What functions answered so far: name, arguments, text."""
        called: dict[str, tuple[str, dict[str, Any]]] = {}
        for each in self.body["messages"]:
            for call in each.get("tool_calls") or ():
                called[call["id"]] = (call["function"]["name"], json.loads(call["function"]["arguments"] or "{}"))
            for part in each["content"] if isinstance(each.get("content"), list) else ():
                if part.get("type") == "tool_use":
                    called[part["id"]] = (part["name"], part["input"])
        return [(*called.get(key, ("", {})), text) for key, text in self._parts() if key]

    def _parts(self) -> Iterator[tuple[str, str]]:
        for each in self.body["messages"]:
            content = each.get("content")
            if each["role"] == "tool":
                yield each["tool_call_id"], _text(content)
            elif each["role"] == "user" and isinstance(content, list):
                for part in content:
                    yield part.get("tool_use_id", ""), _text(part.get("content", part.get("text", "")))
            elif each["role"] == "user":
                yield "", _text(content)


_SYSTEM = ("system", "developer")
Script = Callable[[Asked], Reply]


class Server:
    """The server; `asked` grows with every request."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self.root = f"http://127.0.0.1:{self.port}"
        self.url = f"{self.root}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def answer(self, asked: Asked) -> Reply:
        with self._lock:
            self.asked.append(asked)
        return self.script(asked)

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)


@contextmanager
def serving(*script: Reply | Script) -> Iterator[Server]:
    """A server with that script, ended afterwards."""
    server = Server(script[0] if script and callable(script[0]) else in_turn(*script))
    try:
        yield server
    finally:
        server.stop()


def in_turn(*replies: Reply) -> Script:
    """Replies one after the other; the last one again and again."""
    left = list(replies)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


def nobody() -> str:
    """A base URL at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.path, headers, raw, json.loads(raw))
            reply = server.answer(asked)
            with suppress(OSError):  # clients that gave up are a part of the scripts
                self._send(asked, reply)

        def _send(self, asked: Asked, reply: Reply) -> None:
            time.sleep(reply.delay)
            if reply.drop:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            streamed = bool(asked.body.get("stream")) and reply.status == 200 and reply.raw is None
            content = _stream(asked, reply) if streamed else _whole(asked, reply)
            self.send_response(reply.status)
            self.send_header("content-type", "text/event-stream" if streamed else "application/json")
            self.send_header("content-length", str(len(content)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            size = 16 if reply.drip else len(content) or 1
            for start in range(0, len(content), size):
                self.wfile.write(content[start : start + size])
                self.wfile.flush()
                time.sleep(reply.drip)

    return Handler


def _whole(asked: Asked, reply: Reply) -> bytes:
    if reply.raw is not None:
        return reply.raw
    if reply.status != 200:
        said = {"message": reply.message or "scripted", "type": reply.error or "error", "code": reply.error or None}
        return json.dumps({"type": "error", "error": said}).encode()
    return json.dumps(_anthropic(asked, reply) if asked.anthropic else _openai(asked, reply)).encode()


def _openai(asked: Asked, reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.calls:
        message["tool_calls"] = [
            {
                "id": f"call_{number}_{len(asked.raw)}",
                "type": "function",
                "function": {"name": name, "arguments": _args(args)},
            }
            for number, (name, args) in enumerate(reply.calls)
        ]
    finish = reply.finish or ("tool_calls" if reply.calls else "stop")
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": asked.body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": reply.tokens[0],
            "completion_tokens": reply.tokens[1],
            "total_tokens": sum(reply.tokens),
        },
    }


def _anthropic(asked: Asked, reply: Reply) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    content += [
        {"type": "tool_use", "id": f"toolu_{number}_{len(asked.raw)}", "name": name, "input": args}
        for number, (name, args) in enumerate(reply.calls)
    ]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": asked.body["model"],
        "content": content,
        "stop_reason": reply.finish or ("tool_use" if reply.calls else "end_turn"),
        "stop_sequence": None,
        "usage": {"input_tokens": reply.tokens[0], "output_tokens": reply.tokens[1]},
    }


def _stream(asked: Asked, reply: Reply) -> bytes:
    return _anthropic_stream(asked, reply) if asked.anthropic else _openai_stream(asked, reply)


def _openai_stream(asked: Asked, reply: Reply) -> bytes:
    whole = _openai(asked, reply)
    base = {key: whole[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    message, finish = whole["choices"][0]["message"], whole["choices"][0]["finish_reason"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in reply.text.splitlines(keepends=True)]
    deltas += [{"tool_calls": [{"index": at, **call}]} for at, call in enumerate(message.get("tool_calls", ()))]
    chunks = [base | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append(base | {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    chunks.append(base | {"choices": [], "usage": whole["usage"]})
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def _anthropic_stream(asked: Asked, reply: Reply) -> bytes:
    whole = _anthropic(asked, reply)
    events: list[dict[str, Any]] = [{"type": "message_start", "message": whole | {"content": [], "stop_reason": None}}]
    for at, part in enumerate(whole["content"]):
        text = part["type"] == "text"
        begin = part | ({"text": ""} if text else {"input": {}})
        delta = (
            {"type": "text_delta", "text": part["text"]}
            if text
            else {"type": "input_json_delta", "partial_json": json.dumps(part["input"])}
        )
        events += [
            {"type": "content_block_start", "index": at, "content_block": begin},
            {"type": "content_block_delta", "index": at, "delta": delta},
            {"type": "content_block_stop", "index": at},
        ]
    events.append({"type": "message_delta", "delta": {"stop_reason": whole["stop_reason"]}, "usage": whole["usage"]})
    events.append({"type": "message_stop"})
    return b"".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in events)


def _args(args: Any) -> str:
    return args if isinstance(args, str) else json.dumps(args)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content)
    return str(content or "")
