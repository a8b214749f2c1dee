WITH change AS (
    SELECT DISTINCT
        seller_id,
        updated_at,
        said(seller_zip_code_prefix, city(seller_city), state(seller_state)) AS said
    FROM seen.sellers
),
compared AS (
    SELECT *, row_number() OVER moment = 1 AS first, said IS DISTINCT FROM lag(said) OVER moment AS differs
    FROM change
    WINDOW moment AS (PARTITION BY seller_id ORDER BY updated_at)
)
SELECT
    seller_id,
    said,
    since(first, updated_at) AS valid_from,
    until(lead(updated_at) OVER (PARTITION BY seller_id ORDER BY updated_at), seller_id NOT IN (SELECT seller_id FROM silver.sellers)) AS valid_to
FROM compared
WHERE first OR differs
