"""Benchmarks: the files agree with the protocol and the games; a wrong one is refused in one line."""

import dataclasses
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from support import embedded_runs

from understudy import cli
from understudy.leaderboard import reference_runs
from understudy.suite import benchmarks, tasks
from understudy.suite.benchmarks import data_folders, declaration
from understudy.suite.errors import InputError
from understudy.suite.harness import lanes
from understudy.suite.histories import history_format

NAMES = benchmarks.names()
SOURCE = (Path(benchmarks.__path__[0]) / "minatar-v1.toml").read_text()


def parse(text: str) -> benchmarks.Benchmark:
    return declaration.parse(text, "file.toml")


def test_the_protocols_benchmarks_are_there():
    assert {"atari-v1", "darkroom-v1", "minatar-v1"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_caps_and_exploration_are_the_games_own(name):
    assert benchmarks.differences_from_games(benchmarks.load(name)) == []


def test_a_difference_from_a_game_is_named():
    benchmark = dataclasses.replace(benchmarks.load("minatar-v1"), exploration=0.1)
    assert benchmarks.differences_from_games(benchmark)[0] == (
        "minatar/breakout: exploration is 0.01 in the game, 0.1 in minatar-v1"
    )


@pytest.mark.parametrize("name", NAMES)
def test_budgets_follow_the_protocol(name):
    benchmark = benchmarks.load(name)
    full, tenth = benchmark.budget("full"), benchmark.budget("tenth")
    assert tenth.moves * 10 == full.moves
    assert full.end_moves * 20 == full.moves
    assert tenth.end_moves * 20 == tenth.moves
    assert full.agreement_moves * 200 == full.moves
    assert full.tasks == ("skill", "improvement", "transfer")
    assert set(full.tasks) <= set(tasks.names())
    for budget in benchmark.budgets:
        assert lanes.moves(budget, "start", budget.lanes) * budget.lanes >= budget.start_moves
        assert lanes.moves(budget, "start", budget.lanes) <= budget.moves


@pytest.mark.parametrize("name", NAMES)
def test_no_budget_has_a_gain_task_whose_end_window_can_never_hold_enough_ends(name):
    benchmark = benchmarks.load(name)
    for budget in benchmark.budgets:
        if "improvement" in budget.tasks:
            rules = benchmark.rules(budget.name, "improvement")
            shortest_episode = 10  # moves; no reference of these games ends faster on average
            assert rules.window_is_long or budget.end_moves >= rules.minima.window_ends * shortest_episode


def test_darkroom_goals_are_the_permutation_that_the_file_names():
    benchmark = benchmarks.load("darkroom-v1")
    order = [f"darkroom/goal-{goal:02d}" for goal in np.random.default_rng(1).permutation(81)]
    assert benchmark.watched_games == tuple(sorted(order[:65]))
    assert benchmark.new_games == tuple(sorted(order[65:]))


def test_numbers_of_the_protocols_table():
    atari, minatar, darkroom = (benchmarks.load(f"{name}-v1") for name in ("atari", "minatar", "darkroom"))
    assert (atari.watched_moves, atari.budget("full").moves) == (1_000_000, 10_000_000)
    assert (minatar.watched_moves, minatar.budget("full").moves) == (250_000, 2_500_000)
    assert [b.state_cap_bytes for b in (darkroom, minatar, atari)] == [16 << 20, 256 << 20, 2 << 30]
    assert [b.exploration for b in (darkroom, minatar, atari)] == [0.1, 0.01, 0.01]
    assert [b.episode_cap_moves for b in (darkroom, minatar, atari)] == [20, 2_500, 27_000]
    assert [b.segment_moves for b in (darkroom, minatar, atari)] == [10_000, 10_000, 50_000]
    assert atari.budget("quick").tasks == ("skill",)


def test_the_identities_of_the_published_benchmarks_stay():
    """Seeds derive from them: another value here makes every stored row another benchmark's."""
    assert {name: benchmarks.load(name).identity[:16] for name in NAMES} == {
        "atari-v1": "1222058340be6602",
        "darkroom-v1": "42380c9d5a37510d",
        "minatar-v1": "e692f5b0fc4b7be6",
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "minatar-v1"', 'name = "another"'),
        ("frozen = true", "frozen = false"),
        ("# The full protocol", "# Some other comment about the full protocol"),
        ("exploration = 0.01", "exploration = 1e-2"),
        ("[budgets.quick]", "[budgets.fast]"),
        ('tasks = ["skill", "improvement", "transfer"]', 'tasks = ["skill"]'),
        (
            "[budgets.full]",
            '[provisional_references.full.transfer]\ngame = "minatar/breakout"\nruns = 5\n'
            "start_mean = 1\nstart_sd = 1\nend_mean = 9\nend_sd = 1\ngain_sd = 1\nfewest_ends = 9\n"
            "[budgets.full]",
        ),
    ],
)
def test_names_comments_and_references_are_no_part_of_the_identity(old, new):
    assert old in SOURCE
    assert parse(SOURCE.replace(old, new)).identity == parse(SOURCE).identity


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("watched_moves = 250_000", "watched_moves = 250_001"),
        ("episode_cap_moves = 2_500", "episode_cap_moves = 2_501"),
        ("exploration = 0.01", "exploration = 0.011"),
        ("state_cap_bytes = 268_435_456", "state_cap_bytes = 268_435_457"),
        ("segment_moves = 10_000", "segment_moves = 10_001"),
        ('"minatar/space_invaders"', '"minatar/tetris"'),
        ('["minatar/breakout"]', '["minatar/breakout", "minatar/tetris"]'),
        ('"minatar/asterix", ', ""),
        ("yes_share = 0.5 ", "yes_share = 0.6 "),
        ("agreement_pieces = 20", "agreement_pieces = 21"),
        ("end_moves = 125_000", "end_moves = 125_001"),
        ("lanes = 8", "lanes = 9"),
    ],
)
def test_what_decides_play_and_score_is_part_of_the_identity(old, new):
    assert old in SOURCE
    assert parse(SOURCE.replace(old, new, 1)).identity != parse(SOURCE).identity


