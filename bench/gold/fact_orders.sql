WITH item AS (
    SELECT
        order_id,
        CAST(count(*) AS INT) AS items,
        CAST(sum(price) AS DECIMAL(12, 2)) AS price_total,
        CAST(sum(freight_value) AS DECIMAL(12, 2)) AS freight_total
    FROM order_items
    GROUP BY order_id
),
payment AS (
    SELECT
        order_id,
        CAST(count(*) AS INT) AS payments,
        CAST(sum(payment_value) AS DECIMAL(12, 2)) AS payment_total
    FROM order_payments
    GROUP BY order_id
),
review AS (
    SELECT order_id, CAST(count(*) AS INT) AS reviews, avg(review_score) AS mean_review_score
    FROM order_reviews
    GROUP BY order_id
)
SELECT
    o.order_id,
    dc.customer_key,
    c.customer_unique_id,
    CAST(o.order_purchase_timestamp AS DATE) AS purchase_date,
    o.order_purchase_timestamp,
    o.order_status,
    coalesce(item.items, 0) AS items,
    coalesce(item.price_total, 0) AS price_total,
    coalesce(item.freight_total, 0) AS freight_total,
    coalesce(payment.payments, 0) AS payments,
    coalesce(payment.payment_total, 0) AS payment_total,
    coalesce(review.reviews, 0) AS reviews,
    review.mean_review_score,
    days_between(o.order_purchase_timestamp, o.order_delivered_customer_date) AS delivery_days,
    days_between(o.order_estimated_delivery_date, o.order_delivered_customer_date) AS days_late
FROM orders AS o
LEFT JOIN item ON item.order_id = o.order_id
LEFT JOIN payment ON payment.order_id = o.order_id
LEFT JOIN review ON review.order_id = o.order_id
LEFT JOIN customers AS c ON c.customer_id = o.customer_id
LEFT JOIN dim_customers AS dc
    ON dc.customer_unique_id = c.customer_unique_id
    AND o.order_purchase_timestamp >= dc.valid_from
    AND (dc.valid_to IS NULL OR o.order_purchase_timestamp < dc.valid_to)
