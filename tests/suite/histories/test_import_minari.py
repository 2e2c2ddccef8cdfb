"""Minari datasets, written by the package itself: every move is imported, damage is reported in one line."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import h5py
import numpy as np
import pytest
from PIL import Image
from support.minari_data import assert_minari, image_space, minari_dataset, screens
from support.replay_shards import BREAKOUT, MINIMAL, edited, imported, joined

from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.histories import importers
from understudy.suite.histories.importers import _screens


@pytest.mark.parametrize("data_format", ["hdf5", "arrow", "parquet"])
@pytest.mark.parametrize("terminated", [True, False])
def test_every_move_is_imported(data_format, terminated, tmp_path, monkeypatch):
    seen = screens(84, 84)
    folder, episodes = minari_dataset(
        tmp_path / "breakout", seen, image_space(84, 84), data_format=data_format, terminated=terminated
    )
    for block in (1024, 5):
        monkeypatch.setattr("understudy.suite.histories.importers._minari_files.BLOCK_MOVES", block)
        found = imported("minari", folder)
        assert_minari(found, episodes, [s[:-1] for s in seen], MINIMAL)
    opened = importers.importer("minari").open(folder / "data", BREAKOUT, None)
    assert opened.max_moves == 38
    assert opened.source["files"][0]["name"] == "metadata.json"
    assert len(opened.source["files"]) == (2 if data_format == "hdf5" else 4)


SHAPES: dict[str, tuple[tuple[int, ...], Callable[[np.ndarray], np.ndarray]]] = {
    "channel last": ((84, 84, 1), lambda seen: seen[..., 0]),
    "channel first": ((1, 84, 84), lambda seen: seen[:, 0]),
    "stack first": ((4, 84, 84), lambda seen: seen[:, 3]),
    "stack last": ((84, 84, 4), lambda seen: seen[..., 3]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_atari_frames_are_read_from_other_shapes(name, tmp_path):
    shape, newest = SHAPES[name]
    seen = screens(*shape)
    folder, episodes = minari_dataset(tmp_path / "d", seen, image_space(*shape), actions=4)
    assert_minari(imported("minari", folder), episodes, [newest(s[:-1]) for s in seen], MINIMAL)


def test_native_screens_become_means_of_areas(tmp_path):
    seen = screens(210, 160, 3)[:2]
    folder, _ = minari_dataset(tmp_path / "d", seen, image_space(210, 160, 3))
    opened = importers.importer("minari").open(folder, BREAKOUT, None)
    assert any("scaled to 84x84" in line for line in opened.lacks)
    found = joined(opened.blocks).frames
    for frame, rgb in zip(found, np.concatenate([s[:-1] for s in seen]), strict=True):
        assert np.abs(frame.astype(int) - slow_grey_84(rgb)).max() <= 1


def slow_grey_84(rgb: np.ndarray) -> np.ndarray:
    """Return the grey means, float [84, 84], by repeating pixels until areas are whole pixels."""
    red, green, blue = np.moveaxis(rgb.astype(float), 2, 0)
    grey = np.round(0.299 * red + 0.587 * green + 0.114 * blue)
    fine = np.kron(grey, np.ones((2, 21)))  # 420 x 3360
    return fine.reshape(84, 5, 84, 40).mean((1, 3))


def test_area_means_agree_with_the_emulators_scaling():
    """ale-py's vector environment gives the same frame for the screen of the plain emulator."""
    from ale_py import ALEInterface, LoggerMode, roms

    ALEInterface.setLoggerMode(LoggerMode.Error)
    emulator = ALEInterface()
    emulator.setInt("random_seed", 0)
    emulator.loadROM(roms.get_rom_path("breakout"))
    grey = np.array(emulator.getScreenGrayscale())
    env = games.make([BREAKOUT])
    observation, _ = env.reset(seed=np.array([0]))
    env.close()
    ours = _screens.grey_84(grey[None])[0].astype(int)
    assert np.abs(ours - observation[0, -1]).max() <= 1


def test_jpeg_screens_are_decoded_and_reported_as_lossy(tmp_path):
    seen = [np.full((4, 210, 160, 3), 128, np.uint8)]
    seen[0][:, :100] = 30
    for data_format in ("hdf5", "arrow"):
        folder, _ = minari_dataset(
            tmp_path / data_format, seen, image_space(210, 160, 3), data_format=data_format, jpeg=True
        )
        opened = importers.importer("minari").open(folder, BREAKOUT, None)
        assert any("JPEG" in line for line in opened.lacks)
        found = joined(opened.blocks).frames
        assert np.abs(found[:, :35].astype(int) - 30).max() <= 3
        assert np.abs(found[:, 45:].astype(int) - 128).max() <= 3


