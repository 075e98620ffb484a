"""Which roles may call which methods of reconciliation. Finance looks, operators decide."""

from runtime.rights import Rights, Role, changes, reads

OPERATOR, FINANCE = Role.OPERATOR, Role.FINANCE

RIGHTS: Rights = {
    "reconciliation.v1.ReconciliationService": {
        "GetBreak": reads(OPERATOR, FINANCE),
        "ListBreaks": reads(OPERATOR, FINANCE),
        "WatchBreaks": reads(OPERATOR, FINANCE),
        "ListMatches": reads(OPERATOR, FINANCE),
        "AssignBreak": changes("break_id assignee", OPERATOR),
        "AddNote": changes("break_id", OPERATOR),
        "ResolveBreak": changes("break_id", OPERATOR),
        "IgnoreItem": changes("item.source item.corridor item.key leg", OPERATOR),
        "UnignoreItem": changes("item.source item.corridor item.key leg", OPERATOR),
        "AcceptBreak": changes("break_id", OPERATOR),
        "RevokeMatch": changes("match_id", OPERATOR),
    },
    "reconciliation.v1.LiquidityService": {
        "GetLiquidity": reads(OPERATOR, FINANCE),
    },
    "reconciliation.v1.StatementService": {
        "UploadStatement": changes("bank_account", OPERATOR),
        "GetStatement": reads(OPERATOR, FINANCE),
        "ListStatements": reads(OPERATOR, FINANCE),
        "WatchStatements": reads(OPERATOR, FINANCE),
    },
    "reconciliation.v1.ItemService": {
        "ListItems": reads(OPERATOR, FINANCE),
        "GetItem": reads(OPERATOR, FINANCE),
    },
    "reconciliation.v1.PeriodService": {
        "ClosePeriod": changes("kind first_day corridor", OPERATOR),
        "GetPeriod": reads(OPERATOR, FINANCE),
        "ListPeriods": reads(OPERATOR, FINANCE),
        "ExportPeriod": reads(OPERATOR, FINANCE),
    },
    "reconciliation.v1.AdjustmentService": {
        "AdjustBreak": changes("break_id", OPERATOR),
        "GetAdjustment": reads(OPERATOR, FINANCE),
    },
    "reconciliation.v1.OperatorActService": {
        "ListOperatorActs": reads(OPERATOR),
    },
}
DEFAULT_CLIENT_ROLES = {"operator": "operator", "finance": "finance"}
