-- A bank decides about a payment for hours or days: its money may be held meanwhile.
ALTER TABLE payment
DROP CONSTRAINT payment_state_check,
ADD CONSTRAINT payment_state_check CHECK (state IN (
    'RECEIVED', 'COMPLIANCE_CHECKED', 'BLOCKED', 'IN_REVIEW', 'QUEUED', 'AUTHORIZING',
    'RETRY_SCHEDULED', 'REQUIRES_ACTION', 'PROCESSING', 'AUTHORIZED', 'CAPTURING', 'CANCELING',
    'SUCCEEDED', 'DECLINED', 'CANCELED', 'EXPIRED', 'FAILED'
)) NOT VALID;

-- The one about the hold had no name of its own.
DO $$
DECLARE
    nameless text;
BEGIN
    SELECT conname INTO STRICT nameless
    FROM pg_constraint
    WHERE
        conrelid = 'payment'::regclass
        AND contype = 'c'
        AND pg_get_constraintdef(oid) LIKE '%hold_id%';
    EXECUTE format('ALTER TABLE payment DROP CONSTRAINT %I', nameless);
END
$$;

ALTER TABLE payment
ADD CONSTRAINT payment_hold_check CHECK ((hold_id <> '') = (
    state IN (
        'AUTHORIZING', 'REQUIRES_ACTION', 'PROCESSING', 'AUTHORIZED', 'CAPTURING', 'CANCELING'
    )
)) NOT VALID;
