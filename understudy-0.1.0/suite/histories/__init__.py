"""Histories: logs of runs, from which emulators rebuild every observation."""
