-- Bad content never raises and never blocks a batch: it ends applied, ignored or dead, the dead
-- with their bytes, and its 99 neighbours in the batch are applied.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

CREATE TEMPORARY SEQUENCE ids;
CREATE FUNCTION pg_temp.raw(payload text, event_type text DEFAULT 'message.received',
		id text DEFAULT nextval('pg_temp.ids')::text) RETURNS bytea LANGUAGE sql VOLATILE AS $$
	SELECT convert_to(format('{"data":{"event_type":"%s","id":"%s","payload":%s}}', event_type, id, payload), 'UTF8')
$$;
CREATE TEMPORARY TABLE bad (n serial, what text, body bytea);
INSERT INTO bad (what, body) VALUES
	('invalid JSON', '{"data":'),
	('nothing', ''),
	('not an object', '[]'),
	('a number', '1'),
	('two values', '{} {}'),
	('no event type', '{"data":{}}'),
	('no event type, an id of 9 kB', convert_to(format('{"data":{"id":"%s"}}', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) i)), 'UTF8')),
	('data is null', '{"data":null}'),
	('payload is an array', pg_temp.raw('[]')),
	('payload is text', pg_temp.raw('"hi"')),
	('\u0000 in the text', pg_temp.raw('{"id":"b1","from":{"phone_number":"+15555550140"},"to":[{"phone_number":"+15555550199"}],"text":"a\u0000b"}')),
	('a NUL byte', '\x7b2261223a0022227d'),
	('invalid UTF-8', '\x7b2261223a22ff227d'),
	('a lone surrogate', pg_temp.raw('{"id":"b2","from":{"phone_number":"+15555550140"},"text":"\ud83d"}')),
	('UTF-16 with a mark', '\xfffe7b007d00'),
	('10 000 levels', convert_to(repeat('[', 10000) || repeat(']', 10000), 'UTF8')),
	('10 000 levels, open', convert_to(repeat('{"a":', 10000), 'UTF8')),
	('65 levels', convert_to(repeat('[', 65) || repeat(']', 65), 'UTF8')),
	('a number of 100 000 digits', pg_temp.raw(format('{"id":"b3","from":{"phone_number":"+15555550141"},"to":[{"phone_number":"+15555550199"}],"text":"hi","parts":%s,"cost":{"amount":%1$s}}', repeat('9', 100000)))),
	('an exponent of 131071', pg_temp.raw('{"id":"b4","from":{"phone_number":"+15555550141"},"to":[{"phone_number":"+15555550199"}],"text":"hi","cost":{"amount":1e131071},"media":[{"url":"https://media.example.com","size":1e131071}]}')),
	('a message id of 6 kB', pg_temp.raw(format('{"id":"%s","from":{"phone_number":"+15555550141"},"to":[{"phone_number":"+15555550199"}],"text":"hi"}', repeat('i', 6000)))),
	('an event id of 6 kB', pg_temp.raw('{"id":"b5","from":{"phone_number":"+15555550141"},"text":"hi"}', id => repeat('e', 6000))),
	('a message id of 255 bytes', pg_temp.raw(format('{"id":"%s","from":{"phone_number":"+15555550141"},"to":[{"phone_number":"+15555550199"}],"text":"hi"}', repeat('i', 255)))),
	('an address of 400 bytes', pg_temp.raw(format('{"id":"b6","from":{"phone_number":"%s"},"to":[{"phone_number":"+15555550199"}],"text":"hi"}', repeat('a', 400)))),
	('no from', pg_temp.raw('{"id":"b7","to":[{"phone_number":"+15555550199"}],"text":"hi"}')),
	('from is null', pg_temp.raw('{"id":"b8","from":null,"to":[{"phone_number":"+15555550199"}],"text":"hi"}')),
	('from is blank', pg_temp.raw('{"id":"b9","from":{"phone_number":" "},"to":[{"phone_number":"+15555550199"}],"text":"hi"}')),
	('no text', pg_temp.raw('{"id":"b10","from":{"phone_number":"+15555550142"},"to":[{"phone_number":"+15555550199"}]}')),
	('text is an object', pg_temp.raw('{"id":"b11","from":{"phone_number":"+15555550142"},"to":[{"phone_number":"+15555550199"}],"text":{"a":"STOP"}}')),
	('no to', pg_temp.raw('{"id":"b12","from":{"phone_number":"+15555550142"},"text":"hi"}')),
	('to is a string', pg_temp.raw('{"id":"b13","type":"WHATSAPP","from":{"phone_number":"+15555550142"},"to":"+15555550199","body":"hi"}')),
	('to is empty', pg_temp.raw('{"id":"b14","from":{"phone_number":"+15555550142"},"to":[],"text":"hi"}')),
	('an alphanumeric sender', pg_temp.raw('{"id":"b15","from":{"phone_number":"ACME Corp"},"to":[{"phone_number":"+15555550199"}],"text":"hi"}')),
	('a short code', pg_temp.raw('{"id":"b16","from":{"phone_number":"262966"},"to":[{"phone_number":"+15555550199"}],"text":"HELP"}')),
	('256 KiB of text', pg_temp.raw(format('{"id":"b17","from":{"phone_number":"+15555550143"},"to":[{"phone_number":"+15555550199"}],"text":"%s"}', repeat('x', 261900)))),
	('no ids at all', '{"data":{"event_type":"message.received","payload":{"from":{"phone_number":"+15555550144"},"to":[{"phone_number":"+15555550199"}],"text":"hi"}}}'),
	('another event type', pg_temp.raw('{"id":"b18"}', 'message.read', 'ev1')),
	('one of a link click', '{"record_type":"link_click","message_id":"b19","url":"https://example.com"}'),
	('a status without id', pg_temp.raw('{"from":{"phone_number":"+15555550199"}}', 'message.finalized', 'ev2')),
	('a status of an unknown message', pg_temp.raw('{"id":"b20","from":{"phone_number":"+15555550199"},"to":[{"phone_number":"+15555550142","status":"delivered"}]}', 'message.finalized', 'ev3')),
	('a key that looks like a path', convert_to('{"data.payload.text":"STOP","data":{"event_type":"message.received","id":"ev4","payload.text":"STOP","payload":{"id":"b21","from":{"phone_number":"+15555550145"},"to":[{"phone_number":"+15555550199"}],"text":"hi"}}}', 'UTF8')),
	('the same key twice', pg_temp.raw('{"id":"b22","from":{"phone_number":"+15555550145"},"to":[{"phone_number":"+15555550199"}],"text":"STOP","text":"hi"}')),
	('hundreds of receivers', pg_temp.raw(format('{"id":"b23","from":{"phone_number":"+15555550145"},"to":[%s],"text":"hi"}',
		(SELECT string_agg(format('{"phone_number":"+1555555%s","status":"queued"}', i), ',') FROM generate_series(1000, 1600) i)))),
	('hundreds of media', pg_temp.raw(format('{"id":"b24","from":{"phone_number":"+15555550145"},"to":[{"phone_number":"+15555550199"}],"media":[%s]}',
		(SELECT string_agg('{"url":"https://media.example.com/\"\u2028\\"}', ',') FROM generate_series(1, 600) i)))),
	('times that are none', pg_temp.raw('{"id":"b25","received_at":"2026-13-45T99:99:99Z","from":{"phone_number":"+15555550145"},"to":[{"phone_number":"+15555550199"}],"text":"hi"}')),
	('a time far in the past', pg_temp.raw('{"id":"b26","received_at":"0001-01-01T00:00:00Z","from":{"phone_number":"+15555550145"},"to":[{"phone_number":"+15555550199"}],"text":"hi"}')),
	('a time far in the future', pg_temp.raw('{"id":"b27","received_at":"9999-12-31T23:59:59Z","from":{"phone_number":"+15555550145"},"to":[{"phone_number":"+15555550199"}],"text":"hi"}'));

