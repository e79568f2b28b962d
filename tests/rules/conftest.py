"""Generated examples are the same on every run: a failing one prints how to repeat it."""

from hypothesis import settings

settings.register_profile("rules", derandomize=True, database=None, deadline=None, print_blob=True)
settings.load_profile("rules")
