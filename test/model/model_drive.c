/*
 * model_drive.c
 *		The operations, done to a server; each tells model_expect.c what it must have made.
 *
 * Whatever the server refuses ends the run, but for a hand-over that gives way to others, which its
 * caller repeats.
 */
#include "model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_BODY	1200

const char *const channel_names[CHANNELS] = {"sms", "voice", "email"};
const char *const source_names[SOURCES] = {"keyword", "free_text", "provider", "provider_block",
	"agent", "email", "web", "import", "api"};
const char *const scope_names[SCOPES] = {"all", "offers", "news"};
const char *const decision_names[3] = {"opt_out", "wrong_number", "none"};
const char *const organization_ids[ORGANIZATIONS] = {
	"00000000-0000-0000-0000-000000000000", "10000000-0000-7000-8000-000000000001",
	"10000000-0000-7000-8000-000000000002", "10000000-0000-7000-8000-000000000003",
	"10000000-0000-7000-8000-000000000004"
};
static const char *const account_ids[2] = {
	"20000000-0000-7000-8000-000000000001", "20000000-0000-7000-8000-000000000002"
};

/* Some belong to one organization, some to two; some have an account of the provider in common */
static const Number shared_numbers[SHARED_NUMBERS] = {
	{"+15559000001", 0, {1}, 1}, {"+15559000002", 1, {1}, 1}, {"+15559000003", 0, {1, 2}, 2},
	{"+15559000004", 0, {2}, 1}, {"+15559000005", 1, {2, 3}, 2}, {"+15559000006", NO_ACCOUNT, {3}, 1}
};

/* A text that may be a STOP, by the words that the server knows; found before the sessions begin */
static char doubtful[40];

static const struct
{
	const char *name;
	const char *text;
}			statements[] = {
	{"ingest",
		"SELECT r.outcome, r.organization_id, r.message_id, r.intent, r.reason\n"
		"  FROM omnimsg_ingest_batch(array_fill('telnyx'::text, ARRAY[cardinality($1::bytea[])]), $1,\n"
	"                            NULL, $2::text[]) r ORDER BY r.ordinal"},
	{"record", "SELECT omnimsg_record_consent($1, $2, $3, $4, $5, 'said so', $6, $7)"},
	{"message",
		"INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number,\n"
		"    to_number, message_body, status, external_message_id, provider, created_at)\n"
	"VALUES ($1, omnimsg.uuid7(), 'outbound', 'sms', $2, $3, 'hi', 'sent', $4, 'telnyx', $5)"},
	{"insert",
		"INSERT INTO omnimsg.collection_accounts (organization_id, primary_phone, secondary_phone,\n"
	"    email, sms_consent, email_consent) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id"},
	{"move",
		"UPDATE omnimsg.collection_accounts SET primary_phone = $3\n"
	" WHERE organization_id = $1 AND id = $2 RETURNING id"},
	{"merge",
		"WITH gone AS (DELETE FROM omnimsg.collection_accounts\n"
		"               WHERE organization_id = $1 AND id = $3 RETURNING primary_phone)\n"
		"UPDATE omnimsg.collection_accounts a SET secondary_phone = gone.primary_phone FROM gone\n"
	" WHERE a.organization_id = $1 AND a.id = $2 RETURNING a.id"},
	{"review",
		"SELECT omnimsg_review(v.id, $3, 'a reader') FROM omnimsg.reviews v\n"
	" WHERE v.message_id = $1 AND v.organization_id = $2"},
	{"assign", "SELECT a.rows FROM omnimsg_assign_number($1, $2) a WHERE a.object = 'omnimsg.opt_out_requests'"},
	{"number",
		"INSERT INTO omnimsg.inbound_phone_numbers (organization_id, phone_number,\n"
		"    provider_account_id, is_primary, reply_mode)\n"
	"VALUES ($1, $2, $3, $4, 'off') ON CONFLICT DO NOTHING"},
	{"requests",
		"SELECT organization_id, channel, address, our_address, our_address_only, request_type, source,\n"
		"    scope, (extract(epoch FROM occurred_at) * 1000000)::int8,\n"
		"    (extract(epoch FROM created_at) * 1000000)::int8, id\n"
		"  FROM omnimsg.opt_out_requests\n"
		" WHERE organization_id = ANY ($1::uuid[]) AND channel IN ('sms', 'voice', 'email')\n"
	"   AND address = ANY ($2::text[])"},
	{"consents",
		"SELECT organization_id, channel, address, scope, state,\n"
		"    (extract(epoch FROM decided_at) * 1000000)::int8, request_id, provider_blocked\n"
		"  FROM omnimsg.consents\n"
		" WHERE organization_id = ANY ($1::uuid[]) AND channel IN ('sms', 'voice', 'email')\n"
	"   AND address = ANY ($2::text[])"},
	{"instants",
		"SELECT a.state, (extract(epoch FROM a.decided_at) * 1000000)::int8, a.request_id\n"
		"  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[])\n"
		"       WITH ORDINALITY AS q(organization, channel, address, at, known_at, scope, n)\n"
		"  CROSS JOIN LATERAL omnimsg_consent_as_of(q.organization, q.channel, q.address, q.at, q.known_at,\n"
	"       q.scope) AS a ORDER BY q.n"},
	{"repairs",
		"SELECT count(*) FROM omnimsg.consent_repairs\n"
	" WHERE organization_id = ANY ($1::uuid[]) AND address = ANY ($2::text[])"},
};

