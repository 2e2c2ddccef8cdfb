"""The public conformance kit: checks that every registered game, history, imitator and task passes."""
