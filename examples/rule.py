"""The least that can be scored: a rule without weights, written with `step` alone."""

import torch
from torch import nn

import understudy


class KeepWhatPays(nn.Module):
    """Repeats the action that was just rewarded; otherwise it tries the next one."""

    reach_moves = None  # any earlier move may matter to it

    def initial_state(self, batch_size):
        return {"action": torch.zeros(batch_size, dtype=torch.int64)}  # [B]

    def step(self, timestep, state):
        action = state["action"].masked_fill(timestep.first_of_run, 0)  # [B]
        paid = timestep.previous_reward > 0
        action = torch.where(paid, timestep.previous_action, (action + 1) % timestep.legal_actions.shape[1])
        return nn.functional.one_hot(action, timestep.legal_actions.shape[1]).float(), {"action": action}


result = understudy.evaluate(
    KeepWhatPays(), "darkroom-v1", name="keep-what-pays", tasks=["transfer"], priming_moves=0, out="results"
)
print(result)
print(result.to_frame()[["task", "answer", "normalised_gain", "normalised_gain_low", "normalised_gain_high"]])
