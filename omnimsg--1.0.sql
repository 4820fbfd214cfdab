/* omnimsg--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION omnimsg" to load this file. \quit

-- Every name and every operator in this script is qualified: it runs as superuser, and
-- what it meets in the schemas of the database may be hostile.  For the same reason
-- nothing here is CREATE OR REPLACE or IF NOT EXISTS (CVE-2022-2625).

DO $$
BEGIN
	IF pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.<>) 'UTF8' THEN
		RAISE EXCEPTION USING
			ERRCODE = 'feature_not_supported',
			MESSAGE = 'omnimsg needs a database with encoding UTF8',
			DETAIL = pg_catalog.format('This database is encoded in %s.', pg_catalog.getdatabaseencoding()),
			HINT = 'Create one with CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0.';
	END IF;
END
$$;

CREATE SCHEMA omnimsg;
COMMENT ON SCHEMA omnimsg IS 'tables, views and types of the omnimsg extension; its functions are named omnimsg_* and live where the extension was installed';

CREATE FUNCTION omnimsg.uuid7() RETURNS pg_catalog.uuid
	AS 'MODULE_PATHNAME', 'omnimsg_uuid7' LANGUAGE C VOLATILE PARALLEL SAFE;
COMMENT ON FUNCTION omnimsg.uuid7() IS 'a new UUID of version 7 (RFC 9562): ordered by time, so that indexes grow at their end';

CREATE FUNCTION omnimsg.keyword_key(keyword pg_catalog.text) RETURNS pg_catalog.text
	AS 'MODULE_PATHNAME', 'omnimsg_keyword_key' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION omnimsg.keyword_key(pg_catalog.text) IS 'the form in which a whole message is compared with the keywords of an organization; empty when nothing is left of it';

CREATE FUNCTION omnimsg.is_timezone(name pg_catalog.text) RETURNS pg_catalog.bool
	AS 'MODULE_PATHNAME', 'omnimsg_is_timezone' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION omnimsg.is_timezone(pg_catalog.text) IS 'whether the server knows a time zone of that name';

CREATE FUNCTION omnimsg.check_template(trigger pg_catalog.text, body pg_catalog.text) RETURNS pg_catalog.bool
	AS 'MODULE_PATHNAME', 'omnimsg_check_template' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION omnimsg.check_template(pg_catalog.text, pg_catalog.text) IS 'true for a text that may be the automatic reply to the trigger; raises with the reason for any other';


--
-- Tenants and what they own
--

CREATE TABLE omnimsg.organizations (
	id pg_catalog.uuid PRIMARY KEY DEFAULT omnimsg.uuid7(),
	name pg_catalog.text NOT NULL,
	default_region pg_catalog.text NOT NULL DEFAULT 'US'
		CHECK (default_region OPERATOR(pg_catalog.~) '^[A-Z]{2}$'),
	timezone pg_catalog.text,
	paused pg_catalog.bool NOT NULL DEFAULT false,
	consent_policy pg_catalog.text NOT NULL DEFAULT 'explicit'
		CHECK (consent_policy OPERATOR(pg_catalog.=) ANY (ARRAY['explicit', 'implied'])),
	settings pg_catalog.jsonb NOT NULL DEFAULT '{}',
	created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE omnimsg.organizations IS 'tenants; the nil UUID is the built-in organization ''unassigned'' that keeps what arrives for numbers nobody owns';
COMMENT ON COLUMN omnimsg.organizations.id IS 'identifies the organization in every other table';
COMMENT ON COLUMN omnimsg.organizations.name IS 'as people know it; the built-in replies begin with it';
COMMENT ON COLUMN omnimsg.organizations.default_region IS 'ISO 3166 region in which national phone numbers of this organization are read';
COMMENT ON COLUMN omnimsg.organizations.timezone IS 'IANA time zone of the organization, one of those in which quiet hours are kept; NULL when it has none';
COMMENT ON COLUMN omnimsg.organizations.paused IS 'nothing is sent but replies to STOP, START and HELP';
COMMENT ON COLUMN omnimsg.organizations.consent_policy IS '''explicit'': an address without any request may not be written to; ''implied'': it may, but for marketing';
COMMENT ON COLUMN omnimsg.organizations.settings IS 'settings of later versions, by name';
COMMENT ON COLUMN omnimsg.organizations.created_at IS 'when the row was made';

-- the same row in every database, so that a restored copy is equal to its original
INSERT INTO omnimsg.organizations (id, name, consent_policy, created_at)
	VALUES ('00000000-0000-0000-0000-000000000000', 'unassigned', 'explicit', '2026-01-01 00:00:00+00');

CREATE TABLE omnimsg.provider_accounts (
	id pg_catalog.uuid PRIMARY KEY DEFAULT omnimsg.uuid7(),
	provider pg_catalog.text NOT NULL CHECK (provider OPERATOR(pg_catalog.=) 'telnyx'),
	name pg_catalog.text NOT NULL,
	key_fingerprints pg_catalog.text[] NOT NULL DEFAULT '{}',
	secret_name pg_catalog.text
		CHECK (secret_name OPERATOR(pg_catalog.~) '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$'),
	messaging_profile_id pg_catalog.text,
	created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE omnimsg.provider_accounts IS 'accounts at a provider; one may serve several organizations';
COMMENT ON COLUMN omnimsg.provider_accounts.id IS 'identifies the account';
COMMENT ON COLUMN omnimsg.provider_accounts.provider IS 'the provider; ''telnyx''';
COMMENT ON COLUMN omnimsg.provider_accounts.name IS 'as people know it';
COMMENT ON COLUMN omnimsg.provider_accounts.key_fingerprints IS 'SHA-256 of the public keys that sign its webhooks, lower-case hex';
COMMENT ON COLUMN omnimsg.provider_accounts.secret_name IS 'file in omnimsg.secrets_dir, mode 0600, that holds the API key; the key itself never enters the database';
COMMENT ON COLUMN omnimsg.provider_accounts.messaging_profile_id IS 'messaging profile to send from; the provider''s own STOP blocks hold for the whole profile';
COMMENT ON COLUMN omnimsg.provider_accounts.created_at IS 'when the row was made';

CREATE TABLE omnimsg.inbound_phone_numbers (
	organization_id pg_catalog.uuid NOT NULL REFERENCES omnimsg.organizations (id),
	phone_number pg_catalog.text NOT NULL
		CHECK (phone_number OPERATOR(pg_catalog.~) '^(\+[1-9][0-9]{6,14}|[0-9]{3,8})$'),
	provider pg_catalog.text NOT NULL DEFAULT 'telnyx' CHECK (provider OPERATOR(pg_catalog.=) 'telnyx'),
	provider_account_id pg_catalog.uuid REFERENCES omnimsg.provider_accounts (id),
	is_primary pg_catalog.bool NOT NULL DEFAULT true,
	reply_mode pg_catalog.text NOT NULL DEFAULT 'auto'
		CHECK (reply_mode OPERATOR(pg_catalog.=) ANY (ARRAY['auto', 'provider', 'off'])),
	created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	PRIMARY KEY (organization_id, phone_number)
);
CREATE INDEX inbound_phone_numbers_phone_number ON omnimsg.inbound_phone_numbers (phone_number);
COMMENT ON TABLE omnimsg.inbound_phone_numbers IS 'the numbers (DIDs) at which organizations are reached; several organizations may share one';
COMMENT ON COLUMN omnimsg.inbound_phone_numbers.organization_id IS 'the organization that is reached there';
COMMENT ON COLUMN omnimsg.inbound_phone_numbers.phone_number IS 'E.164 with plus, or a short code';
COMMENT ON COLUMN omnimsg.inbound_phone_numbers.provider IS 'the provider that delivers its messages';
COMMENT ON COLUMN omnimsg.inbound_phone_numbers.provider_account_id IS 'the account to send from; without one nothing can be sent from this number';
COMMENT ON COLUMN omnimsg.inbound_phone_numbers.is_primary IS 'on a shared number: this organization gets what no single organization knows the sender of';
COMMENT ON COLUMN omnimsg.inbound_phone_numbers.reply_mode IS 'who answers STOP, START and HELP: ''auto'' omnimsg, unless the provider says that it did; ''provider'' always the provider; ''off'' nobody';
COMMENT ON COLUMN omnimsg.inbound_phone_numbers.created_at IS 'when the row was made';

CREATE TABLE omnimsg.send_limits (
	organization_id pg_catalog.uuid NOT NULL REFERENCES omnimsg.organizations (id),
	region pg_catalog.text NOT NULL DEFAULT '*'
		CHECK (region OPERATOR(pg_catalog.~) '^(\*|[A-Z]{2}|\+[1-9][0-9]{0,14})$'),
	opens pg_catalog.time,
	closes pg_catalog.time,
	per_day pg_catalog.int4 CHECK (per_day OPERATOR(pg_catalog.>=) 0),
	per_week pg_catalog.int4 CHECK (per_week OPERATOR(pg_catalog.>=) 0),
	PRIMARY KEY (organization_id, region),
	CHECK ((opens IS NULL) OPERATOR(pg_catalog.=) (closes IS NULL)),
	CHECK (opens OPERATOR(pg_catalog.<) closes)
);
COMMENT ON TABLE omnimsg.send_limits IS 'when and how often an organization writes to people, by where they are; what no row says is 08:00 to 20:00, no marketing after three messages of any kind in a day, and no limit for the rest';
COMMENT ON COLUMN omnimsg.send_limits.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.send_limits.region IS 'ISO 3166 region of the number, the beginning of the number with plus (an area code: +1305), or ''*'' for all; of several rows that fit the narrowest decides, value by value';
COMMENT ON COLUMN omnimsg.send_limits.opens IS 'local time from which messages are sent; NULL leaves it to the next wider row';
COMMENT ON COLUMN omnimsg.send_limits.closes IS 'local time at which that ends';
COMMENT ON COLUMN omnimsg.send_limits.per_day IS 'messages to one address in 24 hours, automatic replies not counted; answers to the person''s own message of the last 24 hours are counted but not stopped';
COMMENT ON COLUMN omnimsg.send_limits.per_week IS 'as per_day, in seven days';

CREATE TABLE omnimsg.keywords (
	organization_id pg_catalog.uuid NOT NULL REFERENCES omnimsg.organizations (id),
	keyword pg_catalog.text NOT NULL,
	key pg_catalog.text NOT NULL GENERATED ALWAYS AS (omnimsg.keyword_key(keyword)) STORED,
	label pg_catalog.text NOT NULL
		CHECK (label OPERATOR(pg_catalog.=) ANY (ARRAY['opt_out', 'opt_in', 'help'])),
	language pg_catalog.text NOT NULL DEFAULT 'en' CHECK (language OPERATOR(pg_catalog.~) '^[a-z]{2}$'),
	PRIMARY KEY (organization_id, key),
	CONSTRAINT keyword_must_have_a_word CHECK (key OPERATOR(pg_catalog.<>) ''),
	CONSTRAINT keyword_must_be_in_latin_letters CHECK (pg_catalog.strpos(key, '?') OPERATOR(pg_catalog.=) 0),
	CONSTRAINT yes_is_no_opt_in CHECK (NOT (label OPERATOR(pg_catalog.=) 'opt_in'
				AND key OPERATOR(pg_catalog.=) ANY (ARRAY['yes', 'y', 'yep', 'yup', 'yeah', 'yess', 'sure', 'ok', 'okay', 'i agree', 'agree', '1', 'ja', 'da',
					'si', 'si si', 'claro', 'vale', 'oui', 'sim'])))
);
COMMENT ON TABLE omnimsg.keywords IS 'words of an organization''s own, beside the built-in ones; a message that says one of them and nothing else has its label; none of them makes an opt-out less than that';
COMMENT ON COLUMN omnimsg.keywords.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.keywords.keyword IS 'as people would write it, in Latin letters: those of other scripts are not told apart';
COMMENT ON COLUMN omnimsg.keywords.key IS 'the form in which it is compared: folded words without politeness around them';
COMMENT ON COLUMN omnimsg.keywords.label IS '''opt_out'', ''opt_in'' (never a plain yes, which answers any question) or ''help''';
COMMENT ON COLUMN omnimsg.keywords.language IS 'ISO 639-1 code of the language that is answered in';

CREATE TABLE omnimsg.campaigns (
	organization_id pg_catalog.uuid NOT NULL REFERENCES omnimsg.organizations (id),
	id pg_catalog.uuid NOT NULL DEFAULT omnimsg.uuid7(),
	name pg_catalog.text NOT NULL,
	scope pg_catalog.text NOT NULL DEFAULT 'all',
	PRIMARY KEY (organization_id, id)
);
COMMENT ON TABLE omnimsg.campaigns IS 'campaigns that accounts belong to';
COMMENT ON COLUMN omnimsg.campaigns.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.campaigns.id IS 'identifies the campaign within its organization';
COMMENT ON COLUMN omnimsg.campaigns.name IS 'as people know it';
COMMENT ON COLUMN omnimsg.campaigns.scope IS 'category of consent that its messages need; ''all'' when they are of no category';

-- No index on last_contact_at, and room on each page: every inbound message updates this
-- row, and it stays a heap-only update that way.
CREATE TABLE omnimsg.collection_accounts (
	organization_id pg_catalog.uuid NOT NULL REFERENCES omnimsg.organizations (id),
	id pg_catalog.uuid NOT NULL DEFAULT omnimsg.uuid7(),
	campaign_id pg_catalog.uuid,
	name pg_catalog.text,
	primary_phone pg_catalog.text,
	secondary_phone pg_catalog.text,
	email pg_catalog.text,
	sms_consent pg_catalog.bool,
	email_consent pg_catalog.bool,
	timezone pg_catalog.text,
	last_contact_at pg_catalog.timestamptz,
	created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	updated_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	PRIMARY KEY (organization_id, id),
	FOREIGN KEY (organization_id, campaign_id) REFERENCES omnimsg.campaigns (organization_id, id)
) WITH (fillfactor = 85);
CREATE INDEX collection_accounts_primary_phone ON omnimsg.collection_accounts (organization_id, primary_phone);
CREATE INDEX collection_accounts_secondary_phone ON omnimsg.collection_accounts (organization_id, secondary_phone)
	WHERE secondary_phone IS NOT NULL;
CREATE INDEX collection_accounts_email ON omnimsg.collection_accounts (organization_id, email)
	WHERE email IS NOT NULL;
COMMENT ON TABLE omnimsg.collection_accounts IS 'customer records of an organization';
COMMENT ON COLUMN omnimsg.collection_accounts.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.collection_accounts.id IS 'identifies the account within its organization';
COMMENT ON COLUMN omnimsg.collection_accounts.campaign_id IS 'campaign it belongs to';
COMMENT ON COLUMN omnimsg.collection_accounts.name IS 'the customer';
COMMENT ON COLUMN omnimsg.collection_accounts.primary_phone IS 'normalized to E.164 on the way in where that is possible, else kept as it was given';
COMMENT ON COLUMN omnimsg.collection_accounts.secondary_phone IS 'as primary_phone';
COMMENT ON COLUMN omnimsg.collection_accounts.email IS 'lower-cased on the way in';
COMMENT ON COLUMN omnimsg.collection_accounts.sms_consent IS 'copy of what omnimsg.consents says of its phones, for people and reports; NULL when nothing is recorded; a value given to INSERT is recorded as a request of source ''import''; change it with omnimsg_record_consent()';
COMMENT ON COLUMN omnimsg.collection_accounts.email_consent IS 'as sms_consent, of its e-mail address';
COMMENT ON COLUMN omnimsg.collection_accounts.timezone IS 'IANA time zone of the customer';
COMMENT ON COLUMN omnimsg.collection_accounts.last_contact_at IS 'when the newest message of the customer reached the provider';
COMMENT ON COLUMN omnimsg.collection_accounts.created_at IS 'when the row was made';
COMMENT ON COLUMN omnimsg.collection_accounts.updated_at IS 'when omnimsg or an application last changed it';

CREATE TABLE omnimsg.account_repairs (
	organization_id pg_catalog.uuid NOT NULL,
	id pg_catalog.uuid NOT NULL DEFAULT omnimsg.uuid7(),
	account_id pg_catalog.uuid NOT NULL,
	contact_at pg_catalog.timestamptz,
	PRIMARY KEY (organization_id, id)
);
COMMENT ON TABLE omnimsg.account_repairs IS 'accounts that ingest passed over because somebody else had them locked; the worker brings them up to date within a minute';
COMMENT ON COLUMN omnimsg.account_repairs.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.account_repairs.id IS 'identifies the entry';
COMMENT ON COLUMN omnimsg.account_repairs.account_id IS 'the account that was passed over';
COMMENT ON COLUMN omnimsg.account_repairs.contact_at IS 'value that last_contact_at should have at least';

--
-- The journal
--

CREATE TABLE omnimsg.events (
	provider pg_catalog.text NOT NULL,
	dedupe_key pg_catalog.text NOT NULL,
	event_type pg_catalog.text,
	occurred_at pg_catalog.timestamptz,
	received_at pg_catalog.timestamptz NOT NULL,
	organization_id pg_catalog.uuid,
	message_id pg_catalog.uuid,
	external_message_id pg_catalog.text,
	outcome pg_catalog.text NOT NULL
		CHECK (outcome OPERATOR(pg_catalog.=) ANY (ARRAY['applied', 'ignored', 'pending', 'dead'])),
	reason pg_catalog.text,
	key_id pg_catalog.text,
	signed_at pg_catalog.timestamptz,
	signature pg_catalog.text,
	raw pg_catalog.bytea,
	PRIMARY KEY (provider, dedupe_key)
);
CREATE INDEX events_received_at ON omnimsg.events USING brin (received_at);
CREATE INDEX events_pending ON omnimsg.events (external_message_id)
	WHERE outcome OPERATOR(pg_catalog.=) 'pending';
CREATE INDEX events_pending_received_at ON omnimsg.events (received_at)
	WHERE outcome OPERATOR(pg_catalog.=) 'pending';
CREATE INDEX events_dead ON omnimsg.events (received_at)
	WHERE outcome OPERATOR(pg_catalog.=) 'dead';
COMMENT ON TABLE omnimsg.events IS 'the journal: what has been claimed here is never applied twice; kept for omnimsg.journal_retention, evidence of consent and open dead letters for ever';
COMMENT ON COLUMN omnimsg.events.provider IS 'who sent it';
COMMENT ON COLUMN omnimsg.events.dedupe_key IS '''received:'' and the message id for inbound messages, else the event id, else the SHA-256 of the body';
COMMENT ON COLUMN omnimsg.events.event_type IS 'as the provider calls it; NULL when that could not be read';
COMMENT ON COLUMN omnimsg.events.occurred_at IS 'when it happened by the provider''s clock; never more than 300 s after the time it was signed at';
COMMENT ON COLUMN omnimsg.events.received_at IS 'when it was ingested';
COMMENT ON COLUMN omnimsg.events.organization_id IS 'the tenant it was routed to; the nil UUID when nobody owns the number';
COMMENT ON COLUMN omnimsg.events.message_id IS 'the message it made or moved';
COMMENT ON COLUMN omnimsg.events.external_message_id IS 'of an event that waits: the provider''s id of the message it waits for';
COMMENT ON COLUMN omnimsg.events.outcome IS '''applied''; ''ignored'': of a kind that has no effect; ''pending'': waits for its message; ''dead'': could not be applied, see omnimsg.dead_letters';
COMMENT ON COLUMN omnimsg.events.reason IS 'why it was not applied';
COMMENT ON COLUMN omnimsg.events.key_id IS 'fingerprint of the public key that verified it';
COMMENT ON COLUMN omnimsg.events.signed_at IS 'time that was signed with it';
COMMENT ON COLUMN omnimsg.events.signature IS 'the signature, where raw is kept';
COMMENT ON COLUMN omnimsg.events.raw IS 'the body, byte for byte, of events that ask for consent to change, that wait or that are dead';

CREATE VIEW omnimsg.dead_letters WITH (security_invoker = true) AS
	SELECT e.provider, e.dedupe_key, e.event_type, e.occurred_at, e.received_at,
		   e.organization_id, e.reason, e.key_id, pg_catalog.octet_length(e.raw) AS raw_bytes
	  FROM omnimsg.events e
	 WHERE e.outcome OPERATOR(pg_catalog.=) 'dead';
COMMENT ON VIEW omnimsg.dead_letters IS 'events that were verified and kept but could not be applied, without their content';
COMMENT ON COLUMN omnimsg.dead_letters.provider IS 'who sent it';
COMMENT ON COLUMN omnimsg.dead_letters.dedupe_key IS 'identifies it together with provider';
COMMENT ON COLUMN omnimsg.dead_letters.event_type IS 'as the provider calls it, where it could be read';
COMMENT ON COLUMN omnimsg.dead_letters.occurred_at IS 'when it happened, where that could be read';
COMMENT ON COLUMN omnimsg.dead_letters.received_at IS 'when it was ingested';
COMMENT ON COLUMN omnimsg.dead_letters.organization_id IS 'the tenant, where it could be routed';
COMMENT ON COLUMN omnimsg.dead_letters.reason IS 'why it could not be applied';
COMMENT ON COLUMN omnimsg.dead_letters.key_id IS 'fingerprint of the public key that verified it';
COMMENT ON COLUMN omnimsg.dead_letters.raw_bytes IS 'size of the body, which is in omnimsg.events.raw';

--
-- Messages.  The parent has neither keys nor indexes: indexes declared on it make a
-- restored dump fail.  The default partition has them, and is the pattern that
-- omnimsg_maintain() makes the months from.
--

CREATE TABLE omnimsg.messages (
	organization_id pg_catalog.uuid NOT NULL,
	id pg_catalog.uuid NOT NULL,
	account_id pg_catalog.uuid,
	campaign_id pg_catalog.uuid,
	direction pg_catalog.text NOT NULL
		CHECK (direction OPERATOR(pg_catalog.=) ANY (ARRAY['inbound', 'outbound'])),
	channel pg_catalog.text NOT NULL
		CHECK (channel OPERATOR(pg_catalog.=) ANY (ARRAY['sms', 'email', 'voice'])),
	from_number pg_catalog.text NOT NULL,
	to_number pg_catalog.text,
	peer_address pg_catalog.text GENERATED ALWAYS AS
		(CASE direction WHEN 'inbound' THEN from_number ELSE to_number END) STORED,
	our_address pg_catalog.text GENERATED ALWAYS AS
		(CASE direction WHEN 'inbound' THEN to_number ELSE from_number END) STORED,
	cc pg_catalog.text[],
	subject pg_catalog.text,
	message_body pg_catalog.text,
	media pg_catalog.jsonb,
	status pg_catalog.text NOT NULL
		CHECK (status OPERATOR(pg_catalog.=) ANY (ARRAY['received', 'queued', 'sending', 'sent', 'delivered',
			'failed', 'blocked', 'expired', 'unknown'])),
	external_message_id pg_catalog.text,
	provider pg_catalog.text,
	intent pg_catalog.text,
	intent_rule pg_catalog.text,
	in_reply_to pg_catalog.uuid,
	error_code pg_catalog.text,
	error_detail pg_catalog.text,
	parts pg_catalog.int4,
	cost_amount pg_catalog.numeric,
	cost_currency pg_catalog.text,
	sent_at pg_catalog.timestamptz,
	delivered_at pg_catalog.timestamptz,
	failed_at pg_catalog.timestamptz,
	created_at pg_catalog.timestamptz NOT NULL
) PARTITION BY RANGE (created_at);

CREATE TABLE omnimsg.messages_default PARTITION OF omnimsg.messages DEFAULT;
ALTER TABLE omnimsg.messages_default ADD PRIMARY KEY (organization_id, id);
CREATE INDEX messages_default_account ON omnimsg.messages_default (organization_id, account_id, created_at);
CREATE INDEX messages_default_peer ON omnimsg.messages_default (organization_id, peer_address, created_at);
CREATE INDEX messages_default_created_at ON omnimsg.messages_default USING brin (created_at);
CREATE INDEX messages_default_external ON omnimsg.messages_default (organization_id, external_message_id)
	WHERE direction OPERATOR(pg_catalog.=) 'outbound';

COMMENT ON TABLE omnimsg.messages IS 'texts and e-mails, partitioned by month of created_at; omnimsg_maintain() makes months ahead and drops those past omnimsg.retention';
COMMENT ON TABLE omnimsg.messages_default IS 'messages of months that have no partition yet; should be empty';
COMMENT ON COLUMN omnimsg.messages.organization_id IS 'the tenant; the nil UUID when nobody owns the number it came to';
COMMENT ON COLUMN omnimsg.messages.id IS 'identifies the message within its organization';
COMMENT ON COLUMN omnimsg.messages.account_id IS 'account of the person; NULL when none is known (orphaned)';
COMMENT ON COLUMN omnimsg.messages.campaign_id IS 'campaign of that account';
COMMENT ON COLUMN omnimsg.messages.direction IS '''inbound'' or ''outbound''';
COMMENT ON COLUMN omnimsg.messages.channel IS '''sms'' (MMS and RCS too), ''email'' or ''voice''';
COMMENT ON COLUMN omnimsg.messages.from_number IS 'address of the sender: E.164, a short code, an alphanumeric sender or an e-mail address';
COMMENT ON COLUMN omnimsg.messages.to_number IS 'address of the receiver';
COMMENT ON COLUMN omnimsg.messages.peer_address IS 'the person''s address, whatever the direction';
COMMENT ON COLUMN omnimsg.messages.our_address IS 'the organization''s address, whatever the direction';
COMMENT ON COLUMN omnimsg.messages.cc IS 'the others of a group message';
COMMENT ON COLUMN omnimsg.messages.subject IS 'subject of an MMS or e-mail';
COMMENT ON COLUMN omnimsg.messages.message_body IS 'the text; NULL when there was none, as in an MMS of pictures only';
COMMENT ON COLUMN omnimsg.messages.media IS 'array of objects with url, content_type, size and sha256';
COMMENT ON COLUMN omnimsg.messages.status IS '''received''; or ''queued'', ''sending'', ''sent'', ''delivered'', ''failed'', ''blocked'', ''expired'', ''unknown''; moves forward only';
COMMENT ON COLUMN omnimsg.messages.external_message_id IS 'the provider''s id of the message';
COMMENT ON COLUMN omnimsg.messages.provider IS 'the provider that carried it';
COMMENT ON COLUMN omnimsg.messages.intent IS 'what an inbound text asks for, as omnimsg_detect_intent() labels it';
COMMENT ON COLUMN omnimsg.messages.intent_rule IS 'rule that found the intent, with the version of the lexicon; NULL when it asks for nothing';
COMMENT ON COLUMN omnimsg.messages.in_reply_to IS 'of an automatic reply: the message it answers';
COMMENT ON COLUMN omnimsg.messages.error_code IS 'the provider''s code of what went wrong';
COMMENT ON COLUMN omnimsg.messages.error_detail IS 'the provider''s words for it, or a status of the provider that omnimsg does not know';
COMMENT ON COLUMN omnimsg.messages.parts IS 'segments the provider counted';
COMMENT ON COLUMN omnimsg.messages.cost_amount IS 'what the provider charged';
COMMENT ON COLUMN omnimsg.messages.cost_currency IS 'ISO 4217 currency of cost_amount';
COMMENT ON COLUMN omnimsg.messages.sent_at IS 'when the provider took it, then when it says that it sent it';
COMMENT ON COLUMN omnimsg.messages.delivered_at IS 'when it reached the handset, by the provider''s clock';
COMMENT ON COLUMN omnimsg.messages.failed_at IS 'when it was known to have failed';
COMMENT ON COLUMN omnimsg.messages.created_at IS 'when it was ingested or queued';

--
-- Consent
--

CREATE TABLE omnimsg.opt_out_requests (
	organization_id pg_catalog.uuid NOT NULL,
	id pg_catalog.uuid NOT NULL,
	channel pg_catalog.text NOT NULL
		CHECK (channel OPERATOR(pg_catalog.=) ANY (ARRAY['sms', 'email', 'voice'])),
	address pg_catalog.text NOT NULL,
	our_address pg_catalog.text,
	our_address_only pg_catalog.bool NOT NULL DEFAULT false,
	account_id pg_catalog.uuid,
	request_type pg_catalog.text NOT NULL
		CHECK (request_type OPERATOR(pg_catalog.=) ANY (ARRAY['opt_out', 'opt_in'])),
	scope pg_catalog.text NOT NULL DEFAULT 'all',
	source pg_catalog.text NOT NULL
		CHECK (source OPERATOR(pg_catalog.=) ANY (ARRAY['keyword', 'free_text', 'provider', 'provider_block',
			'agent', 'email', 'web', 'import', 'api'])),
	rule pg_catalog.text,
	matched_text pg_catalog.text,
	note pg_catalog.text,
	message_id pg_catalog.uuid,
	provider pg_catalog.text,
	dedupe_key pg_catalog.text,
	occurred_at pg_catalog.timestamptz NOT NULL,
	created_at pg_catalog.timestamptz NOT NULL,
	PRIMARY KEY (organization_id, id)
);
CREATE INDEX opt_out_requests_address ON omnimsg.opt_out_requests (organization_id, channel, address);
COMMENT ON TABLE omnimsg.opt_out_requests IS 'every opt-out and opt-in, kept for ever; omnimsg.consents is computed from it alone';
COMMENT ON COLUMN omnimsg.opt_out_requests.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.opt_out_requests.id IS 'identifies the request within its organization';
COMMENT ON COLUMN omnimsg.opt_out_requests.channel IS '''sms'', ''email'' or ''voice''';
COMMENT ON COLUMN omnimsg.opt_out_requests.address IS 'whose request it is: E.164, a short code or an e-mail address';
COMMENT ON COLUMN omnimsg.opt_out_requests.our_address IS 'our number that it was sent to; NULL when it did not come by message';
COMMENT ON COLUMN omnimsg.opt_out_requests.our_address_only IS 'an opt-in that lifts only opt-outs made through our_address: START to a number that organizations share, and what a START by text means for voice';
COMMENT ON COLUMN omnimsg.opt_out_requests.account_id IS 'account of the person at that time';
COMMENT ON COLUMN omnimsg.opt_out_requests.request_type IS '''opt_out'' or ''opt_in''';
COMMENT ON COLUMN omnimsg.opt_out_requests.scope IS '''all'' or a category of messages';
COMMENT ON COLUMN omnimsg.opt_out_requests.source IS 'how it reached us; an opt-in by ''import'' or ''api'' never beats an opt-out';
COMMENT ON COLUMN omnimsg.opt_out_requests.rule IS 'rule that read it, with the version of the word list';
COMMENT ON COLUMN omnimsg.opt_out_requests.matched_text IS 'the words that decided';
COMMENT ON COLUMN omnimsg.opt_out_requests.note IS 'what the one who recorded it says of it';
COMMENT ON COLUMN omnimsg.opt_out_requests.message_id IS 'the message that it was';
COMMENT ON COLUMN omnimsg.opt_out_requests.provider IS 'with dedupe_key: the event in omnimsg.events that proves it';
COMMENT ON COLUMN omnimsg.opt_out_requests.dedupe_key IS 'see provider';
COMMENT ON COLUMN omnimsg.opt_out_requests.occurred_at IS 'when the person asked, by the provider''s clock';
COMMENT ON COLUMN omnimsg.opt_out_requests.created_at IS 'when it was recorded';

CREATE TABLE omnimsg.consents (
	organization_id pg_catalog.uuid NOT NULL,
	channel pg_catalog.text NOT NULL,
	address pg_catalog.text NOT NULL,
	scope pg_catalog.text NOT NULL DEFAULT 'all',
	state pg_catalog.text
		CHECK (state OPERATOR(pg_catalog.=) ANY (ARRAY['opted_in', 'opted_out'])),
	decided_at pg_catalog.timestamptz,
	request_id pg_catalog.uuid,
	provider_blocked pg_catalog.bool NOT NULL DEFAULT false,
	changed_at pg_catalog.timestamptz NOT NULL,
	PRIMARY KEY (organization_id, channel, address, scope)
) WITH (fillfactor = 85);
CREATE INDEX consents_changed_at ON omnimsg.consents (changed_at);
COMMENT ON TABLE omnimsg.consents IS 'whether an organization may write to an address: the current state, a pure function of omnimsg.opt_out_requests';
COMMENT ON COLUMN omnimsg.consents.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.consents.channel IS '''sms'', ''email'' or ''voice''';
COMMENT ON COLUMN omnimsg.consents.address IS 'the person''s address';
COMMENT ON COLUMN omnimsg.consents.scope IS '''all'' or a category; a category folds the requests of ''all'' and its own';
COMMENT ON COLUMN omnimsg.consents.state IS '''opted_in'' or ''opted_out''; NULL when no request decides, as when a START had nothing to lift; while the address is in omnimsg.consent_repairs, requests are on record that are not in here yet';
COMMENT ON COLUMN omnimsg.consents.decided_at IS 'when the request that decides was made';
COMMENT ON COLUMN omnimsg.consents.request_id IS 'the request that decides';
COMMENT ON COLUMN omnimsg.consents.provider_blocked IS 'the provider refuses messages to this address until the person sends START to the same number or profile';
COMMENT ON COLUMN omnimsg.consents.changed_at IS 'when this row was computed';

CREATE TABLE omnimsg.consent_repairs (
	organization_id pg_catalog.uuid NOT NULL,
	id pg_catalog.uuid NOT NULL,
	channel pg_catalog.text NOT NULL,
	address pg_catalog.text NOT NULL,
	scope pg_catalog.text NOT NULL,
	PRIMARY KEY (organization_id, id)
);
CREATE INDEX consent_repairs_address ON omnimsg.consent_repairs (organization_id, address);
COMMENT ON TABLE omnimsg.consent_repairs IS 'addresses with requests that are recorded but not in omnimsg.consents yet, because somebody held that locked; the worker folds them as soon as it can, and nothing is sent to them before';
COMMENT ON COLUMN omnimsg.consent_repairs.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.consent_repairs.id IS 'identifies the entry';
COMMENT ON COLUMN omnimsg.consent_repairs.channel IS '''sms'', ''email'' or ''voice''';
COMMENT ON COLUMN omnimsg.consent_repairs.address IS 'the person''s address';
COMMENT ON COLUMN omnimsg.consent_repairs.scope IS 'scope of the request';

CREATE TABLE omnimsg.reviews (
	organization_id pg_catalog.uuid NOT NULL,
	id pg_catalog.uuid NOT NULL,
	message_organization_id pg_catalog.uuid NOT NULL,
	message_id pg_catalog.uuid NOT NULL,
	channel pg_catalog.text NOT NULL,
	address pg_catalog.text NOT NULL,
	our_address pg_catalog.text,
	account_id pg_catalog.uuid,
	rule pg_catalog.text NOT NULL,
	matched_text pg_catalog.text,
	provider pg_catalog.text,
	dedupe_key pg_catalog.text,
	occurred_at pg_catalog.timestamptz NOT NULL,
	due_at pg_catalog.timestamptz NOT NULL,
	decision pg_catalog.text
		CHECK (decision OPERATOR(pg_catalog.=) ANY (ARRAY['opt_out', 'wrong_number', 'none'])),
	decided_at pg_catalog.timestamptz,
	decided_by pg_catalog.text,
	request_id pg_catalog.uuid,
	created_at pg_catalog.timestamptz NOT NULL,
	PRIMARY KEY (organization_id, id),
	CHECK ((decision IS NULL) OPERATOR(pg_catalog.=) (decided_at IS NULL)
		AND (decision IS NULL) OPERATOR(pg_catalog.=) (decided_by IS NULL))
);
CREATE INDEX reviews_id ON omnimsg.reviews (id);
CREATE INDEX reviews_open_address ON omnimsg.reviews (organization_id, address) WHERE decision IS NULL;
CREATE INDEX reviews_open_due ON omnimsg.reviews (due_at) WHERE decision IS NULL;
COMMENT ON TABLE omnimsg.reviews IS 'messages that may be an opt-out and wait for a person to decide with omnimsg_review(); while one is open nothing is sent to its address, and past its deadline it counts as an opt-out; kept for ever';
COMMENT ON COLUMN omnimsg.reviews.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.reviews.id IS 'identifies the review';
COMMENT ON COLUMN omnimsg.reviews.message_organization_id IS 'organization that stores the message: another one where a number is shared or has changed hands';
COMMENT ON COLUMN omnimsg.reviews.message_id IS 'the message to read, in omnimsg.messages';
COMMENT ON COLUMN omnimsg.reviews.channel IS 'channel that it came by';
COMMENT ON COLUMN omnimsg.reviews.address IS 'who wrote it';
COMMENT ON COLUMN omnimsg.reviews.our_address IS 'our number that it was sent to';
COMMENT ON COLUMN omnimsg.reviews.account_id IS 'account of the person at that time';
COMMENT ON COLUMN omnimsg.reviews.rule IS 'rule that found it, with the version of the lexicon';
COMMENT ON COLUMN omnimsg.reviews.matched_text IS 'the words that the rule found';
COMMENT ON COLUMN omnimsg.reviews.provider IS 'with dedupe_key: the event in omnimsg.events';
COMMENT ON COLUMN omnimsg.reviews.dedupe_key IS 'see provider';
COMMENT ON COLUMN omnimsg.reviews.occurred_at IS 'when it was written; an opt-out that is decided counts from then';
COMMENT ON COLUMN omnimsg.reviews.due_at IS 'ten days later: always inside the ten business days of 47 CFR 64.1200(a)(10)';
COMMENT ON COLUMN omnimsg.reviews.decision IS '''opt_out''; ''wrong_number'': not the person we mean to write to; ''none'': it asks for nothing; NULL while it is open';
COMMENT ON COLUMN omnimsg.reviews.decided_at IS 'when it was decided';
COMMENT ON COLUMN omnimsg.reviews.decided_by IS 'who decided; ''deadline'' when nobody did in time';
COMMENT ON COLUMN omnimsg.reviews.request_id IS 'the opt-out that the decision made';
COMMENT ON COLUMN omnimsg.reviews.created_at IS 'when it was ingested';

CREATE TABLE omnimsg.address_flags (
	organization_id pg_catalog.uuid NOT NULL REFERENCES omnimsg.organizations (id),
	id pg_catalog.uuid NOT NULL DEFAULT omnimsg.uuid7(),
	address pg_catalog.text NOT NULL,
	flag pg_catalog.text NOT NULL
		CHECK (flag OPERATOR(pg_catalog.=) ANY (ARRAY['wrong_number', 'reassigned'])),
	since pg_catalog.timestamptz NOT NULL,
	note pg_catalog.text,
	flagged_by pg_catalog.text NOT NULL,
	PRIMARY KEY (organization_id, address)
);
COMMENT ON TABLE omnimsg.address_flags IS 'addresses that do not belong to the person meant; set with omnimsg_flag_address(); nothing is sent to them until whoever has them now opts in';
COMMENT ON COLUMN omnimsg.address_flags.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.address_flags.id IS 'names the flag in the audit trail';
COMMENT ON COLUMN omnimsg.address_flags.address IS 'the address';
COMMENT ON COLUMN omnimsg.address_flags.flag IS '''wrong_number'': never was theirs; ''reassigned'': given to somebody else, as the Reassigned Numbers Database of the FCC tells';
COMMENT ON COLUMN omnimsg.address_flags.since IS 'consent from before this time is not this person''s';
COMMENT ON COLUMN omnimsg.address_flags.note IS 'how that is known';
COMMENT ON COLUMN omnimsg.address_flags.flagged_by IS 'who said so';

CREATE TABLE omnimsg.provider_optouts (
	provider_account_id pg_catalog.uuid NOT NULL REFERENCES omnimsg.provider_accounts (id) ON DELETE CASCADE,
	our_address pg_catalog.text NOT NULL,
	address pg_catalog.text NOT NULL,
	keyword pg_catalog.text,
	created_at pg_catalog.timestamptz NOT NULL,
	seen_at pg_catalog.timestamptz NOT NULL,
	PRIMARY KEY (provider_account_id, our_address, address)
);
CREATE INDEX provider_optouts_address ON omnimsg.provider_optouts (address);
COMMENT ON TABLE omnimsg.provider_optouts IS 'the provider''s own list of opt-outs, as the worker last pulled it';
COMMENT ON COLUMN omnimsg.provider_optouts.provider_account_id IS 'account whose list it is';
COMMENT ON COLUMN omnimsg.provider_optouts.our_address IS 'our number that the person texted; empty when the provider does not tell';
COMMENT ON COLUMN omnimsg.provider_optouts.address IS 'the person''s number';
COMMENT ON COLUMN omnimsg.provider_optouts.keyword IS 'the word that the provider took for an opt-out';
COMMENT ON COLUMN omnimsg.provider_optouts.created_at IS 'when, by the provider''s clock; when it was first seen, if the provider tells no time or one that is more than 300 s ahead';
COMMENT ON COLUMN omnimsg.provider_optouts.seen_at IS 'start of the pull that last saw it';

CREATE TABLE omnimsg.optout_pulls (
	provider_account_id pg_catalog.uuid PRIMARY KEY REFERENCES omnimsg.provider_accounts (id) ON DELETE CASCADE,
	started_at pg_catalog.timestamptz NOT NULL,
	next_page pg_catalog.int4 NOT NULL DEFAULT 1,
	pass pg_catalog.int4 NOT NULL DEFAULT 1,
	total pg_catalog.int4,
	finished_at pg_catalog.timestamptz,
	completed_at pg_catalog.timestamptz,
	due_at pg_catalog.timestamptz NOT NULL,
	failures pg_catalog.int4 NOT NULL DEFAULT 0,
	last_error pg_catalog.text
);
COMMENT ON TABLE omnimsg.optout_pulls IS 'how far the pull of each provider account''s opt-out list has come';
COMMENT ON COLUMN omnimsg.optout_pulls.provider_account_id IS 'the account';
COMMENT ON COLUMN omnimsg.optout_pulls.started_at IS 'when this pull began';
COMMENT ON COLUMN omnimsg.optout_pulls.next_page IS 'page to ask for next; a pull that was interrupted goes on there';
COMMENT ON COLUMN omnimsg.optout_pulls.pass IS '2 while a list of several pages is read once more, because it changed meanwhile or before anything is removed from the mirror; else 1';
COMMENT ON COLUMN omnimsg.optout_pulls.total IS 'how many entries the list has, by the first page of this pass; -1 when it changed since';
COMMENT ON COLUMN omnimsg.optout_pulls.finished_at IS 'when this pull had its last page; NULL while it is under way';
COMMENT ON COLUMN omnimsg.optout_pulls.completed_at IS 'start of the last pull that was complete';
COMMENT ON COLUMN omnimsg.optout_pulls.due_at IS 'when the worker asks again, or earlier if omnimsg.optout_pull_interval was made shorter since; -infinity: omnimsg_pull_optouts() asked for it; infinity: when it is asked for';
COMMENT ON COLUMN omnimsg.optout_pulls.failures IS 'how often in succession the last request went wrong';
COMMENT ON COLUMN omnimsg.optout_pulls.last_error IS 'what went wrong with the last request; NULL when it went well';

CREATE VIEW omnimsg.consent_drift WITH (security_invoker = true) AS
	SELECT n.organization_id, 'sms'::pg_catalog.text AS channel, o.address, n.phone_number AS our_address,
		   o.provider_account_id, coalesce(c.state, 'none') AS ours, 'blocked'::pg_catalog.text AS theirs,
		   o.created_at AS since, 'provider_only'::pg_catalog.text AS difference,
		   'The provider refuses messages to this address until the person texts START to our number, whatever is recorded here.'::pg_catalog.text AS meaning
	  FROM omnimsg.provider_optouts o
	  JOIN omnimsg.inbound_phone_numbers n ON n.phone_number OPERATOR(pg_catalog.=) o.our_address
	  LEFT JOIN omnimsg.consents c
		ON c.organization_id OPERATOR(pg_catalog.=) n.organization_id AND c.channel OPERATOR(pg_catalog.=) 'sms'
	   AND c.address OPERATOR(pg_catalog.=) o.address AND c.scope OPERATOR(pg_catalog.=) 'all'
	 WHERE coalesce(c.state, 'none') OPERATOR(pg_catalog.<>) 'opted_out'
	   AND NOT EXISTS (		-- a START that is younger than the list
			SELECT 1 FROM omnimsg.opt_out_requests s
			 WHERE s.organization_id OPERATOR(pg_catalog.=) n.organization_id AND s.channel OPERATOR(pg_catalog.=) 'sms' AND s.address OPERATOR(pg_catalog.=) o.address
			   AND s.request_type OPERATOR(pg_catalog.=) 'opt_in' AND s.source OPERATOR(pg_catalog.=) ANY (ARRAY['keyword', 'free_text', 'provider'])
			   AND s.our_address OPERATOR(pg_catalog.=) n.phone_number AND s.occurred_at OPERATOR(pg_catalog.>) o.seen_at)
	UNION ALL
	SELECT b.organization_id, 'sms', b.address, b.our_address, b.provider_account_id, b.state, 'not blocked',
		   b.occurred_at, 'block_gone',
		   'The provider would take messages to this address again; nothing is sent until the person texts START to our number.'
	  FROM (SELECT DISTINCT ON (c.organization_id, c.address, n.provider_account_id)
				   c.organization_id, c.address, q.our_address, n.provider_account_id,
				   coalesce(c.state, 'none') AS state, q.occurred_at, q.created_at
			  FROM omnimsg.consents c
			  JOIN omnimsg.opt_out_requests q
				ON q.organization_id OPERATOR(pg_catalog.=) c.organization_id AND q.channel OPERATOR(pg_catalog.=) c.channel
			   AND q.address OPERATOR(pg_catalog.=) c.address AND q.source OPERATOR(pg_catalog.=) 'provider_block'
			  JOIN omnimsg.inbound_phone_numbers n
				ON n.organization_id OPERATOR(pg_catalog.=) q.organization_id AND n.phone_number OPERATOR(pg_catalog.=) q.our_address
			 WHERE c.channel OPERATOR(pg_catalog.=) 'sms' AND c.scope OPERATOR(pg_catalog.=) 'all' AND c.provider_blocked
			   AND NOT EXISTS (		-- a START that lifted this block, but not one at another account
					SELECT 1 FROM omnimsg.opt_out_requests s
					  JOIN omnimsg.inbound_phone_numbers m
						ON m.organization_id OPERATOR(pg_catalog.=) s.organization_id AND m.phone_number OPERATOR(pg_catalog.=) s.our_address
					   AND m.provider_account_id OPERATOR(pg_catalog.=) n.provider_account_id
					 WHERE s.organization_id OPERATOR(pg_catalog.=) q.organization_id AND s.channel OPERATOR(pg_catalog.=) q.channel AND s.address OPERATOR(pg_catalog.=) q.address
					   AND s.request_type OPERATOR(pg_catalog.=) 'opt_in' AND s.source OPERATOR(pg_catalog.=) ANY (ARRAY['keyword', 'free_text', 'provider'])
					   AND s.occurred_at OPERATOR(pg_catalog.>) q.occurred_at)
			 ORDER BY c.organization_id, c.address, n.provider_account_id, q.occurred_at DESC, q.created_at DESC) AS b
	  JOIN omnimsg.optout_pulls p
		ON p.provider_account_id OPERATOR(pg_catalog.=) b.provider_account_id
	   AND p.completed_at OPERATOR(pg_catalog.>) greatest(b.occurred_at, b.created_at)
	 WHERE NOT EXISTS (
			SELECT 1 FROM omnimsg.provider_optouts o
			 WHERE o.provider_account_id OPERATOR(pg_catalog.=) b.provider_account_id AND o.address OPERATOR(pg_catalog.=) b.address)
	UNION ALL
	SELECT c.organization_id, 'sms', c.address, q.our_address, n.provider_account_id, c.state, 'not blocked',
		   c.decided_at, 'ours_only',
		   'The provider does not know of this opt-out; only omnimsg holds messages back.'
	  FROM omnimsg.consents c
	  JOIN omnimsg.opt_out_requests q ON q.organization_id OPERATOR(pg_catalog.=) c.organization_id AND q.id OPERATOR(pg_catalog.=) c.request_id
	  JOIN omnimsg.inbound_phone_numbers n
		ON n.organization_id OPERATOR(pg_catalog.=) q.organization_id AND n.phone_number OPERATOR(pg_catalog.=) q.our_address
	  JOIN omnimsg.optout_pulls p
		ON p.provider_account_id OPERATOR(pg_catalog.=) n.provider_account_id
	   AND p.completed_at OPERATOR(pg_catalog.>) greatest(q.occurred_at, q.created_at)
	 WHERE c.channel OPERATOR(pg_catalog.=) 'sms' AND c.scope OPERATOR(pg_catalog.=) 'all' AND c.state OPERATOR(pg_catalog.=) 'opted_out' AND NOT c.provider_blocked
	   AND NOT EXISTS (
			SELECT 1 FROM omnimsg.provider_optouts o
			 WHERE o.provider_account_id OPERATOR(pg_catalog.=) n.provider_account_id AND o.address OPERATOR(pg_catalog.=) c.address);
COMMENT ON VIEW omnimsg.consent_drift IS 'addresses of which omnimsg and the provider''s opt-out list, as last pulled, say different things about texts; no row where both hold messages back, whatever either calls it, none where neither does, none for an opt-out that did not come through a number of ours (telephone, web, import), which no provider can know of, and none of a difference that is younger than the last complete pull';
COMMENT ON COLUMN omnimsg.consent_drift.organization_id IS 'the tenant; each of those that share the number';
COMMENT ON COLUMN omnimsg.consent_drift.channel IS '''sms'': the provider''s list is about texts';
COMMENT ON COLUMN omnimsg.consent_drift.address IS 'the person''s number';
COMMENT ON COLUMN omnimsg.consent_drift.our_address IS 'our number that the opt-out or the block came through';
COMMENT ON COLUMN omnimsg.consent_drift.provider_account_id IS 'account whose list it is';
COMMENT ON COLUMN omnimsg.consent_drift.ours IS 'state in omnimsg.consents: ''opted_in'', ''opted_out'' or ''none''';
COMMENT ON COLUMN omnimsg.consent_drift.theirs IS '''blocked'' when the address is in the list, else ''not blocked''';
COMMENT ON COLUMN omnimsg.consent_drift.since IS 'when the side that blocks began to';
COMMENT ON COLUMN omnimsg.consent_drift.difference IS '''provider_only'': they block and we are not opted out; ''block_gone'': we keep a block of theirs that is not in the list any more; ''ours_only'': an opt-out by text that they did not take for one';
COMMENT ON COLUMN omnimsg.consent_drift.meaning IS 'what that means for messages, as a sentence';

--
-- What is to be sent
--

CREATE TABLE omnimsg.outbox (
	organization_id pg_catalog.uuid NOT NULL REFERENCES omnimsg.organizations (id),
	id pg_catalog.uuid NOT NULL,
	message_id pg_catalog.uuid NOT NULL,
	kind pg_catalog.text NOT NULL
		CHECK (kind OPERATOR(pg_catalog.=) ANY (ARRAY['opt_out_confirmation', 'opt_in_confirmation', 'help_reply',
			'conversation', 'notification', 'marketing'])),
	scope pg_catalog.text NOT NULL DEFAULT 'all',
	state pg_catalog.text NOT NULL DEFAULT 'queued'
		CHECK (state OPERATOR(pg_catalog.=) ANY (ARRAY['queued', 'leased', 'sending', 'sent', 'failed', 'expired',
			'suppressed', 'unknown'])),
	attempts pg_catalog.int4 NOT NULL DEFAULT 0,
	next_attempt_at pg_catalog.timestamptz NOT NULL,
	lease_token pg_catalog.uuid,
	leased_until pg_catalog.timestamptz,
	expires_at pg_catalog.timestamptz NOT NULL,
	request_id pg_catalog.uuid,
	last_error pg_catalog.text,
	released_by pg_catalog.text,
	released_at pg_catalog.timestamptz,
	created_at pg_catalog.timestamptz NOT NULL,
	settled_at pg_catalog.timestamptz,
	PRIMARY KEY (organization_id, id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX outbox_due ON omnimsg.outbox (organization_id, next_attempt_at)
	WHERE state OPERATOR(pg_catalog.=) 'queued';
CREATE INDEX outbox_next ON omnimsg.outbox (next_attempt_at)
	WHERE state OPERATOR(pg_catalog.=) 'queued';
CREATE INDEX outbox_expires ON omnimsg.outbox (expires_at)
	WHERE state OPERATOR(pg_catalog.=) 'queued';
CREATE INDEX outbox_leased ON omnimsg.outbox (leased_until)
	WHERE state OPERATOR(pg_catalog.=) ANY (ARRAY['leased', 'sending']);
CREATE INDEX outbox_queued_message ON omnimsg.outbox (message_id)
	WHERE state OPERATOR(pg_catalog.=) 'queued';
CREATE INDEX outbox_settled ON omnimsg.outbox (settled_at) WHERE settled_at IS NOT NULL;
COMMENT ON TABLE omnimsg.outbox IS 'messages that are to be sent; written by omnimsg only';
COMMENT ON COLUMN omnimsg.outbox.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.outbox.id IS 'identifies the item within its organization';
COMMENT ON COLUMN omnimsg.outbox.message_id IS 'the message in omnimsg.messages';
COMMENT ON COLUMN omnimsg.outbox.kind IS 'decides which gates it must pass';
COMMENT ON COLUMN omnimsg.outbox.scope IS 'category of consent that it needs';
COMMENT ON COLUMN omnimsg.outbox.state IS '''queued'', ''leased'' by a worker, ''sending'': a request may have left; then ''sent'', ''failed'', ''expired'', ''suppressed'' or ''unknown''';
COMMENT ON COLUMN omnimsg.outbox.attempts IS 'how often a worker has leased it';
COMMENT ON COLUMN omnimsg.outbox.next_attempt_at IS 'not before this time';
COMMENT ON COLUMN omnimsg.outbox.lease_token IS 'the lease that may record a result';
COMMENT ON COLUMN omnimsg.outbox.leased_until IS 'when the lease ends, whatever became of the worker';
COMMENT ON COLUMN omnimsg.outbox.expires_at IS 'never sent after this time';
COMMENT ON COLUMN omnimsg.outbox.request_id IS 'of a confirmation: the request that it confirms';
COMMENT ON COLUMN omnimsg.outbox.last_error IS 'what the last attempt met';
COMMENT ON COLUMN omnimsg.outbox.released_by IS 'who let it go although its person''s message is under review';
COMMENT ON COLUMN omnimsg.outbox.released_at IS 'when; reviews that were opened later hold it again';
COMMENT ON COLUMN omnimsg.outbox.created_at IS 'when it was queued; also created_at of its message, which names the partition';
COMMENT ON COLUMN omnimsg.outbox.settled_at IS 'when it reached a final state';

CREATE TABLE omnimsg.reply_windows (
	organization_id pg_catalog.uuid NOT NULL,
	address pg_catalog.text NOT NULL,
	trigger pg_catalog.text NOT NULL,
	last_at pg_catalog.timestamptz NOT NULL,
	PRIMARY KEY (organization_id, address, trigger)
) WITH (fillfactor = 85);
COMMENT ON TABLE omnimsg.reply_windows IS 'when an address last got an automatic reply: at most one per trigger in ten minutes';
COMMENT ON COLUMN omnimsg.reply_windows.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.reply_windows.address IS 'who was answered';
COMMENT ON COLUMN omnimsg.reply_windows.trigger IS 'what was answered: ''opt_out'', ''opt_in'' or ''help''';
COMMENT ON COLUMN omnimsg.reply_windows.last_at IS 'when';

CREATE TABLE omnimsg.reply_templates (
	organization_id pg_catalog.uuid NOT NULL REFERENCES omnimsg.organizations (id),
	id pg_catalog.uuid NOT NULL DEFAULT omnimsg.uuid7(),
	trigger pg_catalog.text NOT NULL
		CHECK (trigger OPERATOR(pg_catalog.=) ANY (ARRAY['opt_out', 'opt_in', 'help', 'after_hours', 'generic'])),
	language pg_catalog.text NOT NULL DEFAULT 'en'
		CHECK (language OPERATOR(pg_catalog.~) '^[a-z]{2}$'),
	body pg_catalog.text NOT NULL,
	active pg_catalog.bool NOT NULL DEFAULT true,
	PRIMARY KEY (organization_id, id),
	CHECK (omnimsg.check_template(trigger, body))
);
CREATE UNIQUE INDEX reply_templates_active ON omnimsg.reply_templates (organization_id, trigger, language) WHERE active;
COMMENT ON TABLE omnimsg.reply_templates IS 'texts of automatic replies; where an organization has none, a built-in one is used';
COMMENT ON COLUMN omnimsg.reply_templates.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.reply_templates.id IS 'identifies the template within its organization';
COMMENT ON COLUMN omnimsg.reply_templates.trigger IS 'what it answers: ''opt_out'', ''opt_in'', ''help'', ''after_hours'' or ''generic''';
COMMENT ON COLUMN omnimsg.reply_templates.language IS 'ISO 639-1 code; the reply is in the language of the keyword';
COMMENT ON COLUMN omnimsg.reply_templates.body IS 'the text; {organization} stands for the organization''s name';
COMMENT ON COLUMN omnimsg.reply_templates.active IS 'whether it is used';

--
-- Audit
--

CREATE TABLE omnimsg.audit_logs (
	organization_id pg_catalog.uuid NOT NULL,
	id pg_catalog.uuid NOT NULL,
	action pg_catalog.text NOT NULL,
	resource_type pg_catalog.text NOT NULL,
	resource_id pg_catalog.uuid,
	actor pg_catalog.text NOT NULL,
	old_value pg_catalog.jsonb,
	new_value pg_catalog.jsonb,
	row_hash pg_catalog.bytea,
	xid pg_catalog.xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
	created_at pg_catalog.timestamptz NOT NULL
) PARTITION BY RANGE (created_at);

CREATE TABLE omnimsg.audit_logs_default PARTITION OF omnimsg.audit_logs DEFAULT;
ALTER TABLE omnimsg.audit_logs_default ADD PRIMARY KEY (organization_id, id);
CREATE INDEX audit_logs_default_resource ON omnimsg.audit_logs_default (organization_id, resource_id);

COMMENT ON TABLE omnimsg.audit_logs IS 'one row per effect, written in the transaction of the effect; carries ids, never an address or a text; partitioned by month';
COMMENT ON TABLE omnimsg.audit_logs_default IS 'audit rows of months that have no partition yet; should be empty';
COMMENT ON COLUMN omnimsg.audit_logs.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.audit_logs.id IS 'identifies the row; ordered by time';
COMMENT ON COLUMN omnimsg.audit_logs.action IS 'what was done: MESSAGE_RECEIVED, OPT_OUT_REQUESTED, AUTO_REPLY_SENT ...';
COMMENT ON COLUMN omnimsg.audit_logs.resource_type IS 'what it was done to: ''message'', ''opt_out_request'', ''review'', ''address_flag'', ''event'' or ''organization''';
COMMENT ON COLUMN omnimsg.audit_logs.resource_id IS 'its id';
COMMENT ON COLUMN omnimsg.audit_logs.actor IS '''provider:telnyx'', ''worker'', ''reviewer:'' and who decided, or ''role:'' and the database role that asked for it';
COMMENT ON COLUMN omnimsg.audit_logs.old_value IS 'what was before';
COMMENT ON COLUMN omnimsg.audit_logs.new_value IS 'what is now, and why';
COMMENT ON COLUMN omnimsg.audit_logs.row_hash IS 'hash of the row; not filled by version 1.0';
COMMENT ON COLUMN omnimsg.audit_logs.xid IS 'transaction that wrote it';
COMMENT ON COLUMN omnimsg.audit_logs.created_at IS 'when';

--
-- A dump keeps all of it.  The nil organization is made by this script, and its row would
-- collide when the dump is restored.
--

SELECT pg_catalog.pg_extension_config_dump('omnimsg.organizations',
	'WHERE id OPERATOR(pg_catalog.<>) ''00000000-0000-0000-0000-000000000000''');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.provider_accounts', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.inbound_phone_numbers', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.send_limits', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.keywords', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.campaigns', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.collection_accounts', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.account_repairs', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.events', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.messages', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.messages_default', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.opt_out_requests', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.consents', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.consent_repairs', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.reviews', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.address_flags', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.provider_optouts', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.optout_pulls', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.outbox', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.reply_windows', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.reply_templates', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.audit_logs', '');
SELECT pg_catalog.pg_extension_config_dump('omnimsg.audit_logs_default', '');

--
-- Functions
--

CREATE FUNCTION omnimsg.account_trigger() RETURNS pg_catalog.trigger
	AS 'MODULE_PATHNAME', 'omnimsg_account_trigger' LANGUAGE C SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION omnimsg.account_trigger() FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.account_trigger() IS 'normalizes phones and takes over what the requests say of them';
CREATE TRIGGER account_trigger
	BEFORE INSERT OR UPDATE OF primary_phone, secondary_phone, email, sms_consent, email_consent
	ON omnimsg.collection_accounts
	FOR EACH ROW EXECUTE FUNCTION omnimsg.account_trigger();
COMMENT ON TRIGGER account_trigger ON omnimsg.collection_accounts IS 'normalizes phones and takes over what the requests say of them; leaves rows alone while the owner of the table or a superuser has row_security off, which is how pg_dump''s output restores';

CREATE TYPE omnimsg.ingest_result AS (
	ordinal pg_catalog.int4,
	part pg_catalog.int4,
	outcome pg_catalog.text,
	event_type pg_catalog.text,
	organization_id pg_catalog.uuid,
	account_id pg_catalog.uuid,
	message_id pg_catalog.uuid,
	intent pg_catalog.text,
	reply pg_catalog.text,
	reason pg_catalog.text
);
COMMENT ON TYPE omnimsg.ingest_result IS 'what became of one event of a delivery';
COMMENT ON COLUMN omnimsg.ingest_result.ordinal IS 'which delivery, from 1 in the order given';
COMMENT ON COLUMN omnimsg.ingest_result.part IS 'which event of the delivery, from 1';
COMMENT ON COLUMN omnimsg.ingest_result.outcome IS '''applied'', ''duplicate'', ''ignored'', ''pending'' or ''dead''; all of them are on disk when the transaction commits';
COMMENT ON COLUMN omnimsg.ingest_result.event_type IS 'as the provider calls it';
COMMENT ON COLUMN omnimsg.ingest_result.organization_id IS 'the tenant it was routed to';
COMMENT ON COLUMN omnimsg.ingest_result.account_id IS 'the account it was linked to';
COMMENT ON COLUMN omnimsg.ingest_result.message_id IS 'the message it made or moved';
COMMENT ON COLUMN omnimsg.ingest_result.intent IS 'what the text asks for';
COMMENT ON COLUMN omnimsg.ingest_result.reply IS '''queued'', ''provider'': it answers, ''suppressed'' or ''none''';
COMMENT ON COLUMN omnimsg.ingest_result.reason IS 'why the event was not applied, or why no reply was queued';

CREATE FUNCTION @extschema@.omnimsg_ingest(provider pg_catalog.text, body pg_catalog.bytea,
		signature pg_catalog.text DEFAULT NULL, signed_at pg_catalog.text DEFAULT NULL,
		key_id pg_catalog.text DEFAULT NULL, delivery_id pg_catalog.text DEFAULT NULL)
	RETURNS SETOF omnimsg.ingest_result
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_ingest(pg_catalog.text, pg_catalog.bytea, pg_catalog.text,
	pg_catalog.text, pg_catalog.text, pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_ingest(pg_catalog.text, pg_catalog.bytea, pg_catalog.text,
	pg_catalog.text, pg_catalog.text, pg_catalog.text) IS 'apply one verified webhook: body as it came, signature and signed_at as in its headers, key_id of the key that verified it, delivery_id for providers that name deliveries in a header (Telnyx does not); never raises for content; durable when the transaction commits; needs READ COMMITTED';

CREATE FUNCTION @extschema@.omnimsg_ingest_batch(providers pg_catalog.text[], bodies pg_catalog.bytea[],
		signatures pg_catalog.text[] DEFAULT NULL, signed_at pg_catalog.text[] DEFAULT NULL,
		key_ids pg_catalog.text[] DEFAULT NULL, delivery_ids pg_catalog.text[] DEFAULT NULL)
	RETURNS SETOF omnimsg.ingest_result
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_ingest_batch(pg_catalog.text[], pg_catalog.bytea[], pg_catalog.text[],
	pg_catalog.text[], pg_catalog.text[], pg_catalog.text[]) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_ingest_batch(pg_catalog.text[], pg_catalog.bytea[], pg_catalog.text[],
	pg_catalog.text[], pg_catalog.text[], pg_catalog.text[]) IS 'omnimsg_ingest for many webhooks at once, given as arrays side by side; results come in their order';

CREATE FUNCTION @extschema@.omnimsg_record_consent(organization_id pg_catalog.uuid, channel pg_catalog.text,
		address pg_catalog.text, request_type pg_catalog.text, source pg_catalog.text,
		note pg_catalog.text DEFAULT NULL, scope pg_catalog.text DEFAULT 'all',
		occurred_at pg_catalog.timestamptz DEFAULT pg_catalog.now())
	RETURNS pg_catalog.uuid
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_record_consent(pg_catalog.uuid, pg_catalog.text, pg_catalog.text,
	pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_record_consent(pg_catalog.uuid, pg_catalog.text, pg_catalog.text,
	pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.timestamptz) IS 'record an opt-out or opt-in that did not come as a message; returns the id of the request; an opt-in by an agent needs a note';

CREATE FUNCTION @extschema@.omnimsg_consent_as_of(organization_id pg_catalog.uuid, channel pg_catalog.text,
		address pg_catalog.text, at pg_catalog.timestamptz DEFAULT pg_catalog.now(),
		known_at pg_catalog.timestamptz DEFAULT 'infinity', scope pg_catalog.text DEFAULT 'all',
		OUT state pg_catalog.text, OUT decided_at pg_catalog.timestamptz, OUT request_id pg_catalog.uuid)
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_consent_as_of(pg_catalog.uuid, pg_catalog.text, pg_catalog.text,
	pg_catalog.timestamptz, pg_catalog.timestamptz, pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_consent_as_of(pg_catalog.uuid, pg_catalog.text, pg_catalog.text,
	pg_catalog.timestamptz, pg_catalog.timestamptz, pg_catalog.text) IS 'what the consent of an address was at a time, by what had been recorded until known_at: state ''opted_in'', ''opted_out'' or ''none'', when it was decided, and the request in omnimsg.opt_out_requests that proves it';

CREATE FUNCTION @extschema@.omnimsg_review(id pg_catalog.uuid, decision pg_catalog.text, actor pg_catalog.text)
	RETURNS pg_catalog.uuid
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_review(pg_catalog.uuid, pg_catalog.text, pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_review(pg_catalog.uuid, pg_catalog.text, pg_catalog.text) IS 'decide a review: ''opt_out'', ''wrong_number'' or ''none''; actor is who read the message; returns the id of the opt-out that it made, NULL for the other decisions; deciding the same again changes nothing';

CREATE FUNCTION @extschema@.omnimsg_release(message_id pg_catalog.uuid, actor pg_catalog.text)
	RETURNS pg_catalog.bool
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_release(pg_catalog.uuid, pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_release(pg_catalog.uuid, pg_catalog.text) IS 'let one reply (kind ''conversation'') go although its person''s message is under review; false when it is not waiting any more';

CREATE FUNCTION @extschema@.omnimsg_flag_address(organization_id pg_catalog.uuid, address pg_catalog.text,
		flag pg_catalog.text, note pg_catalog.text DEFAULT NULL,
		since pg_catalog.timestamptz DEFAULT pg_catalog.now())
	RETURNS pg_catalog.void
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_flag_address(pg_catalog.uuid, pg_catalog.text, pg_catalog.text,
	pg_catalog.text, pg_catalog.timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_flag_address(pg_catalog.uuid, pg_catalog.text, pg_catalog.text,
	pg_catalog.text, pg_catalog.timestamptz) IS 'say that an address is not, or since a time no longer, that of the person meant: ''wrong_number'' or ''reassigned''; NULL takes it back';

CREATE FUNCTION @extschema@.omnimsg_assign_number(phone_number pg_catalog.text, organization_id pg_catalog.uuid,
		share pg_catalog.bool DEFAULT false, OUT object pg_catalog.text, OUT rows pg_catalog.int8)
	RETURNS SETOF pg_catalog.record
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_assign_number(pg_catalog.text, pg_catalog.uuid, pg_catalog.bool) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_assign_number(pg_catalog.text, pg_catalog.uuid, pg_catalog.bool) IS 'give a number to an organization, with what it brings: from nobody''s its messages, reviews and requests; from another organization the opt-outs that stand and the reviews that are open, and nothing that would let the new one write; share leaves it to the others, too; a row for each kind of thing; safe to repeat; what is said to the number waits until the transaction ends';

CREATE FUNCTION @extschema@.omnimsg_explain_send(organization_id pg_catalog.uuid, channel pg_catalog.text,
		address pg_catalog.text, body pg_catalog.text DEFAULT NULL,
		kind pg_catalog.text DEFAULT 'conversation', scope pg_catalog.text DEFAULT 'all',
		at pg_catalog.timestamptz DEFAULT pg_catalog.now(),
		OUT gate pg_catalog.text, OUT verdict pg_catalog.text, OUT reason pg_catalog.text,
		OUT not_before pg_catalog.timestamptz)
	RETURNS SETOF pg_catalog.record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_explain_send(pg_catalog.uuid, pg_catalog.text, pg_catalog.text,
	pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_explain_send(pg_catalog.uuid, pg_catalog.text, pg_catalog.text,
	pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.timestamptz) IS 'what every gate says of a message to an address, in the order in which they are asked: verdict ''allow'', ''block'' or ''hold'', the reason, and for what passes with time the earliest moment; at moves the clock of quiet hours, frequency, answers and deadlines';

CREATE FUNCTION @extschema@.omnimsg_send(organization_id pg_catalog.uuid, address pg_catalog.text,
		body pg_catalog.text, channel pg_catalog.text DEFAULT 'sms',
		from_number pg_catalog.text DEFAULT NULL, account_id pg_catalog.uuid DEFAULT NULL,
		kind pg_catalog.text DEFAULT 'conversation', scope pg_catalog.text DEFAULT 'all')
	RETURNS pg_catalog.uuid
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_send(pg_catalog.uuid, pg_catalog.text, pg_catalog.text,
	pg_catalog.text, pg_catalog.text, pg_catalog.uuid, pg_catalog.text, pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_send(pg_catalog.uuid, pg_catalog.text, pg_catalog.text,
	pg_catalog.text, pg_catalog.text, pg_catalog.uuid, pg_catalog.text, pg_catalog.text) IS 'queue a message and return its id; one that a gate of omnimsg_explain_send() blocks raises SQLSTATE OM001 with the reason, one that a gate holds waits; from_number is the number the person last wrote to, else the organization''s primary one';

CREATE FUNCTION @extschema@.omnimsg_count_segments(body pg_catalog.text, OUT encoding pg_catalog.text,
		OUT units pg_catalog.int4, OUT segments pg_catalog.int4)
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.omnimsg_count_segments(pg_catalog.text) IS 'how a text is sent: encoding ''GSM-7'' or ''UCS-2'', its length in septets or UTF-16 units, and how many segments that takes (3GPP TS 23.038: 160 or 70 alone, 153 or 67 each of several)';

CREATE FUNCTION @extschema@.omnimsg_versions(OUT component pg_catalog.text, OUT version pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.omnimsg_versions() IS 'versions of what decides in the library: the lexicon by which texts are read, the number plans by which phones are';

CREATE FUNCTION @extschema@.omnimsg_normalize_phone(raw pg_catalog.text, region pg_catalog.text DEFAULT 'US')
	RETURNS pg_catalog.text
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.omnimsg_normalize_phone(pg_catalog.text, pg_catalog.text) IS 'the E.164 form of a phone number, or NULL when it is not a possible one; region is what national numbers are read in';

CREATE TYPE omnimsg.parsed_phone AS (
	kind pg_catalog.text,
	e164 pg_catalog.text,
	extension pg_catalog.text,
	country_code pg_catalog.int4,
	region pg_catalog.text,
	type pg_catalog.text,
	status pg_catalog.text
);
COMMENT ON TYPE omnimsg.parsed_phone IS 'what omnimsg_parse_phone() reads';
COMMENT ON COLUMN omnimsg.parsed_phone.kind IS '''e164'', ''short_code'', ''alphanumeric'', ''email'' or ''unknown''';
COMMENT ON COLUMN omnimsg.parsed_phone.e164 IS 'the number with plus and country code, when it is a possible one';
COMMENT ON COLUMN omnimsg.parsed_phone.extension IS 'digits of an extension';
COMMENT ON COLUMN omnimsg.parsed_phone.country_code IS 'calling code';
COMMENT ON COLUMN omnimsg.parsed_phone.region IS 'ISO 3166 region, 001 for numbers of no country; NULL when the metadata knows none for it';
COMMENT ON COLUMN omnimsg.parsed_phone.type IS '''fixed_line'', ''mobile'', ''fixed_line_or_mobile'', ''toll_free'', ''premium_rate'', ''shared_cost'', ''voip'', ''personal_number'', ''pager'', ''uan'', ''voicemail'' or ''unknown''; advice, for ranges change';
COMMENT ON COLUMN omnimsg.parsed_phone.status IS '''valid'', ''possible'', ''local_only'', ''too_short'', ''too_long'', ''invalid_country_code'', ''placeholder'' or ''not_a_number''';

CREATE FUNCTION @extschema@.omnimsg_parse_phone(raw pg_catalog.text, region pg_catalog.text DEFAULT 'US')
	RETURNS omnimsg.parsed_phone
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.omnimsg_parse_phone(pg_catalog.text, pg_catalog.text) IS 'what kind of address it is, its parts, and whether it is a possible phone number';

CREATE FUNCTION @extschema@.omnimsg_detect_intent(body pg_catalog.text,
		OUT label pg_catalog.text, OUT confidence pg_catalog.float8, OUT rule pg_catalog.text,
		OUT span_start pg_catalog.int4, OUT span_end pg_catalog.int4, OUT channel pg_catalog.text)
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.omnimsg_detect_intent(pg_catalog.text) IS 'what a text asks for: label ''opt_out'', ''opt_in'', ''help'', ''maybe_opt_out'' (a person should read it) or ''none''; the span is in bytes from 0, its end exclusive';

CREATE FUNCTION @extschema@.omnimsg_verify_telnyx(body pg_catalog.bytea, signature pg_catalog.text,
		signed_at pg_catalog.text, public_key pg_catalog.text,
		at pg_catalog.timestamptz DEFAULT pg_catalog.now(),
		tolerance pg_catalog.interval DEFAULT '300 s')
	RETURNS pg_catalog.bool
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.omnimsg_verify_telnyx(pg_catalog.bytea, pg_catalog.text, pg_catalog.text,
	pg_catalog.text, pg_catalog.timestamptz, pg_catalog.interval) IS 'whether the signature over signed_at, "|" and the body is right (Ed25519, RFC 8032) and signed_at within the tolerance of at; false for NULLs; an unusable public key is an error';

CREATE FUNCTION @extschema@.omnimsg_mask_phone(address pg_catalog.text)
	RETURNS pg_catalog.text
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.omnimsg_mask_phone(pg_catalog.text) IS 'an address that people can recognise but not read: +1555***4567';

CREATE FUNCTION @extschema@.omnimsg_worker_status(OUT pid pg_catalog.int4, OUT state pg_catalog.text,
		OUT started_at pg_catalog.timestamptz, OUT last_activity_at pg_catalog.timestamptz,
		OUT in_flight pg_catalog.int4, OUT sent pg_catalog.int8, OUT failed pg_catalog.int8,
		OUT unknown pg_catalog.int8)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_worker_status() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.omnimsg_worker_status() TO pg_monitor;
COMMENT ON FUNCTION @extschema@.omnimsg_worker_status() IS 'the dispatcher of this server: pid (NULL when it does not run), what it does, and what it counted since it started';

CREATE FUNCTION @extschema@.omnimsg_pull_optouts() RETURNS pg_catalog.int4
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_pull_optouts() FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_pull_optouts() IS 'have the worker pull the opt-out lists of all provider accounts now, whatever omnimsg.optout_pull_interval says; returns how many accounts that are; omnimsg.optout_pulls shows what came of it';

--
-- Months
--

CREATE FUNCTION omnimsg.make_month(parent pg_catalog.text, month pg_catalog.date) RETURNS pg_catalog.int8
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	part text := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
	starts timestamptz := month::timestamp AT TIME ZONE 'UTC';
	ends timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
	names text;
	moved int8;
BEGIN
	IF to_regclass(format('omnimsg.%I', part)) IS NOT NULL THEN
		RETURN NULL;
	END IF;
	-- generated columns cannot be inserted
	SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO names
	  FROM pg_attribute a
	 WHERE a.attrelid = format('omnimsg.%I', parent)::regclass
	   AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';

	-- keys, indexes and comments of the default partition
	EXECUTE format('CREATE TABLE omnimsg.%I (LIKE omnimsg.%I INCLUDING ALL)', part, parent || '_default');
	-- nobody may add a row of the month to the default partition from here on
	EXECUTE format('LOCK TABLE omnimsg.%I IN ACCESS EXCLUSIVE MODE', parent || '_default');
	EXECUTE format('WITH moved AS (DELETE FROM omnimsg.%I WHERE created_at >= $1 AND created_at < $2 RETURNING *) '
				   'INSERT INTO omnimsg.%I (%s) SELECT %s FROM moved',
				   parent || '_default', part, names, names) USING starts, ends;
	GET DIAGNOSTICS moved = ROW_COUNT;
	EXECUTE format('ALTER TABLE omnimsg.%I ATTACH PARTITION omnimsg.%I FOR VALUES FROM (%L) TO (%L)',
				   parent, part, starts, ends);
	RETURN moved;
END
$$;
REVOKE EXECUTE ON FUNCTION omnimsg.make_month(pg_catalog.text, pg_catalog.date) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.make_month(pg_catalog.text, pg_catalog.date) IS 'make the partition of a month (UTC) and move its rows out of the default partition; returns how many, NULL when the partition is there already';

CREATE FUNCTION @extschema@.omnimsg_maintain(OUT action pg_catalog.text, OUT object pg_catalog.text,
		OUT rows pg_catalog.int8)
	RETURNS SETOF pg_catalog.record
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	SET lock_timeout = '100ms'	-- ingest must not queue behind us: give up soon, the next run tries again
AS $$
DECLARE
	this_month date := date_trunc('month', now() AT TIME ZONE 'UTC');
	retention interval := coalesce(current_setting('omnimsg.retention', true), '90 days')::interval;
	journal_retention interval := coalesce(current_setting('omnimsg.journal_retention', true), '400 days')::interval;
	parent text;
	month date;
	oldest date;
	child text;
BEGIN
	-- Rows first: what takes strong locks comes last, because they are held until the end.
	BEGIN
		action := 'rows purged';
		DELETE FROM omnimsg.outbox o WHERE o.settled_at < now() - retention;
		GET DIAGNOSTICS rows = ROW_COUNT;
		object := 'omnimsg.outbox';
		IF rows > 0 THEN RETURN NEXT; END IF;

		DELETE FROM omnimsg.reply_windows r WHERE r.last_at < now() - interval '1 day';
		GET DIAGNOSTICS rows = ROW_COUNT;
		object := 'omnimsg.reply_windows';
		IF rows > 0 THEN RETURN NEXT; END IF;

		-- what is evidence of consent has its bytes kept, and is kept itself
		DELETE FROM omnimsg.events e
		 WHERE e.received_at < now() - journal_retention
		   AND e.outcome IN ('applied', 'ignored') AND e.raw IS NULL;
		GET DIAGNOSTICS rows = ROW_COUNT;
		object := 'omnimsg.events';
		IF rows > 0 THEN RETURN NEXT; END IF;

		-- a status whose message never came is not of ours: the provider's own auto-reply, for one
		action := 'rows given up';
		UPDATE omnimsg.events e
		   SET outcome = 'ignored', reason = 'its message never came', raw = NULL, signature = NULL
		 WHERE e.outcome = 'pending' AND e.received_at < now() - interval '24 hours';
		GET DIAGNOSTICS rows = ROW_COUNT;
		IF rows > 0 THEN RETURN NEXT; END IF;
	EXCEPTION WHEN lock_not_available THEN
		action := 'rows not purged: they are in use';
		rows := NULL;
		RETURN NEXT;
	END;

	FOREACH parent IN ARRAY ARRAY['messages', 'audit_logs'] LOOP
		FOR month IN SELECT generate_series(this_month, this_month + interval '3 months', '1 month') LOOP
			object := format('omnimsg.%s_%s', parent, to_char(month, 'YYYY_MM'));
			BEGIN
				rows := omnimsg.make_month(parent, month);
				IF rows IS NOT NULL THEN
					action := 'partition made';
					RETURN NEXT;
				END IF;
			EXCEPTION
				WHEN lock_not_available THEN
					action := 'partition not made: the default partition is in use';
					rows := NULL;
					RETURN NEXT;
				WHEN duplicate_table OR unique_violation THEN
					NULL;		-- somebody else is making it at this moment
			END;
		END LOOP;
	END LOOP;

	-- bodies of messages, a month at a time; consent, requests and audit stay
	oldest := date_trunc('month', (now() - retention) AT TIME ZONE 'UTC');
	FOR child IN
		SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		 WHERE i.inhparent = 'omnimsg.messages'::regclass AND c.relname ~ '^messages_[0-9]{4}_[0-9]{2}$'
		   AND to_date(right(c.relname, 7), 'YYYY_MM') < oldest
		 ORDER BY 1
	LOOP
		object := 'omnimsg.' || child;
		rows := NULL;
		BEGIN
			EXECUTE format('DROP TABLE omnimsg.%I', child);
			action := 'partition dropped';
		EXCEPTION
			WHEN lock_not_available THEN
				action := 'partition not dropped: it is in use';
			WHEN undefined_table THEN
				CONTINUE;
		END;
		RETURN NEXT;
	END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_maintain() FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_maintain() IS 'make the partitions of this month and the next three, drop those past omnimsg.retention, purge what has expired; a row for each thing done; safe to run at any time and again';

CREATE FUNCTION @extschema@.omnimsg_schedule_jobs(OUT job pg_catalog.text, OUT schedule pg_catalog.text,
		OUT command pg_catalog.text, OUT result pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	cron_database text := current_setting('cron.database_name', true);
BEGIN
	job := 'omnimsg_maintain';
	schedule := '17 * * * *';
	command := format('SELECT * FROM %s()', '@extschema@.omnimsg_maintain');
	IF cron_database IS NULL THEN
		result := 'pg_cron is not loaded: add it to shared_preload_libraries, or run the command hourly by other means';
	ELSIF cron_database <> current_database() THEN
		result := format('run in database %I: SELECT cron.schedule_in_database(%L, %L, %L, %L)',
						 cron_database, job || ' ' || current_database(), schedule, command, current_database());
	ELSIF NOT EXISTS (SELECT 1 FROM pg_extension x WHERE x.extname = 'pg_cron') THEN
		result := 'run CREATE EXTENSION pg_cron in this database, then this function again';
	ELSE
		EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING job, schedule, command;
		result := 'scheduled';
	END IF;
	RETURN NEXT;
END
$$;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_schedule_jobs() FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_schedule_jobs() IS 'set up the jobs of omnimsg in pg_cron; in another database than cron.database_name it tells the statement to run there; safe to run again';

--
-- What people see
--

CREATE FUNCTION @extschema@.omnimsg_stats(since pg_catalog.interval DEFAULT '24 hours',
		OUT name pg_catalog.text, OUT numerator pg_catalog.int8, OUT denominator pg_catalog.int8,
		OUT ratio pg_catalog.numeric)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	WITH journal AS (
		SELECT count(*) FILTER (WHERE e.outcome <> 'dead') AS good, count(*) AS total
		  FROM omnimsg.events e WHERE e.received_at > now() - since),
	inbound AS (
		SELECT count(*) FILTER (WHERE m.account_id IS NOT NULL) AS linked,
			   count(*) FILTER (WHERE m.intent = 'opt_out') AS opt_outs, count(*) AS total
		  FROM omnimsg.messages m WHERE m.direction = 'inbound' AND m.created_at > now() - since),
	replies AS (
		SELECT count(*) FILTER (WHERE o.state = 'sent') AS sent, count(*) AS total
		  FROM omnimsg.outbox o
		 WHERE o.settled_at > now() - since AND o.state <> 'suppressed'
		   AND o.kind IN ('opt_out_confirmation', 'opt_in_confirmation', 'help_reply'))
	SELECT w.name, w.numerator, w.denominator, round(w.numerator::numeric / nullif(w.denominator, 0), 4)
	  FROM (SELECT 1, 'webhook_success', good, total FROM journal
			UNION ALL SELECT 2, 'linking_rate', linked, total FROM inbound
			UNION ALL SELECT 3, 'opt_out_rate', opt_outs, total FROM inbound
			UNION ALL SELECT 4, 'auto_reply_success', sent, total FROM replies)
		   AS w (n, name, numerator, denominator)
	 ORDER BY w.n
$$;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_stats(pg_catalog.interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.omnimsg_stats(pg_catalog.interval) TO pg_monitor;
COMMENT ON FUNCTION @extschema@.omnimsg_stats(pg_catalog.interval) IS 'four ratios over the last 24 hours or another time: events that did not end as dead letters, inbound messages with an account, inbound messages that are opt-outs, automatic replies that the provider accepted; ratio is NULL without a denominator';

CREATE FUNCTION @extschema@.omnimsg_health(OUT severity pg_catalog.text, OUT finding pg_catalog.text,
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
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_health() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.omnimsg_health() TO pg_monitor;
COMMENT ON FUNCTION @extschema@.omnimsg_health() IS 'what somebody should look at, with what to do; no rows when all is well';
