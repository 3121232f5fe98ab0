"""The demonstration's service, a page on one port: `shop.py PORT` in its workspace, where it logs (and its pid).

Where an `app.env` lies beside its log, it reads its settings from there, and cannot do without SHOP_CURRENCY.
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from pathlib import Path

PAGE = "the shop is open\n"


def page() -> bytes:
    """What is served; raises KeyError where a setting is missing."""
    file = Path("app.env")
    if not file.exists():
        return PAGE.encode()
    given = dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
    return f"{PAGE}all prices in {given['SHOP_CURRENCY']}\n".encode()


async def main(port: int) -> None:
    """Serve until ended."""
    print(f"shop: starting on port {port}", flush=True)
    body = page()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    Path("shop.pid").write_text(str(os.getpid()))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with Path("log/shop.log").open("a", buffering=1) as log:
        sys.stdout = log
        try:
            asyncio.run(main(int(sys.argv[1])))
        except (OSError, KeyError):
            traceback.print_exc(file=log)
            sys.exit(1)
