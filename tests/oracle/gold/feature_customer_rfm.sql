-- The score is the share of customers below.
WITH purchase AS (
    FROM gold.fact_orders WHERE sold(order_status) AND customer_unique_id IS NOT NULL
),
person AS (
    SELECT
        customer_unique_id,
        max(order_purchase_timestamp) AS last_purchase,
        count(*) AS frequency,
        sum(items_value + freight_value) AS monetary
    FROM purchase
    GROUP BY customer_unique_id
),
-- How many are worse off: all up to a value, less all with that value.
below AS (
    SELECT
        *,
        count(*) OVER (ORDER BY date_trunc('month', last_purchase)) - count(*) OVER (PARTITION BY date_trunc('month', last_purchase)) AS r,
        count(*) OVER (ORDER BY frequency) - count(*) OVER (PARTITION BY frequency) AS f,
        count(*) OVER (ORDER BY floor(monetary / 10)) - count(*) OVER (PARTITION BY floor(monetary / 10)) AS m,
        count(*) OVER () AS everybody
    FROM person
)
SELECT
    * EXCLUDE (r, f, m, everybody),
    1 + r * 5 // everybody AS r_score,
    1 + f * 5 // everybody AS f_score,
    1 + m * 5 // everybody AS m_score,
    segment(r_score, f_score, m_score) AS segment
FROM below
