"""Settings of the whole suite: a property's example may take its time, for machines are busy and slow."""

from hypothesis import settings

settings.register_profile("understudy", deadline=None)
settings.load_profile("understudy")
