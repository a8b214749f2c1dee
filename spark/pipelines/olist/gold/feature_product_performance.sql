WITH sold AS (
    SELECT
        product_id,
        CAST(count(DISTINCT order_id) AS INT) AS orders,
        CAST(count(*) AS INT) AS units,
        CAST(count_if(order_status IN ('canceled', 'unavailable')) AS INT) AS units_canceled,
        sum(CASE WHEN order_status IN ('canceled', 'unavailable') THEN 0 ELSE price END) AS revenue,
        sum(CASE WHEN order_status IN ('canceled', 'unavailable') THEN 0 ELSE freight_value END) AS freight,
        avg(price) AS mean_price,
        min(order_purchase_timestamp) AS first_sold,
        max(order_purchase_timestamp) AS last_sold
    FROM fact_sales
    GROUP BY product_id
),
-- A review counts once for a product, however many units the order held.
bought AS (
    SELECT DISTINCT product_id, order_id
    FROM fact_sales
),
reviewed AS (
    SELECT bought.product_id, count(*) AS reviews, avg(r.review_score) AS mean_review_score
    FROM bought
    INNER JOIN fact_reviews AS r ON r.order_id = bought.order_id
    GROUP BY bought.product_id
)
SELECT
    sold.product_id,
    sold.orders,
    sold.units,
    sold.units_canceled,
    CAST(sold.revenue AS DECIMAL(14, 2)) AS revenue,
    CAST(sold.freight AS DECIMAL(14, 2)) AS freight,
    CAST(sold.mean_price AS DECIMAL(12, 2)) AS mean_price,
    sold.first_sold,
    sold.last_sold,
    CAST(coalesce(reviewed.reviews, 0) AS INT) AS reviews,
    CAST(reviewed.mean_review_score AS DECIMAL(3, 2)) AS mean_review_score
FROM sold
LEFT JOIN reviewed ON reviewed.product_id = sold.product_id
