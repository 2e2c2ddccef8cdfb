"""The conformance kit, on the architecture of this package, in a game of each family."""

import pytest
from my_lstm import ARCHITECTURE

from understudy.suite import games
from understudy.suite.testing.architecture_checks import check_architecture


@pytest.mark.parametrize("game", ["darkroom/goal-40", "minatar/breakout", "atari/breakout"])
def test_it_conforms(game):
    check_architecture(ARCHITECTURE, games.load(game), width=16)
