"""The public conformance kit: what every registered game, history, imitator and task must hold to."""
