"""Which work items are done already, by the stored files alone, in a tree or packed."""

from __future__ import annotations

from understudy.suite.harness import records, row_files, work
from understudy.suite.harness.row_player import RowPlayer
from understudy.suite.harness.work import WorkItem


def is_finished(item: WorkItem) -> bool:
    """Whether doing an item would find all of its files there and change nothing.

    Checks never count as finished. `work.refuse_other_jobs` checks that the files are of the planned job.

    Raises InputError if the row's archive or a teacher's run is damaged.
    """
    row = item.row
    if row.request.restart:
        return False
    folder = row_files.root(row.folder)
    if item.what == work.PLAY:
        planned = work.planned_job(item)
        lanes = [folder / planned.path / f"lane-{index}" for index in range(len(planned.job.lanes))]
        return all((lane / records.RECORD).exists() for lane in lanes)
    if item.what == work.AGREEMENT:
        planned = row.jobs("start")[item.player]
        player = RowPlayer(row, lambda progress: None)
        runs = [row.runs_by_name.get(name) for name in {lane.teacher for lane in planned.job.lanes}]
        paths = [
            records.predictions_path(folder, planned.player.checkpoint, run.name)
            for run in runs
            if run is not None and player.reaches_past_w(run)
        ]
        return all(path.exists() for path in paths)
    return False