#define NSTATEMENTS ((int) (sizeof(statements) / sizeof(statements[0])))

void
drive_format_time(int64_t at, char *out, size_t size)
{
	time_t		seconds = at / SECOND;
	struct tm	tm;
	char		day[32];

	if (at == FOREVER)
	{
		snprintf(out, size, "infinity");
		return;
	}
	gmtime_r(&seconds, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, size, "%s.%06d+00:00", day, (int) (at % SECOND));
}

static const char *
format_time(int64_t at)
{
	static _Thread_local char texts[4][48];
	static _Thread_local int next;
	char	   *text = texts[next++ % 4];

	drive_format_time(at, text, sizeof(texts[0]));
	return text;
}

PGresult *
drive_query(Session *session, Sequence *s, const char *name, int nparams,
			const char *const *params)
{
	PGresult   *result = PQexecPrepared(session->conn, name, nparams, params, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		check_fail(s, "\"%s\" raised in session %d: %s", name, session->number,
				   PQerrorMessage(session->conn));
	return result;
}

/* For a statement whose result is not wanted; returns the number of its rows */
static int
run(Session *session, Sequence *s, const char *name, int nparams, const char *const *params)
{
	PGresult   *result = drive_query(session, s, name, nparams, params);
	int			rows = PQntuples(result);

	PQclear(result);
	return rows;
}

static void
run_text(Session *session, const char *sql)
{
	PGresult   *result = PQexec(session->conn, sql);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		check_fail(NULL, "%s: %s", sql, PQerrorMessage(session->conn));
	PQclear(result);
}

void
drive_connect(Session *session, const char *conninfo)
{
	session->conn = PQconnectdb(conninfo);
	if (PQstatus(session->conn) != CONNECTION_OK)
		check_fail(NULL, "no connection: %s", PQerrorMessage(session->conn));
	run_text(session, "SET timezone = 'UTC'");
	for (int i = 0; i < NSTATEMENTS; i++)
	{
		PGresult   *result = PQprepare(session->conn, statements[i].name, statements[i].text, 0, NULL);

		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			check_fail(NULL, "%s: %s", statements[i].name, PQerrorMessage(session->conn));
		PQclear(result);
	}
}

static void
add_number(Session *session, const Number *number)
{
	/* nobody answers: this is about what is recorded, not about what is sent */
	for (int o = 0; o < number->nowners; o++)
		run(session, NULL, "number", 4, (const char *const[]) {organization_ids[number->owners[o]],
			number->e164, number->account == NO_ACCOUNT ? NULL : account_ids[number->account],
			o == 0 ? "true" : "false"});
}

/* Empties the tables between rounds, so that the last sequence costs what the first did */
void
drive_clean(Session *session)
{
	for (int tries = 0;; tries++)
	{
		PGresult   *result = PQexec(session->conn,
									"SET lock_timeout = '2s';\n"
									"TRUNCATE omnimsg.collection_accounts, omnimsg.account_repairs, omnimsg.events, omnimsg.event_counts,\n"
									"    omnimsg.messages, omnimsg.opt_out_requests, omnimsg.consents,\n"
									"    omnimsg.consent_repairs, omnimsg.reviews, omnimsg.address_flags, omnimsg.outbox,\n"
									"    omnimsg.reply_windows, omnimsg.audit_logs, omnimsg.inbound_phone_numbers;\n"
									"RESET lock_timeout");
		bool		done = PQresultStatus(result) == PGRES_COMMAND_OK;

		PQclear(result);
		if (done)
			break;
		/* the worker looks at some of them now and then */
		if (tries == 20)
			check_fail(NULL, "the tables cannot be emptied: %s", PQerrorMessage(session->conn));
	}
	for (int i = 0; i < SHARED_NUMBERS; i++)
		add_number(session, &shared_numbers[i]);
}

/* The database must be one that holds nothing else, for it is emptied */
void
drive_fixture(Session *session)
{
	char		sql[500];
	PGresult   *result = PQexec(session->conn, "SELECT 1 FROM omnimsg.organizations o\n"
								" WHERE o.id <> '00000000-0000-0000-0000-000000000000' AND o.name !~ '^model [0-9]$' LIMIT 1");

	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 0)
		check_fail(NULL, "this is for an empty database with omnimsg: %s", PQerrorMessage(session->conn));
	PQclear(result);
	result = PQexec(session->conn, "SELECT t FROM unnest(ARRAY['Wrong number', 'please stop by', 'not interested']) AS t\n"
					" WHERE (omnimsg_detect_intent(t)).label = 'maybe_opt_out' LIMIT 1");
	if (PQntuples(result) != 1)
		check_fail(NULL, "no text is known that may be an opt-out: %s", PQerrorMessage(session->conn));
	snprintf(doubtful, sizeof(doubtful), "%s", PQgetvalue(result, 0, 0));
	PQclear(result);
	for (int i = 1; i < ORGANIZATIONS; i++)
	{
		snprintf(sql, sizeof(sql), "INSERT INTO omnimsg.organizations (id, name) VALUES ('%s', 'model %d')\n"
				 "ON CONFLICT DO NOTHING", organization_ids[i], i);
		run_text(session, sql);
	}
	for (int i = 0; i < 2; i++)
	{
		snprintf(sql, sizeof(sql), "INSERT INTO omnimsg.provider_accounts (id, provider, name)\n"
				 "VALUES ('%s', 'telnyx', 'model %d') ON CONFLICT DO NOTHING", account_ids[i], i);
		run_text(session, sql);
	}
	drive_clean(session);
}

