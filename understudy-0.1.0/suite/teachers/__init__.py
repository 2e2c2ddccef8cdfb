"""Teachers: DQNs that learn from scratch while their runs are recorded, several seeds in lock-step."""
