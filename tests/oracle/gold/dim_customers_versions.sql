-- What was seen of a person at one moment is one change, of several rows the greatest customer_id; deletes say nothing.
WITH change AS (
    SELECT
        customer_unique_id,
        updated_at,
        arg_max(said(customer_zip_code_prefix, city(customer_city), state(customer_state)), customer_id) AS said
    FROM seen.customers
    GROUP BY ALL
),
compared AS (
    SELECT *, row_number() OVER moment = 1 AS first, said IS DISTINCT FROM lag(said) OVER moment AS differs
    FROM change
    WINDOW moment AS (PARTITION BY customer_unique_id ORDER BY updated_at)
)
SELECT
    customer_unique_id,
    said,
    since(first, updated_at) AS valid_from,
    until(lead(updated_at) OVER (PARTITION BY customer_unique_id ORDER BY updated_at), false) AS valid_to
FROM compared
WHERE first OR differs
