-- Delete the messages of a stream of all days of one month.
DELETE FROM stream_messages WHERE batch_id >= %(low)s AND batch_id < %(high)s
