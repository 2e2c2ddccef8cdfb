"""Games: the conformance kit, episodes worked out by hand, the package as oracle, published returns."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.games import atari, darkroom, minatar
from understudy.suite.testing.game_checks import check_cap, check_game, play

STAY, UP, DOWN, LEFT, RIGHT = range(5)
SAMPLED = {
    "darkroom": ("goal-00", "goal-44"),
    "atari": ("breakout", "space_invaders"),
}  # others: all variants
MOVES_AND_LANES = {  # of a game or its family; enough moves for an episode to end
    "atari": (450, 2),
    "atari/breakout": (220, 2),
    "darkroom": (100, 16),
    "minatar/freeway": (2600, 2),  # an episode there lasts 2,500 moves, whatever is played
}
GAMES = [
    f"{family}/{variant}"
    for family in games.families()
    for variant in SAMPLED.get(family, games.family(family).variants())
]


@pytest.mark.parametrize("name", GAMES)
def test_every_family_passes_the_kit(name: str) -> None:
    family = name.partition("/")[0]
    moves, lanes = MOVES_AND_LANES.get(name) or MOVES_AND_LANES.get(family, (150, 16))
    check_game(games.load(name), moves, lanes)


def test_every_variant_has_its_own_description() -> None:
    described = [games.load(f"darkroom/{variant}") for variant in darkroom.FAMILY.variants()]
    assert len(described) == 81
    assert [game.fingerprint["goal"] for game in described] == list(range(81))
    assert (described[7].family, described[7].variant) == ("darkroom", "goal-07")


# Caps


def test_darkroom_and_freeway_are_truncated_at_their_caps() -> None:
    check_cap(games.load("darkroom/goal-40"), 3, np.random.default_rng(0).integers(0, 5, 100))
    check_cap(games.load("minatar/freeway"), 3, np.zeros(5000, dtype=np.int64))


@pytest.mark.parametrize("variant", minatar.VARIANTS)
def test_minatar_truncates_every_game_at_the_cap(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minatar, "EPISODE_CAP_MOVES", 5)  # no game can be lost within 5 moves
    check_cap(games.load(f"minatar/{variant}"), 3, np.zeros(23, dtype=np.int64))


def test_atari_counts_its_cap_in_frames_of_the_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    game = games.load("atari/breakout")
    assert game.fingerprint["max_num_frames_per_episode"] == 4 * game.episode_cap_moves == 4 * 27_000
    monkeypatch.setitem(atari.ENVIRONMENT_ARGUMENTS, "max_num_frames_per_episode", 4 * 50)
    no_ops = np.zeros(120, dtype=np.int64)  # without the fire button no ball is served and none is lost
    check_cap(dataclasses.replace(game, episode_cap_moves=50), 3, no_ops)


@pytest.mark.long
def test_atari_is_truncated_at_the_real_cap() -> None:
    check_cap(games.load("atari/breakout"), 3, np.zeros(2 * 27_000, dtype=np.int64))


@pytest.mark.parametrize("variant", minatar.VARIANTS)
def test_minimal_actions_are_those_of_the_package(variant: str) -> None:
    from minatar import gym

    gym_env = gym.BaseEnv(variant, use_minimal_action_set=True)  # MinAtar/<Game>-v1
    assert list(games.load(f"minatar/{variant}").minimal_actions) == gym_env.action_set
    assert games.load(f"minatar/{variant}").legal_actions == (True,) * 6


def test_package_actions_must_be_legal() -> None:
    game = games.load("minatar/breakout")
    with pytest.raises(ValueError, match=r"package_actions \(0, 6\), expected some of \[0, 1, 2, 3, 4, 5\]"):
        dataclasses.replace(game, package_actions=(0, 6))


# Dark room


def darkroom_seed(*starts: int) -> int:
    """Return a seed whose first episodes start in these cells."""
    seeds = np.arange(2_000_000)
    found = np.all(
        [darkroom.start_cells(seeds, np.int64(e)) == cell for e, cell in enumerate(starts)], axis=0
    )
    return int(np.flatnonzero(found)[0])


def test_darkroom_episode_worked_out_by_hand() -> None:
    # From the centre, row 4 column 4, cell 40; the goal is the cell above it, 4 + 9 * 3 = 31. The next
    # episode starts in cell 80, the bottom right corner.
    script = [
        (UP, 31, 1), (STAY, 31, 1), (LEFT, 30, 0), (RIGHT, 31, 1), (UP, 22, 0), (UP, 13, 0), (UP, 4, 0),
        (UP, 4, 0), (LEFT, 3, 0), (LEFT, 2, 0), (LEFT, 1, 0), (LEFT, 0, 0), (LEFT, 0, 0), (DOWN, 9, 0),
        (STAY, 9, 0), (RIGHT, 10, 0), (DOWN, 19, 0), (DOWN, 28, 0), (RIGHT, 29, 0),
    ]  # fmt: skip
    env = games.make([games.load("darkroom/goal-31")])
    cell, info = env.reset(seed=np.array([darkroom_seed(40, 80)]))
    assert cell.tolist() == [40]
    assert info == {}
    for action, expected_cell, expected_reward in script:
        cell, reward, terminated, truncated, info = env.step(np.array([action]))
        assert (cell[0], reward[0], terminated[0], truncated[0], info) == (
            expected_cell, expected_reward, False, False, {},
        )  # fmt: skip
    cell, reward, terminated, truncated, info = env.step(np.array([UP]))  # the 20th move
    assert (cell[0], reward[0], terminated[0], truncated[0]) == (80, 0, False, True)
    assert info["final_obs"].tolist() == [20]
    assert info["_final_obs"].tolist() == [True]
    assert env.step(np.array([RIGHT]))[0].tolist() == [80]
    assert env.step(np.array([DOWN]))[0].tolist() == [80]
    assert env.step(np.array([UP]))[0].tolist() == [71]
    assert env.step(np.array([LEFT]))[0].tolist() == [70]


def test_darkroom_rewards_a_last_move_onto_the_goal() -> None:
    env = games.make([games.load("darkroom/goal-00")])
    env.reset(seed=np.array([darkroom_seed(1)]))
    for _ in range(19):
        assert env.step(np.array([STAY]))[1][0] == 0
    _, reward, _, truncated, info = env.step(np.array([LEFT]))
    assert (reward[0], truncated[0], info["final_obs"][0]) == (1, True, 0)


def test_darkroom_lanes_have_their_own_goals_and_episodes() -> None:
    env = games.make([games.load("darkroom/goal-41"), games.load("darkroom/goal-39")])
    seed = darkroom_seed(40)
    env.reset(seed=np.array([seed, seed]))
    assert env.step(np.array([RIGHT, RIGHT]))[1].tolist() == [1, 0]
    env.reset(seed=np.array([seed]), options={"reset_mask": np.array([False, True])})
    _, reward, _, truncated, _ = env.step(np.array([LEFT, LEFT]))
    assert reward.tolist() == [0, 1]
    ended = [truncated] + [env.step(np.array([STAY, STAY]))[3] for _ in range(19)]
    assert np.flatnonzero([e[0] for e in ended]).tolist() == [18]
    assert np.flatnonzero([e[1] for e in ended]).tolist() == [19]


def test_splitmix64_gives_the_published_numbers() -> None:
    step = np.uint64(0x9E3779B97F4A7C15)
    states = np.uint64(1234567) + step * np.arange(5, dtype=np.uint64)
    # https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64, seed 1234567
    assert darkroom._splitmix64(states).tolist() == [
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431,
        16408922859458223821,
    ]  # fmt: skip


def test_darkroom_starts_are_uniform_and_independent() -> None:
    seeds, episodes = np.meshgrid(np.arange(900), np.arange(200), indexing="ij")
    cells = darkroom.start_cells(seeds, episodes)  # [900, 200]
    assert stats.chisquare(np.bincount(cells.ravel(), minlength=81)).pvalue > 1e-3
    following = [(cells[:, :-1], cells[:, 1:]), (cells[:-1], cells[1:]), (cells[:-1, 1:], cells[1:, :-1])]
    for one, other in following:
        pairs = np.bincount((one * 81 + other).ravel(), minlength=81 * 81)
        assert stats.chisquare(pairs).pvalue > 1e-3


# MinAtar


@pytest.mark.parametrize("variant", minatar.VARIANTS)
def test_minatar_equals_the_package_played_directly(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for drawing in ("matplotlib", "seaborn"):  # optional to the package, and slow to import
        monkeypatch.setitem(sys.modules, drawing, None)
    from minatar import Environment

    bare = Environment(variant, sticky_action_prob=0.1, difficulty_ramping=True)
    bare.seed(11)
    bare.reset()
    env = games.make([games.load(f"minatar/{variant}")])
    observation, _ = env.reset(seed=np.array([11]))
    rng = np.random.default_rng(5)
    ends = 0
    for action in rng.integers(0, 6, 2600 if variant == "freeway" else 800):
        assert_state(observation[0], bare.state())
        reward, over = bare.act(action)
        observation, rewards, terminated, truncated, info = env.step(np.array([action]))
        assert (rewards[0], terminated[0]) == (reward, over)
        if over or truncated[0]:
            ends += 1
            assert_state(info["final_obs"][0], bare.state())
            bare.reset()
            bare.last_action = 0
    assert ends


def assert_state(observation: np.ndarray, state: np.ndarray) -> None:
    channels = state.shape[2]
    np.testing.assert_array_equal(observation[:channels], np.moveaxis(state, 2, 0))
    assert not observation[channels:].any()


def test_minatar_clears_the_sticky_action_on_reseeding() -> None:
    # A seed whose first move is sticky: Breakout draws the ball's side first, then whether the action sticks.
    seed = next(s for s in range(100) if first_move_sticks(s))
    env = games.make([games.load("minatar/breakout")] * 6)
    env.reset(seed=np.arange(6))
    env.step(np.arange(6))  # each lane's last action is another
    env.reset(seed=np.full(6, seed))
    observation, *_ = env.step(np.full(6, 1))
    for lane in range(6):  # the chosen action is left, the executed one none: the paddle hasn't moved
        assert np.flatnonzero(observation[lane, 0, 9]).tolist() == [4]


def first_move_sticks(seed: int) -> bool:
    generator = np.random.RandomState(seed)
    generator.randint(2)
    return bool(generator.rand() < 0.1)


def test_minatar_lanes_may_play_different_games() -> None:
    names = ("minatar/breakout", "minatar/seaquest")
    actions = np.random.default_rng(2).integers(0, 6, (80, 2))
    mixed = play(games.make([games.load(name) for name in names]), np.array([4, 5]), actions)
    for lane, name in enumerate(names):
        single = play(games.make([games.load(name)]), np.array([4 + lane]), actions[:, [lane]])[0]
        np.testing.assert_array_equal(single.observation, mixed[lane].observation)


@pytest.mark.parametrize(
    ("variant", "published", "published_error", "episodes"),
    [("breakout", 0.495, 0.016, 3200), ("space_invaders", 2.78, 0.07, 400)],
)
def test_minatar_random_returns_equal_the_published_ones(
    variant: str, published: float, published_error: float, episodes: int
) -> None:
    returns = random_returns(f"minatar/{variant}", episodes)
    error = np.hypot(published_error, returns.std(ddof=1) / np.sqrt(len(returns)))
    assert abs(returns.mean() - published) < 3.5 * error


def random_returns(name: str, episodes: int, lanes: int = 8) -> np.ndarray:
    """Return the returns [episodes] of uniform play, allotted to lanes in advance."""
    env = games.make([games.load(name)] * lanes)
    env.reset(seed=np.arange(lanes))
    rng = np.random.default_rng(0)
    running, found = np.zeros(lanes), [[] for _ in range(lanes)]
    while min(map(len, found)) < episodes // lanes:
        _, reward, terminated, truncated, _ = env.step(rng.integers(0, 6, lanes))
        running += reward
        for lane in np.flatnonzero(terminated | truncated):
            found[lane].append(running[lane])
            running[lane] = 0
    return np.array([lane_returns[: episodes // lanes] for lane_returns in found]).ravel()


def test_minatar_is_played_without_its_display() -> None:
    program = (
        "import sys, numpy as np\n"
        "from understudy.suite import games\n"
        "games.make([games.load('minatar/breakout')]).reset(seed=np.array([1]))\n"
        "print([m for m in ('minatar', 'matplotlib', 'seaborn', 'torch', 'ale_py') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# Fingerprints


@pytest.mark.parametrize(
    ("name", "key", "other"),
    [
        ("darkroom/goal-40", "rules_version", 2),
        ("minatar/breakout", "sticky_action_prob", 0.0),
        ("atari/breakout", "repeat_action_probability", 0.0),
    ],
)
def test_another_setting_is_not_comparable(name: str, key: str, other: float) -> None:
    game = games.load(name)
    found = games.family(game.family).comparable(game.fingerprint, {**game.fingerprint, key: other})
    assert found == [f"{key}: {game.fingerprint[key]!r}, not {other!r}"]


def test_another_version_of_a_package_is_left_to_the_checksums() -> None:
    for name, package in (("minatar/breakout", "minatar"), ("minatar/breakout", "numpy")):
        game = games.load(name)
        assert not minatar.FAMILY.comparable(game.fingerprint, {**game.fingerprint, package: "9.9"})


# Bad input


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("darkrom/goal-40", "unknown game family 'darkrom'; did you mean 'darkroom'"),
        ("darkroom/gaol-44", "unknown darkroom game 'gaol-44'; did you mean 'goal-44'"),
        ("minatar/brekout", "unknown minatar game 'brekout'; did you mean 'breakout'"),
        ("atari/space-invaders", "unknown atari game 'space-invaders'; did you mean 'space_invaders'"),
        ("breakout", "a game is named family/variant, e.g. atari/breakout; found 'breakout'"),
    ],
)
def test_unknown_names_suggest_the_nearest(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        games.load(name)


def test_lanes_of_two_families_are_refused() -> None:
    with pytest.raises(InputError, match=r"of one game family; found \['darkroom', 'minatar'\]"):
        games.make([games.load("darkroom/goal-40"), games.load("minatar/breakout")])


@pytest.mark.parametrize("name", ["darkroom/goal-40", "minatar/breakout"])
@pytest.mark.parametrize(
    ("seed", "options", "message"),
    [
        (np.array([1, 2**31]), None, r"lies in \[0, 2147483648\); found 2147483648"),
        (np.array([1, -1]), None, r"lies in \[0, 2147483648\); found -1"),
        (2**31 - 1, None, "found 2147483648"),
        (np.array([1]), None, "one seed for each of the 2 lanes"),
        (np.array([1, 2]), {"reset_mask": np.array([True, False])}, "one seed for each of the 1 lanes"),
        (np.array([1.0, 2.0]), None, "an integer or an integer array"),
        (np.array([1]), {"reset_mask": np.array([1, 0])}, r"bool array of shape \(2,\)"),
        (np.array([1]), {"reset_mask": np.array([True])}, r"bool array of shape \(2,\)"),
        (None, None, "the first reset must give every lane a seed"),
        (
            np.array([1]),
            {"reset_mask": np.array([True, False])},
            "the first reset must give every lane a seed",
        ),
    ],
)
def test_bad_seeds_are_refused(
    name: str, seed: np.ndarray | int | None, options: dict[str, np.ndarray] | None, message: str
) -> None:
    env = games.make([games.load(name)] * 2)
    with pytest.raises(InputError, match=message):
        env.reset(seed=seed, options=options)


@pytest.mark.parametrize("name", ["darkroom/goal-40", "minatar/breakout"])
@pytest.mark.parametrize("actions", [[0, 6], [-1, 0], [0], [0, 0, 0]])
def test_bad_actions_are_refused(name: str, actions: list[int]) -> None:
    env = games.make([games.load(name)] * 2)
    env.reset(seed=np.array([1, 2]))
    with pytest.raises(InputError, match="expected 2 actions in"):
        env.step(np.array(actions))


@pytest.mark.parametrize("name", ["darkroom/goal-40", "minatar/breakout"])
def test_a_single_seed_gives_consecutive_seeds_and_no_seed_keeps_the_generators(name: str) -> None:
    actions = np.zeros((40, 2), dtype=np.int64)
    one, other = (games.make([games.load(name)] * 2) for _ in range(2))
    for single, listed in zip(play(one, 7, actions), play(other, np.array([7, 8]), actions), strict=True):
        np.testing.assert_array_equal(single.observation, listed.observation)
    for single, listed in zip(play(one, None, actions), play(other, None, actions), strict=True):
        np.testing.assert_array_equal(single.observation, listed.observation)


@pytest.mark.parametrize("name", ["atari/breakout", "atari/space_invaders"])
def test_rewards_change_the_score_rows(name):
    game = games.load(name)
    begin, end = game.score_rows
    env = games.make([game], 1)
    env.reset(seed=np.array([3]))
    legal = np.flatnonzero(game.legal_actions)
    rng = np.random.default_rng(0)
    frames, rewards = [], []
    for _ in range(500):
        observation, reward, *_ = env.step(np.array([rng.choice(legal)]))
        frames.append(observation[0, -1].astype(int))
        rewards.append(reward[0])
    scored = [move for move in range(1, 498) if rewards[move]]
    changed = [np.abs(frames[move + 2] - frames[move - 1]).sum(axis=1) > 0 for move in scored]  # rows
    often = np.mean(changed, axis=0)
    assert often[begin:end].min() >= 0.5
    assert often[:begin].max() == 0
    assert often[end : end + 2].max() < 0.5
    env.close()
