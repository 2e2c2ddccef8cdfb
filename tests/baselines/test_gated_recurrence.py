"""The chunked recurrences equal the papers', one move at a time in float64, and other libraries' functions.

`mambapy` is among the extras for development. `mlstm-kernels` has a licence of its own, and `fla-core` cannot
be imported without a GPU's compiler: both tests are skipped where the package is not installed.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util

import pytest
import torch
from support import slow_recurrences
from torch.nn import functional

from understudy.baselines.training import gated_recurrence, short_convolution

CHUNK = gated_recurrence.CHUNK_MOVES
LENGTHS = (1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3, 200)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def drawn(moves, *, batch=2, heads=3, keys=5, values=7, key_heads=None, seed=0):
    """Return query, key, value, log decay, rate and memory."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    query, key = (normal(batch, key_heads or heads, moves, keys) for _ in range(2))
    return {
        "query": query,
        "key": functional.normalize(key, dim=-1),
        "value": normal(batch, heads, moves, values),
        "log_decay": -normal(batch, heads, moves).abs() * 0.3,
        "rate": torch.rand(batch, heads, moves, generator=generator),
        "memory": normal(batch, heads, keys, values),
    }


def without_rate(inputs):
    return {name: each for name, each in inputs.items() if name != "rate"}


def in_float64(inputs):
    return {name: each.double() for name, each in inputs.items()}


def assert_near(found, expected, atol=2e-5):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other.double(), atol=atol, rtol=1e-5)


@pytest.mark.parametrize("moves", LENGTHS)
@pytest.mark.parametrize("key_heads", [None, 1])
def test_unroll_is_the_recurrence(moves, key_heads):
    inputs = without_rate(drawn(moves, key_heads=key_heads))
    assert_near(gated_recurrence.unroll(**inputs), slow_recurrences.gated(**in_float64(inputs)))


@pytest.mark.parametrize("moves", LENGTHS)
def test_unroll_delta_is_the_recurrence(moves):
    inputs = drawn(moves)
    assert_near(gated_recurrence.unroll_delta(**inputs), slow_recurrences.gated_delta(**in_float64(inputs)))


def test_a_recurrence_by_hand():
    """Keys of one unit: S = 1, then 0.5 + 2 = 2.5; with rate 0.5: S = 0.5, then 0.25 + 0.5 (2 - 0.25)."""
    column = torch.tensor([1.0, 1.0]).view(1, 1, 2, 1)
    inputs = {
        "query": column,
        "key": column,
        "value": torch.tensor([1.0, 2.0]).view(1, 1, 2, 1),
        "log_decay": torch.tensor([0.25, 0.5]).log().view(1, 1, 2),
        "memory": torch.zeros(1, 1, 1, 1),
    }
    outputs, memory = gated_recurrence.unroll(**inputs)
    torch.testing.assert_close(outputs.flatten(), torch.tensor([1.0, 2.5]))
    assert memory.item() == pytest.approx(2.5)
    outputs, memory = gated_recurrence.unroll_delta(**inputs, rate=torch.tensor([[[0.5, 0.5]]]))
    torch.testing.assert_close(outputs.flatten(), torch.tensor([0.5, 1.125]))
    assert memory.item() == pytest.approx(1.125)


@pytest.mark.parametrize("delta", [False, True])
def test_gradients_are_those_through_the_recurrence(delta):
    inputs = drawn(CHUNK + 9, batch=1, heads=2, keys=3, values=2)
    fast, slow = gated_recurrence.unroll_delta, slow_recurrences.gated_delta
    if not delta:
        inputs, fast, slow = without_rate(inputs), gated_recurrence.unroll, slow_recurrences.gated
    weights = torch.randn(2, generator=torch.Generator().manual_seed(1)).double()
    found = []
    for recurrence, given in ((fast, inputs), (slow, in_float64(inputs))):
        leaves = [each.detach().clone().requires_grad_() for each in given.values()]
        outputs, memory = recurrence(**dict(zip(given, leaves, strict=True)))
        loss = (outputs.double().square() @ weights).sum() + memory.double().cos().sum()
        found.append(torch.autograd.grad(loss, leaves))
    assert_near(*found, atol=1e-4)


