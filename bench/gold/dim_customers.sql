-- key: customer_unique_id
SELECT
    customer_unique_id,
    customer_zip_code_prefix,
    customer_city,
    customer_state,
    updated_at
FROM (
    SELECT *, row_number() OVER (PARTITION BY customer_unique_id ORDER BY updated_at DESC, customer_id DESC) AS newest
    FROM customers
) AS ranked
WHERE newest = 1
