-- A review counts once for each product of its order.
WITH review AS (
    SELECT product_id, count(*) AS reviews, avg(review_score) AS mean_review_score
    FROM (SELECT DISTINCT product_id, order_id FROM gold.fact_sales)
    JOIN gold.fact_reviews USING (order_id)
    GROUP BY product_id
)
SELECT
    product_id,
    count(DISTINCT order_id) AS orders,
    count(*) AS units,
    count(*) FILTER (NOT sold(order_status)) AS units_canceled,
    coalesce(sum(price) FILTER (sold(order_status)), 0) AS revenue,
    coalesce(sum(freight_value) FILTER (sold(order_status)), 0) AS freight,
    CAST(avg(price) AS DOUBLE) AS mean_price,
    min(order_purchase_timestamp) AS first_sold,
    max(order_purchase_timestamp) AS last_sold,
    coalesce(any_value(reviews), 0) AS reviews,
    any_value(mean_review_score) AS mean_review_score
FROM gold.fact_sales
LEFT JOIN review USING (product_id)
GROUP BY product_id
