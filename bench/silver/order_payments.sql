-- key: order_id, payment_sequential
SELECT
    order_id,
    CAST(payment_sequential AS SMALLINT) AS payment_sequential,
    payment_type,
    CAST(payment_installments AS SMALLINT) AS payment_installments,
    CAST(payment_value AS DECIMAL(10, 2)) AS payment_value,
    updated_at
FROM batch
