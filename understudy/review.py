"""Reviews a pull request that brings a row: `python -m understudy.review TARGET [HEAD] [--out COMMENT]`.

Prints the comment that the workflow posts. Exit codes: 0 nothing is refused; 1 something is; 2 bad usage or
input; 3 the machine failed; 70 our bug.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from understudy import cli, screen, weights_review
from understudy.leaderboard import commitments, review, review_comment
from understudy.leaderboard.pull_request import PullRequest
from understudy.leaderboard.review import Rechecked, Review
from understudy.leaderboard.stored_rows import RowFolder
from understudy.suite.errors import InputError, MachineError
from understudy.suite.io import checkout, files


def main(arguments: Sequence[str] | None = None) -> int:
    """Review a pull request of this checkout, write the comment, and return the exit code."""
    given = _parser().parse_args(arguments)
    screen.escape_unwritable_characters()
    try:
        found = _review(given)
        comment = review_comment.markdown(found)
        if given.out is None:
            print(comment, end="")
        else:
            files.write_atomically(given.out, comment.encode())
    except (InputError, MachineError, OSError) as error:
        screen.echo(f"understudy: {error}", err=True)
        return cli.BAD_INPUT if isinstance(error, InputError) else cli.MACHINE_FAILED
    except Exception as error:  # a bug of ours must not look like a refusal
        traceback.print_exception(error)
        screen.echo(f"understudy: a bug of ours ({type(error).__name__}); nothing was reviewed", err=True)
        return cli.OUR_BUG
    return cli.CHECK_FAILED if found.refusals else cli.DONE


def _review(given: argparse.Namespace) -> Review:
    def recheck(row: RowFolder, submission: str) -> Rechecked:
        return weights_review.recheck(row, submission, given.recheck_seconds)

    pull = PullRequest(given.repository, given.target, given.head)
    if commitments.is_commitment(pull):
        return commitments.review(pull)
    return review.review_row(pull, recheck, given.processes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m understudy.review", description="Review a pull request that brings a row."
    )
    parser.add_argument("target", help="what it is to be merged into: a branch or commit, e.g. origin/main")
    parser.add_argument("head", nargs="?", default="HEAD", help="of the pull request; default: HEAD")
    parser.add_argument("--out", type=Path, help="file of the comment; default: it is printed")
    parser.add_argument("--repository", type=Path, default=checkout.ROOT, help="default: this checkout")
    parser.add_argument("--processes", type=int, help="that replay; default: one a core")
    parser.add_argument(
        "--recheck-seconds",
        type=float,
        default=weights_review.MAX_SECONDS,
        help="a recheck of the weights that takes longer here is left out; default: %(default)g",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
