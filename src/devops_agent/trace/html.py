"""A trace as one HTML file that needs nothing else: no script, no font, no request; every text is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape

from devops_agent.trace import Entry, Trace, moment

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1c1c1c;background:#fff}
h1{font-size:1.3rem}h2{font-size:1.1rem}
table{border-collapse:collapse}td,th{text-align:left;padding:.1rem .8rem .1rem 0;vertical-align:top}
details{border-left:4px solid #bbb;margin:.3rem 0;padding:.2rem .6rem;background:#f6f6f6}
details.good{border-color:#2a7d2a}details.bad{border-color:#b3261e}details.model{background:#eef3fb}
details.decision{background:#fdf6e3}summary{cursor:pointer}summary .at{color:#555;font-variant-numeric:tabular-nums}
summary b{display:inline-block;min-width:5rem}pre{white-space:pre-wrap;overflow-wrap:anywhere}
@media (prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}details{background:#222;border-color:#666}
details.model{background:#1b2433}details.decision{background:#2b2616}summary .at{color:#aaa}}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(made: Trace) -> str:
    """The whole file."""
    return "".join(_parts(made))


def _parts(made: Trace) -> Iterator[str]:
    usage = made.usage
    yield f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(made.job)}</title>'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<style>{_STYLE}</style><h1>{escape(made.title or made.job)}</h1><p>{escape(made.summary)}</p><table>"
    rows = {
        "job": made.job,
        "status": made.status,
        "begun": moment(made.begun),
        "ended": moment(made.ended) if made.ended else "not yet",
        "model": ", ".join(usage.models) or "none was asked",
        "requests": str(usage.requests),
        "tokens": f"{usage.tokens_in} in, {usage.tokens_out} out",
        "cost": f"${usage.dollars:.4f}" + (" or more: a price is not known" if usage.unpriced else ""),
    }
    yield "".join(f"<tr><th scope=row>{escape(name)}<td>{escape(value)}" for name, value in rows.items())
    yield "</table>\n"
    attempt: int | None = None
    for each in made.entries:
        if each.attempt is not None and each.attempt != attempt:
            attempt = each.attempt
            yield f"<h2>Attempt {attempt + 1}</h2>\n"
        yield _entry(each)


def _entry(each: Entry) -> str:
    mark = {True: "good", False: "bad", None: ""}[each.good]
    at = f"<span class=at>{escape(moment(each.begun)[11:23])} {each.seconds:.3f} s</span>"
    head = f"<summary>{at} <b>{escape(each.kind)}</b> {escape(each.title)}</summary>"
    text = escape(json.dumps(each.data, ensure_ascii=False, indent=1))
    return f'<details class="{escape(each.kind)} {mark}">{head}<pre>{text}</pre></details>\n'
