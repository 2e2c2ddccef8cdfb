"""Teachers: DQNs that learn from scratch while their lives are recorded, many seeds in lock-step."""
