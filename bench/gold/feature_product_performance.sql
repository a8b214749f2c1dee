WITH sold AS (
    SELECT
        i.product_id,
        CAST(count(*) AS INT) AS units_sold,
        CAST(count(DISTINCT i.order_id) AS INT) AS orders,
        CAST(sum(i.price) AS DECIMAL(12, 2)) AS revenue,
        CAST(sum(i.freight_value) AS DECIMAL(12, 2)) AS freight,
        min(o.order_purchase_timestamp) AS first_sold,
        max(o.order_purchase_timestamp) AS last_sold
    FROM order_items AS i
    JOIN orders AS o ON o.order_id = i.order_id
    GROUP BY i.product_id
),
liked AS (
    SELECT b.product_id, avg(f.mean_review_score) AS mean_review_score
    FROM (SELECT DISTINCT product_id, order_id FROM order_items) AS b
    JOIN fact_orders AS f ON f.order_id = b.order_id
    GROUP BY b.product_id
)
SELECT
    p.product_id,
    p.product_category_name_english,
    coalesce(sold.units_sold, 0) AS units_sold,
    coalesce(sold.orders, 0) AS orders,
    coalesce(sold.revenue, 0) AS revenue,
    coalesce(sold.freight, 0) AS freight,
    sold.first_sold,
    sold.last_sold,
    liked.mean_review_score
FROM products AS p
LEFT JOIN sold ON sold.product_id = p.product_id
LEFT JOIN liked ON liked.product_id = p.product_id
