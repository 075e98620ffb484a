"""Measurements: each prints a figure and its ratio to a limit measured in the same run."""

import os

# Benchmarks start processes while channels are open, which gRPC would remark on each time. It reads
# this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
