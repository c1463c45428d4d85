"""Hypothesis profiles: ``dev`` looks for new failures, ``ci`` repeats the same examples."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("dev", deadline=None, print_blob=True)
settings.register_profile(
    "ci",
    parent=settings.get_profile("dev"),
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],  # a small machine under load is no defect
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
