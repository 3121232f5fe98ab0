"""The demonstration's service, a page on one port: `shop.py PORT` in its workspace, where it logs (and its pid)."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from pathlib import Path

PAGE = b"the shop is open\n"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request, one page."""
    await reader.readline()
    writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE)
    await writer.drain()
    writer.close()


async def main(port: int) -> None:
    """Serve until ended."""
    print(f"shop: starting on port {port}", flush=True)
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    Path("shop.pid").write_text(str(os.getpid()))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with Path("log/shop.log").open("a", buffering=1) as log:
        sys.stdout = log
        try:
            asyncio.run(main(int(sys.argv[1])))
        except OSError:
            traceback.print_exc(file=log)
            sys.exit(1)
