"""What operators see of the committers."""

from prometheus_client import Counter, Histogram

COMMITS = Counter("ledger_commits_total", "Batches by what became of them.", ["result"])
COMMIT_SECONDS = Histogram(
    "ledger_commit_seconds",
    "Time to decide and commit one batch.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
COMMIT_ITEMS = Histogram(
    "ledger_commit_items",
    "Transactions and accounts per batch.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 8192),
)
