-- An order counts once a seller; handed over late is later than the last limit among the seller's items of the order.
WITH part AS (
    SELECT
        seller_id,
        order_id,
        count(*) AS items,
        sum(price) FILTER (sold(order_status)) AS revenue,
        max(shipping_limit_date) AS shipping_limit_date
    FROM gold.fact_sales
    GROUP BY ALL
)
SELECT
    seller_id,
    count(*) AS orders,
    CAST(sum(part.items) AS BIGINT) AS items,
    coalesce(sum(revenue), 0) AS revenue,
    count(*) FILTER (order_status = 'delivered') AS delivered_orders,
    count(*) FILTER (NOT sold(order_status)) AS canceled_orders,
    count(*) FILTER (order_status = 'delivered' AND days_late > 0) AS late_orders,
    late_orders / nullif(delivered_orders, 0) AS late_share,
    count(*) FILTER (order_delivered_carrier_date > shipping_limit_date)
    / nullif(count(order_delivered_carrier_date), 0) AS late_dispatch_share,
    avg(delivery_days) AS mean_delivery_days,
    avg(mean_review_score) AS mean_review_score,
    min(order_purchase_timestamp) AS first_sale,
    max(order_purchase_timestamp) AS last_sale
FROM part
LEFT JOIN gold.fact_orders USING (order_id)
GROUP BY seller_id
