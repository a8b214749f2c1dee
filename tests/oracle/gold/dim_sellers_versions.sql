SELECT DISTINCT
    seller_id,
    updated_at,
    said(seller_zip_code_prefix, city(seller_city), state(seller_state)) AS said
FROM seen.sellers
