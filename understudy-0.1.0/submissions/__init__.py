"""Submissions: the folder format of trained imitators, its checks, safe loading, and resolving to entries."""