@pytest.mark.parametrize("delta", [False, True])
def test_slices_continue_from_the_memory(delta):
    inputs = drawn(100)
    recurrence = gated_recurrence.unroll_delta
    if not delta:
        inputs, recurrence = without_rate(inputs), gated_recurrence.unroll
    expected, last = recurrence(**inputs)
    memory, pieces = inputs.pop("memory"), []
    for begin, end in ((0, 1), (1, 38), (38, 100)):
        sliced = {name: each[:, :, begin:end] for name, each in inputs.items()}
        outputs, memory = recurrence(**sliced, memory=memory)
        pieces.append(outputs)
    assert_near((torch.cat(pieces, dim=2), memory), (expected, last))


@pytest.mark.parametrize("log_decay", [0.0, -1e-6, -3.0, -40.0, -1e6])
def test_any_decay_is_computed_without_overflow(log_decay):
    inputs = drawn(3 * CHUNK + 5)
    inputs["log_decay"][:, :, ::3] = log_decay
    assert_near(
        gated_recurrence.unroll_delta(**inputs), slow_recurrences.gated_delta(**in_float64(inputs)), 1e-4
    )
    inputs = without_rate(inputs)
    assert_near(gated_recurrence.unroll(**inputs), slow_recurrences.gated(**in_float64(inputs)), 1e-4)


def test_the_delta_rule_bears_one_key_repeated():
    """Where all keys are equal and all rates 1, the system's inverse has the largest entries."""
    inputs = drawn(5 * CHUNK)
    inputs["key"] = inputs["key"][:, :, :1].expand_as(inputs["key"])
    inputs["rate"], inputs["log_decay"] = torch.ones_like(inputs["rate"]), 0 * inputs["log_decay"]
    assert_near(gated_recurrence.unroll_delta(**inputs), slow_recurrences.gated_delta(**in_float64(inputs)))


def gates_of_mlstm(moves, scale, seed=0):
    inputs = drawn(moves, keys=4, values=4, seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    log_forget = functional.logsigmoid(3 * torch.randn(2, 3, moves, generator=generator))
    return inputs, log_forget, scale * torch.randn(2, 3, moves, generator=generator)


def mlstm_outputs(inputs, log_forget, log_input):
    """Return h [B, H, T, D] by the stabilised gates and the chunked recurrence, and the last m [B, H]."""
    peak = torch.zeros(log_input.shape[:2])
    log_decay, weight, peaks = gated_recurrence.stabilised(log_forget, log_input, peak)
    value = functional.pad(inputs["value"], (0, 1), value=1.0) * weight[..., None]
    memory = torch.zeros(2, 3, 4, 5)
    read, _ = gated_recurrence.unroll(inputs["query"], inputs["key"], value, log_decay, memory)
    divisor = torch.maximum(read[..., 4:].abs(), (-peaks).exp()[..., None])
    return read[..., :4] / divisor, peaks[..., -1]


@pytest.mark.parametrize("scale", [0.0, 1.0, 8.0])
@pytest.mark.parametrize("moves", [1, CHUNK + 1, 150])
def test_stabilised_gates_are_those_of_mlstm(moves, scale):
    inputs, log_forget, log_input = gates_of_mlstm(moves, scale)
    found, _ = mlstm_outputs(inputs, log_forget, log_input)
    given = (inputs[name].double() for name in ("query", "key", "value"))
    expected = slow_recurrences.mlstm(*given, log_forget.double(), log_input.double())
    torch.testing.assert_close(found.double(), expected, atol=2e-4, rtol=2e-4)


def test_gradients_through_stabilised_gates_are_those_of_mlstm():
    inputs, log_forget, log_input = gates_of_mlstm(CHUNK + 5, 1.0)
    found = []
    for dtype in (torch.float32, torch.float64):
        named = {name: inputs[name].to(dtype).requires_grad_() for name in ("query", "key", "value")}
        gates = [gate.detach().to(dtype).requires_grad_() for gate in (log_forget, log_input)]
        if dtype is torch.float32:
            outputs, _ = mlstm_outputs(named, *gates)
        else:
            outputs = slow_recurrences.mlstm(*named.values(), *gates)
        found.append(torch.autograd.grad(outputs.sin().sum(), [*named.values(), *gates]))
    assert_near(*found, atol=1e-3)


@pytest.mark.parametrize("height", [-1e4, -200.0, 200.0, 1e4])
def test_gates_of_any_height_stay_finite(height):
    inputs, log_forget, log_input = gates_of_mlstm(70, 1.0)
    leaves = [log_forget.requires_grad_(), (log_input + height).requires_grad_()]
    outputs, peak = mlstm_outputs(inputs, *leaves)
    gradients = torch.autograd.grad(outputs.sum(), leaves)
    for each in (outputs, peak, *gradients):
        assert each.isfinite().all()


def test_short_convolution_by_hand():
    weight = torch.tensor([[1.0], [10.0], [100.0], [1000.0]])  # oldest move first
    inputs = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]).view(1, 5, 1)
    sums = torch.tensor([1000.0, 2100.0, 3210.0, 4321.0, 5432.0])
    expected = sums * sums.sigmoid()
    found, last = short_convolution.unroll(inputs, torch.zeros(1, 4, 1), weight)
    torch.testing.assert_close(found.flatten(), expected)
    assert last.flatten().tolist() == [2.0, 3.0, 4.0, 5.0]
    window = torch.zeros(1, 4, 1)
    for t in range(5):
        stepped, window = short_convolution.step(inputs[:, t], window, weight)
        torch.testing.assert_close(stepped.flatten(), expected[t : t + 1])
    assert torch.equal(window, last)


