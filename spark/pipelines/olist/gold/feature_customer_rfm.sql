-- Recency is the month of the last purchase: a time up to now would be another one for everybody each day.
-- A score is the fifth of all customers in which a value begins; equal values have equal scores.
WITH fifths AS (
    SELECT
        max(CASE WHEN measure = 'recency' AND fifth = 2 THEN above END) AS r2,
        max(CASE WHEN measure = 'recency' AND fifth = 3 THEN above END) AS r3,
        max(CASE WHEN measure = 'recency' AND fifth = 4 THEN above END) AS r4,
        max(CASE WHEN measure = 'recency' AND fifth = 5 THEN above END) AS r5,
        max(CASE WHEN measure = 'frequency' AND fifth = 2 THEN above END) AS f2,
        max(CASE WHEN measure = 'frequency' AND fifth = 3 THEN above END) AS f3,
        max(CASE WHEN measure = 'frequency' AND fifth = 4 THEN above END) AS f4,
        max(CASE WHEN measure = 'frequency' AND fifth = 5 THEN above END) AS f5,
        max(CASE WHEN measure = 'monetary' AND fifth = 2 THEN above END) AS m2,
        max(CASE WHEN measure = 'monetary' AND fifth = 3 THEN above END) AS m3,
        max(CASE WHEN measure = 'monetary' AND fifth = 4 THEN above END) AS m4,
        max(CASE WHEN measure = 'monetary' AND fifth = 5 THEN above END) AS m5
    FROM feature_rfm_fifths
),
valued AS (
    SELECT
        *,
        CAST(12 * year(last_purchase) + month(last_purchase) AS BIGINT) AS r,
        CAST(frequency AS BIGINT) AS f,
        CAST(floor(monetary / 10) AS BIGINT) AS m
    FROM feature_customer_purchases
),
scored AS (
    SELECT
        customer_unique_id,
        last_purchase,
        frequency,
        monetary,
        CAST(1 + IF(r > r2, 1, 0) + IF(r > r3, 1, 0) + IF(r > r4, 1, 0) + IF(r > r5, 1, 0) AS TINYINT) AS r_score,
        CAST(1 + IF(f > f2, 1, 0) + IF(f > f3, 1, 0) + IF(f > f4, 1, 0) + IF(f > f5, 1, 0) AS TINYINT) AS f_score,
        CAST(1 + IF(m > m2, 1, 0) + IF(m > m3, 1, 0) + IF(m > m4, 1, 0) + IF(m > m5, 1, 0) AS TINYINT) AS m_score
    FROM valued CROSS JOIN fifths
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
