/*
 * model_check.c
 *		What a server has on record, against what the model says.
 */
#include "model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_INSTANTS	32

/* How long the worker may take to fold what ingest left to it, in tenths of a second */
#define PATIENCE		900

void
sequence_log(Sequence *s, const char *format,...)
{
	va_list		args;
	size_t		room = LOG_SIZE - s->nlog;
	int			length;

	va_start(args, format);
	length = vsnprintf(s->log + s->nlog, room, format, args);
	va_end(args);
	if (length + 2 < (int) room)
	{
		s->nlog += length;
		strcpy(s->log + s->nlog++, "\n");
	}
}

static void
print_request(const Sequence *s, const Request *r)
{
	printf("#   organization %d %s address %d: %s %s by %s, number %d%s, at %.6f%s%s\n",
		   r->organization, channel_names[r->channel], r->address, r->out ? "opt_out" : "opt_in",
		   scope_names[r->scope], source_names[r->source], r->ours, r->ours_only ? " only" : "",
		   (r->at - s->base) / 1e6, r->found ? ", is there, " : ", is missing", r->id);
}

/* The end of the run: the sequence, and what was expected of it */
void
check_fail(Sequence *s, const char *format,...)
{
	static pthread_mutex_t only_one = PTHREAD_MUTEX_INITIALIZER;
	va_list		args;

	pthread_mutex_lock(&only_one);
	fflush(stdout);
	if (s == NULL)
		printf("not ok 1 - the model could be set up\n");
	else
		printf("not ok 1 - sequence %ld ends as the model says (--seed %" PRIu64 " --first %ld)\n",
			   s->index, s->seed, s->index);
	printf("#   ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	if (s != NULL)
	{
		printf("# what was done, times in seconds around %" PRId64 ":\n", s->base / SECOND);
		for (char *line = strtok(s->log, "\n"); line != NULL; line = strtok(NULL, "\n"))
			printf("#   %s\n", line);
		for (int i = 0; i < NUMBERS; i++)
			printf("# number %d is %s\n", i, s->numbers[i].e164);
		for (int i = 0; i < ADDRESSES; i++)
			printf("# address %d is %s\n", i, s->addresses[i]);
		printf("# requests expected:\n");
		for (int i = 0; i < s->nrequests; i++)
			print_request(s, &s->requests[i]);
	}
	printf("1..1\n");
	fflush(stdout);
	_exit(1);
}

static int
find_name(Sequence *s, const char *name, const char *const *names, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	check_fail(s, "\"%s\" is on record, which nobody said", name);
}

static int
find_address(Sequence *s, const char *name)
{
	for (int i = 0; i < ADDRESSES; i++)
		if (strcmp(s->addresses[i], name) == 0)
			return i;
	check_fail(s, "address \"%s\" is on record", name);
}

static int
find_number(Sequence *s, const char *name)
{
	for (int i = 0; i < NUMBERS; i++)
		if (strcmp(s->numbers[i].e164, name) == 0)
			return i;
	check_fail(s, "number \"%s\" is on record", name);
}

/* Organizations and addresses of the sequence, as arrays that PostgreSQL reads */
static void
write_keys(const Sequence *s, char *organizations, char *addresses, size_t size)
{
	size_t		length = 0;

	for (int i = 0; i < ORGANIZATIONS; i++)
		length += snprintf(organizations + length, size - length, "%s%s", i == 0 ? "{" : ",", organization_ids[i]);
	snprintf(organizations + length, size - length, "}");
	length = 0;
	for (int i = 0; i < ADDRESSES; i++)
		length += snprintf(addresses + length, size - length, "%s%s", i == 0 ? "{" : ",", s->addresses[i]);
	snprintf(addresses + length, size - length, "}");
}

static Request
read_request(Sequence *s, PGresult *result, int row)
{
	Request		r = {
		.organization = find_name(s, PQgetvalue(result, row, 0), organization_ids, ORGANIZATIONS),
		.channel = find_name(s, PQgetvalue(result, row, 1), channel_names, CHANNELS),
		.address = find_address(s, PQgetvalue(result, row, 2)),
		.ours = PQgetisnull(result, row, 3) ? NO_NUMBER : find_number(s, PQgetvalue(result, row, 3)),
		.ours_only = PQgetvalue(result, row, 4)[0] == 't',
		.out = strcmp(PQgetvalue(result, row, 5), "opt_out") == 0,
		.source = find_name(s, PQgetvalue(result, row, 6), source_names, SOURCES),
		.scope = find_name(s, PQgetvalue(result, row, 7), scope_names, SCOPES),
		.at = strtoll(PQgetvalue(result, row, 8), NULL, 10),
		.recorded = strtoll(PQgetvalue(result, row, 9), NULL, 10),
	};

	snprintf(r.id, sizeof(r.id), "%s", PQgetvalue(result, row, 10));
	return r;
}

static bool
same_request(const Request *expected, const Request *r)
{
	return expected->organization == r->organization && expected->channel == r->channel &&
		expected->address == r->address && expected->ours == r->ours &&
		expected->ours_only == r->ours_only && expected->out == r->out &&
		expected->source == r->source && expected->scope == r->scope &&
		expected->at <= r->at && r->at <= expected->at_most;
}

/* Every request that is there was expected, and every one expected is there */
static void
check_requests(Session *session, Sequence *s, const char *const *keys)
{
	PGresult   *result = drive_query(session, s, "requests", 2, keys);

	for (int row = 0; row < PQntuples(result); row++)
	{
		Request		r = read_request(s, result, row);
		Request    *expected = s->requests;

		while (expected < s->requests + s->nrequests && (expected->found || !same_request(expected, &r)))
			expected++;
		if (expected == s->requests + s->nrequests)
		{
			r.found = true;
			print_request(s, &r);
			check_fail(s, "this request is there and was not expected");
		}
		expected->found = true;
		expected->at = r.at;
		expected->recorded = r.recorded;
		memcpy(expected->id, r.id, sizeof(r.id));
	}
	session->tally[T_REQUESTS] += PQntuples(result);
	PQclear(result);
	for (int i = 0; i < s->nrequests; i++)
		if (!s->requests[i].found)
			check_fail(s, "request %d of those expected is not there", i);
}

/* Whether a request is one that may be named as the one that decides a state */
static bool
may_decide(const Request *requests, int count, const char *id, const State *state, int scope,
		   int64_t at, int64_t known_at)
{
	for (const Request *r = requests; r < requests + count; r++)
		if (strcmp(r->id, id) == 0)
			return r->out == (state->name == OPTED_OUT) && r->at == state->at &&
				(r->scope == ALL || r->scope == scope) && r->recorded <= known_at &&
				(!r->out || model_stands(requests, count, scope, at, known_at, r));
	return false;
}

/* A row of state, decided_at and request_id, at these columns, is what the model says */
static bool
same_state(PGresult *result, int row, int column, const char *none, const State *state,
		   const Request *requests, int count, int scope, int64_t at, int64_t known_at)
{
	const char *const names[] = {none, "opted_in", "opted_out"};

	if (strcmp(PQgetvalue(result, row, column), names[state->name]) != 0)
		return false;
	if (state->name == NONE)
		return PQgetisnull(result, row, column + 1) && PQgetisnull(result, row, column + 2);
	return strtoll(PQgetvalue(result, row, column + 1), NULL, 10) == state->at &&
		may_decide(requests, count, PQgetvalue(result, row, column + 2), state, scope, at, known_at);
}

static void
fail_state(Sequence *s, PGresult *result, int row, int column, int organization, Channel channel,
		   int address, int scope, const State *state)
{
	static const char *const names[] = {"none", "opted_in", "opted_out"};

	check_fail(s, "organization %d, %s, address %d, %s: the server says \"%s\", at %.6f, request %s; "
			   "the model says \"%s\", at %.6f%s", organization, channel_names[channel], address,
			   scope_names[scope], PQgetvalue(result, row, column),
			   PQgetisnull(result, row, column + 1) ? 0 :
			   (strtoll(PQgetvalue(result, row, column + 1), NULL, 10) - s->base) / 1e6,
			   PQgetvalue(result, row, column + 2), names[state->name],
			   state->name == NONE ? 0 : (state->at - s->base) / 1e6,
			   state->blocked ? ", blocked by the provider" : ", not blocked by the provider");
}

/* Every row of omnimsg.consents is what its requests add up to, and none is missing or too many */
static void
check_consents(Session *session, Sequence *s, const char *const *keys)
{
	static _Thread_local Request requests[MAX_REQUESTS];
	bool		seen[ORGANIZATIONS][CHANNELS][ADDRESSES][SCOPES] = {0};
	PGresult   *result = drive_query(session, s, "consents", 2, keys);

	for (int row = 0; row < PQntuples(result); row++)
	{
		int			organization = find_name(s, PQgetvalue(result, row, 0), organization_ids, ORGANIZATIONS);
		Channel		channel = find_name(s, PQgetvalue(result, row, 1), channel_names, CHANNELS);
		int			address = find_address(s, PQgetvalue(result, row, 2));
		int			scope = find_name(s, PQgetvalue(result, row, 3), scope_names, SCOPES);
		int			count = select_requests(s, organization, channel, address, requests);
		State		state = model_fold(requests, count, s->numbers, scope, FOREVER, FOREVER);

		seen[organization][channel][address][scope] = true;
		if (!same_state(result, row, 4, "", &state, requests, count, scope, FOREVER, FOREVER) ||
			(PQgetvalue(result, row, 7)[0] == 't') != state.blocked)
			fail_state(s, result, row, 4, organization, channel, address, scope, &state);
		session->tally[T_STATES]++;
		/* what was said of a category makes a row of 'all', too, which nothing decides */
		for (int i = 0; i < count; i++)
			if (scope == ALL || requests[i].scope == scope)
				count = -1;
		if (count >= 0)
			check_fail(s, "organization %d, %s, address %d has a state of %s without a request",
					   organization, channel_names[channel], address, scope_names[scope]);
	}
	PQclear(result);
	for (int i = 0; i < s->nrequests; i++)
	{
		const Request *r = &s->requests[i];

		if (!seen[r->organization][r->channel][r->address][r->scope])
			check_fail(s, "organization %d, %s, address %d, %s has requests and no state",
					   r->organization, channel_names[r->channel], r->address, scope_names[r->scope]);
	}
}

typedef struct Instant
{
	int			organization;
	Channel		channel;
	int			address;
	int			scope;
	int64_t		at;
	int64_t		known_at;
} Instant;

/* Mostly at and beside the times at which something changes */
static Instant
choose_instant(Session *session, Sequence *s)
{
	const Request *r = &s->requests[session_random(session, s->nrequests)];
	const Request *other = &s->requests[session_random(session, s->nrequests)];
	Instant		instant = {r->organization, r->channel, r->address,
	session_random(session, SCOPES), FOREVER, FOREVER};

	if (session_random(session, 4) > 0)
		instant.at = other->at - 1 + (int64_t) session_random(session, 3);
	if (session_random(session, 2) > 0)
		instant.known_at = other->recorded - 1 + (int64_t) session_random(session, 3);
	return instant;
}

static void
check_instants(Session *session, Sequence *s, int count)
{
	static _Thread_local Request requests[MAX_REQUESTS];
	char		arrays[6][MAX_INSTANTS * 48];
	size_t		length[6] = {0};
	Instant		instants[MAX_INSTANTS];
	PGresult   *result;

	if (s->nrequests == 0 || count == 0)
		return;
	for (int i = 0; i < count; i++)
	{
		Instant    *n = &instants[i];
		char		at[40];
		char		known_at[40];

		*n = choose_instant(session, s);
		drive_format_time(n->at, at, sizeof(at));
		drive_format_time(n->known_at, known_at, sizeof(known_at));
		for (int a = 0; a < 6; a++)
		{
			const char *const texts[6] = {organization_ids[n->organization], channel_names[n->channel],
			s->addresses[n->address], at, known_at, scope_names[n->scope]};

			length[a] += sprintf(arrays[a] + length[a], "%s%s%s", i == 0 ? "{" : ",", texts[a],
								 i == count - 1 ? "}" : "");
		}
	}
	result = drive_query(session, s, "instants", 6, (const char *const[]) {arrays[0], arrays[1],
						 arrays[2], arrays[3], arrays[4], arrays[5]});
	if (PQntuples(result) != count)
		check_fail(s, "%d instants have %d states", count, PQntuples(result));
	for (int i = 0; i < count; i++)
	{
		const Instant *n = &instants[i];
		int			found = select_requests(s, n->organization, n->channel, n->address, requests);
		State		state = model_fold(requests, found, s->numbers, n->scope, n->at, n->known_at);

		if (same_state(result, i, 0, "none", &state, requests, found, n->scope, n->at, n->known_at))
			continue;
		printf("# as of %.6f, known until %" PRId64 "\n",
			   n->at == FOREVER ? 1e12 : (n->at - s->base) / 1e6, n->known_at);
		fail_state(s, result, i, 0, n->organization, n->channel, n->address, n->scope, &state);
	}
	session->tally[T_INSTANTS] += count;
	PQclear(result);
}

/* What waited too long for a consent that others had locked is folded by the worker */
static void
wait_for_repairs(Session *session, Sequence *s, const char *const *keys)
{
	for (int tries = 0;; tries++)
	{
		PGresult   *result = drive_query(session, s, "repairs", 2, keys);
		bool		none = atoi(PQgetvalue(result, 0, 0)) == 0;

		PQclear(result);
		if (none)
			break;
		if (tries == PATIENCE)
			check_fail(s, "the worker does not fold what was left to it");
		if (tries == 0)
			session->tally[T_WAITED]++;
		usleep(100000);
	}
}

/* Only one session works on the sequence when it is checked */
void
check_sequence(Session *session, Sequence *s, int instants)
{
	char		organizations[40 * ORGANIZATIONS];
	char		addresses[sizeof(organizations)];
	const char *keys[2] = {organizations, addresses};

	write_keys(s, organizations, addresses, sizeof(organizations));
	for (int i = 0; i < s->nevents; i++)
		if (s->events[i].applied != (s->events[i].delivered > 0))
			check_fail(s, "event %d was delivered %d times and applied %d times", i,
					   s->events[i].delivered, s->events[i].applied);
	wait_for_repairs(session, s, keys);
	check_requests(session, s, keys);
	check_consents(session, s, keys);
	check_instants(session, s, instants);
	session->tally[T_SEQUENCES]++;
	session->tally[T_JOINT] += s->joint;
}
