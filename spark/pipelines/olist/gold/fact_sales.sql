SELECT
    i.order_id,
    i.order_item_id,
    year(o.order_purchase_timestamp) * 10000
    + month(o.order_purchase_timestamp) * 100
    + day(o.order_purchase_timestamp) AS date_key,
    c.customer_unique_id,
    c.customer_zip_code_prefix,
    i.product_id,
    i.seller_id,
    o.order_status,
    o.order_purchase_timestamp,
    i.shipping_limit_date,
    i.price,
    i.freight_value,
    CAST(i.price + i.freight_value AS DECIMAL(13, 2)) AS total_value
FROM order_items AS i
LEFT JOIN orders AS o ON o.order_id = i.order_id
LEFT JOIN customers AS c ON c.customer_id = o.customer_id
