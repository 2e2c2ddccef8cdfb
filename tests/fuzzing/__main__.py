"""`python -m tests.fuzzing`: run cases and count how they ended, or repeat one."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `support`

from fuzzing import cases, worker
from fuzzing.outcomes import ACCEPTED, FAULT, REFUSED


def main() -> int:
    """Return 1 if a case is a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("--cases", type=int, default=300, help="how many to run; default: 300")
    parser.add_argument("--first", type=int, default=0, help="number of the first; default: 0")
    parser.add_argument("--case", type=int, help="repeat this case only, and show what it did")
    parser.add_argument("--keep", type=Path, help="with --case: write its files into this new folder as well")
    parser.add_argument("--worker", type=int, nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        worker.work(*chosen.worker)
        return 0
    if chosen.case is not None:
        return repeat(chosen.case, chosen.keep)
    return run(range(chosen.first, chosen.first + chosen.cases))


def repeat(number: int, keep: Path | None) -> int:
    """Run one case in this process and show it."""
    case = cases.made(number)
    changed = "the folder" if case.on_disk else ", ".join(case.changed)
    print(f"case {number}: {case.target.name}, with other content of {changed}")
    if keep is not None:
        cases.write(case.files, keep)
    with (
        tempfile.TemporaryDirectory(prefix="fuzzing-") as folder,
        worker.interrupted_after(worker.CASE_SECONDS),
    ):
        outcome = cases.run(case, Path(folder) / f"case-{number}")
    print(f"{outcome.kind}: {outcome.text}")
    return int(outcome.kind == FAULT)


def run(numbers: range) -> int:
    """Run cases, show each fault and the counts by target."""
    counts: dict[str, Counter[str]] = {}
    peak_bytes, last = 0, numbers.start - 1
    try:
        for found in worker.results(numbers):
            if not isinstance(found, worker.Result):
                peak_bytes = max(peak_bytes, found["peak_bytes"])
                continue
            last = found.number
            counts.setdefault(found.target, Counter())[found.outcome.kind] += 1
            if found.outcome.kind == FAULT:
                print(
                    f"case {found.number}: {found.target}, {found.changed}\n{found.outcome.text}\n",
                    flush=True,
                )
    except KeyboardInterrupt:
        print(f"interrupted; to go on: python -m tests.fuzzing --first {last + 1}")
    for target, count in sorted(counts.items()):
        print(f"{target:<30} {_text(count)}")
    total = sum(counts.values(), Counter())
    print(f"{sum(total.values()):,} cases: {_text(total)}; largest memory {peak_bytes / 2**20:,.0f} MiB")
    return int(total[FAULT] > 0 or last != numbers.stop - 1)


def _text(count: Counter[str]) -> str:
    return f"{count[ACCEPTED]:,} accepted, {count[REFUSED]:,} refused, {count[FAULT]:,} faults"


if __name__ == "__main__":
    sys.exit(main())
