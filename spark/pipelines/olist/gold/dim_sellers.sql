SELECT
    seller_id,
    seller_zip_code_prefix,
    seller_city,
    seller_state,
    updated_at,
    _deleted
FROM sellers
