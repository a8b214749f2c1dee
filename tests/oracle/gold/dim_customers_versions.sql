-- What was seen of a person at one moment is one change, of several rows the greatest customer_id.
SELECT
    customer_unique_id,
    updated_at,
    arg_max(said(customer_zip_code_prefix, city(customer_city), state(customer_state)), customer_id) AS said
FROM seen.customers
GROUP BY ALL
