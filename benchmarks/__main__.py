"""The whole table: `python -m benchmarks` (`make bench`), or the parts that are named.

Each part is a module with `rows()`, and runs in a process of its own.
"""

import argparse
import importlib
import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from benchmarks.machine import measure
from benchmarks.rows import Row

PARTS = ("training", "stylizing", "temporal", "preparing", "loading", "serving", "overhead")


def main() -> None:
    """Measure and print, or be one part's process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", default=PARTS, help=f"of {', '.join(PARTS)}; by default all")
    parser.add_argument("--output", "-o", type=Path, help="a Markdown file for the table")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        rows = importlib.import_module(f"benchmarks.{arguments.child}").rows()
        print(json.dumps([asdict(row) for row in rows]))
        return
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    start = time.perf_counter()
    rows = [row for part in tqdm(arguments.parts, desc="benchmarks", unit="part") for row in _in_a_process(part)]
    text = f"{measure()}\n\n{table(rows)}\n\n{len(rows)} figures in {(time.perf_counter() - start) / 60:.0f} minutes"
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")
        print(f"The table is in {arguments.output}; what stands behind it in docs/performance.md")


def table(rows: list[Row]) -> str:
    """A table in Markdown."""
    lines = ["| what | found | at least | aim | reached | of what is possible | on what |", "|---" * 7 + "|"]
    for row in rows:
        limits = (_figure(row.measured, row.unit), _figure(row.least, row.unit), _figure(row.aim, row.unit))
        possible = "" if row.possible is None else f"{row.possible:.0%}"
        lines.append(f"| {row.what} | {' | '.join(limits)} | {row.verdict} | {possible} | {row.note} |")
    return "\n".join(lines)


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:.3g}{unit}" if unit in ("x", "%") else f"{value:.3g} {unit}"


def _in_a_process(part: str) -> list[Row]:
    done = subprocess.run([sys.executable, "-m", "benchmarks", "--child", part], stdout=subprocess.PIPE, text=True, check=True)
    return [Row(**row) for row in json.loads(done.stdout.splitlines()[-1])]


if __name__ == "__main__":
    main()
