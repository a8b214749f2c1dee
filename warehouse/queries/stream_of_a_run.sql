-- The newest stream's run by partition: what its producer sent, and how far it was taken in; put another run's id in place of the subquery.
WITH this AS (
    SELECT run_id FROM audit.stream_sends ORDER BY started_at DESC LIMIT 1
), taken AS (
    SELECT (each ->> 'partition')::integer AS partition,
           max((each ->> 'to')::bigint) AS taken_up_to,
           count(DISTINCT batch) AS batches
    FROM audit.stream_batches CROSS JOIN LATERAL jsonb_array_elements(offsets) AS each
    WHERE run_id = (SELECT run_id FROM this)
    GROUP BY 1
)
SELECT sends.run_id, sends.topic, sends.partition, sends.first_offset, sends.next_offset,
       sends.acknowledged, sends.refused,
       coalesce(taken.batches, 0) AS batches, taken.taken_up_to,
       greatest(sends.next_offset - coalesce(taken.taken_up_to, sends.first_offset), 0) AS lag,
       sends.finished_at IS NOT NULL AS producer_ended, left(sends.error, 120) AS error
FROM audit.stream_sends AS sends
LEFT JOIN taken USING (partition)
WHERE sends.run_id = (SELECT run_id FROM this)
ORDER BY sends.topic, sends.partition;
