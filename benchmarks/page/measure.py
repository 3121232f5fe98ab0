"""How light and quick the page is: bytes over the wire and milliseconds until usable, with many incidents stored.

    python benchmarks/page/measure.py [INCIDENTS]

Measured on 22 November 2026 with 1,003 incidents stored, on a machine that was busy with other things (load 10 on two
cores): Now 47 kB, usable after 166 ms; an incident with a log of 11 MB 47 kB, 255 ms; its whole log 46 kB, 211 ms.

Starts the service on a data folder of its own, hands in so many incidents (1,000) and a log of 11 MB, waits until all
are answered, and opens pages in Chromium with an empty cache, five times each; the median counts.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs"))

from playwright.sync_api import Browser, sync_playwright
from screenshot import Service, until

TIMES = 5
TIMING = """() => {
  const at = performance.getEntriesByType('navigation')[0];
  return [at.responseStart, at.domContentLoadedEventEnd];
}"""


def main() -> int:
    """Print a table in Markdown."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory(prefix="page-") as name:
        folder = Path(name)
        (folder / "places").mkdir()
        (folder / "places" / "shop.yaml").write_text("{}\n")
        (folder / "policy.yaml").write_text("- {ask: {}}\n")
        service = Service(folder)
        service.start()
        try:
            large = fill(service, wanted)
            with sync_playwright() as playwright:
                arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
                browser = playwright.chromium.launch(executable_path=program, args=arguments)
                print(f"{wanted} incidents stored\n\n| page | bytes | first byte, ms | usable, ms |\n|---|---|---|---|")
                for title, path in {
                    "Now": "/dashboard",
                    "History": "/dashboard/history",
                    "Statistics": "/dashboard/statistics",
                    "an incident with a log of 11 MB": f"/dashboard/jobs/{large}",
                    "its whole log, in the middle": f"/dashboard/jobs/{large}/log?line=90001",
                    "a search in it": f"/dashboard/jobs/{large}/log?find=EADDRINUSE",
                }.items():
                    size, first, usable = measure(browser, service.address + path)
                    print(f"| {title} | {size:,} | {first:.0f} | {usable:.0f} |")
                browser.close()
        finally:
            service.stop()
    return 0


def fill(service: Service, wanted: int) -> str:
    """Hand in examples, each a little different, and the large log; the id of that one."""
    chosen = random.Random(1)
    known = [each["context"] for each in service.http.get("/example_errors").json()["example_errors"]]
    for begin in range(0, wanted, 100):
        errors = [
            {"context": f"{chosen.choice(known)}\nbuild {begin + each} failed"}
            for each in range(min(100, wanted - begin))
        ]
        batch = service.http.post("/process_errors_async", json={"errors": errors}).json()["job_id"]
        until(
            lambda batch=batch: service.http.get(f"/job_status/{batch}").json()["status"] == "completed", "no end", 600
        )
    lines = [
        f"2026-11-22T10:00:00Z step {number} went well, nothing to see here, going on" for number in range(150_000)
    ]
    lines[90_000] = "Error: listen EADDRINUSE: address already in use :::3000"
    return service.send("\n".join(lines))


def measure(browser: Browser, address: str) -> tuple[int, float, float]:
    """Bytes, milliseconds to the first byte, and until scripts have run: medians."""
    seen = []
    for _ in range(TIMES):
        page = browser.new_context().new_page()
        sizes: list[int] = []
        page.on("requestfinished", lambda request, sizes=sizes: sizes.append(_size(request.sizes())))
        page.goto(address)
        first, usable = page.evaluate(TIMING)
        page.wait_for_timeout(300)
        seen.append((sum(sizes), first, usable))
        page.context.close()
    size, first, usable = (statistics.median(each) for each in zip(*seen, strict=True))
    return int(size), first, usable


def _size(sizes: dict[str, int]) -> int:
    return sizes["responseBodySize"] + sizes["responseHeadersSize"]


if __name__ == "__main__":
    sys.exit(main())