/* Addresses and numbers of the sequence's own, and who owns them at first */
void
drive_begin(Session *session, Sequence *s)
{
	/* invented: the area code 555 belongs to nobody */
	long		first = 2000000 + s->index * 8 % 6000000;

	for (int i = 0; i < PHONES; i++)
		snprintf(s->addresses[i], sizeof(s->addresses[i]), "+1555%07ld", first + i);
	snprintf(s->addresses[EMAIL_ADDRESS], sizeof(s->addresses[0]), "p%ld@example.com", s->index);
	memcpy(s->numbers, shared_numbers, sizeof(shared_numbers));
	for (int i = SHARED_NUMBERS; i < NUMBERS; i++)
	{
		Number	   *number = &s->numbers[i];
		int			chance = session_random(session, 10);

		snprintf(number->e164, sizeof(number->e164), "+1555%07ld", first + i);
		number->nowners = chance < 4 ? 0 : chance < 8 ? 1 : 2;
		number->owners[0] = 1 + session_random(session, 2);
		number->owners[1] = number->owners[0] + 1;
		number->account = number->nowners == 0 ? NO_ACCOUNT : (int) session_random(session, 3) - 1;
		add_number(session, number);
		sequence_log(s, "number %d is of %d organizations (%d first), account %d", i, number->nowners,
					 number->owners[0], number->account);
	}
}

static void
log_event(Session *session, Sequence *s, const Event *event)
{
	static const char *const names[EVENT_KINDS] = {"STOP", "START", "maybe", "HELP", "hello",
	"delivered", "failed", "blocked"};

	sequence_log(s, "session %d delivers event %d: %s, address %d, number %d, at %.6f",
				 session->number, event->serial, names[event->kind], event->address, event->number,
				 (event->at - s->base) / 1e6);
}

