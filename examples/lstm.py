"""An LSTM of one's own: trained on the watched histories in a loop of one's own, then scored."""

import torch
from torch import nn
from torch.nn import functional

import understudy


class LSTM(nn.Module):
    def __init__(self, game, width=64):
        super().__init__()
        self.see = nn.Embedding(game.observation_values, width)
        self.act = nn.Embedding(game.num_actions, width)
        self.lstm = nn.LSTM(width + 1, width, batch_first=True)
        self.decide = nn.Linear(width, game.num_actions)

    def initial_state(self, batch_size):
        zeros = self.decide.weight.new_zeros(batch_size, self.lstm.hidden_size)
        return {"hidden": zeros, "cell": zeros.clone()}

    def unroll(self, timesteps, state):
        begins = timesteps.first_of_run[:, :1]  # [B, 1]
        memory = tuple(state[name].masked_fill(begins, 0)[None] for name in ("hidden", "cell"))
        seen = self.see(timesteps.observation.long()) + self.act(timesteps.previous_action)  # [B, T, W]
        x, (hidden, cell) = self.lstm(torch.cat((seen, timesteps.previous_reward[..., None]), -1), memory)
        return self.decide(x), {"hidden": hidden[0].detach(), "cell": cell[0].detach()}

    def step(self, timestep, state):
        logits, state = self.unroll(understudy.Timestep(*(field[:, None] for field in timestep)), state)
        return logits[:, 0].detach(), state


torch.manual_seed(0)
histories = understudy.load_histories("darkroom-v1")
model = LSTM(histories.game)
optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(3):
    for timesteps, targets, mask in histories.loader(window_moves=128, batch_size=16, seed=epoch):
        logits, _ = model.unroll(timesteps, model.initial_state(len(targets)))  # [B, T, A]
        loss = functional.cross_entropy(logits[mask], targets[mask])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    print(f"epoch {epoch}: loss {loss.item():.3f} nats")
result = understudy.evaluate(model, "darkroom-v1", teachers=histories.names, name="my-lstm", out="results")
print(result)
result.plot("curves.svg")
