"""What holds for all tests."""

import os

# The fork handlers of grpc, which plays the other side of some services, have crashed children between fork and exec.
# It reads this when it is imported first.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