/* An event that will be delivered; the caller holds the lock of a joint sequence.  Returns its index. */
int
drive_event(Session *session, Sequence *s, EventKind kind, int address, int number, int message,
			int64_t at)
{
	const char *const words[HELLO + 1][3] = {
		{"STOP", "stop.", "Unsubscribe"}, {"START", "Start", "UNSTOP"},
		{doubtful, doubtful, doubtful}, {"HELP", "help", "HELP"},
		{"hello", "thank you", "see you at noon"}
	};
	Event	   *event = &s->events[s->nevents];

	if (s->nevents == MAX_EVENTS)
		check_fail(s, "a sequence has more events than the model has room for");
	*event = (Event) {.kind = kind, .serial = s->nevents, .address = address, .number = number, .message = message};
	event->signed_at = clock_now() / SECOND * SECOND;
	event->written_at = at;
	/* rule 1 of the design: more than 300 s ahead of the signature is the time of the signature */
	event->at = at > event->signed_at + 300 * SECOND ? event->signed_at : at;
	if (kind <= HELLO)
		event->text = words[kind][session_random(session, 3)];
	/* the provider understood a word that is none of ours */
	if (kind <= START && session_random(session, 8) == 0)
	{
		event->text = "";
		event->autoresponse = kind == STOP ? "STOP" : "START";
	}
	return s->nevents++;
}

static int
write_body(const Sequence *s, const Event *event, char *body, size_t size)
{
	const char *number = s->numbers[event->number].e164;
	const char *person = s->addresses[event->address];

	if (event->kind <= HELLO)
		return snprintf(body, size,
						"{\"data\":{\"event_type\":\"message.received\",\"id\":\"e-%ld-%d\",\"occurred_at\":\"%s\","
						"\"payload\":{\"id\":\"m-%ld-%d\",\"direction\":\"inbound\",\"type\":\"SMS\",\"cc\":[],"
						"\"autoresponse_type\":%s%s%s,\"received_at\":\"%s\",\"text\":\"%s\","
						"\"from\":{\"phone_number\":\"%s\"},"
						"\"to\":[{\"phone_number\":\"%s\",\"status\":\"webhook_delivered\"}]}}}",
						s->index, event->serial, format_time(event->written_at + 300000), s->index,
						event->serial, event->autoresponse ? "\"" : "",
						event->autoresponse ? event->autoresponse : "null", event->autoresponse ? "\"" : "",
						format_time(event->written_at), event->text, person, number);
	return snprintf(body, size,
					"{\"data\":{\"event_type\":\"%s\",\"id\":\"e-%ld-%d\",\"occurred_at\":\"%s\","
					"\"payload\":{\"id\":\"out-%ld-%d\",\"direction\":\"outbound\",\"type\":\"SMS\","
					"\"from\":{\"phone_number\":\"%s\"},"
					"\"to\":[{\"phone_number\":\"%s\",\"status\":\"%s\"}],\"errors\":[%s]}}}",
					event->kind == BLOCKED && event->serial % 2 ? "message.failed" : "message.finalized",
					s->index, event->serial, format_time(event->written_at), s->index, event->message,
					number, person, event->kind == DELIVERED ? "delivered" : "delivery_failed",
					event->kind == DELIVERED ? "" : event->kind == FAILED ?
					"{\"code\":\"40008\",\"title\":\"Undeliverable\"}" :
					"{\"code\":\"40300\",\"title\":\"Blocked due to STOP message\"}");
}

/* What came of one event */
static void
read_result(Sequence *s, Event *event, PGresult *result, int row)
{
	const char *outcome = PQgetvalue(result, row, 0);
	const char *intent = PQgetvalue(result, row, 3);
	static const char *const intents[HELLO + 1] = {"opt_out", "opt_in", "maybe_opt_out", "help", "none"};

	event->delivered++;
	if (strcmp(outcome, "duplicate") == 0)
		return;
	if (strcmp(outcome, "applied") != 0)
		check_fail(s, "event %d became \"%s\": %s", event->serial, outcome, PQgetvalue(result, row, 4));
	if (event->kind <= HELLO && strcmp(intent, intents[event->kind]) != 0)
		check_fail(s, "event %d was read as \"%s\"", event->serial, intent);
	event->applied++;
	snprintf(event->id, sizeof(event->id), "%s", PQgetvalue(result, row, 2));
	for (event->organization = 0; event->organization < ORGANIZATIONS; event->organization++)
		if (strcmp(organization_ids[event->organization], PQgetvalue(result, row, 1)) == 0)
			return;
	check_fail(s, "event %d went to a strange organization", event->serial);
}

void
drive_queue(Session *session, Sequence *s, int event)
{
	if (session->nbatch == MAX_EVENTS)
		drive_flush(session, s);
	session->batch[session->nbatch++] = event;
}

