SELECT
    order_id,
    order_item_id,
    customer_unique_id,
    customer_zip_code_prefix,
    product_id,
    seller_id,
    order_status,
    order_purchase_timestamp,
    year(order_purchase_timestamp) * 10000 + month(order_purchase_timestamp) * 100
    + day(order_purchase_timestamp) AS date_key,
    shipping_limit_date,
    price,
    freight_value,
    price + freight_value AS total_value,
    customer_unique_id AS known_customer_unique_id,
    CASE WHEN product_id IN (SELECT product_id FROM seen.products) AND order_purchase_timestamp IS NOT NULL
        THEN product_id END AS known_product_id,
    CASE WHEN seller_id IN (SELECT seller_id FROM seen.sellers) AND order_purchase_timestamp IS NOT NULL
        THEN seller_id END AS known_seller_id,
    CASE WHEN customer_zip_code_prefix IN (SELECT zip_code_prefix FROM gold.dim_location)
        THEN customer_zip_code_prefix END AS known_zip_code_prefix
FROM silver.order_items
LEFT JOIN silver.orders USING (order_id)
LEFT JOIN silver.customers USING (customer_id)
