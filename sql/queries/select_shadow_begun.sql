-- Return whether a challenger was put into shadow, or a training ended without one.
SELECT EXISTS (SELECT FROM shadows)
    OR EXISTS (SELECT FROM task_metrics WHERE task = 'train.mirror') AS is_begun
