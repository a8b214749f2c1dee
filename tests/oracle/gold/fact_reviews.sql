SELECT
    review_id,
    order_id,
    customer_unique_id,
    CASE WHEN review_creation_date IS NOT NULL THEN customer_unique_id END AS known_customer_unique_id,
    year(review_creation_date) * 10000 + month(review_creation_date) * 100 + day(review_creation_date) AS date_key,
    review_score,
    written(review_comment_title) OR written(review_comment_message) AS has_comment,
    coalesce(length(review_comment_message), 0) AS comment_length,
    review_creation_date,
    review_answer_timestamp,
    days(review_creation_date, review_answer_timestamp) AS answer_days
FROM silver.order_reviews
LEFT JOIN silver.orders USING (order_id)
LEFT JOIN silver.customers USING (customer_id)
