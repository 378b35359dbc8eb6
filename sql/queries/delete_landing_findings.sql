-- Delete the findings about the landing folder that are no longer so.
DELETE FROM landing_findings WHERE finding || ' ' || subject <> ALL (%(found)s)
