-- key: product_id
SELECT
    p.product_id,
    p.product_category_name,
    t.product_category_name_english,
    CAST(p.product_name_lenght AS SMALLINT) AS product_name_length,
    CAST(p.product_description_lenght AS SMALLINT) AS product_description_length,
    CAST(p.product_photos_qty AS SMALLINT) AS product_photos_qty,
    CAST(p.product_weight_g AS INT) AS product_weight_g,
    CAST(p.product_length_cm AS SMALLINT) AS product_length_cm,
    CAST(p.product_height_cm AS SMALLINT) AS product_height_cm,
    CAST(p.product_width_cm AS SMALLINT) AS product_width_cm,
    p.updated_at
FROM batch AS p
LEFT JOIN category_translation AS t ON t.product_category_name = p.product_category_name
