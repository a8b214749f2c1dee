-- An edited text or another number of photos is no other product; the English category is what is said of it today.
WITH change AS (
    SELECT DISTINCT
        product_id,
        products.updated_at,
        said(
            said(product_category_name, product_category_name_english, product_weight_g),
            said(product_length_cm, product_height_cm, product_width_cm),
            NULL
        ) AS said
    FROM seen.products
    LEFT JOIN silver.product_category_name_translation USING (product_category_name)
),
compared AS (
    SELECT *, row_number() OVER moment = 1 AS first, said IS DISTINCT FROM lag(said) OVER moment AS differs
    FROM change
    WINDOW moment AS (PARTITION BY product_id ORDER BY updated_at)
)
SELECT
    product_id,
    said,
    since(first, updated_at) AS valid_from,
    until(lead(updated_at) OVER (PARTITION BY product_id ORDER BY updated_at), product_id NOT IN (SELECT product_id FROM silver.products)) AS valid_to
FROM compared
WHERE first OR differs
