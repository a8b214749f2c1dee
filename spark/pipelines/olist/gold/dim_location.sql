-- Silver keeps a reading once, however often the source repeats it: an exact coordinate has no frequency left, a cell has.
-- Sums are DECIMAL: they do not depend on the order of the rows, so a rebuild of the same rows is the same row.
WITH reading AS (
    SELECT
        geolocation_zip_code_prefix AS zip_code_prefix,
        CAST(floor(geolocation_lat * 10) AS INT) AS cell_lat,
        CAST(floor(geolocation_lng * 10) AS INT) AS cell_lng,
        geolocation_city AS city,
        geolocation_state AS state,
        count(*) AS readings,
        sum(CAST(geolocation_lat AS DECIMAL(9, 6))) AS lat_sum,
        sum(CAST(geolocation_lng AS DECIMAL(9, 6))) AS lng_sum
    FROM geolocation
    GROUP BY 1, 2, 3, 4, 5
),
cell AS (
    SELECT
        zip_code_prefix,
        sum(readings) OVER (PARTITION BY zip_code_prefix) AS all_readings,
        lat_sum / readings AS latitude,
        lng_sum / readings AS longitude,
        row_number() OVER (PARTITION BY zip_code_prefix ORDER BY readings DESC, cell_lat, cell_lng) AS place
    FROM (
        SELECT
            zip_code_prefix,
            cell_lat,
            cell_lng,
            sum(readings) AS readings,
            sum(lat_sum) AS lat_sum,
            sum(lng_sum) AS lng_sum
        FROM reading
        GROUP BY zip_code_prefix, cell_lat, cell_lng
    ) AS summed
),
town AS (
    SELECT
        zip_code_prefix,
        city,
        state,
        row_number() OVER (PARTITION BY zip_code_prefix ORDER BY readings DESC, city, state) AS place
    FROM (
        SELECT zip_code_prefix, city, state, sum(readings) AS readings
        FROM reading
        GROUP BY zip_code_prefix, city, state
    ) AS summed
)
SELECT
    cell.zip_code_prefix,
    CAST(cell.latitude AS DECIMAL(9, 6)) AS latitude,
    CAST(cell.longitude AS DECIMAL(9, 6)) AS longitude,
    town.city,
    town.state,
    CAST(cell.all_readings AS INT) AS readings
FROM cell
INNER JOIN town ON town.zip_code_prefix = cell.zip_code_prefix AND town.place = 1
WHERE cell.place = 1
