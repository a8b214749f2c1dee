-- key: customer_id
SELECT
    customer_id,
    customer_unique_id,
    customer_zip_code_prefix,
    translate(lower(trim(customer_city)), 'áàâãäéèêëíìîïóòôõöúùûüç', 'aaaaaeeeeiiiiooooouuuuc') AS customer_city,
    upper(customer_state) AS customer_state,
    updated_at
FROM batch
