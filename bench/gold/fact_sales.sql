SELECT
    i.order_id,
    i.order_item_id,
    dc.customer_key,
    dp.product_key,
    ds.seller_key,
    CAST(o.order_purchase_timestamp AS DATE) AS purchase_date,
    o.order_purchase_timestamp,
    o.order_status,
    i.shipping_limit_date,
    i.price,
    i.freight_value,
    CAST(i.price + i.freight_value AS DECIMAL(12, 2)) AS total_value
FROM order_items AS i
JOIN orders AS o ON o.order_id = i.order_id
LEFT JOIN customers AS c ON c.customer_id = o.customer_id
LEFT JOIN dim_customers AS dc
    ON dc.customer_unique_id = c.customer_unique_id
    AND o.order_purchase_timestamp >= dc.valid_from
    AND (dc.valid_to IS NULL OR o.order_purchase_timestamp < dc.valid_to)
LEFT JOIN dim_products AS dp
    ON dp.product_id = i.product_id
    AND o.order_purchase_timestamp >= dp.valid_from
    AND (dp.valid_to IS NULL OR o.order_purchase_timestamp < dp.valid_to)
LEFT JOIN dim_sellers AS ds
    ON ds.seller_id = i.seller_id
    AND o.order_purchase_timestamp >= ds.valid_from
    AND (ds.valid_to IS NULL OR o.order_purchase_timestamp < ds.valid_to)
