-- Numbers that change hands or are shared: what comes along with them and what does not, whose words count
-- on a shared one, and what omnimsg_health() says of opt-outs that an owner does not know of.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

\set beta '''44444444-4444-7444-8444-444444444444'''
INSERT INTO omnimsg.organizations (id, name) VALUES (:beta, 'Beta');
CREATE VIEW pg_temp.requests AS
	SELECT o.name, q.address, q.channel, q.request_type, q.our_address, q.our_address_only, q.occurred_at
	  FROM omnimsg.opt_out_requests q JOIN omnimsg.organizations o ON o.id = q.organization_id;
CREATE VIEW pg_temp.state AS
	SELECT c.address, o.name, c.channel, c.state FROM omnimsg.consents c JOIN omnimsg.organizations o ON o.id = c.organization_id;
CREATE VIEW pg_temp.owners AS
	SELECT n.phone_number, o.name, n.is_primary FROM omnimsg.inbound_phone_numbers n JOIN omnimsg.organizations o ON o.id = n.organization_id;
CREATE VIEW pg_temp.health AS
	SELECT severity, finding, detail FROM omnimsg_health() WHERE finding ~ '^(numbers have opt-outs|a number has several primary)';
CREATE FUNCTION pg_temp.gates(organization uuid, address text) RETURNS text LANGUAGE sql
	RETURN (SELECT coalesce(string_agg(concat_ws(' ', gate, verdict, reason), ', '), 'all allow')
			  FROM omnimsg_explain_send(organization, 'sms', address) WHERE verdict <> 'allow');

-- more opt-outs than are copied at once, many of one instant: all of them come along, each once, and never again
INSERT INTO omnimsg.opt_out_requests (organization_id, id, channel, address, our_address, request_type, source, occurred_at, created_at)
	SELECT :unassigned, omnimsg.uuid7(), 'sms', '+1305555' || to_char(n, 'FM0000'), '+15555550190', 'opt_out', 'keyword',
		   date_trunc('minute', now()) - (n / 700) * interval '1 minute', now() FROM generate_series(1, 3000) AS n;
SELECT * FROM omnimsg_assign_number('+15555550190', :acme);
SELECT count(*), count(DISTINCT address) AS people FROM pg_temp.requests WHERE name = 'Acme' AND our_address = '+15555550190';
SELECT name, channel, state, count(*) FROM pg_temp.state GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT * FROM omnimsg_assign_number('+15555550190', :acme);
SELECT count(*), count(DISTINCT address) AS people FROM pg_temp.requests WHERE name = 'Acme' AND our_address = '+15555550190';
-- to the next one from the last one, not from nobody as well
SELECT * FROM omnimsg_assign_number('+15555550190', :beta);
SELECT * FROM omnimsg_assign_number('+15555550190', :beta);
SELECT name, count(*), count(DISTINCT address) AS people FROM pg_temp.requests WHERE our_address = '+15555550190' GROUP BY 1 ORDER BY 1;

-- reviews that are open come along: each organization decides its own, of the message that one of them has
SELECT * FROM pg_temp.ingest(pg_temp.received('r1', 'Wrong number', now() - interval '3 minutes', '+15555550131'));
SELECT * FROM pg_temp.ingest(pg_temp.received('r2', 'Wrong number', now() - interval '3 minutes', '+15555550132'));
SELECT omnimsg_review(id, 'none', 'Ann') IS NULL AS no_request FROM omnimsg.reviews WHERE address = '+15555550132';
SELECT * FROM omnimsg_assign_number('+15555550199', :beta);
SELECT o.name, v.address, v.decision, v.our_address, v.due_at = v.occurred_at + interval '10 days' AS ten_days, m.message_body,
	   mo.name AS message_of, (SELECT count(*) FROM omnimsg.reviews w WHERE w.id = v.id) AS of_that_id
  FROM omnimsg.reviews v JOIN omnimsg.organizations o ON o.id = v.organization_id
  JOIN omnimsg.messages m ON m.organization_id = v.message_organization_id AND m.id = v.message_id
  JOIN omnimsg.organizations mo ON mo.id = m.organization_id ORDER BY 2, 1;
