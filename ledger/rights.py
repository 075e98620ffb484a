"""Which roles may call which methods of the ledger.

Whoever books is a service: the gateway, or another one of the deployment's own. Operators correct
what has to be corrected by hand. Finance reads, exports and verifies everything.
"""

from runtime.rights import Rights, Role, changes, reads

BOOKS = Role.SERVICE, Role.OPERATOR
ALL = *BOOKS, Role.FINANCE

RIGHTS: Rights = {
    "ledger.v1.LedgerService": {
        "CreateLedger": changes("name", *BOOKS),
        "GetLedger": reads(*ALL),
        "ListLedgers": reads(*ALL),
        "CreateAccount": changes("ledger account.name", *BOOKS),
        "BatchCreateAccounts": changes("ledger", *BOOKS),
        "GetAccount": reads(*ALL),
        "ListAccounts": reads(*ALL),
        "CloseAccount": changes("ledger name", *BOOKS),
        "CreateTransaction": changes("ledger transaction.reference", *BOOKS),
        "BatchCreateTransactions": changes("ledger", *BOOKS),
        "PostTransaction": changes("ledger post.pending", *BOOKS),
        "VoidTransaction": changes("ledger void.pending", *BOOKS),
        "ReverseTransaction": changes("ledger reversal.original", *BOOKS),
        "GetTransaction": reads(*ALL),
        "ListTransactions": reads(*ALL),
        "ListEntries": reads(*ALL),
        "GetBalance": reads(*ALL),
        "GetTrialBalance": reads(*ALL),
        "WatchTransactions": reads(*ALL),
    },
    "ledger.v1.AuditService": {
        "GetCheckpoint": reads(*ALL),
        "GetInclusionProof": reads(*ALL),
        "GetConsistencyProof": reads(*ALL),
        "VerifyLedger": reads(*ALL),
        "ExportLog": reads(*ALL),
    },
    "ledger.v1.OperatorActService": {
        "ListOperatorActs": reads(Role.OPERATOR),
    },
}
DEFAULT_CLIENT_ROLES = {
    "gateway": "service",
    "operator": "operator",
    "finance": "finance",
    "reconciliation": "finance",
}