@pytest.mark.parametrize("channels", [4, 10])
def test_minatar_channels_come_first(channels, tmp_path):
    game = games.load("minatar/breakout")
    seen = screens(10, 10, channels, dtype="bool", high=2)
    space = gymnasium.spaces.Box(0, 1, (10, 10, channels), np.bool_)
    folder, episodes = minari_dataset(tmp_path / "d", seen, space, actions=6)
    found = imported("minari", folder, game)
    expected = np.zeros((38, 10, 10, 10), bool)
    expected[:, :channels] = np.concatenate([s[:-1] for s in seen]).transpose(0, 3, 1, 2)
    assert_minari(found, episodes, [expected], range(6))


def test_minimal_actions_of_minatar_become_the_packages(tmp_path):
    game = games.load("minatar/freeway")  # MinAtar/Freeway-v1 has the actions none, up, down
    seen = screens(10, 10, 7, dtype="bool", high=2)
    space = gymnasium.spaces.Box(0, 1, (10, 10, 7), np.bool_)
    folder, episodes = minari_dataset(tmp_path / "d", seen, space, actions=3)
    expected = np.zeros((38, 10, 10, 10), bool)
    expected[:, :7] = np.concatenate([s[:-1] for s in seen]).transpose(0, 3, 1, 2)
    assert_minari(imported("minari", folder, game), episodes, [expected], [0, 2, 4])
    folder, _ = minari_dataset(tmp_path / "e", seen, space, actions=4)
    with pytest.raises(InputError, match="4 actions; minatar/freeway has 6, of which 3 are its minimal set"):
        imported("minari", folder, game)


@pytest.mark.parametrize("data_format", ["hdf5", "arrow"])
def test_darkroom_cells(data_format, tmp_path):
    game = games.load("darkroom/goal-40")
    seen = screens(high=81, dtype="int64")
    spaces = (gymnasium.spaces.Discrete(81), gymnasium.spaces.Box(0, 80, (1,), np.int64))
    for number, space in enumerate(spaces):
        stored = seen if number == 0 else [s[:, None] for s in seen]
        folder, episodes = minari_dataset(
            tmp_path / str(number), stored, space, actions=5, data_format=data_format
        )
        assert_minari(imported("minari", folder, game), episodes, [s[:-1] for s in seen], range(5))


def test_observations_out_of_range_are_refused(tmp_path):
    seen = [np.array([3, 81, 5])]
    folder, _ = minari_dataset(tmp_path / "d", seen, gymnasium.spaces.Discrete(100), actions=5)
    with pytest.raises(InputError, match="observation 81, expected 0 to 80 for darkroom/goal-40"):
        imported("minari", folder, games.load("darkroom/goal-40"))
    space = gymnasium.spaces.Box(0, 9, (10, 10, 4), np.uint8)
    folder, _ = minari_dataset(tmp_path / "e", screens(10, 10, 4, high=9), space, actions=6)
    with pytest.raises(InputError, match="other numbers than 0 and 1"):
        imported("minari", folder, games.load("minatar/breakout"))


@pytest.mark.parametrize(
    ("space", "game", "message"),
    [
        (
            image_space(64, 64),
            "atari/breakout",
            r"observations are uint8 \[64, 64\]; atari/breakout takes uint8",
        ),
        (image_space(84, 84, 3), "atari/breakout", r"observations are uint8 \[84, 84, 3\]"),
        (gymnasium.spaces.Box(0, 1, (84, 84), np.float32), "atari/breakout", "observations are float32"),
        (
            image_space(84, 84),
            "minatar/breakout",
            r"minatar/breakout takes bool \[10, 10, 10\] with channels last",
        ),
        (gymnasium.spaces.Box(0, 1, (10, 10, 11), np.bool_), "minatar/breakout", r"bool \[10, 10, 11\]"),
        (
            gymnasium.spaces.Box(0, 1, (10, 10, 7), np.bool_),
            "minatar/breakout",
            r"bool \[10, 10, 7\]; .* with channels last, or the package's 4 channels",
        ),
        (gymnasium.spaces.Discrete(81), "atari/breakout", "observations are Discrete of 81"),
        (gymnasium.spaces.Discrete(81, start=1), "darkroom/goal-40", "observations are Discrete of 81"),
        (image_space(84, 84), "darkroom/goal-40", r"darkroom/goal-40 takes int64 \[\]"),
    ],
)
def test_observations_that_do_not_fit_are_refused(space, game, message, tmp_path):
    seen = np.array([space.sample() for _ in range(3)])
    folder, _ = minari_dataset(tmp_path / "d", [seen], space)
    with pytest.raises(InputError, match=message):
        imported("minari", folder, games.load(game))


def test_actions_that_do_not_fit_are_refused(tmp_path):
    folder, _ = minari_dataset(tmp_path / "d", screens(84, 84), image_space(84, 84), actions=6)
    with pytest.raises(InputError, match=r"6 actions; atari/breakout has 18, of which 4 are its minimal set"):
        imported("minari", folder)
    folder, _ = minari_dataset(tmp_path / "e", screens(84, 84), image_space(84, 84), actions=18)
    with pytest.raises(
        InputError, match=r"actions: row \d+: action \d+ is not legal in atari/breakout \(0, 1, 3, 4\)"
    ):
        imported("minari", folder)


