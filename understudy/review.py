"""Reviews a pull request that brings a row: `python -m understudy.review TARGET [HEAD] [--out COMMENT]`.

Prints the comment that the workflow posts. Exit codes: 0 nothing is refused; 1 something is; 2 bad usage or
input; 3 the machine failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from understudy.leaderboard import commitments, review, review_comment
from understudy.leaderboard.pull_request import PullRequest
from understudy.rechecking import MAX_SECONDS, recheck
from understudy.suite.errors import InputError, MachineError
from understudy.suite.io import checkout, files


def main(arguments: Sequence[str] | None = None) -> int:
    """Review a pull request of this checkout, write the comment, and return the exit code."""
    parser = argparse.ArgumentParser("python -m understudy.review", description=__doc__.partition("\n")[0])
    parser.add_argument("target", help="what it is to be merged into: a branch or commit, e.g. origin/main")
    parser.add_argument("head", nargs="?", default="HEAD", help="of the pull request; default: HEAD")
    parser.add_argument("--out", type=Path, help="write the comment into this file")
    parser.add_argument("--repository", type=Path, default=checkout.ROOT, help="default: this checkout")
    parser.add_argument("--processes", type=int, help="that replay; default: all cores")
    parser.add_argument(
        "--recheck-seconds", type=float, default=MAX_SECONDS, help="longest recheck of weights; default: 900"
    )
    given = parser.parse_args(arguments)
    pull = PullRequest(given.repository, given.target, given.head)
    if commitments.is_commitment(pull):
        found = commitments.review(pull)
    else:
        found = review.review_row(
            pull, lambda row, submission: recheck(row, submission, given.recheck_seconds), given.processes
        )
    comment = review_comment.markdown(found)
    if given.out is None:
        print(comment, end="")
    else:
        files.write_atomically(given.out, comment.encode())
    return 1 if found.refusals else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (InputError, MachineError) as problem:
        print(f"review: {' '.join(str(problem).split())}", file=sys.stderr)
        sys.exit(2 if isinstance(problem, InputError) else 3)
