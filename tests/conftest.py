"""Settings for the whole test suite."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# time is measured in bench/, never judged in a test: a busy machine or a first compilation must not fail one
settings.register_profile(
    "kcore", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("kcore")
