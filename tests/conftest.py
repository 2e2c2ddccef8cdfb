"""Settings of the whole suite: a property's example may take its time, for machines are busy and slow."""

import signal

import pytest
from hypothesis import settings

settings.register_profile("understudy", deadline=None)
settings.load_profile("understudy")


@pytest.fixture
def hears_ctrl_c():
    """As at a terminal: what a shell runs in the background ignores it, and so would the tests there."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)
