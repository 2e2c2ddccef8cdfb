"""Parts of the DQN controls: networks, replay memory and updates that are kept in a player's state."""
