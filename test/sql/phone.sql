-- Addresses: international input of every country, national input of North America, and
-- what must never be made into a number.

SELECT raw, omnimsg_normalize_phone(raw) AS us
  FROM unnest(ARRAY['+15551234567', '5551234567', '(555) 123-4567', '555.123.4567', '1-555-123-4567',
	'+1 (555) 123-4567', '15551234567', '011 44 20 7946 0958', '+442079460958', '+44 (0)20 7946 0958',
	'+49 30 901820', '+5215512345678', ' +15551234567 ', '+15551234567 ext 12', '（５５５）１２３−４５６７',
	'5551234', '12345', '262966', 'ACME', 'AMZN2024', 'jo@example.com', '', '+', '+15555555555',
	'+10000000000', '+999123456789', '+1555123456', '+155512345678901234', 'tel:+15551234567', '0049 30 901820']) WITH ORDINALITY AS u (raw, n)
 ORDER BY n;

-- region counts for national input only; an unknown one reads none
SELECT region, omnimsg_normalize_phone('555-123-4567', region) AS national,
	   omnimsg_normalize_phone('+15551234567', region) AS international
  FROM unnest(ARRAY['US', 'ca', 'GB', 'XX', '']) AS region;

SELECT raw, p.*
  FROM unnest(ARRAY['(415) 555-2671 x12', '+442079460958', '262966', 'ACME Corp', 'jo@example.com',
	'555-2671', '+1415', '+10000000000', '+999123456789', 'no number at all']) WITH ORDINALITY AS u (raw, n),
	   omnimsg_parse_phone(raw) p
 ORDER BY n;

SELECT omnimsg_normalize_phone(NULL) IS NULL AS normalized, omnimsg_parse_phone(NULL) IS NULL AS parsed,
	   omnimsg_mask_phone(NULL) IS NULL AS masked;

-- what people may see of an address
SELECT raw, omnimsg_mask_phone(raw)
  FROM unnest(ARRAY['+15551234567', '+442079460958', '262966', '123', 'jo@example.com', 'a@b', 'ACME',
	'', '5551234567']) WITH ORDINALITY AS u (raw, n)
 ORDER BY n;
-- and never the address itself
SELECT count(*) AS unmasked
  FROM generate_series(0, 999) i, concat('+1555', lpad((i * 7919 % 10000000)::text, 7, '0')) AS raw
 WHERE omnimsg_mask_phone(raw) = raw OR omnimsg_mask_phone(raw) ~ '[0-9]{8}';
