import os

# gRPC's own fork handlers run in every child this process forks, and have crashed some of them between fork and exec.
# Read when `grpc` is imported first, so it is said before any module of this package can.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
