/*
 * model.c
 *		Random sequences of all that changes consent, in several sessions at once, against a server, and
 *		after each of them the comparison with a model of the rules.
 *
 *	model --sequences N [--seed S] [--first I] [--sessions 8] [--operations 20]
 *		[--instants 6] [--copies SECONDS] CONNINFO
 *
 * Most sequences belong to one session and have people of their own; what they share with the others
 * are organizations, accounts at the provider, numbers of ours and every table.  In a part of
 * them all sessions work on the same people at once: what they end as is decided by when things
 * happened, not by when they arrived.  The database is emptied; it must hold nothing else.
 */
#include "model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../unit/tap.h"

#define MAX_SESSIONS	16

/* Sequences of a turn, of which the last are joint, and of a round, after which tables are emptied */
#define TURN			40
#define JOINT			2
#define ROUND			(TURN * 50)

static struct
{
	long		sequences;
	long		first;
	uint64_t	seed;
	int			sessions;
	int			operations;		/* the most of a sequence that one session has for itself */
	int			instants;
	int			copies;			/* seconds that the worker has for the copies on accounts */
	const char *conninfo;
}			options = {2000, 0, 0, 8, 20, 6, 0, NULL};

static Session sessions[MAX_SESSIONS];
static Sequence *joint;			/* the one that all work on */
static pthread_barrier_t barrier;
static long next_own;			/* the next sequence of this turn that nobody has taken */
static pthread_mutex_t next_lock = PTHREAD_MUTEX_INITIALIZER;

/* What the sessions do in the joint sequence: the events that each delivers */
static struct
{
	int			events[MAX_EVENTS];
	int			count;
}			dealt[MAX_SESSIONS];

int64_t
clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * SECOND + now.tv_nsec / 1000;
}

/* splitmix64 */
uint64_t
session_random(Session *session, uint64_t below)
{
	uint64_t	x = session->random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return below == 0 ? 0 : (x ^ (x >> 31)) % below;
}

/* The same sequence is made of the same seed and index, whatever was before it and whoever does it */
static void
seed_session(Session *session, long index, int part)
{
	session->random = options.seed + (uint64_t) index * 1000003 + (uint64_t) part * 7919;
	session_random(session, 1);
}

static void
start_sequence(Session *session, Sequence *s, long index, bool is_joint)
{
	memset(s, 0, sizeof(*s));
	pthread_mutex_init(&s->lock, NULL);
	s->index = index;
	s->seed = options.seed;
	s->joint = is_joint;
	s->base = clock_now() - (3600 + (int64_t) session_random(session, 5 * 3600)) * SECOND;
	drive_begin(session, s);
}

static void
end_sequence(Session *session, Sequence *s)
{
	check_sequence(session, s, options.instants);
	pthread_mutex_destroy(&s->lock);
}

/* Seldom enough instants that things often happen at the same; now and then one that is to come */
static int64_t
choose_time(Session *session, Sequence *s, bool far)
{
	unsigned	chance = session_random(session, 40);

	if (chance == 0)
		return clock_now() + (int64_t) session_random(session, 200) * SECOND;
	if (chance == 1 && far)
		return clock_now() + 3600 * SECOND;
	return s->base + (int64_t) session_random(session, 24) * SECOND;
}

static EventKind
choose_text(Session *session)
{
	static const EventKind kinds[] = {STOP, STOP, STOP, STOP, START, START, START, START, MAYBE, HELP, HELLO};

	return kinds[session_random(session, sizeof(kinds) / sizeof(kinds[0]))];
}

/* What the events that have come make, by who owns the numbers now */
static void
settle_events(Sequence *s)
{
	for (Event *e = s->events; e < s->events + s->nevents; e++)
	{
		const Number *number = &s->numbers[e->number];

		if (e->applied == 0 || e->expected)
			continue;
		e->expected = true;
		if (e->kind == BLOCKED)
			expect_block(s, &s->messages[e->message]);
		else if (e->kind <= HELLO)
			expect_text(s, e, number->owners, number->nowners);
	}
}

static void
flush(Session *session, Sequence *s)
{
	drive_flush(session, s);
	settle_events(s);
}

