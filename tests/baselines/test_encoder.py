"""Encoders of a number: by one vector each, or by the two digits of its number."""

from __future__ import annotations

import pytest
import torch

from understudy import baselines
from understudy.baselines.training.encoder import DigitsEncoder
from understudy.suite import games
from understudy.suite.errors import InputError


@pytest.mark.parametrize(("values", "base"), [(81, 9), (82, 10), (80, 9), (2, 2), (64, 8)])
def test_a_number_is_encoded_by_its_two_digits(values, base):
    encoder = DigitsEncoder(values, width=3)
    assert (encoder.high.num_embeddings, encoder.low.num_embeddings) == (base, base)
    numbers = torch.arange(values)
    expected = [encoder.high.weight[n // base] + encoder.low.weight[n % base] for n in range(values)]
    torch.testing.assert_close(encoder(numbers), torch.stack(expected), rtol=0, atol=0)


def test_in_dark_room_the_digits_are_row_and_column():
    """Cells of one row differ as their columns do, in whatever row."""
    game = games.load("darkroom/goal-40")
    architecture = baselines.load("transformer")
    config = architecture.config(game, cell_digits=2, **{**architecture.small, "layers": 1})
    observation = architecture.build(config, game).token.observation
    cells = observation(torch.arange(81)).view(9, 9, -1)  # [row, column, W]
    across = cells[:, 1:] - cells[:, :1]
    torch.testing.assert_close(across, across[:1].expand_as(across), rtol=0, atol=1e-6)


def test_the_number_of_digits_is_stored_only_where_it_is_two():
    """So that configurations, and identities, of before the setting stay what they were."""
    game, architecture = games.load("darkroom/goal-40"), baselines.load("transformer")
    assert "cell_digits" not in architecture.config(game)
    assert architecture.config(game, cell_digits=1) == architecture.config(game)
    assert architecture.config(game, cell_digits=2)["cell_digits"] == 2
    with pytest.raises(InputError, match="cell_digits: expected at most 2; found 3"):
        architecture.config(game, cell_digits=3)
