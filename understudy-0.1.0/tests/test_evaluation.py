"""The Python API: evaluation of models in memory and of submissions, as the command line scores them."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

import understudy
from understudy import cli
from understudy.suite import games
from understudy.suite.errors import InputError

GAME = games.load("darkroom/goal-00")


class Model(nn.Module):
    """Prefers actions by cell; counts its moves in a state that nothing reads."""

    reach_moves = 1

    def __init__(self):
        super().__init__()
        self.cells = nn.Embedding(GAME.observation_values, GAME.num_actions)

    def initial_state(self, batch_size):
        return {"moves": torch.zeros(batch_size)}

    def step(self, timestep, state):
        return self.cells(timestep.observation.long()).detach(), {"moves": state["moves"] + 1}

    def unroll(self, timesteps, state):
        return self.cells(timesteps.observation.long()), {"moves": state["moves"] + timesteps.first.shape[1]}


class StepsOnly(nn.Module):
    """The same without what is optional."""

    def __init__(self):
        super().__init__()
        self.inner = Model()

    def initial_state(self, batch_size):
        return self.inner.initial_state(batch_size)

    def step(self, timestep, state):
        return self.inner.step(timestep, state)


def model(kind=Model, seed=0):
    torch.manual_seed(seed)
    return kind()


def evaluate(player, out, **options):
    return understudy.evaluate(player, "darkroom-v1", out=out, **{"tasks": "skill", **options})


def content(folder):
    """Return what a row's files hold, without the clock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "timing.json"}