/* Deliver what is queued, in any order */
void
drive_flush(Session *session, Sequence *s)
{
	static const char digits[] = "0123456789abcdef";
	char	   *bodies = malloc((size_t) session->nbatch * (2 * MAX_BODY + 10) + 3);
	char	   *signed_at = malloc((size_t) session->nbatch * 24 + 3);
	size_t		length = 0;
	size_t		signed_length = 0;
	PGresult   *result;

	for (int i = 0; i < session->nbatch; i++)
	{
		int			other = i + session_random(session, session->nbatch - i);
		int			index = session->batch[other];
		Event	   *event = &s->events[index];
		char		body[MAX_BODY];
		int			size;

		session->batch[other] = session->batch[i];
		session->batch[i] = index;
		pthread_mutex_lock(&s->lock);
		log_event(session, s, event);
		size = write_body(s, event, body, sizeof(body));
		pthread_mutex_unlock(&s->lock);
		if (size >= MAX_BODY)
			check_fail(s, "a body is longer than the model has room for");
		length += sprintf(bodies + length, "%s\"\\\\x", i == 0 ? "{" : ",");
		for (int b = 0; b < size; b++)
		{
			bodies[length++] = digits[(unsigned char) body[b] >> 4];
			bodies[length++] = digits[body[b] & 15];
		}
		bodies[length++] = '"';
		signed_length += sprintf(signed_at + signed_length, "%s%" PRId64, i == 0 ? "{" : ",",
								 event->signed_at / SECOND);
	}
	if (session->nbatch > 0)
	{
		strcpy(bodies + length, "}");
		strcpy(signed_at + signed_length, "}");
		result = drive_query(session, s, "ingest", 2, (const char *const[]) {bodies, signed_at});
		if (PQntuples(result) != session->nbatch)
			check_fail(s, "%d events have %d results", session->nbatch, PQntuples(result));
		pthread_mutex_lock(&s->lock);
		for (int i = 0; i < session->nbatch; i++)
		{
			Event	   *event = &s->events[session->batch[i]];
			bool		new = event->applied == 0;

			read_result(s, event, result, i);
			session->tally[event->applied > 0 && new ? T_EVENTS : T_DUPLICATES]++;
		}
		pthread_mutex_unlock(&s->lock);
		session->tally[T_BATCHES]++;
		PQclear(result);
	}
	session->nbatch = 0;
	free(bodies);
	free(signed_at);
}

/* One way among several to write a phone number */
static const char *
write_phone(Session *session, const char *e164, char *out, size_t size)
{
	static const char *const forms[] = {"(%.3s) %.3s-%.4s", "%.3s.%.3s.%.4s", "1-%.3s-%.3s-%.4s"};
	unsigned	form = session_random(session, 6);

	if (form >= 3 || e164[0] != '+')
		return e164;
	snprintf(out, size, forms[form], e164 + 2, e164 + 5, e164 + 8);
	return out;
}

void
drive_record(Session *session, Sequence *s, Request request)
{
	char		buffer[48];
	const char *address = write_phone(session, s->addresses[request.address], buffer, sizeof(buffer));

	request.ours = NO_NUMBER;
	pthread_mutex_lock(&s->lock);
	sequence_log(s, "session %d records %s, organization %d, %s, address %d, %s, %s, at %.6f",
				 session->number, request.out ? "opt_out" : "opt_in", request.organization,
				 channel_names[request.channel], request.address, source_names[request.source],
				 scope_names[request.scope], (request.at - s->base) / 1e6);
	expect_request(s, request);
	pthread_mutex_unlock(&s->lock);
	run(session, s, "record", 7, (const char *const[]) {organization_ids[request.organization],
		channel_names[request.channel], address, request.out ? "opt_out" : "opt_in",
		source_names[request.source], scope_names[request.scope], format_time(request.at)});
	session->tally[T_RECORDED]++;
}

/* A message of ours that has left, for the provider to tell of; its events come after it */
int
drive_message(Session *session, Sequence *s, int organization, int number, int address, int64_t at)
{
	char		id[64];
	int			index = s->nmessages++;

	if (index == MAX_MESSAGES)
		check_fail(s, "a sequence has more messages than the model has room for");
	s->messages[index] = (Message) {organization, number, address, at, false};
	sequence_log(s, "message %d of organization %d from number %d to address %d at %.6f", index,
				 organization, number, address, (at - s->base) / 1e6);
	snprintf(id, sizeof(id), "out-%ld-%d", s->index, index);
	run(session, s, "message", 5, (const char *const[]) {organization_ids[organization],
		s->numbers[number].e164, s->addresses[address], id, format_time(at)});
	return index;
}