def h5_edit(change: Callable[[Any], None]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
            change(file["episode_2"])

    return spoil


def swapped(name: str, values: np.ndarray) -> Callable[[Path], None]:
    def change(group: Any) -> None:
        del group[name]
        group[name] = values

    return h5_edit(change)


def metadata_edit(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    return edited("data/metadata.json", change)


def cut_hdf5(folder: Path) -> None:
    path = folder / "data" / "main_data.hdf5"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


MINARI_DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "no file": (lambda folder: (folder / "data/main_data.hdf5").unlink(), "main_data.hdf5: missing"),
    "cut": (cut_hdf5, r"main_data.hdf5: episode \d: damaged HDF5"),
    "no metadata": (lambda folder: (folder / "data/metadata.json").unlink(), "expected a Minari dataset"),
    "bad metadata": (
        lambda folder: (folder / "data/metadata.json").write_text("[]"),
        "expected a JSON object",
    ),
    "no space": (metadata_edit(lambda meta: meta.pop("observation_space")), "no readable observation_space"),
    "odd space": (
        metadata_edit(lambda meta: meta.update(action_space="7")),
        "action_space: expected a JSON object",
    ),
    "box of actions": (
        metadata_edit(lambda meta: meta.update(action_space='{"type": "Box"}')),
        "actions are Box, start 0; expected Discrete with start 0",
    ),
    "format": (
        metadata_edit(lambda meta: meta.update(data_format="zarr")),
        "data format 'zarr'; expected hdf5",
    ),
    "no episodes": (
        metadata_edit(lambda meta: meta.update(total_episodes=0)),
        "total_episodes: expected a number",
    ),
    "too few episodes": (
        metadata_edit(lambda meta: meta.update(total_episodes=4)),
        "episode 3: no array observations",
    ),
    "no rewards": (h5_edit(lambda group: group.pop("rewards")), r"episode 2: no array rewards"),
    "short": (
        swapped("rewards", np.zeros(29)),
        r"episode 2: 31 observations and 29 rewards; expected one observation more than moves",
    ),
    "nan": (swapped("rewards", np.full(30, np.nan)), r"episode 2: rewards: row 0: reward nan"),
    "words": (swapped("rewards", np.full(30, b"x")), r"episode 2: rewards: expected rewards \[n\], found"),
    "action": (swapped("actions", np.full(30, 7)), r"episode 2: actions: row 0: action 7, expected 0 to 3"),
    "early end": (
        swapped("terminations", np.arange(30) == 11),
        r"episode 2: row 11 ends the episode, but moves follow",
    ),
    "flags": (swapped("truncations", np.full(30, 3)), r"episode 2: truncations: row 0: flag 3"),
}


@pytest.mark.parametrize("damage", MINARI_DAMAGE)
def test_damaged_minari_datasets_are_refused_in_one_line(damage, tmp_path):
    folder, _ = minari_dataset(tmp_path / "d", screens(84, 84), image_space(84, 84))
    spoil, message = MINARI_DAMAGE[damage]
    spoil(folder)
    with pytest.raises(InputError, match=message) as caught:
        imported("minari", folder)
    assert "\n" not in str(caught.value)


def test_damaged_arrow_episodes_are_refused(tmp_path):
    folder, _ = minari_dataset(tmp_path / "d", screens(84, 84), image_space(84, 84), data_format="arrow")
    (path,) = (folder / "data" / "2").glob("*.arrow")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="episode 2: damaged arrow"):
        imported("minari", folder)
    path.unlink()
    (path.parent / "metadata.json").unlink()
    path.parent.rmdir()
    with pytest.raises(InputError, match="episode 2: missing"):
        imported("minari", folder)


def test_an_unfinished_episode_is_truncated(tmp_path):
    folder, _ = minari_dataset(tmp_path / "d", screens(84, 84), image_space(84, 84))
    swapped("terminations", np.zeros(30, bool))(folder)
    found = imported("minari", folder)
    assert np.flatnonzero(found.truncated).tolist() == [37]


def test_jpegs_of_another_size_are_refused(tmp_path):
    seen = [np.zeros((3, 210, 160, 3), np.uint8)]
    folder, _ = minari_dataset(tmp_path / "d", seen, image_space(210, 160, 3), jpeg=True)
    for picture, message in (
        (Image.new("RGB", (8, 8)), "JPEG of 8x8 RGB, expected 160x210 RGB"),
        (None, "damaged"),
    ):
        buffer = io.BytesIO(b"no picture")
        if picture:
            picture.save(buffer, "JPEG")
        with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
            del file["episode_0"]["observations"]
            file["episode_0"]["observations"] = np.array([list(buffer.getvalue())] * 3, np.uint8)
        with pytest.raises(InputError, match=message):
            imported("minari", folder)


def test_without_h5py_one_line_names_the_package_to_install(tmp_path, monkeypatch):
    folder, _ = minari_dataset(tmp_path / "d", screens(84, 84), image_space(84, 84))
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(InputError, match="pip install h5py"):
        imported("minari", folder)
