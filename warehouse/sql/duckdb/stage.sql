-- Reads leaves, a line each, with declared types: nothing is guessed from the first rows.
CREATE OR REPLACE TEMP TABLE staged_leaf AS
SELECT
    json_extract_string(l.leaf, '$.ledger') AS ledger,
    cast(json_extract_string(l.leaf, '$.sequence') AS BIGINT) AS sequence,
    from_json(
        l.leaf,
        '{
            "kind": "VARCHAR", "record_time": "VARCHAR", "effective_time": "VARCHAR",
            "expire_time": "VARCHAR", "request_id": "VARCHAR", "reference": "VARCHAR",
            "settles": "VARCHAR", "reverses": "VARCHAR", "metadata": "JSON", "exchanges": "JSON",
            "entries": [{
                "account": "VARCHAR", "currency": "VARCHAR", "direction": "VARCHAR", "effect": "VARCHAR",
                "amount": "VARCHAR", "description": "VARCHAR", "source_entry": "VARCHAR"
            }]
        }'
    ) AS content,
    l.leaf
FROM
    read_csv(
        ?,
        columns = {'leaf': 'VARCHAR'},
        auto_detect = false, header = false, delim = '\x01', quote = '', escape = '',
        new_line = '\n', max_line_size = ?, strict_mode = false
    ) AS l;
