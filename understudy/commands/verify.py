"""`understudy verify PATH`: replay every logged run and recompute every stored number."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy import arguments
from understudy.suite.errors import CheckFailed

if TYPE_CHECKING:
    from understudy.leaderboard.verification import Finding

COMMAND = typer.Typer()


@COMMAND.command("verify")
def verify(
    path: Annotated[
        Path,
        typer.Argument(
            parser=arguments.folder,
            metavar="RESULTS",
            help="A folder written by `understudy score`, or the folder of a benchmark, budget or row in it.",
        ),
    ],
    processes: Annotated[
        int | None, typer.Option(min=1, help="Worker processes; default: all cores.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Replay and score also what was replayed and scored here before.")
    ] = False,
    recheck: Annotated[
        str | None,
        typer.Option(
            parser=arguments.text,
            metavar="SUBMISSION",
            help="Of one row: give its runs again to this submission, which must be the row's.",
        ),
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="With --recheck: also train what its interventions train.")
    ] = False,
    rerun: Annotated[
        Path | None,
        typer.Option(
            parser=arguments.folder,
            help="With --recheck: play the scored runs anew, in this folder, which is new or empty.",
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(parser=arguments.file, help="With --recheck: a JSON file of what was found."),
    ] = None,
) -> None:
    """Replay every logged run and recompute every stored number; exit code 1 if one differs or is missing.

    Runs that were replayed and rows that were scored here before, under the same versions, are not replayed
    or scored again. A badge is printed if it was earned in this run (docs/protocol.md).
    """
    from understudy import rechecking, screen
    from understudy.leaderboard import kept_scores, verification
    from understudy.suite.errors import InputError
    from understudy.suite.histories import replay_notes

    if recheck is None and (retrain or rerun or record):
        raise InputError("--retrain, --rerun and --record need --recheck SUBMISSION")

    if recheck is not None:
        rechecking.require_known(path, recheck)
    if rerun is not None:
        rechecking.require_new(rerun)

    def begin(runs: int, moves: int, before: int) -> None:
        typer.echo(_beginning(runs, moves, before), err=True)

    with screen.progress() as shown:
        findings = verification.verify(
            path,
            processes,
            lambda done, total: shown.report("replay", done, total),
            begin,
            replay_notes.of_this_user(again),
            None if again else kept_scores.of_this_user(),
        )
    failures: list[str] = []
    try:
        if recheck is not None:
            failures = _recheck(findings, recheck, retrain, rerun, record)
        else:
            for finding in findings:
                _show(finding)
    finally:  # also where the reader of this output has left: the exit code is the answer
        verification.require(findings)
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise CheckFailed(f"{failures[0]}{more}")
    if recheck is None:  # which asks whether what is there holds
        verification.require_whole(findings)


def _recheck(
    findings: list[Finding], submission: str, retrain: bool, rerun: Path | None, record: Path | None
) -> list[str]:
    """Recheck the one row that was verified, show what was found, and return what does not hold."""
    from understudy import rechecking, screen
    from understudy.leaderboard import scores
    from understudy.suite.io import files

    (finding,) = findings
    if finding.failures:  # its logs are not what they say, so nothing can be said of them
        _show(finding)
        return []
    scored = scores.score_row(finding.row.path.parents[2], finding.row)
    answers = {verdict.task: verdict.answer for verdict in scored.verdicts}
    with screen.progress() as shown:
        report = screen.play_reporter(shown)
        found = rechecking.check(finding.row, submission, answers, retrain, rerun, report)
    _show(finding)
    how = "whole, from move 0" if found.is_whole else f"in windows drawn by {found.salt}"
    for what in (rechecking.RECHECK, rechecking.ISOLATION):
        of_kind = [each for each in found.checks if each.what == what]
        moves = sum(each.moves for each in of_kind)
        shown_how = how if what == rechecking.RECHECK else f"in windows drawn by {found.salt}"
        confined = ", ".join(sorted({each.player_process for each in of_kind}))
        process = f"; player process: {confined}" if confined else ""
        screen.echo(f"  {what}: {len(of_kind)} jobs, {moves:,} moves, {shown_how}{process}")
    if found.is_unconfined:
        screen.echo(
            "  no badge for these: custom code that only resource limits confine can keep a memory in files; "
            "install bubblewrap, and recheck again"
        )
    if found.not_trained:
        why = "--retrain"
        if found.is_custom:
            why = "custom code is not trained here: it would run in this process, not in the player's"
        screen.echo(f"  not rechecked, for want of training ({why}): {len(found.not_trained)} jobs")
    if rerun is not None and found.is_custom:
        screen.echo(
            "  not played anew: custom code is not scored here, for `score` would load it into this process"
        )
    for failure in found.failures:
        screen.echo(f"  {failure}")
    screen.echo(f"  earned here: {', '.join(['replayed', *found.badges])}")
    if record is not None:
        files.write_json(record, found.as_json())
    return found.failures


def _beginning(runs: int, moves: int, before: int) -> str:
    """Return what is about to be replayed, and what is not."""
    parts = [f"replaying {_runs(runs)} of {moves:,} moves"] if runs or not before else []
    if before:
        parts.append(f"{_runs(before)} replayed here before, under the same versions (--again: replay all)")
    return "; ".join(parts)


def _runs(count: int) -> str:
    return f"{count:,} {'run' if count == 1 else 'runs'}"


def _show(finding: Finding) -> None:
    from understudy import screen

    row = finding.row
    state = "replayed" if not finding.failures else f"{len(finding.failures)} failures"
    before = f" ({finding.replayed_before} replayed before)" if finding.replayed_before else ""
    parts = [state, f"{finding.runs} runs{before}", f"{finding.moves:,} moves"]
    if finding.not_played:
        parts.append(f"not played: {', '.join(finding.not_played)}")
    screen.echo(f"{row.benchmark} {row.budget} {row.name}: {', '.join(parts)}")
    reported = ", ".join(finding.reported)
    if reported:
        screen.echo(f"  as reported, not computed here: {reported}")
    for failure in finding.failures:
        screen.echo(f"  {failure}")
