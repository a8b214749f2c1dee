-- Silver keeps a reading once, however often the source repeats it: an exact coordinate has no frequency left, a cell has.
-- Sums are of whole millionths of a degree: they do not depend on the order of the rows, so the same rows give the same row.
WITH reading AS (
    SELECT
        geolocation_zip_code_prefix AS zip_code_prefix,
        CAST(floor(geolocation_lat * 10) AS INT) AS cell_lat,
        CAST(floor(geolocation_lng * 10) AS INT) AS cell_lng,
        CAST(round(geolocation_lat * 1000000) AS BIGINT) AS lat,
        CAST(round(geolocation_lng * 1000000) AS BIGINT) AS lng
    FROM geolocation
),
cell AS (
    SELECT zip_code_prefix, cell_lat, cell_lng, count(*) AS readings, sum(lat) AS lat_sum, sum(lng) AS lng_sum
    FROM reading
    GROUP BY zip_code_prefix, cell_lat, cell_lng
),
fullest AS (
    SELECT
        zip_code_prefix,
        sum(readings) AS readings,
        max(struct(readings, -cell_lat AS south, -cell_lng AS west, lat_sum, lng_sum)) AS top
    FROM cell
    GROUP BY zip_code_prefix
),
town AS (
    SELECT zip_code_prefix, min(struct(-readings AS fewer, city, state)) AS top
    FROM (
        SELECT
            geolocation_zip_code_prefix AS zip_code_prefix,
            geolocation_city AS city,
            geolocation_state AS state,
            count(*) AS readings
        FROM geolocation
        GROUP BY geolocation_zip_code_prefix, geolocation_city, geolocation_state
    ) AS named
    GROUP BY zip_code_prefix
)
SELECT
    fullest.zip_code_prefix,
    CAST(CAST(fullest.top.lat_sum AS DECIMAL(18, 0)) / fullest.top.readings / 1000000 AS DECIMAL(9, 6)) AS latitude,
    CAST(CAST(fullest.top.lng_sum AS DECIMAL(18, 0)) / fullest.top.readings / 1000000 AS DECIMAL(9, 6)) AS longitude,
    town.top.city AS city,
    town.top.state AS state,
    CAST(fullest.readings AS INT) AS readings
FROM fullest
INNER JOIN town ON town.zip_code_prefix = fullest.zip_code_prefix
