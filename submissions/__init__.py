"""Submissions: the folder that a trained imitator is sent in, read safely, checked, resolved to players."""