def test_mamba_equals_mambapy():
    """A selective scan whose channels share decay and step size in each head is Mamba-2's."""
    mamba = pytest.importorskip("mambapy.mamba")
    B, H, T, N, P = 2, 3, 45, 4, 4
    generator = torch.Generator().manual_seed(0)
    inputs = drawn(T, heads=H, keys=N, values=P, key_heads=1)
    sizes = torch.rand(B, H, T, generator=generator)
    rates = 1 + torch.rand(H, generator=generator)
    value, skip = inputs["value"], torch.randn(H, generator=generator)
    scan = mamba.MambaBlock(mamba.MambaConfig(d_model=H * P // 2, n_layers=1, d_state=N)).selective_scan_seq
    expected = scan(
        value.permute(0, 2, 1, 3).flatten(2),
        sizes.permute(0, 2, 1).repeat_interleave(P, dim=-1),
        -rates.repeat_interleave(P)[:, None].expand(-1, N),
        inputs["key"][:, 0],
        inputs["query"][:, 0],
        skip.repeat_interleave(P),
    )
    found, _ = gated_recurrence.unroll(
        inputs["query"],
        inputs["key"],
        value * sizes[..., None],
        -sizes * rates[:, None],
        torch.zeros(B, H, N, P),
    )
    found = (found + skip[:, None, None] * value).permute(0, 2, 1, 3).flatten(2)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_mlstm_equals_mlstm_kernels():
    """Its single step in native torch divides by sqrt(D) itself and forgets by a sigmoid; 2.0.6 was run."""
    kernels = pytest.importorskip("mlstm_kernels.torch.recurrent.native_step")
    moves = 70
    inputs, _, log_input = gates_of_mlstm(moves, 3.0)
    forget = torch.randn(2, 3, moves, generator=torch.Generator().manual_seed(4))
    state = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4), torch.zeros(2, 3, 1)
    expected = []
    for t in range(moves):
        vectors = (inputs[name][:, :, t] for name in ("query", "key", "value"))
        gates = log_input[:, :, t, None], forget[:, :, t, None]
        output, state = kernels.mlstm_recurrent_step__native_fw(*state, *vectors, *gates, eps=0.0)
        expected.append(output)
    scaled = inputs | {"query": inputs["query"] / 2}
    found, peak = mlstm_outputs(scaled, functional.logsigmoid(forget), log_input)
    torch.testing.assert_close(found, torch.stack(expected, dim=2), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(peak, state[2][..., 0], atol=1e-4, rtol=1e-5)


def test_gated_delta_rule_equals_flash_linear_attention():
    """Its naive recurrence is read from the installed file, for the package imports Triton; 0.6.0 was run."""
    pytest.importorskip("einops")
    try:
        path = importlib.metadata.distribution("fla-core").locate_file("fla/ops/gated_delta_rule/naive.py")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("fla-core is not installed")
    spec = importlib.util.spec_from_file_location("naive_gated_delta_rule", str(path))
    naive = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(naive)
    inputs = drawn(83)
    moves_first = {
        name: inputs[name].transpose(1, 2) for name in ("query", "key", "value", "rate", "log_decay")
    }
    expected, memory = naive.naive_recurrent_gated_delta_rule(
        *moves_first.values(), scale=1.0, initial_state=inputs["memory"], output_final_state=True
    )
    assert_near(gated_recurrence.unroll_delta(**inputs), (expected.transpose(1, 2), memory))
