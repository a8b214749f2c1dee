--- prepare: which day it is, and whom it concerns
-- A number from 0 to 1 that follows from a thing and the day's salt: the same state and seed give the same day.
CREATE FUNCTION pg_temp.lot(thing text, salt text) RETURNS double precision LANGUAGE sql IMMUTABLE AS
$$ SELECT ('x' || left(md5(thing || salt), 8))::bit(32)::bigint / 4294967296.0 $$;

CREATE TEMP TABLE day ON COMMIT DROP AS
SELECT starts, %(seed)s || to_char(starts, '":"YYYY-MM-DD":"') AS salt
FROM (SELECT date_trunc('day', max(order_purchase_timestamp)) + interval '1 day' AS starts FROM orders) AS latest;

-- Delivered orders to do something with, each at most once: nth says what.
CREATE TEMP TABLE picked ON COMMIT DROP AS
SELECT row_number() OVER (ORDER BY md5(order_id || salt || 'picked'), order_id) AS nth, order_id, customer_id
FROM orders, day WHERE order_status = 'delivered'
ORDER BY nth LIMIT %(picked)s;

--- order_items deleted: people who want to be forgotten, with all that hangs on their order
DELETE FROM order_items USING picked p WHERE p.order_id = order_items.order_id AND nth <= %(forgotten)s
--- order_payments deleted
DELETE FROM order_payments USING picked p WHERE p.order_id = order_payments.order_id AND nth <= %(forgotten)s
--- order_reviews deleted
DELETE FROM order_reviews USING picked p WHERE p.order_id = order_reviews.order_id AND nth <= %(forgotten)s
--- orders deleted
DELETE FROM orders USING picked p WHERE p.order_id = orders.order_id AND nth <= %(forgotten)s
--- customers deleted
DELETE FROM customers USING picked p WHERE p.customer_id = customers.customer_id AND nth <= %(forgotten)s

--- products deleted: what nobody ever bought
DELETE FROM products WHERE product_id IN (
    SELECT product_id FROM products, day
    WHERE NOT EXISTS (SELECT FROM order_items i WHERE i.product_id = products.product_id)
    ORDER BY md5(product_id || salt), product_id LIMIT %(unsold)s)

--- products updated: measured again, photographed again, every third one moved to another shelf
UPDATE products t SET
    product_weight_g = coalesce(product_weight_g, 500) + 25,
    product_photos_qty = coalesce(product_photos_qty, 0) + 1,
    product_category_name = CASE WHEN nth %% 3 = 0 THEN shelf ELSE product_category_name END
FROM (
    SELECT product_id, nth, first_value(product_category_name) OVER (ORDER BY nth) AS shelf
    FROM (
        SELECT row_number() OVER (ORDER BY md5(product_id || salt), product_id) AS nth, product_id, product_category_name
        FROM products, day ORDER BY nth LIMIT %(products)s) AS chosen) AS chosen
WHERE t.product_id = chosen.product_id

--- sellers updated: each of those who move takes the place of the next one
UPDATE sellers s SET seller_zip_code_prefix = next_zip, seller_city = next_city, seller_state = next_state
FROM (
    SELECT seller_id, nth, lead(seller_zip_code_prefix) OVER w AS next_zip, lead(seller_city) OVER w AS next_city,
           lead(seller_state) OVER w AS next_state
    FROM (
        SELECT row_number() OVER (ORDER BY md5(seller_id || salt), seller_id) AS nth, sellers.*
        FROM sellers, day ORDER BY nth LIMIT %(sellers)s + 1) AS chosen WINDOW w AS (ORDER BY nth)) AS chosen
WHERE s.seller_id = chosen.seller_id AND next_zip IS NOT NULL

--- customers updated: people move, with all the orders they ever made
UPDATE customers c SET customer_zip_code_prefix = to_place.customer_zip_code_prefix,
    customer_city = to_place.customer_city, customer_state = to_place.customer_state
FROM (
    SELECT DISTINCT ON (mover.customer_unique_id) mover.customer_unique_id, host.customer_zip_code_prefix,
           host.customer_city, host.customer_state
    FROM picked p JOIN customers mover ON mover.customer_id = p.customer_id
    JOIN picked q ON q.nth = p.nth + 1 JOIN customers host ON host.customer_id = q.customer_id
    WHERE p.nth BETWEEN %(moved_from)s AND %(moved_to)s ORDER BY mover.customer_unique_id, p.nth) AS to_place
WHERE c.customer_unique_id = to_place.customer_unique_id

--- prepare: what is bought, and what moves on
-- A new order looks like an old one: what was bought, how it was paid, where it went.
CREATE TEMP TABLE bought ON COMMIT DROP AS
SELECT like_order, like_customer, md5('order' || nth || salt) AS order_id, md5('customer' || nth || salt) AS customer_id,
       md5('person' || nth || salt) AS person, pg_temp.lot('person' || nth, salt) < 0.1 AS comes_back,
       starts + pg_temp.lot('time' || nth, salt) * interval '10 hours' AS moment, pg_temp.lot('how far' || nth, salt) AS far
FROM (
    SELECT row_number() OVER (ORDER BY md5(order_id || salt || 'bought'), order_id) AS nth,
           order_id AS like_order, customer_id AS like_customer
    FROM orders, day WHERE order_status = 'delivered' ORDER BY nth LIMIT %(new)s) AS chosen, day;
