-- The middle of the distinct readings, to six places, in the fullest cell; of equals the most southern, then western.
WITH reading AS (
    SELECT DISTINCT
        zip_code(geolocation_zip_code_prefix) AS zip_code_prefix,
        geolocation_lat AS latitude,
        geolocation_lng AS longitude,
        city(geolocation_city) AS city,
        state(geolocation_state) AS state
    FROM silver.geolocation
),
fullest AS (
    SELECT zip_code_prefix, avg(round(latitude, 6)) AS latitude, avg(round(longitude, 6)) AS longitude
    FROM reading
    GROUP BY zip_code_prefix, cell(latitude), cell(longitude)
    QUALIFY row_number() OVER (
        PARTITION BY zip_code_prefix ORDER BY count(*) DESC, cell(latitude), cell(longitude)
    ) = 1
),
town AS (
    SELECT zip_code_prefix, city, state, sum(count(*)) OVER (PARTITION BY zip_code_prefix) AS readings
    FROM reading
    GROUP BY zip_code_prefix, city, state
    QUALIFY row_number() OVER (PARTITION BY zip_code_prefix ORDER BY count(*) DESC, city, state) = 1
)
FROM fullest JOIN town USING (zip_code_prefix)
