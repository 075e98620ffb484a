-- A request_id is unique in ComplianceService, not in each of its methods. The one on (kind, request_id) stays
-- while code that names it may run.
CREATE UNIQUE INDEX decision_by_request_id ON decision (request_id);
