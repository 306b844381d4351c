-- Dates and times of FHIR in SQL: texts of any precision, compared by the span of time that they leave open.

-- name: zoned: whether a text says its offset
CREATE TEMP MACRO fhir_zoned(t) AS regexp_matches(t, 'T.*(Z|[+-][0-9]{2}:[0-9]{2})$');

-- name: plain: a text without its offset
CREATE TEMP MACRO fhir_plain(t) AS regexp_replace(t, '(T.*?)(Z|[+-][0-9]{2}:[0-9]{2})$', '\1');

-- name: zone: the offset of a text, or another
CREATE TEMP MACRO fhir_zone(t, other) AS
    CASE WHEN fhir_zoned(t) THEN regexp_extract(t, '(Z|[+-][0-9]{2}:[0-9]{2})$', 1) ELSE other END;

-- name: first: all that is missing at the end filled with the earliest
CREATE TEMP MACRO fhir_first(t) AS fhir_plain(t) || substr('0001-01-01T00:00:00.000', length(fhir_plain(t)) + 1);

-- name: last: all that is missing at the end filled with the latest
CREATE TEMP MACRO fhir_last(t) AS
    CASE WHEN length(fhir_plain(t)) = 7
        THEN strftime(last_day(TRY_CAST(fhir_plain(t) || '-01' AS DATE)), '%Y-%m-%d') || 'T23:59:59.999'
        ELSE fhir_plain(t) || substr('9999-12-31T23:59:59.999', length(fhir_plain(t)) + 1) END;

-- name: low, high: the moments between which a text lies
CREATE TEMP MACRO fhir_low(t, other) AS TRY_CAST(fhir_first(t) || fhir_zone(t, other) AS TIMESTAMPTZ);
CREATE TEMP MACRO fhir_high(t, other) AS
    TRY_CAST((CASE WHEN length(fhir_plain(t)) = 19 THEN fhir_first(t) ELSE fhir_last(t) END) || fhir_zone(t, other)
        AS TIMESTAMPTZ);

-- name: span: the same, where the other text says its offset and this one does not
CREATE TEMP MACRO fhir_from(t, u) AS fhir_low(t, CASE WHEN fhir_zoned(u) THEN '+14:00' ELSE 'Z' END);
CREATE TEMP MACRO fhir_until(t, u) AS fhir_high(t, CASE WHEN fhir_zoned(u) THEN '-12:00' ELSE 'Z' END);
CREATE TEMP MACRO fhir_alike(t, u) AS
    fhir_zoned(t) = fhir_zoned(u) AND least(length(fhir_plain(t)), 19) = least(length(fhir_plain(u)), 19);

CREATE TEMP MACRO fhir_same(t, u) AS CASE
    WHEN fhir_until(t, u) < fhir_from(u, t) OR fhir_until(u, t) < fhir_from(t, u) THEN false
    WHEN fhir_alike(t, u) THEN fhir_from(t, u) = fhir_from(u, t) END;
CREATE TEMP MACRO fhir_before(t, u) AS CASE
    WHEN fhir_until(t, u) < fhir_from(u, t) THEN true
    WHEN fhir_until(u, t) < fhir_from(t, u) THEN false
    WHEN fhir_alike(t, u) THEN fhir_from(t, u) < fhir_from(u, t) END;

-- name: times of day: equal as far as both say
CREATE TEMP MACRO fhir_clock(t) AS CASE WHEN length(t) = 8 THEN t || '.000' ELSE t END;
CREATE TEMP MACRO fhir_same_time(t, u) AS CASE
    WHEN t IS NULL OR u IS NULL THEN NULL
    WHEN length(fhir_clock(t)) = length(fhir_clock(u)) THEN fhir_clock(t) = fhir_clock(u)
    WHEN starts_with(fhir_clock(t), u) OR starts_with(fhir_clock(u), t) THEN NULL ELSE false END;
CREATE TEMP MACRO fhir_before_time(t, u) AS CASE
    WHEN length(fhir_clock(t)) <> length(fhir_clock(u)) AND (starts_with(fhir_clock(t), u) OR starts_with(fhir_clock(u), t))
        THEN NULL ELSE fhir_clock(t) < fhir_clock(u) END;

-- name: boundaries
CREATE TEMP MACRO fhir_low_date(t) AS substr(fhir_first(t), 1, 10);
CREATE TEMP MACRO fhir_high_date(t) AS substr(fhir_last(t), 1, 10);
CREATE TEMP MACRO fhir_low_datetime(t) AS fhir_first(t) || fhir_zone(t, '+14:00');
CREATE TEMP MACRO fhir_high_datetime(t) AS fhir_last(t) || fhir_zone(t, '-12:00');
CREATE TEMP MACRO fhir_low_time(t) AS t || substr('00:00:00.000', length(t) + 1);
CREATE TEMP MACRO fhir_high_time(t) AS t || substr('23:59:59.999', length(t) + 1);
CREATE TEMP MACRO fhir_places(t) AS
    CASE WHEN contains(t, '.') THEN length(regexp_extract(t, '\.([0-9]*)', 1)) ELSE 0 END;
CREATE TEMP MACRO fhir_low_number(t) AS
    round(TRY_CAST(t AS DOUBLE) - 0.5 * pow(10, -fhir_places(t)), (fhir_places(t) + 1)::INTEGER);
CREATE TEMP MACRO fhir_high_number(t) AS
    round(TRY_CAST(t AS DOUBLE) + 0.5 * pow(10, -fhir_places(t)), (fhir_places(t) + 1)::INTEGER);

-- name: reference: `Patient/p1` from a relative or absolute reference of any version
CREATE TEMP MACRO fhir_key(t) AS
    nullif(regexp_extract(t, '(^|/)([A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64})(/_history/[A-Za-z0-9.-]+)?$', 2), '');