SELECT omnimsg_record_consent(o, 'sms', '+15555550131', 'opt_in', 'web', occurred_at => now() - interval '1 day') IS NOT NULL AS recorded
  FROM unnest(ARRAY[:acme, :beta]::uuid[]) AS o;
SELECT pg_temp.gates(:acme, '+15555550131') AS acme, pg_temp.gates(:beta, '+15555550131') AS beta;
SELECT omnimsg_review(id, 'none', 'Bob') IS NULL AS no_request FROM omnimsg.reviews WHERE organization_id = :beta AND address = '+15555550131';
SELECT pg_temp.gates(:acme, '+15555550131') AS acme, pg_temp.gates(:beta, '+15555550131') AS beta;
SELECT omnimsg_review(id, 'opt_out', 'Ann') IS NOT NULL AS request FROM omnimsg.reviews WHERE organization_id = :acme AND address = '+15555550131';
SELECT pg_temp.gates(:acme, '+15555550131') AS acme, pg_temp.gates(:beta, '+15555550131') AS beta;
-- once more: what was decided does not come again, nor what was decided there
SELECT * FROM omnimsg_assign_number('+15555550199', :beta);
SELECT * FROM omnimsg_assign_number('+15555550199', :acme);
SELECT o.name, count(*), count(v.decision) AS decided FROM omnimsg.reviews v JOIN omnimsg.organizations o ON o.id = v.organization_id GROUP BY 1 ORDER BY 1;
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550131', 'opt_in', 'web') IS NOT NULL AS recorded;

-- added by INSERT after somebody said STOP to it: the owner does not know, and is told so
SELECT * FROM pg_temp.health;
SELECT * FROM pg_temp.ingest(pg_temp.received('h1', 'STOP', now() - interval '2 minutes', '+15555550133', '+15555550191'));
SELECT * FROM pg_temp.health;
INSERT INTO omnimsg.inbound_phone_numbers (organization_id, phone_number) VALUES (:beta, '+15555550191');
SELECT * FROM pg_temp.health;
SELECT name, state FROM pg_temp.state WHERE address = '+15555550133' AND channel = 'sms' ORDER BY 1;
SELECT * FROM omnimsg_assign_number('+15555550191', :beta, share => true);
SELECT name, state FROM pg_temp.state WHERE address = '+15555550133' AND channel = 'sms' ORDER BY 1;
SELECT * FROM pg_temp.health;
-- assigned in the first place: nothing to tell
SELECT * FROM pg_temp.ingest(pg_temp.received('h2', 'STOP', now() - interval '2 minutes', '+15555550134', '+15555550192'));
SELECT * FROM omnimsg_assign_number('+15555550192', :beta);
SELECT * FROM pg_temp.health;

-- shared: the others keep it, and the opt-outs that stand come along, but none that was taken back and no opt-in
SELECT * FROM pg_temp.ingest(pg_temp.received('s1', 'STOP', now() - interval '4 minutes', '+15555550135'));
SELECT * FROM pg_temp.ingest(pg_temp.received('s2', 'STOP', now() - interval '4 minutes', '+15555550136'));
SELECT * FROM pg_temp.ingest(pg_temp.received('s3', 'START', now() - interval '3 minutes', '+15555550136'));
SELECT * FROM pg_temp.ingest(pg_temp.received('s4', 'Wrong number', now() - interval '3 minutes', '+15555550137'));
SELECT * FROM omnimsg_assign_number('+15555550199', :beta, share => true);
SELECT * FROM pg_temp.owners WHERE phone_number = '+15555550199' ORDER BY 2;
SELECT * FROM pg_temp.state WHERE address IN ('+15555550135', '+15555550136') ORDER BY 1, 2, 3;
SELECT o.name, v.address FROM omnimsg.reviews v JOIN omnimsg.organizations o ON o.id = v.organization_id WHERE v.address = '+15555550137' ORDER BY 1;
SELECT * FROM pg_temp.health;
SELECT * FROM omnimsg_assign_number('+15555550199', :beta, share => true);

