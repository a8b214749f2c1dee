-- Recency is the day of the last purchase: a number of days up to now would be another one for everybody each day.
-- A score is the fifth of all customers in which a value begins; equal values have equal scores.
WITH sold AS (
    SELECT customer_unique_id, order_purchase_timestamp, items_value + freight_value AS spent
    FROM fact_orders
    WHERE customer_unique_id IS NOT NULL AND order_status NOT IN ('canceled', 'unavailable')
),
bought AS (
    SELECT
        customer_unique_id,
        max(order_purchase_timestamp) AS last_purchase,
        CAST(count(*) AS INT) AS frequency,
        CAST(sum(spent) AS DECIMAL(14, 2)) AS monetary
    FROM sold
    GROUP BY customer_unique_id
),
scored AS (
    SELECT
        bought.*,
        CAST(1 + (5 * CAST(rank() OVER (ORDER BY CAST(last_purchase AS DATE)) - 1 AS BIGINT)) DIV count(*) OVER () AS TINYINT) AS r_score,
        CAST(1 + (5 * CAST(rank() OVER (ORDER BY frequency) - 1 AS BIGINT)) DIV count(*) OVER () AS TINYINT) AS f_score,
        CAST(1 + (5 * CAST(rank() OVER (ORDER BY monetary) - 1 AS BIGINT)) DIV count(*) OVER () AS TINYINT) AS m_score
    FROM bought
)
SELECT
    customer_unique_id,
    last_purchase,
    frequency,
    monetary,
    r_score,
    f_score,
    m_score,
    CASE
        WHEN r_score >= 4 AND f_score >= 4 THEN 'champion'
        WHEN f_score >= 4 THEN 'loyal'
        WHEN r_score >= 4 THEN 'recent'
        WHEN r_score <= 2 AND m_score >= 4 THEN 'at_risk'
        WHEN r_score <= 2 THEN 'lost'
        ELSE 'regular'
    END AS segment
FROM scored
