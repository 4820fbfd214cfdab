/* omnimsg--1.0--1.1.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION or CREATE EXTENSION
\echo Use "ALTER EXTENSION omnimsg UPDATE TO '1.1'" to load this file. \quit

-- Version 1.0 stays as it was installed; what has changed since is here, and a new installation runs
-- both.  Names are qualified as in omnimsg--1.0.sql, for the same reason.  What is replaced is a
-- member of the extension already, and replacing takes nobody else's object.

--
-- The journal: what received webhooks became, dead letters and their replay
--


--
-- What is to be sent: unknown outcomes and what is found out about them
--


--
-- Where this database may send from
--


--
-- Fetching from the provider what it could not deliver
--


--
-- Keeping house: months, retention, legal holds
--


--
-- What people see
--

CREATE OR REPLACE FUNCTION @extschema@.omnimsg_health(OUT severity pg_catalog.text, OUT finding pg_catalog.text,
		OUT detail pg_catalog.text, OUT hint pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT 'error', 'the dispatcher does not run', NULL::text,
		   'Add omnimsg to shared_preload_libraries, set omnimsg.database to this database, restart, and look into the log of the server.'
	  FROM @extschema@.omnimsg_worker_status() s
	 WHERE s.pid IS NULL AND NOT pg_is_in_recovery()
	UNION ALL
	SELECT 'warning', 'omnimsg.database is another database', current_setting('omnimsg.database', true),
		   'Nothing is sent from this database.'
	 WHERE current_setting('omnimsg.database', true) <> current_database()
	UNION ALL
	SELECT 'warning', 'omnimsg.dispatch is off', NULL, 'Nothing is sent until it is on.'
	 WHERE current_setting('omnimsg.dispatch', true) = 'off'
	UNION ALL
	SELECT 'error', format('%s is off', s.name), NULL,
		   'A crash of the machine can lose webhooks that were answered 200.'
	  FROM pg_settings s WHERE s.name IN ('fsync', 'full_page_writes') AND s.setting = 'off'
	UNION ALL
	SELECT 'warning', 'dead letters are open', format('%s, the oldest of %s', count(*), min(e.received_at)),
		   'See omnimsg.dead_letters.'
	  FROM omnimsg.events e WHERE e.outcome = 'dead' HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'messages wait longer than a minute',
		   format('%s, the oldest due at %s', count(*), min(o.next_attempt_at)),
		   'See last_error in omnimsg.outbox, and omnimsg_worker_status().'
	  FROM omnimsg.outbox o
	 WHERE o.state = 'queued' AND o.next_attempt_at < now() - interval '1 minute' HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'the fate of messages is unknown', format('%s in the last day', count(*)),
		   'They are not sent again. Ask the provider what became of them.'
	  FROM omnimsg.outbox o
	 WHERE o.state = 'unknown' AND o.settled_at > now() - interval '1 day' HAVING count(*) > 0
	UNION ALL
	SELECT 'error', 'numbers have opt-outs that their organization does not know of',
		   string_agg(w.masked, ', ' ORDER BY w.masked),
		   'People said STOP to them while they were nobody''s. Run omnimsg_assign_number(number, organization, share => true).'
	  FROM (SELECT @extschema@.omnimsg_mask_phone(n.phone_number) AS masked
			  FROM omnimsg.inbound_phone_numbers n
			 WHERE EXISTS (SELECT 1 FROM omnimsg.opt_out_requests q
							WHERE q.organization_id = '00000000-0000-0000-0000-000000000000'
							  AND q.our_address = n.phone_number AND q.request_type = 'opt_out'
							  AND NOT EXISTS (SELECT 1 FROM omnimsg.organizations o	-- the person has taken it back since
												JOIN omnimsg.opt_out_requests i ON i.organization_id = o.id
											   WHERE i.channel = q.channel AND i.address = q.address
												 AND i.our_address = q.our_address AND i.request_type = 'opt_in'
												 AND i.source NOT IN ('import', 'api') AND i.occurred_at > q.occurred_at)
							  AND NOT EXISTS (SELECT 1 FROM omnimsg.opt_out_requests h
											   WHERE h.organization_id IN (SELECT o.organization_id FROM omnimsg.inbound_phone_numbers o
																			WHERE o.phone_number = n.phone_number)
												 AND h.channel = q.channel AND h.address = q.address
												 AND h.our_address = q.our_address AND h.occurred_at = q.occurred_at))
			 LIMIT 10) AS w HAVING count(*) > 0
	UNION ALL
	SELECT 'error', 'reviews are past their deadline', format('%s, the oldest due at %s', count(*), min(v.due_at)),
		   'They count as opt-outs. The dispatcher records them when it runs.'
	  FROM omnimsg.reviews v
	 WHERE v.decision IS NULL AND v.due_at < now() - interval '10 minutes' HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'reviews are due within three days',
		   format('%s, the first at %s', count(*), min(v.due_at)),
		   'Decide them with omnimsg_review(); without a decision they become opt-outs.'
	  FROM omnimsg.reviews v
	 WHERE v.decision IS NULL AND v.due_at BETWEEN now() AND now() + interval '3 days' HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'organizations have an unknown time zone', string_agg(w.timezone, ', ' ORDER BY w.timezone),
		   'Set omnimsg.organizations.timezone to a name of pg_timezone_names; until then it is passed over.'
	  FROM (SELECT DISTINCT o.timezone FROM omnimsg.organizations o
			 WHERE NOT omnimsg.is_timezone(o.timezone) LIMIT 10) AS w HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'an opt-out list could not be pulled',
		   format('provider account "%s", %s: %s', a.name,
				  coalesce('last pulled completely at ' || p.completed_at::text, 'never pulled completely'),
				  coalesce(p.last_error, 'no error')),
		   'Opt-outs whose webhooks were lost are not known here. See omnimsg.optout_pulls.'
	  FROM omnimsg.provider_accounts a
	  LEFT JOIN omnimsg.optout_pulls p ON p.provider_account_id = a.id
	 CROSS JOIN (SELECT coalesce(current_setting('omnimsg.optout_pull_interval', true), '1h')::interval) AS s (every)
	 WHERE a.secret_name IS NOT NULL AND s.every > '0'
	   AND coalesce(p.completed_at + s.every + interval '1 day', a.created_at + s.every) < now()
	UNION ALL
	SELECT 'warning', 'numbers have no provider account', string_agg(w.masked, ', ' ORDER BY w.masked),
		   'Set provider_account_id in omnimsg.inbound_phone_numbers; nothing can be sent from them.'
	  FROM (SELECT @extschema@.omnimsg_mask_phone(n.phone_number) AS masked
			  FROM omnimsg.inbound_phone_numbers n
			 WHERE n.provider_account_id IS NULL AND n.reply_mode = 'auto'
			 ORDER BY n.phone_number LIMIT 10) AS w HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'a number has several primary organizations',
		   @extschema@.omnimsg_mask_phone(n.phone_number),
		   'Leave is_primary to one of them in omnimsg.inbound_phone_numbers.'
	  FROM omnimsg.inbound_phone_numbers n WHERE n.is_primary
	 GROUP BY n.phone_number HAVING count(*) > 1
	UNION ALL
	SELECT 'warning', format('omnimsg.%s_default has rows', w.parent), NULL,
		   'Run omnimsg_maintain(); schedule it with omnimsg_schedule_jobs().'
	  FROM (SELECT 'messages' WHERE EXISTS (SELECT 1 FROM omnimsg.messages_default)
			UNION ALL
			SELECT 'audit_logs' WHERE EXISTS (SELECT 1 FROM omnimsg.audit_logs_default)) AS w (parent)
	UNION ALL
	SELECT 'warning', format('next month has no partition of omnimsg.%s', w.parent), NULL,
		   'Run omnimsg_maintain(); schedule it with omnimsg_schedule_jobs().'
	  FROM (VALUES ('messages'), ('audit_logs')) AS w (parent)
	 WHERE to_regclass(format('omnimsg.%s_%s', w.parent,
							  to_char((now() AT TIME ZONE 'UTC') + interval '1 month', 'YYYY_MM'))) IS NULL
$$;
