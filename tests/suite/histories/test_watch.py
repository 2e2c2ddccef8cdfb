"""`understudy histories watch`: the pictures of moves, the film formats, and errors in one line."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from understudy import cli
from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.histories import films, frame_store, history_format, move_images
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.frame_store import FrameStore
from understudy.suite.histories.history_format import History
from understudy.suite.testing.history_checks import play_on, random_runs

MOVES = 130
ORANGE, GREEN, BLUE = (230, 159, 0), (0, 158, 115), (86, 180, 233)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def record(name: str, folder: Path, moves: int = MOVES) -> Path:
    (run,) = random_runs(games.load(name), folder, 1)
    for _ in play_on([run], SegmentRule(60), moves):
        pass
    return run.path


@pytest.fixture
def dark(tmp_path: Path) -> Path:
    return record("darkroom/goal-40", tmp_path)


def watch(path: Path, out: Path, *options: str) -> int:
    return cli.main(["histories", "watch", str(path), "--out", str(out), *options])


def shown_frames(path: Path) -> list[np.ndarray]:
    """Decode a film: pictures uint8 [H, W, 3]."""
    if path.suffix == ".mp4":
        import av

        with av.open(str(path)) as container:
            return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    found = []
    with Image.open(path) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            found += [np.asarray(image.convert("RGB"))]
    return found


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".mp4"])
def test_each_format_shows_each_move_at_the_given_speed(dark, tmp_path, capsys, suffix):
    out = tmp_path / "new folder" / f"run{suffix}"
    assert watch(dark, out, "--from", "50", "--moves", "20", "--fps", "10", "--scale", "2") == 0
    assert capsys.readouterr().out == f"{out}: moves 50 to 69 of darkroom/goal-40\n"
    found = shown_frames(out)
    assert len(found) == 20
    assert len({frame.shape for frame in found}) == 1
    assert all(side % 2 == 0 for side in found[0].shape[:2])
    if suffix == ".gif":
        with Image.open(out) as image:
            assert image.info["duration"] == 100
    assert [path.name for path in out.parent.iterdir()] == [out.name]  # no temporary file is left


def test_a_film_ends_with_the_run(dark, tmp_path, capsys):
    assert watch(dark, tmp_path / "x.gif", "--from", "120", "--scale", "1") == 0
    assert "moves 120 to 129 of" in capsys.readouterr().out
    assert len(shown_frames(tmp_path / "x.gif")) == 10


def test_only_the_needed_segments_are_replayed(dark, tmp_path, cache):
    assert watch(dark, tmp_path / "x.gif", "--from", "70", "--moves", "3") == 0
    history = history_format.read(dark)
    store = frame_store.open_store(history, 60, 120, processes=1)
    assert [store.holds(index) for index in range(3)] == [False, True, False]


def test_a_run_that_is_being_recorded_can_be_watched(tmp_path, cache, capsys):
    (run,) = random_runs(games.load("darkroom/goal-40"), tmp_path, 1)
    for recorder in play_on([run], SegmentRule(60), MOVES, checkpoint_moves=30):
        if recorder.move == 100:
            break
    assert watch(run.journal.folder, tmp_path / "x.gif", "--from", "85") == 0
    assert "moves 85 to 89 of" in capsys.readouterr().out
    assert not cache.exists()  # frames of a growing run aren't cached


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "x.avi"], "expected a name ending in .gif, .mp4, .webp; found '.avi'"),
        (["--out", "x"], "found ''"),
        (["--out", "x.gif", "--from", "130"], "this run has the moves 0 to 129; found --from 130"),
        (["--out", "x.gif", "--from", "-1"], "--from"),
        (["--out", "x.gif", "--moves", "0"], "--moves"),
    ],
)
def test_bad_options_are_reported_in_one_line(dark, monkeypatch, tmp_path, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert cli.main(["histories", "watch", str(dark), *options]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_an_unwritable_folder_is_reported_before_anything_is_replayed(dark, tmp_path, cache, capsys):
    (tmp_path / "file").touch()
    (tmp_path / "folder.gif").mkdir()
    for out in (tmp_path / "file" / "x.gif", tmp_path / "folder.gif"):
        assert watch(dark, out) == 2
        shown = capsys.readouterr().err
        assert "--out" in shown
        assert shown.count("\n") == 1
    assert not cache.exists()


def test_several_runs_are_not_watched_at_once(tmp_path, capsys):
    for seed in range(2):
        path = record("darkroom/goal-40", tmp_path / str(seed), 30)
        path.rename(path.with_name("history.parquet"))
    assert watch(tmp_path, tmp_path / "x.gif") == 2
    assert "expected one run, found 2; name one, e.g. " in capsys.readouterr().err


def test_mp4_without_pyav_names_the_package_to_install(dark, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "av", None)
    assert watch(dark, tmp_path / "x.mp4") == 2
    shown = capsys.readouterr().err
    assert 'pip install "understudy[video]"; or choose .gif or .webp' in shown
    assert shown.count("\n") == 1


# Pictures


def drawn(name: str, folder: Path, moves: int, scale: int) -> tuple[History, FrameStore, list[np.ndarray]]:
    history = history_format.read(record(name, folder, moves))
    store = frame_store.open_store(history, processes=1)
    return history, store, list(move_images.pictures(history, store, 0, moves, scale))


def test_a_screen_is_shown_grey_and_enlarged(tmp_path):
    _, store, found = drawn("atari/breakout", tmp_path, 6, scale=3)
    for frame, picture in zip(store[0:6], found, strict=True):
        assert picture.shape[1] == 3 * 84
        for channel in range(3):
            assert (picture[1 : 3 * 84 : 3, 1 : 3 * 84 : 3, channel] == frame).all()


def test_each_channel_has_its_colour(tmp_path):
    _, store, found = drawn("minatar/breakout", tmp_path, 30, scale=4)
    cell = 4 * 84 // 10
    colours = move_images.PALETTE
    for frame, picture in zip(store[0:30], found, strict=True):
        left = (picture.shape[1] - 10 * cell) // 2
        for row, column in np.ndindex(10, 10):
            lit = np.flatnonzero(frame[:, row, column])
            pixel = picture[row * cell + cell // 2, left + column * cell + cell // 2]
            assert tuple(pixel) == (tuple(colours[lit[-1]]) if len(lit) else move_images.BACKGROUND)


def test_the_dark_rooms_grid_shows_agent_start_and_goal(tmp_path):
    history, store, found = drawn("darkroom/goal-40", tmp_path, 60, scale=3)
    cell = 3 * 84 // 9
    began = 0
    for move, picture in enumerate(found):
        at = int(store[move : move + 1][0])
        began = at if history.first[move] else began
        left = (picture.shape[1] - 9 * cell) // 2

        def pixel(number: int, fraction: float, picture=picture, left=left) -> tuple[int, ...]:
            row, column = divmod(number, 9)
            offset = int(fraction * cell)
            return tuple(picture[row * cell + cell // 2, left + column * cell + offset].tolist())

        assert pixel(at, 0.5) == ORANGE
        assert pixel(40, 0.06) == GREEN
        assert pixel(began, 0.14) == BLUE


def test_captions_equal_a_count_by_hand(dark):
    history = history_format.read(dark)
    store = frame_store.open_store(history, processes=1)
    episode, points = 0, 0.0
    for move, caption in enumerate(move_images._captions(history, store.game, 0, MOVES)):
        if history.first[move]:
            episode, points = episode + 1, 0.0
        name = ("stay", "up", "down", "left", "right")[history.action[move]]
        assert caption.left == f"move {move}\nepisode {episode}"
        assert caption.right == f"{points:g} point{'' if points == 1 else 's'}\n{name}"
        assert caption.explored == history.explored[move]
        points += float(history.reward[move])


def test_only_explored_moves_carry_the_orange_word(dark):
    history = history_format.read(dark)
    store = frame_store.open_store(history, processes=1)
    found = list(move_images.pictures(history, store, 0, MOVES, 2))
    for explored, picture in zip(history.explored, found, strict=True):
        below = picture[2 * 84 :]
        assert (below == ORANGE).all(axis=-1).any() == explored
    assert 0 < history.explored.sum() < MOVES


def with_frames(shape: tuple[int, ...], values: int, dtype: str) -> games.Game:
    game = games.load("darkroom/goal-40")
    return dataclasses.replace(
        game, observation_shape=shape, observation_values=values, observation_dtype=dtype, fingerprint={}
    )


def test_a_new_games_frames_are_drawn_from_its_description():
    row = move_images._drawn(np.array([0, 5, 10]), with_frames((3,), 11, "int64"), 1)
    assert row.shape == (84, 252, 3)
    assert row[40, [40, 126, 210]].tolist() == [[0] * 3, [127] * 3, [255] * 3]
    many = np.zeros((12, 84, 84), bool)
    many[11, 0, 0] = True
    picture = move_images._drawn(many, with_frames((12, 84, 84), 2, "bool"), 1)
    assert picture[0, 0].tolist() == move_images.PALETTE[1].tolist()  # the palette begins again
    half = move_images._drawn(np.full((1, 84, 84), 2), with_frames((1, 84, 84), 5, "int64"), 1)
    assert half[0, 0].tolist() == (move_images.PALETTE[0] / 2).astype(int).tolist()
    with pytest.raises(InputError, match=r"frames of shape \[2, 2, 2, 2\] can't be drawn"):
        move_images._drawn(np.zeros((2, 2, 2, 2)), with_frames((2, 2, 2, 2), 2, "bool"), 1)


def test_numbers_of_cells_without_a_square_grid_or_a_goal_are_drawn():
    game = with_frames((), 12, "int64")  # drawn as 4 x 4
    picture = move_images._cells(game, 7, 0, 1)
    assert picture.shape == (84, 84, 3)
    assert tuple(picture[21 + 10, 63 + 10].tolist()) == ORANGE
    assert not (picture == GREEN).all(axis=-1).any()


def test_the_colours_of_a_gif_are_close_to_the_pictures(tmp_path):
    _, _, found = drawn("minatar/breakout", tmp_path, 4, scale=2)
    (tmp_path / "x.gif").write_bytes(films.film(iter(found), ".gif", 10))
    for before, after in zip(found, shown_frames(tmp_path / "x.gif"), strict=True):
        assert np.abs(before.astype(int) - after).max() <= 40  # edges of letters
        assert np.abs(before[: 2 * 80].astype(int) - after[: 2 * 80]).max() <= 3


def test_there_is_one_action_name_per_action():
    for family in games.families():
        game = games.load(f"{family}/{games.family(family).variants()[0]}")
        assert len(game.action_names) in (0, game.num_actions)
        with pytest.raises(ValueError, match="2 action names for"):
            dataclasses.replace(game, action_names=("a", "b"))
