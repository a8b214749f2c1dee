SELECT customer_id, city, email, updated_at, _deleted FROM customer
