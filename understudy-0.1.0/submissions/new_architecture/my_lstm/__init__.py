"""my-lstm: an imitator that remembers by an LSTM, for `understudy train my-lstm`."""

import torch
from torch import nn

import understudy
from understudy.baselines.training.encoder import encode, encoder


class MyLSTM(nn.Module):
    """One LSTM over what a player may know before each move; one logit per action."""

    reach_moves = None  # any earlier move can matter, however long ago

    def __init__(self, game, width):
        super().__init__()
        self.see = encoder(game, width)  # observations of any game family -> [N, width]
        self.act = nn.Embedding(game.num_actions, width)
        self.lstm = nn.LSTM(width + 2, width, batch_first=True)
        self.decide = nn.Linear(width, game.num_actions)

    def initial_state(self, batch_size):
        """Return the empty memory: a flat dict of tensors, batch first, on the module's device."""
        zeros = self.decide.weight.new_zeros(batch_size, self.lstm.hidden_size)
        return {"hidden": zeros, "cell": zeros.clone()}

    def unroll(self, timesteps, state):
        """Return logits [B, T, A] for T moves and the state after them, in training and priming."""
        begins = timesteps.first_of_run[:, :1]  # [B, 1]; a run begins at the first move, or not at all
        hidden, cell = (state[name].masked_fill(begins, 0)[None] for name in ("hidden", "cell"))  # [1, B, W]
        outcome = torch.stack((timesteps.previous_reward.sign(), timesteps.first.float()), -1)  # [B, T, 2]
        seen = encode(self.see, timesteps.observation, 2) + self.act(timesteps.previous_action)  # [B, T, W]
        x, (hidden, cell) = self.lstm(torch.cat((seen, outcome), -1), (hidden, cell))
        return self.decide(x), {"hidden": hidden[0].detach(), "cell": cell[0].detach()}

    @torch.no_grad()
    def step(self, timestep, state):
        """Return logits [B, A] for one move and the next state, in play."""
        one = understudy.Timestep(*(field[:, None] for field in timestep))
        logits, state = self.unroll(one, state)
        return logits[:, 0], state


ARCHITECTURE = understudy.ModuleArchitecture("my-lstm", MyLSTM, width=128)
