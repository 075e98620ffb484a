-- Moves markers forward. Each that is given is true of this database, so the latest is.
INSERT INTO webhook_walk (corridor, stripe_account, walked_until)
SELECT
    given.corridor,
    given.stripe_account,
    given.walked_until
FROM
    unnest(
        cast(:corridors AS text []),
        cast(:stripe_accounts AS text []),
        cast(:walked_until AS timestamptz [])
    ) AS given (corridor, stripe_account, walked_until)
-- Two that advance the same ones lock them in the same order.
ORDER BY given.corridor, given.stripe_account
ON CONFLICT (corridor, stripe_account) DO UPDATE
SET walked_until = excluded.walked_until
WHERE webhook_walk.walked_until < excluded.walked_until
