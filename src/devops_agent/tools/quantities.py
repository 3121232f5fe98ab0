"""Amounts as configuration files write them: memory (`512m`, `2Gi`, `1.5 GB`) and time (`30s`, `5min`, `1h30m`).

A new amount is written in the unit and style of the old one. Sources: systemd.time(7), Kubernetes' quantity format,
java(1), docker's `--memory`, nginx's and Postgres' units.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_MEMORY = re.compile(r"^(\d+(?:\.\d+)?)(\s*)([kmgt]?)(i?)(b?)$", re.I)
_SPANS = {
    "us": 1e-6, "ms": 1e-3, "msec": 1e-3, "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "mins": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hr": 3600, "hour": 3600, "hours": 3600, "d": 86400, "day": 86400, "days": 86400,
}  # fmt: skip
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.I)
UNLIMITED = ("infinity", "unlimited", "max", "none", "-1")


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with the unit that it was written in; `scale` turns it into bytes or seconds."""

    number: float
    scale: float
    suffix: str

    @property
    def value(self) -> float:
        """Bytes or seconds."""
        return self.number * self.scale

    def like(self, value: float) -> str:
        """Another value, at least as large, in this one's unit and style."""
        number = value / self.scale
        rounded = math.ceil(round(number, 6))
        return f"{rounded}{self.suffix}"


def memory(text: str, default: float = 1.0) -> Amount | None:
    """An amount of memory; `default` is the bytes of a bare number. None where it is none."""
    found = _MEMORY.match(text.strip())
    if not found:
        return None
    number, gap, power, binary, byte = found.groups()
    if not power:
        return Amount(float(number), 1.0 if byte else default, f"{gap}{byte}" if byte else "")
    base = 1000 if byte and not binary and power.isupper() and gap else 1024
    return Amount(float(number), float(base ** _POWERS[power.lower()]), f"{gap}{power}{binary}{byte}")


def time(text: str, default: float = 1.0) -> Amount | None:
    """A span of time; `default` is the seconds of a bare number. One of several units is counted in its smallest."""
    text = text.strip()
    if re.fullmatch(r"\d+:\d{2}(:\d{2})?", text):
        return None
    parts = _TIME.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != re.sub(r"\s", "", text):
        return None
    if len(parts) == 1:
        number, unit = parts[0]
        if not unit:
            return Amount(float(number), default, "")
        scale = _scale(unit)
        return Amount(float(number), scale, text[len(number) :]) if scale else None
    scales = [_scale(unit) for _, unit in parts]
    if not all(scales):
        return None
    total = sum(float(number) * (scale or 0) for (number, _), scale in zip(parts, scales, strict=True))
    least = scales[-1] or 1.0
    return Amount(total / least, least, parts[-1][1])


def _scale(unit: str) -> float | None:
    return _SPANS.get(unit) or (_SPANS.get(unit.lower()) if unit != "M" else None)


def unlimited(text: str) -> bool:
    """Whether a value says that there is no limit."""
    return text.strip().strip("\"'").lower() in UNLIMITED