static Request
choose_record(Session *session, Sequence *s, bool imports)
{
	static const Source sources[] = {AGENT, WEB, API, MAIL, FREE_TEXT, PROVIDER, IMPORT};
	static const Channel channels[] = {SMS, SMS, SMS, VOICE, EMAIL};
	static const int scopes[] = {ALL, ALL, ALL, OFFERS, NEWS};
	Channel		channel = channels[session_random(session, 5)];

	return (Request) {
		.organization = 1 + session_random(session, 3), .channel = channel,
		.address = channel == EMAIL ? EMAIL_ADDRESS : (int) session_random(session, PHONES),
		.out = session_random(session, 2) == 0, .scope = scopes[session_random(session, 5)],
		.source = sources[session_random(session, imports ? 7 : 6)],
		.at = choose_time(session, s, false)
	};
}

static void
insert_account(Session *session, Sequence *s, bool imports)
{
	static const int consents[] = {0, 0, 't', 'f', 't'};
	int			second = session_random(session, 3) == 0 ? (int) session_random(session, PHONES) : -1;
	bool		email = session_random(session, 2) == 0;
	int			sms_consent = imports ? consents[session_random(session, 5)] : 0;

	drive_insert(session, s, 1 + session_random(session, 3), session_random(session, PHONES), second,
				 email, sms_consent, imports ? consents[session_random(session, 5)] : 0);
}

/* One of the accounts of the sequence, or -1 */
static int
choose_customer(Session *session, const Sequence *s, int organization, int other_than)
{
	for (int tries = 0; tries < 8 && s->ncustomers > 0; tries++)
	{
		int			c = session_random(session, s->ncustomers);

		if (!s->customers[c].gone && c != other_than &&
			(organization < 0 || s->customers[c].organization == organization))
			return c;
	}
	return -1;
}

/*
 * A message of ours to somebody, and what the provider tells of it: that it was blocked, mostly,
 * in one or several events, perhaps after it had told something else.
 */
static void
tell_of_message(Session *session, Sequence *s, int *events, int *count)
{
	int			number = session_random(session, NUMBERS);
	const Number *n = &s->numbers[number];
	int			message;

	*count = 0;
	if (n->nowners == 0)
		return;
	message = drive_message(session, s, n->owners[session_random(session, n->nowners)], number,
							session_random(session, PHONES), choose_time(session, s, false));
	for (int i = session_random(session, 3); i >= 0; i--)
	{
		static const EventKind kinds[] = {BLOCKED, BLOCKED, BLOCKED, DELIVERED, FAILED};

		events[(*count)++] = drive_event(session, s, kinds[session_random(session, 5)],
										 s->messages[message].address, number, message, clock_now());
	}
	session->tally[T_BLOCKS]++;
}

static void
decide_review(Session *session, Sequence *s)
{
	int			review = session_random(session, s->nreviews);
	Review	   *v = &s->reviews[review];
	int			decision = v->decision < 0 ? (int) session_random(session, 3) : v->decision;

	drive_review(session, s, review, decision);
	pthread_mutex_lock(&s->lock);
	expect_review(s, v, decision);
	pthread_mutex_unlock(&s->lock);
}

static void
assign_number(Session *session, Sequence *s)
{
	int			number = SHARED_NUMBERS + session_random(session, NUMBERS - SHARED_NUMBERS);
	int			to = 1 + session_random(session, ORGANIZATIONS - 1);
	int			rows;
	int			expected;

	sequence_log(s, "number %d is assigned to organization %d", number, to);
	rows = drive_assign(session, s, number, to);
	expected = expect_assign(s, number, to);
	if (rows != expected)
		check_fail(s, "number %d brought %d requests, the model says %d", number, rows, expected);
}

/* One operation of a sequence that one session has for itself */
static void
operate(Session *session, Sequence *s)
{
	unsigned	chance = session_random(session, 100);
	int			events[4];
	int			count = 0;

	if (chance < 45)
	{
		int			event = drive_event(session, s, choose_text(session), session_random(session, PHONES),
										session_random(session, NUMBERS), 0, choose_time(session, s, true));

		drive_queue(session, s, event);
		if (session_random(session, 6) == 0)
			drive_queue(session, s, event);
	}
	else if (chance < 50 && s->nevents > 0)
		drive_queue(session, s, session_random(session, s->nevents));
	else if (chance < 66)
		drive_record(session, s, choose_record(session, s, true));
	else if (chance < 74)
	{
		tell_of_message(session, s, events, &count);
		for (int i = 0; i < count; i++)
			drive_queue(session, s, events[i]);
	}
	else if (chance < 81)
		insert_account(session, s, true);
	else if (chance < 84)
	{
		int			customer = choose_customer(session, s, -1, -1);

		if (customer >= 0)
			drive_move(session, s, customer, session_random(session, PHONES));
	}
	else if (chance < 86)
	{
		int			kept;
		int			gone;

		/* short sequences rarely have two accounts of one organization by now */
		for (int i = 0; i < 2; i++)
			insert_account(session, s, true);
		kept = choose_customer(session, s, -1, -1);
		gone = kept < 0 ? -1 : choose_customer(session, s, s->customers[kept].organization, kept);
		if (gone >= 0)
			drive_merge(session, s, kept, gone);
	}
	else if (chance < 95)
	{
		flush(session, s);
		if (s->nreviews > 0)
			decide_review(session, s);
	}
	else
	{
		flush(session, s);
		assign_number(session, s);
	}
	if (session->nbatch > 0 && session_random(session, 5) == 0)
		flush(session, s);
}