-- an opt-out word of one is an opt-out for all that share it, whoever stores the message
INSERT INTO omnimsg.keywords (organization_id, keyword, label) VALUES
	(:beta, 'genug', 'opt_out'), (:acme, 'join', 'opt_in'), (:beta, 'zurueck', 'opt_in'), (:beta, 'wer da', 'help');
CREATE FUNCTION pg_temp.stored_by(body bytea, OUT organization text, OUT intent text, OUT reply text) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT o.name, r.intent, r.reply FROM omnimsg_ingest('telnyx', body) r JOIN omnimsg.organizations o ON o.id = r.organization_id
$$;
SELECT * FROM pg_temp.stored_by(pg_temp.received('k1', 'Genug!', now() - interval '250 s', '+15555550140'));
SELECT * FROM pg_temp.state WHERE address = '+15555550140' ORDER BY 1, 2, 3;
-- an opt-in word lifts nothing of the other's, whichever of the two it is
SELECT * FROM pg_temp.stored_by(pg_temp.received('k2', 'join', now() - interval '4 minutes', '+15555550140'));
SELECT * FROM pg_temp.state WHERE address = '+15555550140' ORDER BY 1, 2, 3;
SELECT name, channel, request_type FROM pg_temp.requests WHERE address = '+15555550140' ORDER BY 1, 2, 3;
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone) VALUES (:beta, 'known to Beta', '+15555550141');
SELECT * FROM pg_temp.stored_by(pg_temp.received('k3', 'STOP', now() - interval '250 s', '+15555550141'));
SELECT * FROM pg_temp.stored_by(pg_temp.received('k4', 'zurueck', now() - interval '4 minutes', '+15555550141'));
SELECT * FROM pg_temp.state WHERE address = '+15555550141' ORDER BY 1, 2, 3;
-- words of the one that does not store it are not heard
SELECT * FROM pg_temp.stored_by(pg_temp.received('k5', 'zurueck', now() - interval '4 minutes', '+15555550142'));
SELECT * FROM pg_temp.stored_by(pg_temp.received('k6', 'wer da', now() - interval '4 minutes', '+15555550142'));
SELECT * FROM pg_temp.stored_by(pg_temp.received('k7', 'join', now() - interval '4 minutes', '+15555550141'));
-- what everybody understands is for both
SELECT * FROM pg_temp.stored_by(pg_temp.received('k8', 'START', now() - interval '3 minutes', '+15555550140'));
SELECT * FROM pg_temp.state WHERE address = '+15555550140' ORDER BY 1, 2, 3;

-- START on a shared number is about that number: a review of a message to another one goes on
INSERT INTO omnimsg.inbound_phone_numbers (organization_id, phone_number, is_primary) VALUES (:acme, '+15555550198', false);
SELECT * FROM pg_temp.ingest(pg_temp.received('l1', 'STOP', now() - interval '250 s', '+15555550143'));
SELECT * FROM pg_temp.ingest(pg_temp.received('l2', 'Wrong number', now() - interval '4 minutes', '+15555550143', '+15555550198'));
SELECT * FROM pg_temp.ingest(pg_temp.received('l3', 'START', now() - interval '3 minutes', '+15555550143'));
SELECT pg_temp.gates(:acme, '+15555550143');
-- of one to the same number it is the end
SELECT * FROM pg_temp.ingest(pg_temp.received('l4', 'Wrong number', now() - interval '4 minutes', '+15555550144'));
SELECT * FROM pg_temp.ingest(pg_temp.received('l5', 'STOP', now() - interval '250 s', '+15555550144'));
SELECT * FROM pg_temp.ingest(pg_temp.received('l6', 'START', now() - interval '3 minutes', '+15555550144'));
SELECT pg_temp.gates(:acme, '+15555550144') AS acme, pg_temp.gates(:beta, '+15555550144') AS beta;
-- so is one that is about all numbers
SELECT * FROM pg_temp.ingest(pg_temp.received('l7', 'START', now() - interval '2 minutes', '+15555550143', '+15555550198'));
SELECT pg_temp.gates(:acme, '+15555550143');
