SELECT
    CAST(day AS DATE) AS date,
    year(day) * 10000 + month(day) * 100 + day(day) AS date_key,
    year(day) AS year,
    quarter(day) AS quarter,
    month(day) AS month,
    day(day) AS day,
    isodow(day) AS day_of_week,
    week(day) AS week,
    isodow(day) > 5 AS is_weekend,
    CAST(day AS DATE) IN (SELECT date FROM source.holidays) AS is_holiday
FROM generate_series(DATE '2016-01-01', DATE '2020-12-31', INTERVAL 1 DAY) AS days(day)
