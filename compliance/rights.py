"""Which roles may call which methods of compliance.

The gateway asks for checks and is told of cases, nothing else. Operators keep subjects, decide
matches and cases and look at everything; support sees why something was refused, and no personal
data.
"""

from runtime.rights import Rights, Role, changes, reads

OPERATOR, SERVICE, SUPPORT = Role.OPERATOR, Role.SERVICE, Role.SUPPORT

RIGHTS: Rights = {
    "compliance.v1.ComplianceService": {
        "CheckPayment": changes("payment_id", SERVICE),
        "CheckTransfer": changes("transfer_id", SERVICE),
        "CheckPayout": changes("payout_id", SERVICE),
    },
    "compliance.v1.CaseService": {
        "GetCase": reads(OPERATOR),
        "ListCases": reads(OPERATOR),
        "ListCaseEvents": reads(OPERATOR),
        "AssignCase": changes("case_id assignee", OPERATOR),
        "AddCaseNote": changes("case_id", OPERATOR),
        "ApproveCase": changes("case_id expected_revision", OPERATOR),
        "RefuseCase": changes("case_id", OPERATOR),
        "WatchCases": reads(OPERATOR, SERVICE),
    },
    "compliance.v1.DecisionService": {
        "GetDecision": reads(OPERATOR, SUPPORT),
        "ListDecisions": reads(OPERATOR, SUPPORT),
        "ReplayDecision": reads(OPERATOR),
        "VerifyDecisions": reads(OPERATOR),
    },
    "compliance.v1.DocumentService": {
        "CreateDocument": changes("merchant_id field", OPERATOR),
        "WithdrawDocument": changes("document_id", OPERATOR),
        "GetDocument": reads(OPERATOR),
        "ListDocuments": reads(OPERATOR),
    },
    "compliance.v1.FreezeForecastService": {
        "GetFreezeForecast": reads(OPERATOR),
        "ListFreezeForecasts": reads(OPERATOR),
        "ListFreezeForecastRecord": reads(OPERATOR),
        "GetFreezeForecastFigures": reads(OPERATOR),
        "WatchFreezeForecasts": reads(OPERATOR),
    },
    "compliance.v1.NoticeService": {
        "ListNotices": reads(OPERATOR),
        "WatchNotices": reads(OPERATOR),
        "SetNoticeAddress": changes("merchant_id", OPERATOR),
        "ResendNotice": changes("sequence", OPERATOR),
    },
    "compliance.v1.PolicyService": {
        "CreatePolicyVersion": changes("policy_version", OPERATOR),
        "ShadowPolicyVersion": changes("policy_version", OPERATOR),
        "ActivatePolicyVersion": changes("policy_version replaced_policy_version", OPERATOR),
        "RetirePolicyVersion": changes("policy_version", OPERATOR),
        "BacktestPolicyVersion": reads(OPERATOR),
        "GetShadowReport": reads(OPERATOR),
        "GetPolicyVersion": reads(OPERATOR),
        "ListPolicyVersions": reads(OPERATOR),
    },
    "compliance.v1.RequirementService": {
        "GetAccountSnapshot": reads(OPERATOR),
        "RefreshAccountSnapshot": changes("merchant_id", OPERATOR),
        "ListRequirements": reads(OPERATOR),
        # Its answer has a secret that belongs to the merchant.
        "CreateRequirementLink": changes("merchant_id", OPERATOR),
        "GetTaxStatus": reads(OPERATOR),
    },
    "compliance.v1.ScreeningService": {
        "ListSanctionsLists": reads(OPERATOR),
        "ListSanctionsListVersions": reads(OPERATOR),
        "LoadSanctionsList": changes("list accept_losses", OPERATOR),
        "ScreenName": reads(OPERATOR),
        "GetMatch": reads(OPERATOR),
        "ListMatches": reads(OPERATOR),
        "ClearMatch": changes("match_id", OPERATOR),
        "ConfirmMatch": changes("match_id", OPERATOR),
    },
    "compliance.v1.SubjectService": {
        "CreateSubject": changes("subject_id", OPERATOR),
        "UpdateSubject": changes("subject_id", OPERATOR),
        "GetSubject": reads(OPERATOR),
        "ListSubjects": reads(OPERATOR),
        "SetKycState": changes("subject_id kyc_state", OPERATOR),
        "SetSubjectState": changes("subject_id state", OPERATOR),
    },
    "compliance.v1.VerificationService": {
        # Their answers have a secret that belongs to the person.
        "CreateVerification": changes("subject_id", OPERATOR),
        "CreateVerificationLink": reads(OPERATOR),
        "GetVerification": reads(OPERATOR),
        "ListVerifications": reads(OPERATOR),
        "CancelVerification": changes("verification_id", OPERATOR),
        "RedactVerification": changes("verification_id", OPERATOR),
    },
    "compliance.v1.OperatorActService": {
        "ListOperatorActs": reads(OPERATOR),
    },
}
DEFAULT_CLIENT_ROLES = {"gateway": "service", "operator": "operator", "support": "support"}
