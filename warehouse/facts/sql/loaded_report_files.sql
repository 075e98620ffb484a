-- Files of reports that are here.
SELECT
    f.file_id,
    f.file_sha256
FROM report_file AS f
WHERE f.problem IS NULL;
