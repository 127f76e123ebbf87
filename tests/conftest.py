"""Hypothesis profiles: ``fast``, the same few examples every time; ``HYPOTHESIS_PROFILE=deep``."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "fast",
    derandomize=True,
    database=None,
    max_examples=25,
    deadline=None,  # a slow machine is not a wrong program
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "deep",
    max_examples=1000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))
