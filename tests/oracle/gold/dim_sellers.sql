SELECT seller_id, seller_zip_code_prefix, city(seller_city) AS seller_city, state(seller_state) AS seller_state
FROM silver.sellers
