"""What holds for all tests."""

from hypothesis import settings

# How long an example takes is the machine's business: a deadline fails a right answer on a busy one.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
