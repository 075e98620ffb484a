-- Results of Sigma's queries that are here.
SELECT
    f.file_id,
    f.file_sha256
FROM sigma_file AS f;
