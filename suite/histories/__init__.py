"""Histories: the log of a life, from which emulators rebuild every observation."""
