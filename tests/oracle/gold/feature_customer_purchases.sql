SELECT
    customer_unique_id,
    max(order_purchase_timestamp) AS last_purchase,
    count(*) AS frequency,
    sum(items_value + freight_value) AS monetary
FROM gold.fact_orders
WHERE sold(order_status) AND customer_unique_id IS NOT NULL
GROUP BY ALL