ALTER TABLE bought ADD COLUMN status text;
UPDATE bought SET moment = date_trunc('second', moment), status = CASE
    WHEN far < 0.10 THEN 'created' WHEN far < 0.25 THEN 'approved' WHEN far < 0.35 THEN 'invoiced'
    WHEN far < 0.55 THEN 'processing' WHEN far < 0.85 THEN 'shipped' ELSE 'delivered' END;

-- Open orders that come one step further today; every thirtieth is canceled instead.
CREATE TEMP TABLE moved_on ON COMMIT DROP AS
SELECT order_id, nth, CASE WHEN nth %% 30 = 0 THEN 'canceled' ELSE CASE order_status
        WHEN 'created' THEN 'approved' WHEN 'approved' THEN 'invoiced' WHEN 'invoiced' THEN 'processing'
        WHEN 'processing' THEN 'shipped' ELSE 'delivered' END END AS status,
    starts + date_trunc('second', pg_temp.lot(order_id, salt) * interval '20 hours') AS moment
FROM (
    SELECT row_number() OVER (ORDER BY md5(order_id || salt || 'open'), order_id) AS nth, order_id, order_status, starts, salt
    FROM orders, day WHERE order_status IN ('created', 'approved', 'invoiced', 'processing', 'shipped')
    ORDER BY nth LIMIT %(progress)s) AS open_orders;

--- customers inserted: who buys today; one in ten has bought before
INSERT INTO customers (customer_id, customer_unique_id, customer_zip_code_prefix, customer_city, customer_state)
SELECT b.customer_id, CASE WHEN comes_back THEN customer_unique_id ELSE person END,
       customer_zip_code_prefix, customer_city, customer_state
FROM bought b JOIN customers c ON c.customer_id = b.like_customer

--- orders inserted: from just bought to delivered on the same day
INSERT INTO orders (order_id, customer_id, order_status, order_purchase_timestamp, order_approved_at,
                    order_delivered_carrier_date, order_delivered_customer_date, order_estimated_delivery_date)
SELECT order_id, customer_id, status, moment,
       CASE WHEN status <> 'created' THEN moment + interval '20 minutes' END,
       CASE WHEN status IN ('shipped', 'delivered') THEN moment + interval '3 hours' END,
       CASE WHEN status = 'delivered' THEN moment + interval '9 hours' END,
       starts + interval '21 days'
FROM bought, day

--- order_items inserted
INSERT INTO order_items (order_id, order_item_id, product_id, seller_id, shipping_limit_date, price, freight_value)
SELECT b.order_id, order_item_id, product_id, seller_id, moment + interval '5 days', abs(price), freight_value
FROM bought b JOIN order_items i ON i.order_id = b.like_order

--- order_payments inserted
INSERT INTO order_payments (order_id, payment_sequential, payment_type, payment_installments, payment_value)
SELECT b.order_id, payment_sequential, payment_type, payment_installments, payment_value
FROM bought b JOIN order_payments p ON p.order_id = b.like_order

--- order_reviews inserted: of what was bought and delivered today
INSERT INTO order_reviews (review_id, order_id, review_score, review_comment_title, review_comment_message,
                           review_creation_date, review_answer_timestamp)
SELECT md5('review' || b.order_id), b.order_id, 5, 'Rápido', E'Comprei hoje e chegou hoje,\n"incrível"!',
       starts, moment + interval '12 hours'
FROM bought b, day WHERE status = 'delivered'

--- orders updated: open orders come further
UPDATE orders o SET
    order_status = m.status,
    order_approved_at = CASE WHEN m.status <> 'canceled' THEN coalesce(order_approved_at, moment) ELSE order_approved_at END,
    order_delivered_carrier_date = CASE WHEN m.status IN ('shipped', 'delivered')
        THEN coalesce(order_delivered_carrier_date, moment) ELSE order_delivered_carrier_date END,
    order_delivered_customer_date = CASE WHEN m.status = 'delivered' THEN moment ELSE order_delivered_customer_date END
FROM moved_on m WHERE m.order_id = o.order_id

--- order_reviews inserted: of what arrived at last
INSERT INTO order_reviews (review_id, order_id, review_score, review_comment_title, review_comment_message,
                           review_creation_date, review_answer_timestamp)
SELECT md5('review' || order_id || salt), order_id, 1 + (nth %% 5)::int, NULL,
       CASE WHEN nth %% 2 = 0 THEN 'Chegou, enfim; demorou demais' END, starts, moment + interval '3 hours'
FROM moved_on, day WHERE status = 'delivered'

--- order_reviews updated: people think again
UPDATE order_reviews r SET
    review_score = greatest(1, least(5, 6 - review_score)),
    review_comment_message = concat_ws(E'\n', review_comment_message, 'Editado: mudei de ideia.'),
    review_answer_timestamp = starts + interval '18 hours'
FROM picked p, day WHERE p.order_id = r.order_id AND p.nth BETWEEN %(edited_from)s AND %(edited_to)s

--- order_items updated: garbage, a price below nothing
UPDATE order_items i SET price = -price
FROM picked p WHERE p.order_id = i.order_id AND i.price > 0 AND order_item_id = 1
AND p.nth BETWEEN %(negative_from)s AND %(negative_to)s

--- order_reviews updated: garbage, a score of nine
UPDATE order_reviews r SET review_score = 9
FROM picked p WHERE p.order_id = r.order_id AND p.nth BETWEEN %(nine_from)s AND %(nine_to)s

--- orders updated: garbage, delivered and nobody knows when
UPDATE orders o SET order_delivered_customer_date = NULL
FROM picked p WHERE p.order_id = o.order_id AND p.nth BETWEEN %(undated_from)s AND %(undated_to)s