def test_the_package_is_imported_without_torch():
    code = (
        "import sys, understudy; print('torch' in sys.modules, 'numpy' in sys.modules, understudy.evaluate)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("False False <function evaluate")
    assert set(understudy.__all__) <= set(dir(understudy))
    for name in understudy.__all__:
        assert getattr(understudy, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        understudy.evalute  # noqa: B018 - the attribute is what is tried


def test_a_submission_gets_the_bytes_of_the_command_line(tmp_path, capsys):
    result = evaluate("bc", tmp_path / "api", isolation=False)
    command = ("score", "bc", "--benchmark", "darkroom-v1", "--task", "skill")
    assert cli.main([*command, "--out", str(tmp_path / "command")]) == 0
    row = "darkroom-v1/quick/bc"
    assert content(tmp_path / "api" / row) == content(tmp_path / "command" / row)
    assert result.folder == tmp_path / "api" / row
    assert (
        str(result).splitlines()[2:4]
        == [line for line in capsys.readouterr().out.splitlines() if "imitator" in line or "├" in line][-2:]
    )


def test_a_model_in_memory_is_scored_and_stays_as_it_is(tmp_path):
    player = model().train()
    torch.set_num_threads(2)
    before = {name: tensor.clone() for name, tensor in player.state_dict().items()}
    result = evaluate(player, tmp_path, name="my-model")
    assert torch.get_num_threads() == 2, "playing takes one thread, the caller's loop goes on with two"
    assert player.training
    assert all(parameter.requires_grad for parameter in player.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in player.state_dict().items())
    row = json.loads((tmp_path / "darkroom-v1/quick/my-model/row.json").read_text())
    assert row["in_memory"].endswith("test_evaluation.Model")
    assert (row["round"], row["priming_moves"], row["control"]) == ("dev", 0, False)
    assert result.answers.keys() == {"skill", "improvement", "transfer"}
    assert result.answers["skill"] in ("no", "partial", "yes", "undecided")
    (notes,) = set(result.to_frame()["notes"])
    assert "self-reported: not ranked" in notes
    assert "a model in memory" in notes
    assert "my-model" in str(result)


def test_the_same_weights_draw_the_same_luck_under_any_name(tmp_path):
    rows_of = [
        evaluate(model(seed=seed), tmp_path, name=name).folder / "scores.json"
        for seed, name in ((0, "one"), (0, "two"), (1, "three"))
    ]
    one, two, three = ({**json.loads(path.read_text()), "row": ""} for path in rows_of)
    assert one == two
    assert one != three


def test_evaluating_again_plays_nothing_and_another_model_is_refused(tmp_path):
    first = evaluate(model(), tmp_path, name="mine")
    runs = (first.folder / "runs.zip").stat().st_mtime_ns
    again = evaluate(model(), tmp_path, name="mine")
    assert (again.folder / "runs.zip").stat().st_mtime_ns == runs
    with pytest.raises(InputError, match="another 'mine' was scored here"):
        evaluate(model(seed=1), tmp_path, name="mine")
    assert evaluate(model(seed=1), tmp_path, name="mine", restart=True).folder == first.folder


def always(action):
    """Return a rule without weights, defined anew as a notebook's cell does when it runs again."""
    if action == 0:

        class Rule(Model):
            def step(self, timestep, state):
                return torch.eye(5)[torch.zeros(len(timestep.first), dtype=torch.int64)], state

    else:

        class Rule(Model):
            def step(self, timestep, state):
                return torch.eye(5)[torch.ones(len(timestep.first), dtype=torch.int64)], state

    return model(Rule)


def test_other_code_or_attributes_with_the_same_weights_are_another_model(tmp_path):
    from understudy.submissions import in_memory

    one, same, other = (in_memory._code_of(always(action)) for action in (0, 0, 1))
    assert one == same != other
    found = {one}
    values = (
        3,
        4,
        "three",
        b"three",
        [3, 4],
        {"a": 3},
        {3},
        {4},
        np.arange(3),
        np.arange(4),
        torch.arange(3) + 1,
    )
    for value in values:
        changed = always(0)
        changed.threshold = value
        found.add(in_memory._code_of(changed))
    assert len(found) == 1 + len(values)
    first, second = model(), model()
    second.threshold = 3
    evaluate(first, tmp_path, name="rule")
    with pytest.raises(InputError, match="another 'rule' was scored here"):
        evaluate(second, tmp_path, name="rule")


def test_each_job_gets_the_model_as_it_was_given():
    from understudy.submissions import in_memory
    from understudy.suite import benchmarks
    from understudy.suite.harness.entry import PlayerRequest

    given = model()
    (player,) = in_memory.entry(given, "mine", benchmarks.load("darkroom-v1")).players
    request = PlayerRequest(lanes=(), on_new_games=False, run_moves=1)
    first = player.load(request)
    first.calls = 7
    first.cells.weight.fill_(3.0)
    second = player.load(request)
    assert not hasattr(second, "calls")
    assert torch.equal(second.cells.weight, given.cells.weight)


class Itself(Model):
    """Cannot be copied."""

    def __deepcopy__(self, memo):
        return self


def test_a_model_that_is_not_copied_is_refused_and_stays_as_it_is(tmp_path):
    player = model(Itself)
    with pytest.raises(InputError, match="returns parts of the model itself"):
        evaluate(player, tmp_path, name="mine")


def test_a_missing_unroll_is_made_of_step_and_its_cost_is_said(tmp_path, capsys):
    with pytest.warns(UserWarning, match=r"has no unroll: one is made of step\. Priming it with 30 moves of"):
        result = evaluate(model(StepsOnly), tmp_path, name="steps", priming_moves=30)
    assert "on this machine, priming not included\n" in capsys.readouterr().err
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*unroll")
        whole = evaluate(model(), tmp_path, name="whole", priming_moves=30)
    assert result.scored.row["priming_moves"] == whole.scored.row["priming_moves"] == 30


def test_the_made_unroll_gives_the_logits_of_step():
    from understudy.submissions import in_memory
    from understudy.suite.testing import imitator_checks

    made, whole = in_memory._prepared(model(StepsOnly)), model()
    timesteps = imitator_checks.random_timesteps(GAME, 2, 9, seed=0)
    found, state = made.unroll(timesteps, made.initial_state(2))
    expected, expected_state = whole.unroll(timesteps, whole.initial_state(2))
    assert torch.equal(found, expected)
    assert torch.equal(state["moves"], expected_state["moves"])


def test_isolation_of_a_model_in_memory_is_checked_here(tmp_path):
    result = understudy.evaluate(
        model(), "darkroom-v1", out=tmp_path, tasks=["transfer"], num_envs=2, isolation=True, name="mine"
    )
    names = zipfile.ZipFile(result.folder / "runs.zip").namelist()
    assert any(name.endswith("transfer/in-memory/isolation.json") for name in names)


class NoStep(nn.Module):
    """Has no `step`."""

    def initial_state(self, batch_size):
        return {"moves": torch.zeros(batch_size)}


class Grows(Model):
    """Its state grows by a number a move."""

    def step(self, timestep, state):
        logits, _ = super().step(timestep, state)
        return logits, {"moves": torch.cat((state["moves"].view(len(logits), -1), logits[:, :1]), 1)}


class Doubles(Model):
    """Its state changes its dtype."""

    def step(self, timestep, state):
        logits, after = super().step(timestep, state)
        return logits, {"moves": after["moves"].double()}


class Narrow(Model):
    """Its logits have another shape."""

    def step(self, timestep, state):
        logits, after = super().step(timestep, state)
        return logits[:, :2], after


class NotANumber(Model):
    """Its logits are not finite."""

    def step(self, timestep, state):
        logits, after = super().step(timestep, state)
        return logits * torch.nan, after


class Fails(Model):
    """Raises an error of its own."""

    def step(self, timestep, state):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


class Late(Model):
    """Its logits are not finite from its 100th move on, when the checks are long over."""

    def step(self, timestep, state):
        logits, after = super().step(timestep, state)
        return torch.where(after["moves"][:, None] > 100, torch.nan, logits), after


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (NoStep, "expected the method 'step', found none"),
        (Grows, "step changed the layout of its state"),
        (Doubles, "step changed the layout of its state"),
        (Narrow, r"step must return logits float32 \[3, 5\]; found float32 \[3, 2\]"),
        (NotANumber, "step returned logits that are not finite"),
        (Fails, "RuntimeError: mat1 and mat2"),
    ],
)
def test_a_model_that_does_not_conform_is_one_line_and_nothing_is_written(kind, said, tmp_path):
    with pytest.raises(InputError, match=said) as raised:
        evaluate(kind(), tmp_path / "results", name="mine")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "results").exists()


