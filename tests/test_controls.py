"""Controls do what their names say: cases worked out by hand, and slow versions of each rule."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from understudy import baselines
from understudy.baselines import Assignment, in_state_learner, nearest_neighbours, step_counter
from understudy.baselines.learning import training
from understudy.submissions import entrants
from understudy.suite import draws, exploration, games, states
from understudy.suite.errors import InputError
from understudy.suite.games.darkroom import DarkRoomVectorEnv
from understudy.suite.histories import format as history_format
from understudy.suite.histories.format import Header, History, Segment
from understudy.suite.histories.record import SegmentRule
from understudy.suite.histories.windows import Windows
from understudy.suite.protocols import Timestep
from understudy.suite.teachers import network
from understudy.suite.testing import imitators, teachers
from understudy.suite.testing.histories import play_on, random_lives

DARKROOM = games.load("darkroom/goal-40")
BREAKOUT = games.load("minatar/breakout")


def assigned(game, folders, watched_moves=3, moves=10, on_new_game=False, new=None):
    new = new or (None,) * len(folders)
    return Assignment(game, watched_moves, moves, on_new_game, tuple(folders), tuple(new))


def write_log(folder, actions, game=DARKROOM):
    """Write a life of these actions; nothing but actions is in it."""
    n = len(actions)
    header = Header(game.name, {}, {"kind": "teacher"}, {}, (Segment(0, n, None, 0),), {})
    no = np.zeros(n, bool)
    history = History(header, np.array(actions, np.uint8), np.zeros(n, np.float32), no, no, no)
    history_format.write(folder / "history.parquet", history)
    return folder


def store_network(folder, game, seed):
    """Write a fresh network as the one at W; return its parameters [1, ...]."""
    parameters = network.initial_parameters(game, [seed])
    save_file({k: v[0].contiguous() for k, v in parameters.items()}, folder / "network_at_w.safetensors")
    return parameters


def at(timesteps, t):
    return Timestep(*(field[:, t] for field in timesteps))


# The replayer.


def replayed(player, lanes, moves, legal=(True,) * 5, state=None):
    """Return the actions [B, T] that are decoded greedily, the observations being noise."""
    timesteps = imitators.random_timesteps(DARKROOM, lanes, moves, seed=0)
    logits = imitators.play(player, timesteps, state)
    mask = np.broadcast_to(np.array(legal), (lanes, 5))
    return np.stack([exploration.greedy_actions(logits[:, t].numpy(), mask) for t in range(moves)], 1)


def test_the_replayer_plays_the_record_from_w_on_and_again(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    folders = [write_log(tmp_path / "a", [0, 1, 2, 3, 4, 1, 2]), write_log(tmp_path / "b", [4, 4, 4, 0, 2])]
    control = baselines.load("teacher-replayer")
    player = control.build_control(assigned(DARKROOM, folders))
    assert replayed(player, 2, 9).tolist() == [[3, 4, 1, 2, 3, 4, 1, 2, 3], [0, 2, 0, 2, 0, 2, 0, 2, 0]]
    assert replayed(player, 3, 2)[2].tolist() == [3, 4]  # row 2 is as lane 0
    moved = states.take(player.initial_state(2), [1, 0])
    moved["age"] += 1
    later = imitators.random_timesteps(DARKROOM, 2, 1, seed=0)._replace(first_of_life=torch.zeros(2, 1) > 0)
    assert imitators.play(player, later, moved)[:, 0].argmax(1).tolist() == [2, 4]
    on_new = control.build_control(assigned(DARKROOM, folders, on_new_game=True))
    assert replayed(on_new, 2, 8).tolist() == [[0, 1, 2, 3, 4, 1, 2, 0], [4, 4, 4, 0, 2, 4, 4, 4]]
    short = control.build_control(assigned(DARKROOM, folders, moves=2))
    assert replayed(short, 1, 4)[0].tolist() == [3, 4, 3, 4]  # no more is kept than a life needs


def test_an_illegal_recorded_action_gives_way_to_the_next_above(tmp_path):
    player = baselines.load("teacher-replayer").build_control(
        assigned(DARKROOM, [write_log(tmp_path, [0, 0, 0, 3, 1, 2, 4])])
    )
    only = (True, False, True, False, False)
    assert replayed(player, 1, 4, only)[0].tolist() == [0, 2, 2, 0]


def test_the_replayer_needs_a_record_after_w(tmp_path):
    write_log(tmp_path, [0, 1, 2])
    control = baselines.load("teacher-replayer")
    with pytest.raises(InputError, match="expected moves after move 3 to replay, found a life of 3"):
        control.build_control(assigned(DARKROOM, [tmp_path]))
    assert replayed(control.build_control(assigned(DARKROOM, [tmp_path], on_new_game=True)), 1, 2).size
    with pytest.raises(InputError, match="no such history file"):
        control.build_control(assigned(DARKROOM, [tmp_path / "none"]))


# Nearest neighbours.


def test_the_newest_move_in_a_cell_by_hand():
    seen = np.array([7, 7, 9, 7, 9, 3])  # newest first
    actions = np.array([2, 1, 4, 1, 1, 1], np.uint8)
    memory = nearest_neighbours.Cells([seen], [actions], DARKROOM)
    logits = memory(torch.tensor([7, 9, 3, 80]), torch.zeros(4, dtype=torch.int64))
    assert logits.argmax(1).tolist() == [2, 4, 1, 1]  # in cell 80, never seen: the most frequent of all
    shares = np.array([0, 4, 1, 0, 1]) / 7
    assert logits[0].tolist() == pytest.approx(np.array([0, 5, 6, 0, 0]) + shares)
    assert logits[3].tolist() == pytest.approx(shares)


def slow_nearest(observation, remembered, features):
    """Return the position of the first, newest, of the nearest."""
    distances = [
        sum((int(a) - int(b)) ** 2 for a, b in zip(features(observation), features(other), strict=True))
        for other in remembered
    ]
    return distances.index(min(distances))


def slow_blocks(frame):
    return [
        round(float(frame[4 * i : 4 * i + 4, 4 * j : 4 * j + 4].astype(float).mean()) / 4)
        for i in range(21)
        for j in range(21)
    ]


def test_nearest_planes_equal_the_slow_search():
    rng = np.random.default_rng(0)
    remembered = [rng.random((n, 10, 10, 10)) < 0.02 for n in (12, 9)]
    for each in remembered:
        each[:, 6:] = False  # planes that the game doesn't show
        each[5] = each[2]  # equals: the newest, position 2, counts
    actions = [rng.integers(0, 6, len(each)).astype(np.uint8) for each in remembered]
    memory = nearest_neighbours.Planes(remembered, actions, BREAKOUT)
    now = np.concatenate([rng.random((6, 10, 10, 10)) < 0.05, remembered[0][5:6], remembered[1][5:6]])
    asked = [0, 1, 0, 1, 0, 1, 0, 1]
    expected = [
        int(actions[k][slow_nearest(row, remembered[k], np.ravel)]) for k, row in zip(asked, now, strict=True)
    ]
    logits = memory(torch.from_numpy(now), torch.tensor(asked))
    assert logits.argmax(1).tolist() == expected
    assert expected[6:] == [int(actions[0][2]), int(actions[1][2])]


def test_nearest_frames_equal_the_slow_search():
    rng = np.random.default_rng(1)
    atari = games.load("atari/breakout")
    remembered = [rng.integers(0, 256, (n, 84, 84)).astype(np.uint8) for n in (4, 3)]
    remembered[0][3] = remembered[0][1]
    actions = [np.array([5, 3, 1, 0], np.uint8), np.array([2, 11, 4], np.uint8)]
    memory = nearest_neighbours.Frames(remembered, actions, atari)
    now = rng.integers(0, 256, (4, 4, 84, 84)).astype(np.uint8)
    now[0, -1] = remembered[0][3]
    now[1, -1] = remembered[1][2] // 2 + now[1, -1] // 2
    asked = [0, 1, 1, 0]
    expected = [
        int(actions[k][slow_nearest(row[-1], remembered[k], slow_blocks)])
        for k, row in zip(asked, now, strict=True)
    ]
    assert memory(torch.from_numpy(now), torch.tensor(asked)).argmax(1).tolist() == expected
    assert expected[0] == 3


@pytest.fixture(scope="module")
def random_life(tmp_path_factory):
    """A recorded random life of darkroom, 400 moves, a fifth of them explored, as a teacher's folder."""
    folder = tmp_path_factory.mktemp("random")
    (life,) = random_lives(DARKROOM, folder, 1)
    for _ in play_on([life], SegmentRule(100), 400):
        pass
    life.path.rename(folder / "history.parquet")
    return folder