static void
run_own(Session *session, Sequence *s, long index)
{
	int			operations;

	seed_session(session, index, 0);
	start_sequence(session, s, index, false);
	operations = 5 + session_random(session, options.operations - 4);
	for (int i = 0; i < operations; i++)
		operate(session, s);
	flush(session, s);
	end_sequence(session, s);
}

/* Give an event to one, two or three of the sessions */
static void
deal(Session *session, int event, int first)
{
	int			times = 1 + session_random(session, 3);

	for (int i = 0; i < times; i++)
	{
		int			to = first + session_random(session, options.sessions - first);

		dealt[to].events[dealt[to].count++] = event;
	}
}

/* Deliver what was dealt in batches of any size, with other things in between */
static void
work_together(Session *session, bool others)
{
	for (int i = 0; i < dealt[session->number].count; i++)
	{
		drive_queue(session, joint, dealt[session->number].events[i]);
		if (others && session_random(session, 4) == 0)
			drive_record(session, joint, choose_record(session, joint, session->number == 0));
		if (others && session_random(session, 12) == 0)
			insert_account(session, joint, session->number == 0);
		if (session_random(session, 3) == 0)
			drive_flush(session, joint);
	}
	drive_flush(session, joint);
	dealt[session->number].count = 0;
}

static void
deal_texts(Session *session, int count, int first_number, int numbers, int first_session)
{
	for (int i = 0; i < count; i++)
		deal(session, drive_event(session, joint, choose_text(session), session_random(session, PHONES),
								  first_number + session_random(session, numbers), 0,
								  choose_time(session, joint, true)), first_session);
}

/* The events to a number that changed hands meanwhile: the server says whose it was for each */
static void
settle_race(int number, const int *to, const int *rows, int hands)
{
	for (int hand = 0; hand <= hands; hand++)
	{
		Number	   *n = &joint->numbers[number];

		for (Event *e = joint->events; e < joint->events + joint->nevents; e++)
		{
			bool		theirs = n->nowners == 0 && e->organization == NOBODY;

			for (int o = 0; o < n->nowners; o++)
				theirs = theirs || n->owners[o] == e->organization;
			if (e->expected || e->applied == 0 || e->number != number || !theirs)
				continue;
			e->expected = true;
			expect_text(joint, e, n->owners, n->nowners);
		}
		if (hand < hands)
		{
			int			expected = expect_assign(joint, number, to[hand]);

			if (rows[hand] != expected)
				check_fail(joint, "number %d brought %d requests, the model says %d", number, rows[hand], expected);
		}
	}
	for (Event *e = joint->events; e < joint->events + joint->nevents; e++)
		if (e->applied > 0 && !e->expected)
			check_fail(joint, "event %d went to organization %d, which never had the number", e->serial, e->organization);
}

/* Texts come to a number while it changes hands, once or twice, to organizations that did not have it */
static void
race(Session *session)
{
	int			number = SHARED_NUMBERS;
	int			to[2] = {4, 0};
	int			rows[2] = {0, 0};
	int			hands = 1;
	bool		leads = session->number == 0;

	if (leads)
	{
		for (int candidate = 1; candidate < 4; candidate++)
		{
			bool		owns = false;

			for (int o = 0; o < joint->numbers[number].nowners; o++)
				owns = owns || joint->numbers[number].owners[o] == candidate;
			if (!owns)
				to[1] = candidate;
		}
		deal_texts(session, 4 + session_random(session, 8), number, 1, 1);
		hands += session_random(session, 2);
		session->tally[T_RACES]++;
	}
	pthread_barrier_wait(&barrier);
	if (leads)
		for (int hand = 0; hand < hands; hand++)
		{
			rows[hand] = drive_assign(session, joint, number, to[hand]);
			pthread_mutex_lock(&joint->lock);
			sequence_log(joint, "number %d was assigned to organization %d", number, to[hand]);
			pthread_mutex_unlock(&joint->lock);
		}
	else
		work_together(session, false);
	pthread_barrier_wait(&barrier);
	if (leads)
		settle_race(number, to, rows, hands);
}

