SELECT
    r.review_id,
    r.order_id,
    dc.customer_key,
    CAST(r.review_creation_date AS DATE) AS review_date,
    r.review_score,
    r.review_comment_title,
    r.review_comment_message,
    r.review_creation_date,
    r.review_answer_timestamp,
    days_between(r.review_creation_date, r.review_answer_timestamp) AS answer_days
FROM order_reviews AS r
JOIN orders AS o ON o.order_id = r.order_id
LEFT JOIN customers AS c ON c.customer_id = o.customer_id
LEFT JOIN dim_customers AS dc
    ON dc.customer_unique_id = c.customer_unique_id
    AND r.review_creation_date >= dc.valid_from
    AND (dc.valid_to IS NULL OR r.review_creation_date < dc.valid_to)
