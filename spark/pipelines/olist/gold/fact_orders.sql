-- Each many-side is one row an order before it is joined, so that no join multiplies a measure.
WITH item AS (
    SELECT
        order_id,
        CAST(count(*) AS INT) AS items,
        CAST(sum(price) AS DECIMAL(14, 2)) AS items_value,
        CAST(sum(freight_value) AS DECIMAL(14, 2)) AS freight_value
    FROM order_items
    GROUP BY order_id
),
payment AS (
    SELECT
        order_id,
        CAST(count(*) AS INT) AS payments,
        CAST(sum(payment_value) AS DECIMAL(14, 2)) AS payments_value
    FROM order_payments
    GROUP BY order_id
),
review AS (
    SELECT
        order_id,
        CAST(count(*) AS INT) AS reviews,
        CAST(avg(review_score) AS DECIMAL(3, 2)) AS mean_review_score
    FROM order_reviews
    GROUP BY order_id
)
SELECT
    o.order_id,
    year(o.order_purchase_timestamp) * 10000
    + month(o.order_purchase_timestamp) * 100
    + day(o.order_purchase_timestamp) AS date_key,
    c.customer_unique_id,
    o.order_status,
    o.order_purchase_timestamp,
    o.order_delivered_carrier_date,
    o.order_delivered_customer_date,
    o.order_estimated_delivery_date,
    coalesce(item.items, 0) AS items,
    CAST(coalesce(item.items_value, 0) AS DECIMAL(14, 2)) AS items_value,
    CAST(coalesce(item.freight_value, 0) AS DECIMAL(14, 2)) AS freight_value,
    coalesce(payment.payments, 0) AS payments,
    CAST(coalesce(payment.payments_value, 0) AS DECIMAL(14, 2)) AS payments_value,
    coalesce(review.reviews, 0) AS reviews,
    review.mean_review_score,
    datediff(o.order_delivered_customer_date, o.order_purchase_timestamp) AS delivery_days,
    datediff(o.order_delivered_customer_date, o.order_estimated_delivery_date) AS days_late
FROM orders AS o
LEFT JOIN customers AS c ON c.customer_id = o.customer_id
LEFT JOIN item ON item.order_id = o.order_id
LEFT JOIN payment ON payment.order_id = o.order_id
LEFT JOIN review ON review.order_id = o.order_id
