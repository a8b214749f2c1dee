-- One row a seller and order first: an order counts once, however many items of the seller it holds.
WITH served AS (
    SELECT
        seller_id,
        order_id,
        count(*) AS items,
        sum(CASE WHEN order_status IN ('canceled', 'unavailable') THEN 0 ELSE price END) AS revenue,
        max(shipping_limit_date) AS shipping_limit_date,
        max(order_purchase_timestamp) AS order_purchase_timestamp
    FROM fact_sales
    GROUP BY seller_id, order_id
)
SELECT
    s.seller_id,
    CAST(count(*) AS INT) AS orders,
    CAST(sum(s.items) AS INT) AS items,
    CAST(sum(s.revenue) AS DECIMAL(14, 2)) AS revenue,
    CAST(count_if(o.order_status = 'delivered') AS INT) AS delivered_orders,
    CAST(count_if(o.order_status IN ('canceled', 'unavailable')) AS INT) AS canceled_orders,
    CAST(count_if(o.order_status = 'delivered' AND o.days_late > 0) AS INT) AS late_orders,
    CAST(
        try_divide(
            count_if(o.order_status = 'delivered' AND o.days_late > 0),
            count_if(o.order_status = 'delivered')
        ) AS DECIMAL(5, 4)
    ) AS late_share,
    CAST(
        try_divide(
            count_if(o.order_delivered_carrier_date > s.shipping_limit_date),
            count_if(o.order_delivered_carrier_date IS NOT NULL AND s.shipping_limit_date IS NOT NULL)
        ) AS DECIMAL(5, 4)
    ) AS late_dispatch_share,
    CAST(avg(o.delivery_days) AS DECIMAL(9, 2)) AS mean_delivery_days,
    CAST(avg(o.mean_review_score) AS DECIMAL(3, 2)) AS mean_review_score,
    min(s.order_purchase_timestamp) AS first_sale,
    max(s.order_purchase_timestamp) AS last_sale
FROM served AS s
LEFT JOIN fact_orders AS o ON o.order_id = s.order_id
GROUP BY s.seller_id
