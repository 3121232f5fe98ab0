"""Break three real things on this machine, in a private folder, and let devops_agent repair them.

Three faults of different kinds in a row, each with an innocent neighbour that must live on. What is claimed is looked
at again without the agent. Everything that is started is ended by its pid; the exit status is 0 only if all came true.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scenes import SCENES, Broken, Scene, write_inventory

AGENT = [sys.executable, "-m", "devops_agent"]
COLOURS = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def main() -> int:
    """Play all scenes; 0 if everything came as promised."""
    folder = Path(tempfile.mkdtemp(prefix="devops-agent-demo-"))
    begun = time.monotonic()
    try:
        for number, kind in enumerate(SCENES, 1):
            scene = kind(folder / kind.__name__.lower())
            try:
                play(number, scene, folder)
            finally:
                scene.clean()
    except Broken as problem:
        print(f"\nNOT as promised: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    took = time.monotonic() - begun
    print(f"\n{len(SCENES)} faults repaired and proven in {took:.0f} s; nothing of it is left on this machine.")
    return 0


def play(number: int, scene: Scene, folder: Path) -> None:
    """A fault, the repair, the proof, and a second look."""
    print(paint("1", f"\n{number}. {scene.title}"))
    scene.set_up()
    scene.ruin()
    said = scene.fail()
    log = folder / f"{number}.log"
    log.write_text(said)
    if scene.works():
        raise Broken("it works although it was broken")
    line("beside it", scene.neighbour)
    line("log", f"{len(said.splitlines())} lines")

    report = handle(scene, log)
    last = report["attempts"][-1]
    if report["status"] != "resolved" or last["diagnosis"]["cause"] != scene.cause:
        raise Broken(f"{report['status']}, cause {last['diagnosis']['cause']}: {report['summary']}")
    show(report)

    if not scene.works():
        raise Broken("it does not work, whatever the agent says")
    line("looked", "it works again, seen without the agent")
    if not scene.unharmed():
        raise Broken(f"harmed: {scene.neighbour}")
    line("unharmed", scene.neighbour)

    pid = scene.pid()
    second = handle(scene, log)
    done = [one for attempt in second["attempts"] for one in attempt["outcomes"] if one["status"] == "succeeded"]
    if second["status"] not in ("resolved", "no_failure") or done or scene.pid() != pid:
        raise Broken(f"a second run: {second['status']}, {len(done)} changes")
    if not (scene.works() and scene.unharmed()):
        raise Broken("a second run did harm")
    line("second run", f"{second['attempts'][-1]['diagnosis']['summary']} Nothing was changed.")


def show(report: dict[str, Any]) -> None:
    """What the agent saw, concluded, did and proved, in a few lines."""
    attempt = report["attempts"][-1]
    diagnosis, plan = attempt["diagnosis"], attempt["plan"]
    decisive = next((each["text"] for each in report["digest"]["evidence"] if each["id"] in diagnosis["evidence"]), "")
    line("evidence", decisive.strip()[:110])
    line("cause", f"{paint('1', diagnosis['cause'])}  {diagnosis['summary']}")
    for action, outcome in zip(plan["actions"], attempt["outcomes"], strict=True):
        args = ", ".join(f"{key}={value}" for key, value in action["args"].items())
        line("done", f"{action['tool']}({args}): {outcome['status']}")
    before = {each["name"]: each["passed"] for each in attempt["verification"]["before"]}
    for each in (*attempt["verification"]["after"], *attempt["verification"]["checks"]):
        was = " (it failed before)" if before.get(each["name"]) is False else ""
        line("proof", f"{each['name']} {'passes' if each['passed'] else 'FAILS'}{was}")


def handle(scene: Scene, log: Path) -> dict[str, Any]:
    """Run the real command on this log, in this place, with a data folder of its own."""
    folder = log.parent
    env = {name: value for name, value in os.environ.items() if not name.startswith("DEVOPS_AGENT_")}
    env |= {"DEVOPS_AGENT_DATA_DIR": str(folder / "data"), "DEVOPS_AGENT_SETTLE_SECONDS": "1"}
    inventory = write_inventory(scene, folder / f"{scene.folder.name}.yaml")
    argv = [*AGENT, "handle", str(log), "--inventory", str(inventory), "--yes", "--json"]
    ran = subprocess.run(argv, cwd=folder, env=env, timeout=120, capture_output=True, text=True, check=False)
    if not ran.stdout:
        raise Broken(f"the command ended with status {ran.returncode}: {ran.stderr.strip()[-500:]}")
    return dict(json.loads(ran.stdout))


def line(name: str, text: str) -> None:
    """One line of the story."""
    colour = {"proof": "32", "looked": "32", "unharmed": "32", "done": "36"}.get(name, "2")
    print(f"   {paint(colour, f'{name:>10}')}  {text}", flush=True)


def paint(code: str, text: str) -> str:
    """Text in a colour, on a terminal."""
    return f"\033[{code}m{text}\033[0m" if COLOURS else text


if __name__ == "__main__":
    sys.exit(main())
