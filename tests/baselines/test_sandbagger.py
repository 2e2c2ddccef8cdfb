"""The sandbagger is random first, then plays the best network that is available."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support import short_teachers
from support.teacher_files import store_network, write_log

from understudy.baselines import controls
from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.harness import states
from understudy.suite.teachers import network
from understudy.suite.testing import imitator_checks

DARKROOM = games.load("darkroom/goal-40")


def test_the_sandbagger_is_random_first_and_skilled_then(assigned, tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    parameters = [store_network(tmp_path / name, DARKROOM, seed) for seed, name in enumerate("ab")]
    player = controls.load("sandbagger")[0].build_control(
        assigned(DARKROOM, [tmp_path / "a", tmp_path / "b"], moves=4000)
    )
    timesteps = imitator_checks.random_timesteps(DARKROOM, 2, 2003, seed=3)
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
    later = timesteps._replace(first_of_run=torch.zeros_like(timesteps.first_of_run))
    return player.unroll(later, state)[0]


def test_on_a_new_game_the_hidden_skill_is_the_best_there_is(assigned, tmp_path):
    """A checkpoint, else a network at W, else one recomputed from the log, else the watched teacher's."""
    watched = tmp_path / "watched"
    watched.mkdir()
    at_w_of_watched = store_network(watched, DARKROOM, 7)
    new = short_teachers.short_run("darkroom/goal-40", tmp_path / "new")
    ended = load_file(new / "checkpoint.safetensors")
    at_w = load_file(new / "network_at_w.safetensors")
    timesteps = imitator_checks.random_timesteps(DARKROOM, 2, 5, seed=0)

    def found(*folders, on_new_game=True):
        assignment = assigned(DARKROOM, [watched] * 2, on_new_game=on_new_game, new=folders)
        return skill_of(controls.load("sandbagger")[0].build_control(assignment), timesteps)

    def values(tensors):
        parameters = {name: tensors[name][None] for name in network.shapes(DARKROOM)}
        flat = timesteps.observation.flatten(0, 1)[None]
        return network.q_values(DARKROOM, parameters, flat).view(2, 5, 5)

    online = values({name: ended[f"network.{name}"] for name in network.shapes(DARKROOM)})
    assert not torch.allclose(online, values(at_w), atol=1e-3)
    mine = values({name: tensor[0] for name, tensor in at_w_of_watched.items()})
    torch.testing.assert_close(found(new, new), online)
    torch.testing.assert_close(found(new, new, on_new_game=False), mine)
    both = found(new, None)
    torch.testing.assert_close(both[0], online[0])
    torch.testing.assert_close(both[1], mine[1])
    (new / "checkpoint.safetensors").unlink()
    torch.testing.assert_close(found(new, new), values(at_w))
    (new / "network_at_w.safetensors").unlink()
    torch.testing.assert_close(found(new, new), online)  # recomputed; no update is due after the last move


def test_the_sandbagger_refuses_another_familys_checkpoint(assigned, tmp_path):
    store_network(tmp_path, DARKROOM, 0)
    write_log(tmp_path, DARKROOM, [0, 1])
    save_file({"network.linear0.weight": torch.zeros(3, 3)}, tmp_path / "checkpoint.safetensors")
    control = controls.load("sandbagger")[0]
    with pytest.raises(InputError, match=r"not a darkroom teacher.s checkpoint: no network\.linear0\.bias"):
        control.build_control(assigned(DARKROOM, [tmp_path], on_new_game=True, new=[tmp_path]))
    with pytest.raises(InputError, match=r"network_at_w\.safetensors"):
        control.build_control(assigned(DARKROOM, [tmp_path / "none"]))
