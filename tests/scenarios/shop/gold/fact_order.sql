SELECT o.order_id, o.customer_id, o.bought_at, o.amount, p.paid
FROM orders AS o
LEFT JOIN (SELECT order_id, SUM(amount) AS paid FROM payment GROUP BY order_id) AS p ON p.order_id = o.order_id
