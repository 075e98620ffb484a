"""What operators see of the committers, the sealer and the snapshots."""

from prometheus_client import Counter, Gauge, Histogram

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
UNSEALED = Gauge(
    "ledger_unsealed_transactions",
    "Committed transactions that no checkpoint covered when the sealer of a shard last looked.",
    ["shard"],
)
SEALED = Counter("ledger_sealed_transactions_total", "Transactions sealed by this process.")
SEALS = Counter(
    "ledger_seals_total", "Checkpoints of this process by what became of them.", ["result"]
)
for _result in ("sealed", "lost", "failed", "refused", "unconfirmed"):
    SEALS.labels(_result)
SEAL_SECONDS = Histogram(
    "ledger_seal_seconds",
    "Time from reading what is new of one ledger to its signed checkpoint.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
SNAPSHOTTED = Counter(
    "ledger_snapshotted_transactions_total",
    "Transactions that this process added up for reads of the past.",
)
