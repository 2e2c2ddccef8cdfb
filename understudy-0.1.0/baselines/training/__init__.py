"""Training of imitators: the training loop, observation encoders, checked settings, seeded parameters."""
