"""What holds for all tests."""

import os

from hypothesis import HealthCheck, settings

# The fork handlers of grpc, which plays the other side of some services, have crashed children between fork and exec.
# It reads this when it is imported first.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# A machine that is busy with other things fails no test.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
