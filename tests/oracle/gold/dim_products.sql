SELECT
    products.* EXCLUDE (updated_at) RENAME (
        product_name_lenght AS product_name_length,
        product_description_lenght AS product_description_length
    ),
    product_category_name_english
FROM silver.products
LEFT JOIN silver.product_category_name_translation USING (product_category_name)
