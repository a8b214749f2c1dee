-- Items, payments and reviews stand below each other, never beside each other, so none multiplies another.
WITH part AS (
    SELECT order_id, order_item_id, price, freight_value FROM silver.order_items
    UNION ALL BY NAME
    SELECT order_id, payment_sequential, payment_value FROM silver.order_payments
    UNION ALL BY NAME
    SELECT order_id, review_id, review_score FROM silver.order_reviews
)
SELECT
    orders.order_id,
    customer_unique_id,
    customer_unique_id AS known_customer_unique_id,
    order_status,
    order_purchase_timestamp,
    year(order_purchase_timestamp) * 10000 + month(order_purchase_timestamp) * 100
    + day(order_purchase_timestamp) AS date_key,
    order_delivered_carrier_date,
    order_delivered_customer_date,
    order_estimated_delivery_date,
    count(order_item_id) AS items,
    coalesce(sum(price), 0) AS items_value,
    coalesce(sum(part.freight_value), 0) AS freight_value,
    count(payment_sequential) AS payments,
    coalesce(sum(payment_value), 0) AS payments_value,
    count(review_id) AS reviews,
    avg(review_score) AS mean_review_score,
    days(order_purchase_timestamp, order_delivered_customer_date) AS delivery_days,
    days(order_estimated_delivery_date, order_delivered_customer_date) AS days_late
FROM silver.orders
LEFT JOIN part USING (order_id)
LEFT JOIN silver.customers USING (customer_id)
GROUP BY ALL
