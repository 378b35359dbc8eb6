-- Return score and quality of the pages of a batch that were read as forms and judged by a classifier.
SELECT quality || jsonb_build_object('form_score', form_score) AS figures
FROM (
    SELECT DISTINCT ON (file_name, page) *
    FROM scans
    WHERE batch_id = %(batch_id)s
    ORDER BY file_name, page, scan_id DESC
) AS last
WHERE state IN ('passed', 'waiting', 'corrected') AND classified_by = %(model_version)s
