WITH days AS (
    SELECT explode(sequence(DATE '2016-01-01', DATE '2020-12-31', INTERVAL 1 DAY)) AS date
),
holiday AS (
    -- Two holidays may fall on one day.
    SELECT CAST(date AS DATE) AS date, array_join(array_sort(collect_set(name)), ' / ') AS name
    FROM holidays
    GROUP BY CAST(date AS DATE)
)
SELECT
    year(days.date) * 10000 + month(days.date) * 100 + day(days.date) AS date_key,
    days.date,
    CAST(year(days.date) AS SMALLINT) AS year,
    CAST(quarter(days.date) AS TINYINT) AS quarter,
    CAST(month(days.date) AS TINYINT) AS month,
    CAST(day(days.date) AS TINYINT) AS day,
    CAST(weekday(days.date) + 1 AS TINYINT) AS day_of_week,
    CAST(weekofyear(days.date) AS TINYINT) AS week,
    weekday(days.date) >= 5 AS is_weekend,
    holiday.name IS NOT NULL AS is_holiday,
    holiday.name AS holiday_name
FROM days
LEFT JOIN holiday ON holiday.date = days.date