@pytest.mark.parametrize(("budget", "last"), [("full", slice(4, 6)), ("tenth", slice(2, 4))])
def test_the_published_references_of_breakout_are_those_of_its_five_runs(budget, last):
    """Points an episode over quarter million moves: those around moves 1M and 2M, and those before 11M.

    Source: baselines/atari/data/breakout.json of https://github.com/google/dopamine, agent
    "DQN (Adam + MSE in JAX)", iterations 3, 4, 7, 8, 42 and 43, rounded to two places.
    """
    runs = np.array(
        [
            [18.44, 24.17, 42.27, 41.68, 99.02, 106.36],
            [20.04, 24.10, 38.86, 41.82, 97.96, 88.17],
            [18.71, 24.10, 39.48, 41.09, 118.59, 127.95],
            [18.74, 22.80, 34.96, 41.76, 110.58, 96.80],
            [18.39, 23.52, 36.06, 41.88, 102.74, 99.52],
        ]
    )
    start, end = runs[:, :2].mean(1), runs[:, last].mean(1)
    reference = benchmarks.load("atari-v1").rules(budget, "improvement").published
    assert reference is not None
    assert (reference.start_mean, reference.start_sd) == (round(start.mean(), 1), round(start.std(ddof=1), 1))
    assert (reference.end_mean, reference.end_sd) == (round(end.mean(), 1), round(end.std(ddof=1), 1))
    assert reference.gain_sd == round((end - start).std(ddof=1), 1)
    assert reference.runs == len(runs)


def test_rules_hold_the_published_reference_of_their_budget_and_task_only():
    atari = benchmarks.load("atari-v1")
    published = atari.rules("full", "improvement").published
    assert published is not None
    assert published.end_mean - published.start_mean == pytest.approx(83.5)
    shorter = atari.rules("tenth", "improvement").published
    assert shorter is not None
    assert shorter.end_mean - shorter.start_mean == pytest.approx(18.7)
    assert atari.rules("tenth", "transfer").published is None
    assert benchmarks.load("minatar-v1").rules("full", "improvement").published is None
    with pytest.raises(InputError, match="too short for 'transfer'; its tasks: skill"):
        atari.rules("quick", "transfer")


