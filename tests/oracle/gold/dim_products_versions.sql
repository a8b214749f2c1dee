-- An edited text or another number of photos is no other product; the English category is what is said of it today.
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
