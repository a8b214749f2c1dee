SELECT
    p.order_id,
    p.payment_sequential,
    dc.customer_key,
    CAST(o.order_purchase_timestamp AS DATE) AS purchase_date,
    p.payment_type,
    p.payment_installments,
    p.payment_value
FROM order_payments AS p
JOIN orders AS o ON o.order_id = p.order_id
LEFT JOIN customers AS c ON c.customer_id = o.customer_id
LEFT JOIN dim_customers AS dc
    ON dc.customer_unique_id = c.customer_unique_id
    AND o.order_purchase_timestamp >= dc.valid_from
    AND (dc.valid_to IS NULL OR o.order_purchase_timestamp < dc.valid_to)
