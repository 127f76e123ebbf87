"""Hypothesis profiles: ``fast``, the same few examples every time; ``HYPOTHESIS_PROFILE=deep``.

And the mending of ``--dist loadgroup``, by which tests that share a costly server share a worker.
"""

import os

import pytest
from _pytest.nodeid import NodeId
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the group into the node id, where the scheduler looks for it.

    pytest-xdist 3.8 writes it to an attribute that pytest 9.2 no longer reads, so that
    ``xdist_group`` has no effect; where it still has one, nothing is left to do here.
    """
    if not config.getoption("loadgroup", default=False):
        return
    for item in items:
        groups = sorted({str(mark.args[0]) for mark in item.iter_markers("xdist_group")})
        suffix = "@" + "_".join(groups)
        if groups and not item.nodeid.endswith(suffix):
            item._id = NodeId.parse(item.nodeid + suffix)
