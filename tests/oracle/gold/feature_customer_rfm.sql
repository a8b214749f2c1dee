-- Days are counted back from the newest purchase of them all; equals are told apart by customer.
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
)
SELECT
    *,
    days(last_purchase, max(last_purchase) OVER ()) AS recency_days,
    ntile(5) OVER (ORDER BY CAST(last_purchase AS DATE), customer_unique_id) AS r_score,
    ntile(5) OVER (ORDER BY frequency, customer_unique_id) AS f_score,
    ntile(5) OVER (ORDER BY monetary, customer_unique_id) AS m_score,
    segment(r_score, f_score, m_score) AS segment
FROM person