/* All sessions work on the same people; session 0 prepares, and compares at the end */
static void
run_joint(Session *session, long index)
{
	bool		leads = session->number == 0;

	seed_session(session, index, session->number);
	if (leads)
	{
		int			events[4];
		int			count;

		start_sequence(session, joint, index, true);
		for (int i = session_random(session, 3); i > 0; i--)
		{
			tell_of_message(session, joint, events, &count);
			for (int e = 0; e < count; e++)
				deal(session, events[e], 0);
		}
		deal_texts(session, 6 + session_random(session, 10), 0, NUMBERS, 0);
	}
	pthread_barrier_wait(&barrier);
	work_together(session, true);
	pthread_barrier_wait(&barrier);
	if (leads)
	{
		settle_events(joint);
		if (session_random(session, 2) == 0)
			assign_number(session, joint);
		deal_texts(session, session_random(session, 8), 0, NUMBERS, 0);
	}
	pthread_barrier_wait(&barrier);
	if (leads && joint->nreviews > 0)
		decide_review(session, joint);
	work_together(session, true);
	pthread_barrier_wait(&barrier);
	if (leads)
		settle_events(joint);
	race(session);
	if (leads)
		end_sequence(session, joint);
	pthread_barrier_wait(&barrier);
}

static long
take_own(long end)
{
	long		index;

	pthread_mutex_lock(&next_lock);
	index = next_own < end ? next_own++ : -1;
	pthread_mutex_unlock(&next_lock);
	return index;
}

static void *
run_session(void *argument)
{
	Session    *session = argument;
	Sequence   *own = malloc(sizeof(Sequence));
	long		last = options.first + options.sequences;

	/* turns begin at multiples of their size, so that a sequence is of the same kind in any run */
	for (long turn = options.first - options.first % TURN; turn < last; turn += TURN)
	{
		long		own_end = turn + TURN - JOINT;
		long		index;

		if (session->number == 0)
		{
			if (turn % ROUND == 0)
				drive_clean(session);
			if (turn % (ROUND * 5) == 0 && turn > options.first)
				printf("# %ld sequences\n", turn - options.first), fflush(stdout);
			next_own = turn < options.first ? options.first : turn;
		}
		pthread_barrier_wait(&barrier);
		while ((index = take_own(own_end < last ? own_end : last)) >= 0)
			run_own(session, own, index);
		pthread_barrier_wait(&barrier);
		for (index = own_end; index < turn + TURN && index < last; index++)
			if (index >= options.first)
				run_joint(session, index);
	}
	free(own);
	return NULL;
}

/*
 * The copies on accounts of the last round, once the worker had the time to repair those that were passed
 * over: it goes through 2000 consents that changed in half a minute.
 */
static int
differing_copies(Session *session)
{
	static const char sql[] =
		"SELECT count(*) FROM omnimsg.collection_accounts a\n"
		" WHERE (a.sms_consent, a.email_consent) IS DISTINCT FROM (\n"
		"   (SELECT CASE WHEN bool_or(c.state = 'opted_out') THEN false WHEN bool_or(c.state = 'opted_in') THEN true END\n"
		"      FROM omnimsg.consents c WHERE c.organization_id = a.organization_id AND c.channel = 'sms'\n"
		"       AND c.scope = 'all' AND c.address IN (a.primary_phone, a.secondary_phone)),\n"
		"   (SELECT CASE WHEN bool_or(c.state = 'opted_out') THEN false WHEN bool_or(c.state = 'opted_in') THEN true END\n"
		"      FROM omnimsg.consents c WHERE c.organization_id = a.organization_id AND c.channel = 'email'\n"
		"       AND c.scope = 'all' AND c.address = a.email))";
	PGresult   *result;
	int			differing = -1;

	for (int64_t end = clock_now() + options.copies * SECOND; differing != 0 && clock_now() < end;)
	{
		result = PQexec(session->conn, sql);
		differing = PQresultStatus(result) == PGRES_TUPLES_OK ? atoi(PQgetvalue(result, 0, 0)) : -1;
		PQclear(result);
		if (differing != 0)
			nanosleep(&(struct timespec) {0, 200000000}, NULL);
	}
	return differing;
}

