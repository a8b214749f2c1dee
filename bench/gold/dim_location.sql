SELECT zip_code_prefix, latitude, longitude, city, state
FROM (
    SELECT
        *,
        row_number() OVER (PARTITION BY zip_code_prefix ORDER BY readings DESC, latitude, longitude, city, state) AS place
    FROM geolocation
) AS ranked
WHERE place = 1
