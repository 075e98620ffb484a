-- Commits everything a batch can decide, or nothing if the head has moved or a request_id is taken.
WITH head AS (
    UPDATE ledger_heads AS h
    SET
        revision = h.revision + 1,
        commit_id = %(commit_id)s::uuid,
        last_sequence = %(last_sequence)s,
        last_record_time = CASE
            WHEN h.last_sequence = %(last_sequence)s THEN h.last_record_time
            ELSE %(record_time)s
        END,
        last_account_number = %(last_account_number)s
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

added_accounts AS (
    INSERT INTO accounts (
        ledger_id, account_number, name, currency_code, normal_balance, min_posted, max_posted,
        min_available, max_available, metadata, create_time
    )
    SELECT
        head.ledger_id,
        n.account_number,
        n.name,
        n.currency_code,
        n.normal_balance,
        n.min_posted,
        n.max_posted,
        n.min_available,
        n.max_available,
        n.metadata::jsonb,
        n.create_time
    FROM
        head,
        unnest(
            %(a_account_number)b, %(a_name)b, %(a_currency_code)b, %(a_normal_balance)b,
            %(a_min_posted)b, %(a_max_posted)b, %(a_min_available)b, %(a_max_available)b,
            %(a_metadata)b, %(a_create_time)b
        ) AS n (
            account_number, name, currency_code, normal_balance, min_posted, max_posted,
            min_available, max_available, metadata, create_time
        )
),

added_balances AS (
    INSERT INTO balances (
        ledger_id, account_number, posted_debits, posted_credits, pending_debits,
        pending_credits, version
    )
    SELECT
        head.ledger_id,
        n.account_number,
        n.posted_debits,
        n.posted_credits,
        n.pending_debits,
        n.pending_credits,
        n.version
    FROM
        head,
        unnest(
            %(a_account_number)b, %(a_posted_debits)b, %(a_posted_credits)b,
            %(a_pending_debits)b, %(a_pending_credits)b, %(a_version)b
        ) AS n (
            account_number, posted_debits, posted_credits, pending_debits, pending_credits,
            version
        )
),

added_closures AS (
    INSERT INTO account_closures (ledger_id, account_number, last_sequence, close_time)
    SELECT
        head.ledger_id,
        n.account_number,
        n.last_sequence,
        n.close_time
    FROM
        head,
        unnest(
            %(c_account_number)b, %(c_last_sequence)b, %(c_close_time)b
        ) AS n (account_number, last_sequence, close_time)
),

added_transactions AS (
    INSERT INTO transactions (
        ledger_id, sequence, kind, entry_count, record_time, effective_time, expire_time,
        request_id, settles_sequence, reverses_sequence, reference, body, leaf_hash
    )
    SELECT
        head.ledger_id,
        n.sequence,
        n.kind,
        n.entry_count,
        %(record_time)s,
        n.effective_time,
        n.expire_time,
        n.request_id,
        n.settles_sequence,
        n.reverses_sequence,
        n.reference,
        n.body,
        n.leaf_hash
    FROM
        head,
        unnest(
            %(t_sequence)b, %(t_kind)b, %(t_entry_count)b, %(t_effective_time)b,
            %(t_expire_time)b, %(t_request_id)b, %(t_settles)b, %(t_reverses)b, %(t_reference)b,
            %(t_body)b, %(t_leaf_hash)b
        ) AS n (
            sequence, kind, entry_count, effective_time, expire_time, request_id,
            settles_sequence, reverses_sequence, reference, body, leaf_hash
        )
),

added_entries AS (
    INSERT INTO entries (
        ledger_id, sequence, entry_index, account_number, direction, effect, source_entry_index,
        amount, posted_debits, posted_credits, pending_debits, pending_credits, version,
        effective_time
    )
    SELECT
        head.ledger_id,
        n.sequence,
        n.entry_index,
        n.account_number,
        n.direction,
        n.effect,
        n.source_entry_index,
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
            %(e_effect)b, %(e_source)b, %(e_amount)b, %(e_posted_debits)b,
            %(e_posted_credits)b, %(e_pending_debits)b, %(e_pending_credits)b, %(e_version)b,
            %(e_effective_time)b
        ) AS n (
            sequence, entry_index, account_number, direction, effect, source_entry_index, amount,
            posted_debits, posted_credits, pending_debits, pending_credits, version,
            effective_time
        )
),

changed_balances AS (
    UPDATE balances AS b
    SET
        posted_debits = n.posted_debits,
        posted_credits = n.posted_credits,
        pending_debits = n.pending_debits,
        pending_credits = n.pending_credits,
        version = n.version
    FROM
        head,
        unnest(
            %(b_account_number)b, %(b_posted_debits)b, %(b_posted_credits)b,
            %(b_pending_debits)b, %(b_pending_credits)b, %(b_version)b
        ) AS n (
            account_number, posted_debits, posted_credits, pending_debits, pending_credits,
            version
        )
    WHERE b.ledger_id = head.ledger_id AND b.account_number = n.account_number
),

added_holds AS (
    INSERT INTO holds (
        ledger_id, sequence, entry_index, account_number, direction, remaining, expire_time
    )
    SELECT
        head.ledger_id,
        n.sequence,
        n.entry_index,
        n.account_number,
        n.direction,
        n.remaining,
        n.expire_time
    FROM
        head,
        unnest(
            %(h_sequence)b, %(h_entry_index)b, %(h_account_number)b, %(h_direction)b,
            %(h_remaining)b, %(h_expire_time)b
        ) AS n (sequence, entry_index, account_number, direction, remaining, expire_time)
),

changed_holds AS (
    UPDATE holds AS h
    SET remaining = n.remaining
    FROM
        head,
        unnest(
            %(s_sequence)b, %(s_entry_index)b, %(s_remaining)b
        ) AS n (sequence, entry_index, remaining)
    WHERE
        h.ledger_id = head.ledger_id
        AND h.sequence = n.sequence
        AND h.entry_index = n.entry_index
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
