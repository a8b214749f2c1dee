WITH bought AS (
    SELECT
        customer_unique_id,
        max(order_purchase_timestamp) AS last_purchase,
        CAST(count(*) AS INT) AS frequency,
        CAST(sum(items_value + freight_value) AS DECIMAL(14, 2)) AS monetary
    FROM fact_orders
    WHERE customer_unique_id IS NOT NULL AND order_status NOT IN ('canceled', 'unavailable')
    GROUP BY customer_unique_id
),
aged AS (
    SELECT bought.*, datediff(max(last_purchase) OVER (), last_purchase) AS recency_days
    FROM bought
),
scored AS (
    SELECT
        aged.*,
        CAST(ntile(5) OVER (ORDER BY recency_days DESC, customer_unique_id) AS TINYINT) AS r_score,
        CAST(ntile(5) OVER (ORDER BY frequency, customer_unique_id) AS TINYINT) AS f_score,
        CAST(ntile(5) OVER (ORDER BY monetary, customer_unique_id) AS TINYINT) AS m_score
    FROM aged
)
SELECT
    customer_unique_id,
    last_purchase,
    recency_days,
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
