-- The days of matches with other fees that some changes have revoked.
SELECT
    v.corridor,
    v.book_date
FROM match_revocation AS r
INNER JOIN booked_fee_variance AS v ON r.match_id = v.match_id
WHERE r.change_number > %(after)s AND r.change_number <= %(upto)s