static void
report(int64_t started)
{
	static const char *const names[TALLIES] = {
		"sequences", "joint ones", "events", "repeated events", "batches", "recorded consents",
		"accounts inserted", "accounts given another phone", "accounts merged", "messages told of",
		"reviews decided", "numbers assigned", "numbers assigned while texts came",
		"requests compared", "states compared", "instants compared", "waits for the worker"
	};
	long		total[TALLIES] = {0};
	bool		all = true;

	for (int t = 0; t < TALLIES; t++)
	{
		for (int i = 0; i < options.sessions; i++)
			total[t] += sessions[i].tally[t];
		printf("# %s: %ld\n", names[t], total[t]);
		all = all && (total[t] > 0 || t == T_WAITED);
	}
	printf("# seconds: %.1f\n", (clock_now() - started) / 1e6);
	ok(true, "%ld requests are those that %ld sequences must leave, and no other", total[T_REQUESTS],
	   total[T_SEQUENCES]);
	ok(true, "%ld states of consent are what the model makes of them", total[T_STATES]);
	ok(true, "%ld states at instants of the past are, too", total[T_INSTANTS]);
	ok(total[T_SEQUENCES] == options.sequences, "all of %ld sequences were run", options.sequences);
	ok(all || options.sequences < ROUND, "every kind of operation was among them");
	if (options.copies > 0)
		is_int(differing_copies(&sessions[0]), 0, "the copies on accounts came to say the same");
}

static void
read_options(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
	{
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strncmp(argv[i], "--", 2) != 0 && options.conninfo == NULL)
		{
			options.conninfo = argv[i];
			continue;
		}
		if (strcmp(argv[i], "--sequences") == 0)
			options.sequences = atol(value);
		else if (strcmp(argv[i], "--first") == 0)
			options.first = atol(value);
		else if (strcmp(argv[i], "--seed") == 0)
			options.seed = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--sessions") == 0)
			options.sessions = atoi(value);
		else if (strcmp(argv[i], "--operations") == 0)
			options.operations = atoi(value);
		else if (strcmp(argv[i], "--instants") == 0)
			options.instants = atoi(value);
		else if (strcmp(argv[i], "--copies") == 0)
			options.copies = atoi(value);
		else
			options.sequences = 0;
		i++;
	}
	if (options.sequences < 1 || options.first < 0 || options.sessions < 2 ||
		options.sessions > MAX_SESSIONS || options.instants < 0 || options.instants > 24 ||
		options.operations < 5 || options.operations > 40 ||
		options.conninfo == NULL)
	{
		fprintf(stderr, "usage: model --sequences N [--seed S] [--first I] [--sessions 8]\n"
				"             [--operations 20] [--instants 6] [--copies SECONDS] CONNINFO\n"
				"--operations is the most of one sequence, --instants the times at which its past is asked for.\n"
				"CONNINFO is of a database with omnimsg that may be emptied.  --first begins with that sequence.\n"
				"--copies gives the worker so long to bring the copies on accounts up to date, and compares them.\n");
		exit(2);
	}
	if (options.seed == 0)
		options.seed = clock_now() % 1000000007;
}

int
main(int argc, char **argv)
{
	pthread_t	threads[MAX_SESSIONS];
	int64_t		started = clock_now();

	read_options(argc, argv);
	printf("# seed %" PRIu64 "\n", options.seed);
	fflush(stdout);
	joint = calloc(1, sizeof(Sequence));
	pthread_barrier_init(&barrier, NULL, options.sessions);
	for (int i = 0; i < options.sessions; i++)
	{
		sessions[i].number = i;
		drive_connect(&sessions[i], options.conninfo);
	}
	drive_fixture(&sessions[0]);
	for (int i = 0; i < options.sessions; i++)
		if (pthread_create(&threads[i], NULL, run_session, &sessions[i]) != 0)
			check_fail(NULL, "no thread");
	for (int i = 0; i < options.sessions; i++)
		pthread_join(threads[i], NULL);
	report(started);
	for (int i = 0; i < options.sessions; i++)
		PQfinish(sessions[i].conn);
	free(joint);
	return done_testing();
}
