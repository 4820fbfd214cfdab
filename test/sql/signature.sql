-- Ed25519 over signed_at, "|" and the raw body, within 300 s in both directions.  The key is
-- TEST 1 of RFC 8032 section 7.1; the signatures were checked with OpenSSL.

\set key 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
\set sig_a NpucbBMxyMyAaGpdRVAkhYOoGXTM7sXqMDT2aBMuNuEQiEGaXIotp87oK19Oo6iWLP6ELSMRSnk/95t49D8hBA==
\set sig_b EUdlMtz+53TreMcl1r4CBXgaYXtu7XER4yUOqLwcTEyjWHZaqTMMbYziEAS1Mr71POQm0W+einDFjTMd88P9BQ==
\set sig_c AKnrhNEWW1ImlTL3WXnB4rhe/L7pwgFOugAerfb10+NEFDtSVJawWx4+VxMkbUgd1++NAY7bFIBM8K6kBH/6Cw==

CREATE TEMPORARY TABLE vectors (name text, body bytea, signature text);
INSERT INTO vectors VALUES
	('a message', convert_to('{"data":{"event_type":"message.received","id":"b301ed3f-1490-491f-995f-6e64e69674d4","occurred_at":"2024-01-15T20:16:07.588+00:00","payload":{"from":{"phone_number":"+13125550001"},"id":"84cca175-9755-4859-b67f-4730d7f58aa3","text":"STOP","to":[{"phone_number":"+17735550002","status":"webhook_delivered"}],"type":"SMS"},"record_type":"event"},"meta":{"attempt":1,"delivered_to":"https://example.com/webhooks"}}', 'UTF8'), :'sig_a'),
	('accents and emoji', convert_to('{"data":{"payload":{"text":"Arrêt 🚀 ', 'UTF8') || '\x5c7530306539'::bytea || convert_to('"}}}', 'UTF8'), :'sig_b'),
	('nothing', '', :'sig_c');
SELECT name, length(body), encode(sha256(body), 'hex') LIKE 'a1e190084575ea9b%' AS is_vector_a FROM vectors;

-- verifies with the clock at t, t + 300 and t - 300, not one second further
SELECT name, off, omnimsg_verify_telnyx(body, signature, '1705349767', :'key', to_timestamp(1705349767 + off))
  FROM vectors, unnest(ARRAY[0, 300, 301, -300, -301]) AS off
 ORDER BY name, abs(off), off;
-- unless the caller asks for another tolerance
SELECT omnimsg_verify_telnyx(body, signature, '1705349767', :'key', to_timestamp(1705349767 + 3600), '2 hours') AS within,
	   omnimsg_verify_telnyx(body, signature, '1705349767', :'key', to_timestamp(1705349767 + 1), '0 s') AS beyond
  FROM vectors WHERE name = 'a message';
-- old by default
SELECT omnimsg_verify_telnyx(body, signature, '1705349767', :'key') FROM vectors WHERE name = 'a message';

-- any one byte changed: of the body, of the signature, of the time
SELECT count(*) AS tried,
	   count(*) FILTER (WHERE omnimsg_verify_telnyx(set_byte(body, i, get_byte(body, i) # 1), signature,
							'1705349767', :'key', to_timestamp(1705349767))) AS accepted
  FROM vectors, generate_series(0, length(body) - 1) i WHERE name = 'a message';
SELECT count(*) AS tried,
	   count(*) FILTER (WHERE omnimsg_verify_telnyx(body,
							translate(encode(set_byte(s, i, get_byte(s, i) # bit), 'base64'), E'\n', ''),
							'1705349767', :'key', to_timestamp(1705349767))) AS accepted
  FROM vectors, decode(signature, 'base64') AS s, generate_series(0, length(s) - 1) i, unnest(ARRAY[1, 128]) AS bit
 WHERE name = 'a message';
SELECT signed_at, omnimsg_verify_telnyx(body, signature, signed_at, :'key', to_timestamp(1705349767))
  FROM vectors, unnest(ARRAY['1705349768', '01705349767', ' 1705349767', '1705349767 ', '1705349767.0',
	'+1705349767', '-1705349767', '0x65a59347', '', 'now', '17053497670000000000000000']) AS signed_at
 WHERE name = 'a message';

-- a signature that is not standard base64 of 64 bytes
SELECT omnimsg_verify_telnyx(body, wrong, '1705349767', :'key', to_timestamp(1705349767))
  FROM vectors, unnest(ARRAY['', 'x', rtrim(signature, '='), signature || '=', ' ' || signature, signature || E'\n',
	translate(signature, '+/', '-_'), left(signature, 84) || 'hB==', translate(encode(substr(decode(signature, 'base64'), 1, 63), 'base64'), E'\n', ''),
	signature || signature]) AS wrong
 WHERE name = 'a message';
-- what was signed for another body, or serialised again
SELECT omnimsg_verify_telnyx(convert_to(jsonb_pretty(convert_from(body, 'UTF8')::jsonb), 'UTF8'), signature,
		'1705349767', :'key', to_timestamp(1705349767)) AS pretty,
	   omnimsg_verify_telnyx(body, :'sig_b', '1705349767', :'key', to_timestamp(1705349767)) AS of_another
  FROM vectors WHERE name = 'a message';

-- nothing missing is ever right
SELECT omnimsg_verify_telnyx(NULL, :'sig_a', '1705349767', :'key', to_timestamp(1705349767)) AS body,
	   omnimsg_verify_telnyx('', NULL, '1705349767', :'key', to_timestamp(1705349767)) AS signature,
	   omnimsg_verify_telnyx('', :'sig_c', NULL, :'key', to_timestamp(1705349767)) AS signed_at,
	   omnimsg_verify_telnyx('', :'sig_c', '1705349767', NULL, to_timestamp(1705349767)) AS key,
	   omnimsg_verify_telnyx('', :'sig_c', '1705349767', :'key', NULL) AS at,
	   omnimsg_verify_telnyx('', :'sig_c', '1705349767', :'key', 'infinity') AS at_infinity;

-- a key that cannot be one, and a tolerance that cannot be one, are mistakes of the caller
SELECT omnimsg_verify_telnyx('', :'sig_c', '1705349767', 'bm8=', to_timestamp(1705349767));
SELECT omnimsg_verify_telnyx('', :'sig_c', '1705349767', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', to_timestamp(1705349767));
SELECT omnimsg_verify_telnyx('', :'sig_c', '1705349767', :'key', to_timestamp(1705349767), '-1 s');
SELECT omnimsg_verify_telnyx('', :'sig_c', '1705349767', :'key', to_timestamp(1705349767), '1 month');
