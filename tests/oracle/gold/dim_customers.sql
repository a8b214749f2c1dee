-- The newest row ever of each person; a bulk load stamps many alike, then the greatest customer_id.
SELECT
    customer_unique_id,
    arg_max(customer_zip_code_prefix, (updated_at, customer_id)) AS customer_zip_code_prefix,
    arg_max(city(customer_city), (updated_at, customer_id)) AS customer_city,
    arg_max(state(customer_state), (updated_at, customer_id)) AS customer_state
FROM seen.customers
GROUP BY ALL
