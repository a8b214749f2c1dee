WITH served AS (
    SELECT i.seller_id, i.order_id, max(i.shipping_limit_date) AS shipping_limit_date
    FROM order_items AS i
    GROUP BY i.seller_id, i.order_id
),
judged AS (
    SELECT
        s.seller_id,
        CAST(count(*) AS INT) AS orders,
        CAST(sum(CASE WHEN o.order_status = 'delivered' THEN 1 ELSE 0 END) AS INT) AS delivered,
        CAST(sum(CASE WHEN o.order_status = 'canceled' THEN 1 ELSE 0 END) AS INT) AS canceled,
        avg(CASE WHEN f.days_late > 0 THEN 1.0E0 WHEN f.days_late <= 0 THEN 0.0E0 END) AS late_share,
        avg(CASE WHEN o.order_delivered_carrier_date > s.shipping_limit_date THEN 1.0E0
                 WHEN o.order_delivered_carrier_date IS NOT NULL THEN 0.0E0 END) AS late_dispatch_share,
        avg(f.delivery_days) AS mean_delivery_days,
        avg(f.mean_review_score) AS mean_review_score
    FROM served AS s
    JOIN orders AS o ON o.order_id = s.order_id
    JOIN fact_orders AS f ON f.order_id = s.order_id
    GROUP BY s.seller_id
)
SELECT
    s.seller_id,
    s.seller_state,
    coalesce(j.orders, 0) AS orders,
    coalesce(j.delivered, 0) AS delivered,
    coalesce(j.canceled, 0) AS canceled,
    j.late_share,
    j.late_dispatch_share,
    j.mean_delivery_days,
    j.mean_review_score
FROM sellers AS s
LEFT JOIN judged AS j ON j.seller_id = s.seller_id
