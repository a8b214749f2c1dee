SELECT
    customer_unique_id,
    customer_zip_code_prefix,
    customer_city,
    customer_state,
    updated_at,
    customer_id,
    _deleted
FROM customers