def test_neighbours_are_watched_moves_of_the_teachers_choice(random_life, tmp_path, monkeypatch):
    monkeypatch.setattr(nearest_neighbours, "WATCHED_MOVES", 150)
    history = history_format.read(random_life / "history.parquet")
    environment = DarkRoomVectorEnv(np.array([40]))
    newest = np.zeros((81, 5))  # 1 for the oldest looked-up move
    cells = []
    for segment in history.header.segments:  # the life again, as a slow observer sees it
        cell, _ = environment.reset(seed=segment.seed)
        for move in range(segment.first_move, segment.first_move + segment.length):
            cells.append(int(cell[0]))
            cell, *_ = environment.step(history.action[move : move + 1])
    looked_up = [move for move in range(150, 300) if not history.explored[move]]
    for order, move in enumerate(looked_up, 1):
        newest[cells[move], history.action[move]] = order
    control = baselines.load("nearest-neighbours")
    player = control.build_control(assigned(DARKROOM, [random_life], watched_moves=300))
    timesteps = imitators.random_timesteps(DARKROOM, 3, 60, seed=0)
    logits = imitators.play(player, timesteps).numpy()
    expected = newest[timesteps.observation.numpy()]
    assert (np.floor(logits) == expected).all()
    assert len(looked_up) > 100
    explored = replace(history, explored=np.ones(400, bool))
    history_format.write(tmp_path / "history.parquet", explored)
    with pytest.raises(InputError, match="among the moves 150 to 300; all of them were explored"):
        control.build_control(assigned(DARKROOM, [tmp_path], watched_moves=300))


