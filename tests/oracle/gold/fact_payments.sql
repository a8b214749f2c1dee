SELECT
    order_id,
    payment_sequential,
    customer_unique_id,
    customer_unique_id AS known_customer_unique_id,
    order_status,
    order_purchase_timestamp,
    year(order_purchase_timestamp) * 10000 + month(order_purchase_timestamp) * 100
    + day(order_purchase_timestamp) AS date_key,
    payment_type,
    payment_installments,
    payment_value
FROM silver.order_payments
LEFT JOIN silver.orders USING (order_id)
LEFT JOIN silver.customers USING (customer_id)
