SELECT
    p.order_id,
    p.payment_sequential,
    year(o.order_purchase_timestamp) * 10000
    + month(o.order_purchase_timestamp) * 100
    + day(o.order_purchase_timestamp) AS date_key,
    c.customer_unique_id,
    o.order_status,
    o.order_purchase_timestamp,
    p.payment_type,
    p.payment_installments,
    p.payment_value
FROM order_payments AS p
LEFT JOIN orders AS o ON o.order_id = p.order_id
LEFT JOIN customers AS c ON c.customer_id = o.customer_id