# The sandbagger.


def test_the_sandbagger_is_random_first_and_skilled_then(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    parameters = [store_network(tmp_path / name, DARKROOM, seed) for seed, name in enumerate("ab")]
    player = baselines.load("sandbagger").build_control(
        assigned(DARKROOM, [tmp_path / "a", tmp_path / "b"], moves=4000)
    )
    timesteps = imitators.random_timesteps(DARKROOM, 2, 2003, seed=3)
    logits, state = player.unroll(timesteps, player.initial_state(2))
    assert state["age"].tolist() == [2003, 2003]
    values = torch.cat(
        [network.q_values(DARKROOM, p, timesteps.observation[[k]]) for k, p in enumerate(parameters)]
    )
    torch.testing.assert_close(logits[:, 2000:], values[:, 2000:])
    legal = np.array([True, False, True, True, True])
    counts = [np.bincount(np.where(legal, lane[:2000].numpy(), -1).argmax(1), minlength=5) for lane in logits]
    for count in counts:  # 500 each are expected, with a standard deviation of 19
        assert count[1] == 0
        assert abs(count[legal] - 500).max() < 80
    assert not torch.equal(logits[0, :2000], logits[1, :2000])
    swapped, _ = player.unroll(timesteps, states.take(player.initial_state(2), [1, 0]))
    assert torch.equal(swapped[0, :2000], logits[1, :2000])
    torch.testing.assert_close(
        swapped[0, 2000:], network.q_values(DARKROOM, parameters[1], timesteps.observation[[0]])[0, 2000:]
    )


def skill_of(player, timesteps):
    """Return the logits [B, T, A] of a sandbagger in its second half."""
    state = player.initial_state(len(timesteps.first))
    state["age"] += 1000
    later = timesteps._replace(first_of_life=torch.zeros_like(timesteps.first_of_life))
    return player.unroll(later, state)[0]


def test_on_a_new_game_the_hidden_skill_is_the_best_there_is(tmp_path):
    """A checkpoint, else a network at W, else what the log gives again, else the watched teacher's own."""
    watched = tmp_path / "watched"
    watched.mkdir()
    own = store_network(watched, DARKROOM, 7)
    new = teachers.short_life("darkroom/goal-40", tmp_path / "new")
    ended = load_file(new / "checkpoint.safetensors")
    at_w = load_file(new / "network_at_w.safetensors")
    timesteps = imitators.random_timesteps(DARKROOM, 2, 5, seed=0)

    def found(*folders, on_new_game=True):
        assignment = assigned(DARKROOM, [watched] * 2, on_new_game=on_new_game, new=folders)
        return skill_of(baselines.load("sandbagger").build_control(assignment), timesteps)

    def values(tensors):
        parameters = {name: tensors[name][None] for name in network.shapes(DARKROOM)}
        flat = timesteps.observation.flatten(0, 1)[None]
        return network.q_values(DARKROOM, parameters, flat).view(2, 5, 5)

    online = values({name: ended[f"network.{name}"] for name in network.shapes(DARKROOM)})
    assert not torch.allclose(online, values(at_w), atol=1e-3)
    mine = values({name: tensor[0] for name, tensor in own.items()})
    torch.testing.assert_close(found(new, new), online)
    torch.testing.assert_close(found(new, new, on_new_game=False), mine)
    both = found(new, None)
    torch.testing.assert_close(both[0], online[0])
    torch.testing.assert_close(both[1], mine[1])
    (new / "checkpoint.safetensors").unlink()
    torch.testing.assert_close(found(new, new), values(at_w))
    (new / "network_at_w.safetensors").unlink()
    torch.testing.assert_close(found(new, new), online)  # learnt again; no update came with the last move


def test_the_sandbagger_refuses_another_familys_checkpoint(tmp_path):
    store_network(tmp_path, DARKROOM, 0)
    write_log(tmp_path, [0, 1])
    save_file({"network.linear0.weight": torch.zeros(3, 3)}, tmp_path / "checkpoint.safetensors")
    control = baselines.load("sandbagger")
    with pytest.raises(InputError, match=r"not a darkroom teacher.s checkpoint: no network\.linear0\.bias"):
        control.build_control(assigned(DARKROOM, [tmp_path], on_new_game=True, new=[tmp_path]))
    with pytest.raises(InputError, match=r"network_at_w\.safetensors"):
        control.build_control(assigned(DARKROOM, [tmp_path / "none"]))


# The in-state learner.


def told(cells, actions, rewards, firsts, legal=(True,) * 5):
    """Return one row's timesteps [1, T]; first_of_life is true at the first."""
    T = len(cells)
    return Timestep(
        torch.tensor([cells]),
        torch.tensor(legal).expand(1, T, 5),
        torch.tensor([actions]),
        torch.tensor([rewards], dtype=torch.float32),
        torch.tensor([firsts]),
        torch.arange(T)[None] == 0,
    )


def test_tabular_learning_by_hand(tmp_path):
    short = replace(DARKROOM, episode_cap_moves=2)
    player = baselines.load("in-state-learner").build_control(assigned(short, [tmp_path]))
    assert in_state_learner.RULES["cell"] == in_state_learner.Rule(0.9, 1.0, 10.0)
    state = player.initial_state(1)
    first = (True, False, True, True, False)  # the third episode begins at move 3, the second had one move
    moves = told([3, 4, 3, 3, 5], [0, 1, 2, 1, 4], [0, 2, 5, 6, 1], first)
    seen = []
    for t in range(5):
        values, state = player.step(at(moves, t), state)
        seen.append(values[0].tolist())
    assert seen[0] == seen[1] == [10] * 5  # the first move taught something about cell 3 only
    # 3 -1-> 4 for 2 points: 2 + 0.9 x 10. 4 -2-> was cut at the cap of 2 moves: nothing is learnt.
    assert seen[2] == pytest.approx([10, 11, 10, 10, 10])
    # 3 -1-> for 6 points, and the episode ended after one move, before the cap: 6.
    assert seen[3] == pytest.approx([10, 6, 10, 10, 10])
    # 3 -4-> 5 for 1 point.
    assert seen[4] == pytest.approx([10] * 5)
    table = state["weights"][0].T  # [cells, A]
    assert table[3].tolist() == pytest.approx([10, 6, 10, 10, 10])
    assert table[4].tolist() == pytest.approx([10] * 5)


def test_only_legal_actions_are_looked_forward_to(tmp_path):
    player = baselines.load("in-state-learner").build_control(assigned(DARKROOM, [tmp_path]))
    legal = (True, True, False, False, False)
    # In cell 5 both legal actions turn out worth 0 + 0.9 x 10 = 9 or less; 2 to 4 would still be worth 10.
    cells, actions = [5, 6, 5, 6, 5], [0, 0, 0, 1, 0]
    moves = told(cells, actions, [0.0] * 5, (True, False, False, False, False), legal)
    state = player.initial_state(1)
    for t in range(5):
        _, state = player.step(at(moves, t), state)
    # 5 -0-> 6: 9; 6 -0-> 5: 0.9 x max(9, 10) = 9; 5 -1-> 6: 0.9 x max(9, 10) = 9; 6 -0-> 5: 0.9 x 9 = 8.1.
    assert state["weights"][0, :2, 5].tolist() == pytest.approx([9, 9])
    assert state["weights"][0, :2, 6].tolist() == pytest.approx([8.1, 10])


def slow_linear(features, timesteps, rule, cap, num_actions):
    """Return the values [T, A] of one row: each update as its equation says, in float64."""
    weights = np.zeros((num_actions, features.shape[1]))
    weights[:, -1] = rule.first_value
    values, moves = [], 0
    for t, now in enumerate(features):
        if t > 0 and not (timesteps.first[t] and moves >= cap):
            action, reward = int(timesteps.previous_action[t]), float(timesteps.previous_reward[t])
            legal = timesteps.legal_actions[t].numpy()
            ahead = 0.0 if timesteps.first[t] else max((weights @ now)[legal])
            error = reward + rule.discount * ahead - weights[action] @ features[t - 1]
            weights[action] += rule.step_size * error * features[t - 1]
        moves = 1 if timesteps.first[t] else moves + 1
        values.append(weights @ now)
    return np.stack(values)


def test_linear_learning_equals_the_slow_version(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    parameters = [store_network(tmp_path / name, BREAKOUT, seed) for seed, name in enumerate("ab")]
    player = baselines.load("in-state-learner").build_control(
        assigned(BREAKOUT, [tmp_path / "a", tmp_path / "b"])
    )
    timesteps = imitators.random_timesteps(BREAKOUT, 2, 60, seed=1)
    with torch.no_grad():
        features = player.features(timesteps.observation, torch.arange(2))  # [2, 60, 129]
    torch.testing.assert_close(features.norm(dim=2), torch.ones(2, 60))
    for lane, own in enumerate(parameters):
        hidden = features[lane, :, :-1] / features[lane, :, -1:]
        values = hidden @ own["linear1.weight"][0] + own["linear1.bias"]
        torch.testing.assert_close(values, network.q_values(BREAKOUT, own, timesteps.observation[[lane]])[0])
    logits = imitators.play(player, timesteps)
    for lane in range(2):
        row = Timestep(*(field[lane] for field in timesteps))
        expected = slow_linear(
            features[lane].double().numpy(), row, in_state_learner.RULES["planes"], 2500, 6
        )
        np.testing.assert_allclose(logits[lane].numpy(), expected, atol=1e-4)
    assert logits.abs().max() > 0.1


def test_the_in_state_learner_finds_the_goal(tmp_path):
    """It must come near 20 less the way to the goal, where a random player has a fifth of a point."""
    player = baselines.load("in-state-learner").build_control(assigned(DARKROOM, [tmp_path]))
    lanes, moves = 4, 4000
    environment = DarkRoomVectorEnv(np.array([0, 20, 40, 60]))
    cell, _ = environment.reset(seed=np.arange(lanes))
    state = player.initial_state(lanes)
    action, reward, first = np.zeros(lanes, np.int64), np.zeros(lanes, np.float32), np.ones(lanes, bool)
    legal = torch.ones(lanes, 5, dtype=torch.bool)
    uniforms = draws.Uniforms(0, "test", 2 * lanes)
    points = np.zeros((moves, lanes))
    for move in range(moves):
        told_now = (torch.from_numpy(x) for x in (action, reward, first, np.full(lanes, move == 0)))
        logits, state = player.step(Timestep(torch.from_numpy(cell), legal, *told_now), state)
        drawn = uniforms.at(move)
        explored = drawn[:lanes] < 0.1
        action = np.where(explored, (drawn[lanes:] * 5).astype(np.int64), logits.argmax(1).numpy())
        cell, reward, _, first, _ = environment.step(action)
        points[move] = reward
    assert points[:200].sum() / (10 * lanes) < 6
    assert points[-1000:].sum() / (50 * lanes) > 9


# Cloning with a step counter.


def counter(game, **overrides):
    architecture = baselines.load("step-counter")
    return architecture.build(architecture.config(game, **overrides), game)


def test_age_buckets_by_hand():
    assert counter(DARKROOM).first_ages.tolist() == [
        2, 3, 4, 6, 9, 15, 23, 36, 56, 88, 138, 216, 339, 531, 830,
    ]  # fmt: skip  # 1300^(k / 16): 1.57, 2.45, 3.84, 6.00, 9.40, 14.7, 23.0, 36.1, ...
    model = counter(DARKROOM, ages=4, watched_moves=625)  # buckets from 0, 5, 25 and 125 moves
    assert model.first_ages.tolist() == [5, 25, 125]
    with torch.no_grad():
        model.age_vectors.weight.copy_(torch.arange(4.0)[:, None].expand(4, 64))
        found = model._age_vector(torch.tensor([0, 4, 5, 24, 25, 124, 125, 624, 625, 10_000_000]))[:, 0]
    assert found.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 3, 3]


def test_a_primed_counter_stands_at_w():
    model = counter(DARKROOM)
    timesteps = imitators.random_timesteps(DARKROOM, 2, 1300, seed=0)
    state = model.initial_state(2)
    for start in range(0, 1300, 256):
        _, state = model.unroll(Timestep(*(f[:, start : start + 256] for f in timesteps)), state)
    assert state["age"].tolist() == [1300, 1300]


class Ages:
    """Windows of a life of 100 moves whose action is 1 before move 50 and 3 after it, whatever is seen."""

    def sample(self, batch_size, window_moves, rng):
        starts = rng.integers(0, 101 - window_moves, batch_size)
        moves = starts[:, None] + np.arange(window_moves)
        actions = torch.from_numpy(np.where(moves < 50, 1, 3))
        timesteps = imitators.random_timesteps(DARKROOM, batch_size, window_moves, seed=int(starts.sum()))
        explored = torch.zeros_like(actions, dtype=torch.bool)
        lives = torch.zeros(batch_size, dtype=torch.int64)
        return Windows(timesteps, actions, explored, lives, torch.from_numpy(starts))


def losses(architecture_name, source, **overrides):
    architecture = baselines.load(architecture_name)
    seen = []
    training.train(
        architecture,
        architecture.config(DARKROOM, width=16, **overrides),
        DARKROOM,
        source,
        training.settings_from(
            {"steps": 150, "batch_size": 8, "window_moves": 20, "learning_rate": 0.02, "warmup_steps": 5}
        ),
        progress=lambda at: seen.append(at.loss),
    )
    return np.array(seen)


def test_the_count_is_right_in_windows_from_the_middle_of_a_life():
    # Up to W = 100 the second of 2 buckets begins at move 10, the twelfth of 13 at 100^(11/13), move 49.
    assert losses("step-counter", Ages(), ages=13, watched_moves=100)[-20:].mean() < 0.1
    assert losses("step-counter", Ages(), ages=2, watched_moves=100)[-20:].mean() > 0.3
    assert losses("markov", Ages())[-20:].mean() > 0.5  # two equally likely actions are worth 0.69 nats


def test_windows_begin_where_the_life_is():
    model = counter(DARKROOM)
    windows = Ages().sample(3, 20, np.random.default_rng(0))
    windows = windows._replace(starts=torch.tensor([0, 7, 80]))
    begun = training.begin(model, windows)
    assert begun.state["age"].tolist() == [0, 7, 80]
    assert begun.timesteps.first_of_life[:, 0].tolist() == [True, False, False]
    assert windows.timesteps.first_of_life[:, 0].all()
    with torch.no_grad():
        model.age_vectors.weight.normal_(generator=torch.Generator().manual_seed(0))
        _, state = model.unroll(*begun)
    assert state["age"].tolist() == [20, 27, 100]
    markov = baselines.load("markov")
    memoryless = training.begin(markov.build(markov.config(DARKROOM), DARKROOM), windows)
    assert memoryless.timesteps is windows.timesteps
    assert memoryless.state["age"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("benchmark_name", "watched_moves"), [("darkroom-v1", 1300), ("minatar-v1", 250_000)]
)
def test_the_entries_are_primed_with_all_that_they_watched(benchmark_name, watched_moves):
    """Their counts stand at W when a continuation begins."""
    entrant = entrants.resolve("step-counter", benchmark_name)
    assert entrant.priming_moves == watched_moves
    config = json.loads((entrant.folder / entrant.checkpoints[0].folder / "config.json").read_text())
    assert config["parameters"]["watched_moves"] == watched_moves
    family = {"darkroom-v1": "cell", "minatar-v1": "planes"}[benchmark_name]
    assert step_counter.DEFAULTS[family].watched_moves == watched_moves
