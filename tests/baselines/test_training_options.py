"""Targets, validation, early stop, accumulation, precision and devices of a training; names of settings."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from understudy import baselines
from understudy.baselines.training import loop, settings
from understudy.baselines.training.loop import Machine
from understudy.baselines.training.settings import TrainingSettings, declared, settings_from
from understudy.suite.errors import InputError
from understudy.suite.histories.windows import Windows
from understudy.suite.protocols import Timestep

SIZES = {"updates": 20, "batch_size": 4, "window_moves": 24, "warmup_updates": 2, "learning_rate": 1e-2}


class Cells:
    """Windows of random cells whose action is a function of the cell; explored moves have the next action."""

    def __init__(self, shift: int = 0) -> None:
        self.shift, self.drawn = shift, 0

    def sample(self, batch_size, window_moves, rng):
        self.drawn += 1
        shape = (batch_size, window_moves)
        cells = rng.integers(0, 81, shape)
        explored = rng.random(shape) < 0.3
        actions = (cells + self.shift + explored) % 5
        no = torch.zeros(shape, dtype=torch.bool)
        timesteps = Timestep(
            observation=torch.from_numpy(cells),
            legal_actions=torch.ones(*shape, 5, dtype=torch.bool),
            previous_action=torch.zeros(shape, dtype=torch.int64),
            previous_reward=torch.zeros(shape),
            first=no,
            first_of_run=no.clone(),
        )
        numbers = torch.zeros(batch_size, dtype=torch.int64)
        return Windows(timesteps, torch.from_numpy(actions), torch.from_numpy(explored), numbers, numbers)


def trained(game, name="bc", watching=None, machine=loop.ON_CPU, resume_file=None, progress=None, **chosen):
    architecture, reports = baselines.load(name), []
    model = loop.train(
        architecture,
        architecture.config(game, **getattr(architecture, "small", {})),
        game,
        Cells(),
        settings_from(SIZES | chosen),
        held_out=watching,
        machine=machine,
        resume_file=resume_file,
        save_every_updates=7,
        progress=progress,
        report=reports.extend,
    )
    return model, reports


def equal(one, other):
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def stop_at(update):
    def progress(at):
        if at.updates_done == update:
            raise KeyboardInterrupt

    return progress


def test_targets_by_hand():
    logits = torch.log(torch.tensor([[[1.0, 1, 2, 4, 8], [8, 4, 2, 1, 1]]]))
    windows = Cells().sample(1, 2, np.random.default_rng(0))
    windows = windows._replace(actions=torch.tensor([[4, 3]]), explored=torch.tensor([[False, True]]))
    assert loop.next_action_loss(logits, windows).item() == pytest.approx(math.log(2))
    executed = loop.next_action_loss(logits, windows, targets="executed").item()
    assert executed == pytest.approx((math.log(2) + math.log(16)) / 2)
    assert windows.target_mask("executed").tolist() == [[True, True]]
    with pytest.raises(InputError, match="did you mean 'chosen'"):
        windows.target_mask("choosen")


def test_with_executed_targets_it_learns_to_explore(darkroom):
    """A third of the moves explore, in one way: among chosen targets that way never occurs."""
    probabilities = {}
    for targets in ("chosen", "executed"):
        model, _ = trained(darkroom, targets=targets, updates=150)
        windows = Cells().sample(8, 24, np.random.default_rng(1))
        logits, _ = model.unroll(*loop.unroll_inputs(model, windows))
        exploring = ((windows.timesteps.observation + 1) % 5)[..., None]
        probabilities[targets] = float(logits.softmax(-1).gather(-1, exploring).mean())
    assert probabilities["chosen"] < 0.05
    assert 0.2 < probabilities["executed"] < 0.4


def test_parts_of_a_batch_add_up(darkroom):
    whole, reports = trained(darkroom, updates=6, report_every=1)
    for parts in (2, 4):
        found, in_parts = trained(darkroom, updates=6, report_every=1, accumulation=parts)
        for name, tensor in whole.state_dict().items():
            torch.testing.assert_close(found.state_dict()[name], tensor, rtol=1e-4, atol=1e-6)
        assert [a.loss for a in in_parts] == pytest.approx([b.loss for b in reports], rel=1e-5)


def test_held_out_windows_are_measured_and_never_learned(darkroom):
    plain, _ = trained(darkroom, updates=20)
    other = Cells(shift=2)
    model, reports = trained(darkroom, updates=20, watching=other, report_every=8)
    assert equal(plain, model), "held-out windows changed the weights"
    assert [(each.update, each.moves) for each in reports] == [(8, 768), (16, 1536), (20, 1920)]
    assert other.drawn == 3 * TrainingSettings().validation_batches
    rngs = [
        loop._draws(0, "validation windows", index) for index in range(TrainingSettings().validation_batches)
    ]
    nats = []
    for rng in rngs:  # the same windows, by torch's own mean
        windows = Cells(shift=2).sample(4, 24, rng)
        logits, _ = model.unroll(*loop.unroll_inputs(model, windows))
        chosen = ~windows.explored
        nats.append(
            torch.nn.functional.cross_entropy(logits[chosen], windows.actions[chosen], reduction="none")
        )
    assert reports[-1].validation_loss == pytest.approx(float(torch.cat(nats).mean()), rel=1e-5)


def test_without_held_out_runs_there_is_no_validation_loss(darkroom):
    _, reports = trained(darkroom, updates=5, report_every=2)
    assert [each.update for each in reports] == [2, 4, 5]
    assert all(each.validation_loss is None for each in reports)


EARLY = {"updates": 200, "report_every": 3, "patience": 4, "held_out": 1}


def test_an_early_stop_keeps_the_best_weights(darkroom):
    """What is held out follows another rule, so learning makes it worse from some update on."""
    model, reports = trained(darkroom, watching=Cells(shift=1), **EARLY)
    losses = [each.validation_loss for each in reports]
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + 4
    assert reports[-1].update < 200
    snapshots = {}

    def keep(at):
        if at.updates_done == reports[best].update:
            snapshots.update({k: v.clone() for k, v in seen[0].state_dict().items()})

    seen = []
    usual = baselines.load("bc").build

    class Seen:
        name, config = "bc", staticmethod(baselines.load("bc").config)

        def build(self, *arguments, **more):
            seen.append(usual(*arguments, **more))
            return seen[0]

    loop.train(
        Seen(),
        Seen.config(darkroom, **baselines.load("bc").small),
        darkroom,
        Cells(),
        settings_from(SIZES | EARLY),
        held_out=Cells(shift=1),
        progress=keep,
    )
    assert all(torch.equal(snapshots[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("stopped", [2, 3, 8, 14])
def test_a_resumed_training_ends_in_the_same_bytes_and_reports(darkroom, tmp_path, stopped):
    held_out = Cells(shift=1)
    whole, reports = trained(darkroom, watching=held_out, resume_file=tmp_path / "whole", **EARLY)
    broken = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        trained(darkroom, watching=held_out, resume_file=broken, progress=stop_at(stopped), **EARLY)
    resumed, again = trained(darkroom, watching=held_out, resume_file=broken, **EARLY)
    assert equal(whole, resumed)
    assert again == reports
    assert broken.read_bytes() == (tmp_path / "whole").read_bytes()
    over, once_more = trained(darkroom, watching=held_out, resume_file=broken, **EARLY)
    assert equal(over, whole)
    assert once_more == reports


def test_a_training_goes_on_only_as_it_began(darkroom, tmp_path):
    trained(darkroom, resume_file=tmp_path / "file")
    for chosen in ({"targets": "executed"}, {"accumulation": 2}, {"precision_bits": 16}):
        with pytest.raises(InputError, match="made with other settings"):
            trained(darkroom, resume_file=tmp_path / "file", **chosen)
    trained(darkroom, resume_file=tmp_path / "file", machine=Machine(workers=3))


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_threads_that_read_ahead_change_nothing(darkroom, workers):
    usual, _ = trained(darkroom)
    found, _ = trained(darkroom, machine=Machine(workers=workers))
    assert equal(usual, found)


@pytest.mark.parametrize("name", baselines.names())
def test_bfloat16_learns_as_float32_does(darkroom, name):
    _, usual = trained(darkroom, name, updates=30, report_every=10)
    model, reports = trained(darkroom, name, updates=30, report_every=10, precision_bits=16)
    assert all(tensor.dtype != torch.bfloat16 for tensor in model.state_dict().values())
    assert [each.loss for each in reports] == pytest.approx([each.loss for each in usual], rel=0.05)
    assert [each.loss for each in reports] != [each.loss for each in usual]


@pytest.mark.parametrize("targets", ["chosen", "executed"])
def test_losses_mix_no_devices(targets):
    windows = Cells().sample(2, 6, np.random.default_rng(0)).to("meta")
    loss = loop.next_action_loss(torch.zeros(2, 6, 5, device="meta"), windows, 2, targets)
    assert loss.device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: training on CUDA is untested")
@pytest.mark.parametrize("name", baselines.names())
def test_training_on_cuda_is_like_that_on_the_cpu(darkroom, name, tmp_path):
    class Pinned(Cells):
        def sample(self, batch_size, window_moves, rng, pinned=False):
            found = super().sample(batch_size, window_moves, rng)
            return found._each(lambda tensor: tensor.pin_memory()) if pinned else found

    _, usual = trained(darkroom, name, report_every=5)
    architecture, reports = baselines.load(name), []
    model = loop.train(
        architecture,
        architecture.config(darkroom, **getattr(architecture, "small", {})),
        darkroom,
        Pinned(),
        settings_from(SIZES | {"report_every": 5}),
        machine=Machine("cuda"),
        resume_file=tmp_path / "file",
        report=reports.extend,
    )
    assert all(tensor.device.type == "cpu" for tensor in model.state_dict().values())
    assert [each.loss for each in reports] == pytest.approx([each.loss for each in usual], rel=1e-3)


def test_settings_of_later_versions_are_stored_only_where_they_are_unusual():
    first_ones = [
        *("updates", "batch_size", "window_moves", "unscored_moves", "learning_rate", "warmup_updates"),
        *("weight_decay", "gradient_norm", "seed"),
    ]
    assert list(declared(TrainingSettings())) == first_ones
    unusual = replace(TrainingSettings(), accumulation=2, held_out=1, patience=3, targets="executed")
    assert declared(unusual) == declared(TrainingSettings()) | {
        "accumulation": 2,
        "held_out": 1,
        "patience": 3,
    }
    assert settings_from({**declared(unusual), "targets": "executed"}) == unusual


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"lr": 1}, "unknown setting of training 'lr'; did you mean 'learning_rate'?"),
        ({"bs": 1}, "did you mean 'batch_size'?"),
        ({"epochs": 1}, "did you mean 'updates'?"),
        ({"grad-accum": 1}, "did you mean 'accumulation'?"),
        ({"learning_rat": 1}, "did you mean 'learning_rate'?"),
        ({"accumulation": 3}, "accumulation must divide batch_size; found 3 and 8"),
        ({"precision_bits": 24}, "precision_bits: expected 16 or 32; found 24"),
        ({"patience": 1}, "patience needs a validation loss, and so held-out runs; give held_out"),
        ({"targets": "all"}, "targets: Input should be 'chosen' or 'executed'; found 'all'"),
    ],
)
def test_unfit_settings_are_refused(given, line):
    with pytest.raises(InputError, match=re.escape(line)):
        settings_from(given)


def test_names_of_other_libraries_lead_to_what_there_is():
    known = {field for names in settings.ALIASES.values() for field in names}
    of_architectures = {"layers", "width", "heads", "context_moves"}
    assert known - of_architectures <= set(TrainingSettings.__dataclass_fields__)
    assert settings.choose("layers", ["layers"], "setting") == "layers"
    with pytest.raises(InputError, match="did you mean 'width'"):
        settings.choose("d_model", ["layers", "width"], "setting")
    with pytest.raises(InputError, match="known: seed"):
        settings.choose("d_model", ["seed"], "setting")
