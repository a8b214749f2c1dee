-- key: zip_code_prefix, latitude, longitude, city, state
SELECT
    lpad(geolocation_zip_code_prefix, 5, '0') AS zip_code_prefix,
    CAST(geolocation_lat AS DOUBLE) AS latitude,
    CAST(geolocation_lng AS DOUBLE) AS longitude,
    translate(lower(trim(geolocation_city)), 'áàâãäéèêëíìîïóòôõöúùûüç', 'aaaaaeeeeiiiiooooouuuuc') AS city,
    upper(geolocation_state) AS state,
    CAST(count(*) AS BIGINT) AS readings,
    max(updated_at) AS updated_at
FROM batch
GROUP BY 1, 2, 3, 4, 5