def test_unknown_names_get_a_suggestion():
    with pytest.raises(InputError, match=r"unknown benchmark 'atari-v2'; did you mean 'atari-v1'\?"):
        benchmarks.load("atari-v2")
    with pytest.raises(InputError, match=r"did you mean 'quick'\?"):
        benchmarks.load("atari-v1").budget("quik")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("watched_moves = 250_000", "watched_moves = ", "expected TOML"),
        ("watched_moves = 250_000", "", "expected the key 'watched_moves', found none"),
        ("watched_moves = 250_000", "watched_move = 250_000", "did you mean 'watched_moves'"),
        (
            "watched_moves = 250_000",
            "watched_moves = 2.5e5",
            "watched_moves: expected a whole number; found 250000.0",
        ),
        ("watched_moves = 250_000", "watched_moves = 0", "expected watched_moves above 0"),
        ("frozen = true", "frozen = 1", "frozen: expected true or false; found 1"),
        ("exploration = 0.01", "exploration = 1.5", r"expected exploration in \[0, 1\)"),
        ('"minatar/space_invaders"', '"minatar/breakout"', "listed twice"),
        ('"minatar/space_invaders"', '"atari/breakout"', "not of the family 'minatar'"),
        ('["minatar/space_invaders"]', '"minatar/space_invaders"', "new_games: expected a list; found"),
        ('["minatar/space_invaders"]', "[]", "at least one watched and one new game"),
        ("yes_share = 0.5 ", "yes_share = 0.05 ", "no_share < yes_share"),
        ("reference_runs = 4", "reference_runs = 1", "at least 2 reference runs"),
        ("[minima]", "[minimum]", "expected a table \\[minima\\]|unknown key"),
        ("[budgets.full]", "[budgets.whole]", r"expected a table \[budgets.full\]"),
        ("end_moves = 125_000", "end_moves = 3_000_000", "more than moves 2500000"),
        ("lanes = 8", "lanes = 0", "expected lanes above 0"),
        ('"transfer"]', '"tranfser"]', "expected tasks among"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(old, new, message):
    assert old in SOURCE
    with pytest.raises(InputError, match=message) as raised:
        parse(SOURCE.replace(old, new, 1))
    assert "\n" not in str(raised.value)
    assert "file.toml" in str(raised.value)


def test_a_reference_that_no_runs_could_have_is_refused():
    text = (Path(benchmarks.__path__[0]) / "atari-v1.toml").read_text()
    assert tomllib.loads(text)["provisional_references"]["full"]["improvement"]["gain_sd"] == 11.3
    with pytest.raises(InputError, match="gain_sd between"):
        parse(text.replace("gain_sd = 11.3", "gain_sd = 20.0"))
    with pytest.raises(InputError, match="not a game of this benchmark"):
        parse(text.replace('game = "atari/breakout"', 'game = "atari/pong"'))
    for other in ("eighth.improvement", "quick.improvement", "tenth.imprvement"):
        with pytest.raises(InputError, match=rf"\[provisional_references\.{other}\]: no such budget or task"):
            parse(text.replace("references.tenth.improvement", f"references.{other}"))


def put_run(root: Path, variant: str, seed: str, *others: str) -> Path:
    folder = root / "minatar-v1" / variant / seed
    folder.mkdir(parents=True)
    for name in ("history.parquet", *others):
        (folder / name).touch()
    return folder


def test_teacher_runs_are_found_in_order(tmp_path):
    benchmark = benchmarks.load("minatar-v1")
    put_run(tmp_path / "a", "space_invaders", "seed-0")
    put_run(tmp_path / "a", "breakout", "seed-10")
    watched = put_run(tmp_path / "b", "breakout", "seed-2", "network_at_w.safetensors")
    (tmp_path / "b" / "minatar-v1" / "breakout" / "seed-3").mkdir()  # still being recorded
    found = benchmarks.teacher_runs(benchmark, [tmp_path / "a", tmp_path / "b"])
    assert [run.name for run in found] == ["breakout/seed-2", "breakout/seed-10", "space_invaders/seed-0"]
    assert found[0].folder == watched
    assert found[0].game == "minatar/breakout"
    assert found[0].history_path == watched / "history.parquet"
    assert found[0].network_path == watched / "network_at_w.safetensors"
    assert found[1].network_path is None


def test_the_environment_variable_replaces_the_usual_folders(tmp_path, monkeypatch):
    put_run(tmp_path, "breakout", "seed-7")
    monkeypatch.setenv(data_folders.ENVIRONMENT_VARIABLE, str(tmp_path))
    found = benchmarks.teacher_runs(benchmarks.load("minatar-v1"))
    assert [run.seed for run in found] == [7]
    monkeypatch.setenv(data_folders.ENVIRONMENT_VARIABLE, str(tmp_path / "absent"))
    with pytest.raises(InputError, match="does not exist"):
        benchmarks.teacher_runs(benchmarks.load("minatar-v1"))


def test_usual_folders_are_the_suites_and_the_checkouts(monkeypatch):
    monkeypatch.delenv(data_folders.ENVIRONMENT_VARIABLE, raising=False)
    suite = Path(benchmarks.__file__).resolve().parent.parent
    assert data_folders.roots()[0] == suite / "data"


def test_runs_that_are_found_twice_or_of_no_known_game_are_refused(tmp_path):
    benchmark = benchmarks.load("minatar-v1")
    put_run(tmp_path / "a", "breakout", "seed-1")
    put_run(tmp_path / "b", "breakout", "seed-1")
    with pytest.raises(InputError, match=r"breakout/seed-1 is in .*; keep one"):
        benchmarks.teacher_runs(benchmark, [tmp_path / "a", tmp_path / "b"])
    put_run(tmp_path / "c", "brakeout", "seed-1")
    with pytest.raises(InputError, match="did you mean 'breakout'"):
        benchmarks.teacher_runs(benchmark, [tmp_path / "c"])
    put_run(tmp_path / "d", "breakout", "seed-one")
    with pytest.raises(InputError, match="expected a folder seed-<number>"):
        benchmarks.teacher_runs(benchmark, [tmp_path / "d"])


# Reading a teacher's run

DARKROOM = benchmarks.load("darkroom-v1")
REAL = embedded_runs.packed("goal-00/seed-0")


def altered(root: Path, variant: str = "goal-00", **header) -> benchmarks.TeacherRun:
    """Put a real run into a data folder, its header changed, and return it as it is found there."""
    history = history_format.read(REAL / "history.parquet")
    path = root / "darkroom-v1" / variant / "seed-0" / "history.parquet"
    history_format.write(
        path, dataclasses.replace(history, header=dataclasses.replace(history.header, **header))
    )
    return benchmarks.teacher_runs(DARKROOM, [root])[0]


def player_of(kind: str | None) -> dict:
    player = {**history_format.read(REAL / "history.parquet").header.player, "kind": kind}
    return player if kind else {key: value for key, value in player.items() if key != "kind"}


def test_a_teachers_run_is_read_as_it_is(tmp_path):
    run = altered(tmp_path)
    assert benchmarks.read(run).content_sha256 == history_format.read(REAL / "history.parquet").content_sha256


@pytest.mark.parametrize("kind", ["fixed", "foreign", "random", None])
def test_a_run_of_another_player_is_refused(tmp_path, kind):
    run = altered(tmp_path, player=player_of(kind))
    with pytest.raises(InputError, match=f"expected a teacher's run, found player.kind {kind!r}") as raised:
        benchmarks.read(run)
    assert str(run.history_path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_run_without_seeds_is_refused(tmp_path):
    segments = history_format.read(REAL / "history.parquet").header.segments
    run = altered(tmp_path, segments=tuple(dataclasses.replace(each, seed=None) for each in segments))
    with pytest.raises(InputError, match=r"history\.parquet: a run of darkroom/goal-00 .* has no seeds"):
        benchmarks.read(run)


def test_a_run_with_segments_cut_at_will_is_refused(tmp_path):
    """A run of 14,300 moves in episodes of 20 has segments at 0, at W = 1,300 and at 10,000."""
    segments = history_format.read(REAL / "history.parquet").header.segments
    assert [segment.first_move for segment in segments] == [0, 1_300, 10_000]
    parts = (dataclasses.replace(segments[1], length=700), history_format.Segment(2_000, 8_000, 1, 2))
    expected = {
        (segments[0], *parts, segments[2]): "segment 1: expected moves 1,300 to 9,999, found .* to 1,999",
        (dataclasses.replace(segments[0], length=10_000), segments[2]): "segment 0: expected .* 0 to 1,299",
    }
    for index, (cut, line) in enumerate(expected.items()):
        run = altered(tmp_path / str(index), segments=cut)
        with pytest.raises(InputError, match=rf"history\.parquet: {line}") as raised:
            benchmarks.read(run)
        assert "each multiple of 10,000 moves, and moves 1,300, and nowhere else" in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_run_in_a_folder_of_another_game_or_seed_is_refused(tmp_path):
    with pytest.raises(InputError, match="folder names darkroom/goal-01, its history darkroom/goal-00"):
        benchmarks.read(altered(tmp_path / "game", "goal-01"))
    player = {**player_of("teacher"), "seed": 3}
    with pytest.raises(InputError, match="folder names seed-0, its history seed 3"):
        benchmarks.read(altered(tmp_path / "seed", player=player))


def test_a_run_under_other_rules_is_refused(tmp_path):
    fingerprint = {
        **history_format.read(REAL / "history.parquet").header.fingerprint,
        "episode_cap_moves": 21,
    }
    with pytest.raises(InputError, match="episode_cap_moves"):
        benchmarks.read(altered(tmp_path, fingerprint=fingerprint))


def test_a_run_is_read_once_until_its_file_changes(tmp_path, monkeypatch):
    run = altered(tmp_path)
    opened = []
    plain = history_format.read
    monkeypatch.setattr(history_format, "read", lambda path: (opened.append(path), plain(path))[1])
    assert benchmarks.read(run) is benchmarks.read(run)
    assert len(opened) == 1
    longer = history_format.read(embedded_runs.packed("goal-01/seed-0") / "history.parquet")
    opened.clear()
    history_format.write(run.history_path, longer)
    with pytest.raises(InputError, match="its history darkroom/goal-01"):
        benchmarks.read(run)
    run.history_path.unlink()
    with pytest.raises(InputError, match="no such history file"):
        benchmarks.read(run)


@pytest.mark.parametrize("kind", ["fixed", "foreign"])
def test_no_command_takes_the_run_of_another_player_for_a_teachers(tmp_path, monkeypatch, capsys, kind):
    altered(tmp_path / "data", player=player_of(kind))
    monkeypatch.setenv(data_folders.ENVIRONMENT_VARIABLE, str(tmp_path / "data"))
    out = str(tmp_path / "out")
    for arguments in (
        ["benchmarks", "darkroom-v1"],
        ["train", "bc", "--benchmark", "darkroom-v1", "--out", out],
        ["references", "darkroom-v1", "--out", out],
    ):
        assert cli.main(arguments) == 2, arguments
        assert f"expected a teacher's run, found player.kind '{kind}'" in capsys.readouterr().err, arguments
    with pytest.raises(InputError, match="expected a teacher's run"):
        reference_runs.StoredReferences(tmp_path / "out", DARKROOM, DARKROOM.budget("quick"))


def test_loading_a_benchmark_needs_neither_torch_nor_a_game():
    code = (
        "import sys; from understudy.suite import benchmarks, tasks;"
        "benchmarks.teacher_runs(benchmarks.load('atari-v1')); [tasks.load(t) for t in tasks.names()];"
        "assert not {'torch', 'minatar', 'ale_py', 'gymnasium'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
