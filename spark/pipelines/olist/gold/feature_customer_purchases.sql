SELECT
    customer_unique_id,
    max(order_purchase_timestamp) AS last_purchase,
    CAST(count(*) AS INT) AS frequency,
    CAST(sum(items_value + freight_value) AS DECIMAL(14, 2)) AS monetary
FROM fact_orders
WHERE customer_unique_id IS NOT NULL AND order_status NOT IN ('canceled', 'unavailable')
GROUP BY customer_unique_id
