-- key: seller_id
SELECT
    seller_id,
    seller_zip_code_prefix,
    translate(lower(trim(seller_city)), 'áàâãäéèêëíìîïóòôõöúùûüç', 'aaaaaeeeeiiiiooooouuuuc') AS seller_city,
    upper(seller_state) AS seller_state,
    updated_at
FROM batch