def test_a_model_that_fails_late_ends_the_row_with_the_move_named(tmp_path):
    with pytest.raises(InputError, match=r"mine/in-memory, lane 0 .*, move 100: expected finite logits"):
        understudy.evaluate(Late(), "darkroom-v1", out=tmp_path, tasks=["transfer"], num_envs=1, name="mine")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "random"}, "which is the name of a control"),
        ({"name": "bc"}, "which is the name of an entry"),
        ({"name": "../x"}, "expected small letters"),
        ({"budget": "quik"}, "did you mean 'quick'"),
        ({"decoding": "sampled"}, "did you mean 'sample'"),
        ({"teachers": ["goal-00/seed-99"]}, "unknown pinned run"),
        ({"priming_moves": 10**9}, "expected a whole number from 0 to W"),
        ({"priming_moves": 1.5}, "expected a whole number from 0 to W"),
        ({"priming_moves": True}, "expected a whole number from 0 to W"),
        ({"threads": 0}, "threads: expected 1 to 1024"),
        ({"tasks": []}, "tasks: expected the names"),
        ({"name": 3}, "expected small letters"),
        ({"teachers": []}, "at least one run"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"interventions": ["redrawn-1"]}, "unknown|in memory"),
    ],
)
def test_bad_arguments_are_one_line_and_nothing_is_written(options, said, tmp_path):
    with pytest.raises(InputError, match=said) as raised:
        understudy.evaluate(
            model(), "darkroom-v1", **{"out": tmp_path / "results", "tasks": "skill", **options}
        )
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "results").exists()


def test_what_is_no_model_and_what_a_submission_declares_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected a torch\.nn\.Module; found a int"):
        evaluate(3, tmp_path)
    with pytest.raises(InputError, match="are declared in submission"):
        evaluate("bc", tmp_path, name="mine")