-- each in the middle of 99 good ones
CREATE TEMPORARY TABLE results AS
	SELECT bad.n, bad.what, r.*
	  FROM (SELECT b.n, b.what, array_agg('telnyx'::text) AS providers,
				   array_agg(CASE WHEN i = 50 THEN b.body
								  ELSE pg_temp.received(b.n || '-' || i, 'hello', sender => '+1555556' || lpad(i::text, 4, '0')) END ORDER BY i) AS bodies
			  FROM bad b, generate_series(1, 100) i GROUP BY 1, 2 ORDER BY 1) bad,
		   omnimsg_ingest_batch(providers, bodies) r;
SELECT what, outcome, event_type, intent, reply, reason FROM results WHERE ordinal = 50 ORDER BY n;
SELECT outcome, count(*) AS neighbours FROM results WHERE ordinal <> 50 GROUP BY 1;
-- no text is cut, and nothing but the journal knows the dead
SELECT left(external_message_id, 4) AS id, length(message_body) AS length, jsonb_array_length(media) AS media, cardinality(cc) AS cc, parts, cost_amount
  FROM omnimsg.messages WHERE external_message_id LIKE 'b%' OR external_message_id LIKE 'iii%' ORDER BY 1;
SELECT b.what, e.outcome, e.raw = b.body AS bytes_kept
  FROM results r JOIN bad b ON b.n = r.n JOIN omnimsg.events e ON e.outcome IN ('dead', 'pending') AND e.raw = b.body
 WHERE r.ordinal = 50 ORDER BY b.n;
SELECT (SELECT count(*) FROM results WHERE outcome = 'dead') = (SELECT count(*) FROM omnimsg.dead_letters) AS all_dead_are_kept;
SELECT count(*) AS opted_out FROM omnimsg.consents;

-- delivered again they are duplicates
SELECT r.outcome, count(*)
  FROM (SELECT array_agg('telnyx'::text) AS providers, array_agg(body ORDER BY n) AS bodies FROM bad) b,
	   omnimsg_ingest_batch(providers, bodies) r GROUP BY 1 ORDER BY 1;

-- a provider that is not ours, headers that are nonsense
SELECT outcome, event_type, reason FROM omnimsg_ingest('nobody', pg_temp.received('other', 'STOP'));
SELECT outcome FROM omnimsg_ingest('telnyx', pg_temp.received('headers', 'hi'), repeat('s', 100000), '99999999999999999999', repeat('k', 1000), repeat('d', 100000));
SELECT provider, dedupe_key ~ '^received:message-(other|headers)$|^[0-9a-f]{64}$' AS key, outcome, signed_at IS NULL AS no_time
  FROM omnimsg.events WHERE provider = 'nobody' OR dedupe_key = 'received:message-headers' ORDER BY 1;

-- a size that is no number of JSON does not cost the message
SELECT outcome, intent FROM omnimsg_ingest('telnyx', pg_temp.received('size', 'STOP', more =>
	'{"media": [{"url": "https://media.example/1", "size": "0012"}, {"url": "https://media.example/2", "size": 12}]}'));
SELECT media FROM omnimsg.messages WHERE external_message_id LIKE '%size%';
