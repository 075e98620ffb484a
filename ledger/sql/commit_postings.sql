-- Commits transactions of direct kind and decisions, nothing else: the hot path of commit.sql.
WITH head AS (
    UPDATE ledger_heads AS h
    SET
        revision = h.revision + 1,
        commit_id = %(commit_id)s::uuid,
        last_sequence = %(last_sequence)s,
        last_record_time = %(record_time)s
    WHERE
        h.ledger_id = %(ledger_id)s
        AND h.revision = %(revision)s
        AND NOT h.fenced
        AND h.commit_id IS NOT DISTINCT FROM %(last_commit_id)s::uuid
        AND (h.closed_time IS NULL OR h.closed_time < %(record_time)s)
        AND NOT EXISTS (
            SELECT FROM transactions AS t
            WHERE t.ledger_id = %(ledger_id)s AND t.request_id = ANY(%(request_ids)b)
        )
        AND NOT EXISTS (
            SELECT FROM decisions AS d
            WHERE d.ledger_id = %(ledger_id)s AND d.request_id = ANY(%(request_ids)b)
        )
    RETURNING h.ledger_id
),

added_transactions AS (
    INSERT INTO transactions (
        ledger_id, sequence, kind, entry_count, record_time, effective_time, request_id,
        reference, body, leaf_hash
    )
    SELECT
        head.ledger_id,
        n.sequence,
        n.kind,
        n.entry_count,
        %(record_time)s,
        n.effective_time,
        n.request_id,
        n.reference,
        n.body,
        n.leaf_hash
    FROM
        head,
        unnest(
            %(t_sequence)b, %(t_kind)b, %(t_entry_count)b, %(t_effective_time)b, %(t_request_id)b,
            %(t_reference)b, %(t_body)b, %(t_leaf_hash)b
        ) AS n (sequence, kind, entry_count, effective_time, request_id, reference, body, leaf_hash)
),

added_entries AS (
    INSERT INTO entries (
        ledger_id, sequence, entry_index, account_number, direction, effect, amount,
        posted_debits, posted_credits, pending_debits, pending_credits, version, effective_time
    )
    SELECT
        head.ledger_id,
        n.sequence,
        n.entry_index,
        n.account_number,
        n.direction,
        1,
        n.amount,
        n.posted_debits,
        n.posted_credits,
        n.pending_debits,
        n.pending_credits,
        n.version,
        n.effective_time
    FROM
        head,
        unnest(
            %(e_sequence)b, %(e_entry_index)b, %(e_account_number)b, %(e_direction)b,
            %(e_amount)b, %(e_posted_debits)b, %(e_posted_credits)b, %(e_pending_debits)b,
            %(e_pending_credits)b, %(e_version)b, %(e_effective_time)b
        ) AS n (
            sequence, entry_index, account_number, direction, amount, posted_debits,
            posted_credits, pending_debits, pending_credits, version, effective_time
        )
),

changed_balances AS (
    UPDATE balances AS b
    SET
        posted_debits = n.posted_debits,
        posted_credits = n.posted_credits,
        version = n.version
    FROM
        head,
        unnest(
            %(b_account_number)b, %(b_posted_debits)b, %(b_posted_credits)b, %(b_version)b
        ) AS n (account_number, posted_debits, posted_credits, version)
    WHERE b.ledger_id = head.ledger_id AND b.account_number = n.account_number
),

added_decisions AS (
    INSERT INTO decisions (
        ledger_id, request_id, operation, body, fingerprint, failed, answer, record_time
    )
    SELECT
        head.ledger_id,
        n.request_id,
        n.operation,
        n.body,
        n.fingerprint,
        n.failed <> 0,
        n.answer,
        %(record_time)s
    FROM
        head,
        unnest(
            %(d_request_id)b, %(d_operation)b, %(d_body)b, %(d_fingerprint)b, %(d_failed)b,
            %(d_answer)b
        ) AS n (request_id, operation, body, fingerprint, failed, answer)
)

SELECT count(*) FROM head;