/* The consents are 't', 'f' or 0 for NULL; second is a phone or -1 */
void
drive_insert(Session *session, Sequence *s, int organization, int phone, int second, bool email,
			 int sms_consent, int email_consent)
{
	char		first_buffer[48];
	char		second_buffer[48];
	const char *values[2] = {NULL, NULL};
	int64_t		at = clock_now();
	PGresult   *result;

	if (sms_consent)
		values[0] = sms_consent == 't' ? "true" : "false";
	if (email_consent)
		values[1] = email_consent == 't' ? "true" : "false";
	result = drive_query(session, s, "insert", 6, (const char *const[]) {organization_ids[organization],
						 write_phone(session, s->addresses[phone], first_buffer, sizeof(first_buffer)),
						 second < 0 ? NULL : write_phone(session, s->addresses[second], second_buffer,
														 sizeof(second_buffer)),
						 email ? s->addresses[EMAIL_ADDRESS] : NULL, values[0], values[1]});
	pthread_mutex_lock(&s->lock);
	sequence_log(s, "session %d inserts an account of organization %d: %d %d%s, sms_consent %s, email_consent %s",
				 session->number, organization, phone, second, email ? " and e-mail" : "",
				 values[0] ? values[0] : "null", values[1] ? values[1] : "null");
	if (s->ncustomers < MAX_CUSTOMERS)
	{
		s->customers[s->ncustomers].organization = organization;
		snprintf(s->customers[s->ncustomers++].id, sizeof(s->customers[0].id), "%s", PQgetvalue(result, 0, 0));
	}
	if (sms_consent)
		expect_import(s, organization, SMS, phone, sms_consent == 'f', at, clock_now());
	/* a phone that is given twice is one */
	if (sms_consent && second >= 0 && second != phone)
		expect_import(s, organization, SMS, second, sms_consent == 'f', at, clock_now());
	if (email_consent && email)
		expect_import(s, organization, EMAIL, EMAIL_ADDRESS, email_consent == 'f', at, clock_now());
	pthread_mutex_unlock(&s->lock);
	PQclear(result);
	session->tally[T_INSERTED]++;
}

/* Another phone: what was said stays with the old one */
void
drive_move(Session *session, Sequence *s, int customer, int phone)
{
	char		buffer[48];
	const Customer *c = &s->customers[customer];

	sequence_log(s, "session %d gives account %d address %d", session->number, customer, phone);
	if (run(session, s, "move", 3, (const char *const[]) {organization_ids[c->organization], c->id,
			write_phone(session, s->addresses[phone], buffer, sizeof(buffer))}) != 1)
		check_fail(s, "account %d is not there", customer);
	session->tally[T_MOVED]++;
}

/* Two accounts become one, which takes the phone of the other */
void
drive_merge(Session *session, Sequence *s, int kept, int gone)
{
	sequence_log(s, "session %d merges account %d into %d", session->number, gone, kept);
	if (run(session, s, "merge", 3, (const char *const[]) {
			organization_ids[s->customers[kept].organization], s->customers[kept].id,
			s->customers[gone].id}) != 1)
		check_fail(s, "account %d or %d is not there", kept, gone);
	s->customers[gone].gone = true;
	session->tally[T_MERGED]++;
}

void
drive_review(Session *session, Sequence *s, int review, int decision)
{
	Review	   *v = &s->reviews[review];

	sequence_log(s, "session %d decides review %d, of event %d in organization %d: %s",
				 session->number, review, v->event, v->organization, decision_names[decision]);
	if (run(session, s, "review", 3, (const char *const[]) {s->events[v->event].id,
			organization_ids[v->organization], decision_names[decision]}) != 1)
		check_fail(s, "review %d is not there", review);
	session->tally[T_REVIEWS]++;
}

/* Returns how many requests the server says that the number brought */
int
drive_assign(Session *session, Sequence *s, int number, int to)
{
	for (int tries = 0;; tries++)
	{
		PGresult   *result = PQexecPrepared(session->conn, "assign", 2, (const char *const[]) {
											s->numbers[number].e164, organization_ids[to]}, NULL, NULL, 0);
		const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
		int			rows;

		if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
		{
			rows = atoi(PQgetvalue(result, 0, 0));
			PQclear(result);
			session->tally[T_ASSIGNED]++;
			return rows;
		}
		/* it waits a second for the others, and is to be asked again */
		if (state == NULL || strcmp(state, "55P03") != 0 || tries == 100)
			check_fail(s, "number %d could not be assigned: %s", number, PQerrorMessage(session->conn));
		PQclear(result);
	}
}
