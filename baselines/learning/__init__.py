"""What the architectures share: checked settings, observation encoders, and the one training loop."""
