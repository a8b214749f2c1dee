SELECT
    r.review_id,
    r.order_id,
    year(r.review_creation_date) * 10000
    + month(r.review_creation_date) * 100
    + day(r.review_creation_date) AS date_key,
    c.customer_unique_id,
    r.review_score,
    r.review_comment_title IS NOT NULL OR r.review_comment_message IS NOT NULL AS has_comment,
    coalesce(length(r.review_comment_message), 0) AS comment_length,
    r.review_creation_date,
    r.review_answer_timestamp,
    datediff(r.review_answer_timestamp, r.review_creation_date) AS answer_days
FROM order_reviews AS r
LEFT JOIN orders AS o ON o.order_id = r.order_id
LEFT JOIN customers AS c ON c.customer_id = o.customer_id
