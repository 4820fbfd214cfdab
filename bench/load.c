/*
 * load.c
 *		Load for the relay, or for whatever else takes webhooks: see print_help().
 *
 * One thread and epoll.  A closed loop sends the next webhook on a connection when the last one is answered.  With --rate each
 * webhook is due at a moment of its own, whatever became of those before it, and its time counts from then: so a server
 * that stands still for a second is charged with all that should have been sent meanwhile.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "load_webhook.h"
#include "simulator_util.h"

#define VERSION			"1.2"

#define SECOND			INT64_C(1000000000)
#define MILLISECOND		INT64_C(1000000)

#define ANSWER_MAX		8192
#define EVENTS_MAX		256
#define STATUS_MAX		600
#define SECONDS_MAX		3600
#define TIMEOUT_SCAN	(100 * MILLISECOND)

/* Instead of the status of an answer */
#define NO_ANSWER		0

enum state
{
	CLOSED,
	FREE,						/* open, with nothing under way */
	BUSY						/* writing, or waiting for the answer */
};

struct connection
{
	int			fd;
	enum state	state;
	bool		idler;			/* one of --idle */
	bool		reused;			/* an answer has come on it */
	int			webhook;		/* under way, -1 for none */
	int64_t		due;			/* of the webhook; of an idler, of its next request */
	int64_t		begun;			/* when the request was first written */
	size_t		written;
	size_t		length;
	size_t		got;
	char		request[OM_LOAD_REQUEST_MAX];
	char		answer[ANSWER_MAX + 1];
};

struct outcome
{
	uint16_t	status;
	uint32_t	us;				/* since it was due */
	uint32_t	wait_us;		/* since it was begun */
};

struct second
{
	int			ok;
	int			refused;
	int			lost;
	uint32_t	worst_us;
};

static struct
{
	const char *url;
	const char *key_file;
	int			connections;
	int			seconds;
	int			count;
	int			rate;
	int			idle;
	int			idle_ping_ms;
	int			timeout_ms;
	bool		timeline;
	bool		verify;
	bool		wait;
	struct om_load_plan plan;
}			options = {
	.connections = 64, .seconds = 10, .idle_ping_ms = 1000, .timeout_ms = 10000,
	.plan = {.first_sender = 15553000000, .senders = 1000000, .first_number = 15552000100, .numbers = 1, .share = 0.05}
};

static struct sockaddr_in address;
static char host[64];
static int	epoll_fd;
static int	timer_fd;
static struct connection *connections;
static int	total;				/* of them, idlers included */
static struct connection **free_list;	/* open, of those that send webhooks */
static int	free_count;
static struct connection **closed_list; /* of those that may send webhooks */
static int	closed_count;
static struct outcome *outcomes;
static int	next_webhook;
static int	unanswered;
static int64_t begin;
static int64_t end;				/* nothing is begun after it */
static int64_t finished;		/* the last answer */
static long retries;
static long pings;
static long reopenings;
static struct second *timeline;

static int64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

/* ---- connections ---- */

static void
close_connection(struct connection *c)
{
	if (c->state == CLOSED)
		return;
	close(c->fd);
	if (c->state == FREE && !c->idler)
	{
		int			i;

		for (i = 0; i < free_count && free_list[i] != c; i++)
			;
		free_list[i] = free_list[--free_count];
	}
	c->state = CLOSED;
	if (!c->idler)
		closed_list[closed_count++] = c;
}

/* Asks for a connection; what is written to it before it stands is kept by EAGAIN. */
static bool
open_connection(struct connection *c)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
	int			one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		om_sim_die("no socket: %s", strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if ((connect(c->fd, (struct sockaddr *) &address, sizeof(address)) != 0 && errno != EINPROGRESS) ||
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) != 0)
	{
		close(c->fd);
		return false;
	}
	c->state = BUSY;
	c->reused = false;
	return true;
}

static void
write_request(struct connection *c)
{
	while (c->written < c->length)
	{
		ssize_t		n = write(c->fd, c->request + c->written, c->length - c->written);

		if (n <= 0)
			break;				/* not yet, or an end that epoll tells */
		c->written += (size_t) n;
	}
}

/* ---- what becomes of a webhook ---- */

static void
record(struct connection *c, int status)
{
	struct outcome *outcome = &outcomes[c->webhook];
	int64_t		now = now_ns();
	struct second *second = &timeline[(c->due - begin) / SECOND < SECONDS_MAX ? (c->due - begin) / SECOND : SECONDS_MAX - 1];

	outcome->status = (uint16_t) status;
	outcome->us = (uint32_t) ((now - c->due) / 1000);
	outcome->wait_us = (uint32_t) ((now - c->begun) / 1000);
	if (outcome->us > second->worst_us)
		second->worst_us = outcome->us;
	if (status == 200)
		second->ok++;
	else if (status != NO_ANSWER)
		second->refused++;
	else
		second->lost++;
	finished = now;
	c->webhook = -1;
	unanswered--;
}

/* Without an answer.  One that was kept open may have been closed just before: that is nobody's fault, and is tried anew. */
static void
fail_request(struct connection *c)
{
	bool		again = c->state == BUSY && c->reused && c->got == 0;

	close_connection(c);
	if (c->idler)
	{
		reopenings++;
		return;
	}
	if (c->webhook < 0)
		return;
	if (again && open_connection(c))
	{
		closed_count--;			/* it had just been put there */
		retries++;
		c->written = c->got = 0;
		write_request(c);
		return;
	}
	record(c, NO_ANSWER);
}

/* The length of a whole answer in the buffer, or 0; its status, and whether the connection goes on. */
static size_t
read_answer(const struct connection *c, int *status, bool *goes_on)
{
	const char *behind = strstr(c->answer, "\r\n\r\n");
	const char *line;
	size_t		length = 0;

	if (behind == NULL || strlen(c->answer) < 12)
		return 0;
	*status = atoi(c->answer + 9);
	*goes_on = true;
	for (line = strstr(c->answer, "\r\n"); line != NULL && line < behind; line = strstr(line + 2, "\r\n"))
	{
		if (strncasecmp(line + 2, "content-length:", 15) == 0)
			length = strtoul(line + 17, NULL, 10);
		else if (strncasecmp(line + 2, "connection: close", 17) == 0)
			*goes_on = false;
	}
	length += (size_t) (behind + 4 - c->answer);
	return c->got >= length ? length : 0;
}

/* It has its answer. */
static void
go_on(struct connection *c)
{
	c->state = FREE;
	c->reused = true;
	if (c->idler)
		c->due = now_ns() + options.idle_ping_ms * MILLISECOND;
	else
		free_list[free_count++] = c;
}

static void
read_connection(struct connection *c)
{
	int			status;
	bool		goes_on;

	for (;;)
	{
		ssize_t		n = read(c->fd, c->answer + c->got, ANSWER_MAX - c->got);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0 || c->state == FREE)
		{
			fail_request(c);
			return;
		}
		c->got += (size_t) n;
		c->answer[c->got] = '\0';
		if (read_answer(c, &status, &goes_on) == 0)
			continue;
		if (c->webhook >= 0)
			record(c, status);
		if (goes_on)
			go_on(c);
		else
			close_connection(c);
		if (c->state == CLOSED)
			return;
	}
}

/* ---- what is begun when ---- */

static int64_t
due_of(int webhook)
{
	return options.rate > 0 ? begin + (int64_t) (webhook * (double) SECOND / options.rate) : 0;
}

static void
start_request(struct connection *c)
{
	int64_t		now = now_ns();

	c->webhook = next_webhook;
	c->due = options.rate > 0 ? due_of(next_webhook) : now;
	c->begun = now;
	c->length = om_load_request(next_webhook, c->request);
	c->written = c->got = 0;
	c->state = BUSY;
	next_webhook++;
	unanswered++;
	write_request(c);
}

/* A connection that is open and free, else a new one, as long as there may be more */
static struct connection *
find_connection(void)
{
	if (free_count > 0)
		return free_list[--free_count];
	if (closed_count > 0 && open_connection(closed_list[closed_count - 1]))
		return closed_list[--closed_count];
	return NULL;
}

static bool
may_begin(int64_t now)
{
	return next_webhook < options.plan.count && now < end && due_of(next_webhook) <= now;
}

static void
begin_what_is_due(void)
{
	while (may_begin(now_ns()))
	{
		struct connection *c = find_connection();

		if (c == NULL)
			return;
		start_request(c);
	}
}

static void
wake_at(int64_t at)
{
	timerfd_settime(timer_fd, TFD_TIMER_ABSTIME,
					&(struct itimerspec) {.it_value = {at / SECOND, at % SECOND}}, NULL);
}

static void
ping(struct connection *c)
{
	if (c->state == CLOSED && !open_connection(c))
		return;
	c->length = (size_t) snprintf(c->request, sizeof(c->request), "GET /healthz HTTP/1.1\r\nhost: %s\r\n\r\n", host);
	c->written = c->got = 0;
	c->state = BUSY;
	c->due = now_ns();
	pings++;
	write_request(c);
}

/* Now and then: who waits for too long, and which idler has to be heard of */
static void
look_around(int64_t now)
{
	int			i;

	for (i = 0; i < total; i++)
	{
		struct connection *c = &connections[i];

		if (c->webhook >= 0 && now - c->begun > options.timeout_ms * MILLISECOND)
		{
			c->reused = false;
			fail_request(c);
		}
		else if (c->idler && c->state != BUSY && (c->state == CLOSED || c->due <= now))
			ping(c);
	}
}

static void
take_events(int timeout)
{
	struct epoll_event events[EVENTS_MAX];
	int			n = epoll_wait(epoll_fd, events, EVENTS_MAX, timeout);
	int			i;

	for (i = 0; i < n; i++)
	{
		struct connection *c = events[i].data.ptr;
		uint64_t	times;

		if (c == NULL)
		{
			if (read(timer_fd, &times, sizeof(times)) < 0)
				continue;
		}
		else if (c->state != CLOSED)
		{
			if (c->state == BUSY && (events[i].events & EPOLLOUT) != 0)
				write_request(c);
			if ((events[i].events & ~(uint32_t) EPOLLOUT) != 0)
				read_connection(c);
		}
	}
}

static void
run(void)
{
	int64_t		looked = 0;

	while (unanswered > 0 || (now_ns() < end && next_webhook < options.plan.count))
	{
		int64_t		now = now_ns();

		begin_what_is_due();
		if (now - looked > TIMEOUT_SCAN)
		{
			look_around(now);
			looked = now;
		}
		if (options.rate > 0 && next_webhook < options.plan.count && now < end && due_of(next_webhook) > now)
			wake_at(due_of(next_webhook));
		take_events(50);
	}
}

/* All idlers are there, and quiet, before the clock starts. */
static void
open_idlers(void)
{
	int64_t		until = now_ns() + 30 * SECOND;
	int			answered = 0;
	int			i;

	for (i = options.connections; i < total; i++)
	{
		ping(&connections[i]);
		take_events(1);
		if (i % 50 == 0)
			look_around(now_ns());
	}
	while (answered < options.idle && now_ns() < until)
	{
		take_events(20);
		look_around(now_ns());
		for (answered = 0, i = options.connections; i < total; i++)
			answered += connections[i].reused && connections[i].state != CLOSED;
	}
	if (answered < options.idle)
		om_sim_die("only %d of %d idle connections could be opened", answered, options.idle);
	pings = reopenings = 0;
}

/* ---- what is told ---- */

static int
compare(const void *left, const void *right)
{
	uint32_t	a = *(const uint32_t *) left;
	uint32_t	b = *(const uint32_t *) right;

	return (a > b) - (a < b);
}

/* Writes "name":{percentiles in ms} of those times, which it sorts */
static void
print_times(const char *name, uint32_t *us, int n)
{
	printf(",\"%s\":", name);
	if (n == 0)
	{
		printf("null");
		return;
	}
	qsort(us, (size_t) n, sizeof(*us), compare);
	printf("{\"p50\":%.3f,\"p95\":%.3f,\"p99\":%.3f,\"max\":%.3f}", us[n / 2] / 1000.0,
		   us[(int64_t) n * 95 / 100] / 1000.0, us[(int64_t) n * 99 / 100] / 1000.0, us[n - 1] / 1000.0);
}

enum selection
{
	TAKEN,						/* answered 200 */
	TAKEN_STOPS,
	REFUSED,					/* answered otherwise */
	ANSWERED					/* whatever, since it was begun */
};

static void
print_selection(const char *name, enum selection selection)
{
	uint32_t   *us = om_sim_alloc(((size_t) next_webhook + 1) * sizeof(*us));
	int			n = 0;
	int			i;

	for (i = 0; i < next_webhook; i++)
	{
		const struct outcome *o = &outcomes[i];

		if ((selection == TAKEN && o->status == 200) ||
			(selection == TAKEN_STOPS && o->status == 200 && om_load_kind(i) == OM_LOAD_STOP) ||
			(selection == REFUSED && o->status != 200 && o->status != NO_ANSWER))
			us[n++] = o->us;
		else if (selection == ANSWERED && o->status != NO_ANSWER)
			us[n++] = o->wait_us;
	}
	print_times(name, us, n);
	free(us);
}

static void
print_timeline(void)
{
	int			i;

	printf(",\"timeline\":[");
	for (i = 0; i < (finished - begin) / SECOND + 1 && i < SECONDS_MAX; i++)
		printf("%s[%d,%d,%d,%.1f]", i > 0 ? "," : "", timeline[i].ok, timeline[i].refused,
			   timeline[i].lost, timeline[i].worst_us / 1000.0);
	putchar(']');
}

static void
print_result(void)
{
	int			statuses[STATUS_MAX] = {0};
	double		seconds = (double) (finished - begin) / SECOND;
	int			due = next_webhook;
	const char *comma = "";
	int			i;

	for (i = 0; i < next_webhook; i++)
		statuses[outcomes[i].status < STATUS_MAX ? outcomes[i].status : 0]++;
	/* what there was no connection for before the time was over */
	while (options.rate > 0 && due < options.plan.count && due_of(due) < end)
		due++;
	printf("{\"sent\":%d,\"unsent\":%d,\"statuses\":{", next_webhook, due - next_webhook);
	for (i = 0; i < STATUS_MAX; i++)
	{
		if (statuses[i] > 0)
		{
			printf("%s\"%d\":%d", comma, i, statuses[i]);
			comma = ",";
		}
	}
	printf("},\"seconds\":%.3f,\"rate\":%.1f", seconds, seconds > 0 ? statuses[200] / seconds : 0);
	print_selection("ms", TAKEN);
	print_selection("stop_ms", TAKEN_STOPS);
	print_selection("refused_ms", REFUSED);
	print_selection("answer_ms", ANSWERED);
	if (options.idle > 0)
		printf(",\"idle\":{\"connections\":%d,\"requests\":%ld,\"reopened\":%ld}", options.idle, pings, reopenings);
	if (options.timeline)
		print_timeline();
	printf(",\"retried\":%ld,\"seed\":%" PRIu64 "}\n", retries, options.plan.seed);
}

/* ---- what is asked for ---- */

static void
print_help(void)
{
	printf("bench_load " VERSION "\n"
		   "Sends webhooks that were made and signed before, and says in one line of JSON what became of them.\n"
		   "\n"
		   "Usage: bench_load --url http://127.0.0.1:PORT/PATH --key-file FILE [OPTION...]\n"
		   "\n"
		   "  --key-file FILE    the seed of the key that signs, as of \"omnimsg-simulator keygen\"\n"
		   "  --connections N    connections (64); with --rate so many at most\n"
		   "  --seconds N        how long (10)\n"
		   "  --count N          how many are made (4000 for each second, or what --rate needs); ends when\n"
		   "                     all are sent\n"
		   "  --rate N           so many in a second, evenly; their times count from the moment that each was due.\n"
		   "                     Without it: each connection sends the next when the last one is answered\n"
		   "  --share X          of them STOP and START, by turns (0.05); who sends START has sent STOP\n"
		   "  --from NUMBER      the first of those who send (+15553000000)\n"
		   "  --senders N        how many they are (1000000)\n"
		   "  --to NUMBER        the first of the numbers that they write to (+15552000100)\n"
		   "  --numbers N        how many those are (1); sender n writes to number n modulo N\n"
		   "  --idle N           connections beside that only stay open (0), by a GET /healthz each now and then\n"
		   "  --idle-ping MS     so often (1000)\n"
		   "  --timeout MS       an answer that takes longer counts as none (10000)\n"
		   "  --seed N           of ids and choices (by chance); the same webhooks come with the same\n"
		   "  --timeline         also what became of those due in each second: [200, refused, no answer, longest ms]\n"
		   "  --wait             stops itself by SIGSTOP when all are signed, and goes on by SIGCONT\n"
		   "  --verify           sends nothing, but tells how long libsodium takes to verify one of them\n"
		   "  --help, --version\n"
		   "\n"
		   "The line: sent, unsent (due, but no connection was free), statuses (0: no answer), seconds, rate (of 200),\n"
		   "and p50, p95, p99 and max in milliseconds as ms (of 200), stop_ms (of STOPs with 200), refused_ms (other\n"
		   "answers) and answer_ms (any, from when it was written and not from when it was due).\n"
		   "Exit status: 0 when all were sent that could be, whatever the answers; 1 when it cannot work; 2 when an\n"
		   "argument is wrong.\n");
}

static void
usage(const char *what, const char *value)
{
	fprintf(stderr, "bench_load: %s%s%s; try --help\n", what, value != NULL ? " " : "", value != NULL ? value : "");
	exit(2);
}

/* The digits of a number with ten of them behind +1 */
static int64_t
phone_of(const char *text)
{
	if (strlen(text) != 12 || strncmp(text, "+1", 2) != 0 || strspn(text + 1, "0123456789") != 11)
		usage("this is not +1 and ten digits:", text);
	return atoll(text + 1);
}

static void
read_url(void)
{
	char		ip[32];
	int			port = 0;
	int			length = 0;

	if (options.url == NULL || sscanf(options.url, "http://%31[0-9.]:%d%n", ip, &port, &length) != 2 ||
		options.url[length] != '/' || inet_pton(AF_INET, ip, &address.sin_addr) != 1 || port < 1 || port > 65535)
		usage("--url is not as http://127.0.0.1:8080/webhooks/telnyx", NULL);
	address.sin_family = AF_INET;
	address.sin_port = htons((uint16_t) port);
	snprintf(host, sizeof(host), "%s:%d", ip, port);
	options.plan.host = host;
	options.plan.path = options.url + length;
}

/* The options with a whole number, and from where to where it goes */
static const struct
{
	const char *name;
	int		   *target;
	int			min;
	int			max;
}			numbers[] = {
	{"connections", &options.connections, 1, 20000},
	{"seconds", &options.seconds, 1, SECONDS_MAX},
	{"count", &options.count, 1, 100000000},
	{"rate", &options.rate, 1, 1000000},
	{"senders", &options.plan.senders, 1, 100000000},
	{"numbers", &options.plan.numbers, 1, 1000000},
	{"idle", &options.idle, 0, 20000},
	{"idle-ping", &options.idle_ping_ms, 10, 3600000},
	{"timeout", &options.timeout_ms, 10, 3600000},
};

#define NUMBERS	(sizeof(numbers) / sizeof(numbers[0]))

static void
set_option(const char *name, const char *value)
{
	size_t		i;

	for (i = 0; i < NUMBERS; i++)
		if (strcmp(name, numbers[i].name) == 0)
		{
			if (!om_sim_read_int(value, numbers[i].min, numbers[i].max, numbers[i].target))
				usage("this is no value for an option:", value);
			return;
		}
	if (strcmp(name, "url") == 0)
		options.url = value;
	else if (strcmp(name, "key-file") == 0)
		options.key_file = value;
	else if (strcmp(name, "share") == 0)
		options.plan.share = strtod(value, NULL);
	else if (strcmp(name, "from") == 0)
		options.plan.first_sender = phone_of(value);
	else if (strcmp(name, "to") == 0)
		options.plan.first_number = phone_of(value);
	else if (strcmp(name, "seed") == 0)
		options.plan.seed = strtoull(value, NULL, 10);
	else
		usage("there is no option", name);
}

static void
read_options(int argc, char **argv)
{
	int			i;

	randombytes_buf(&options.plan.seed, 4);
	for (i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--help") == 0)
		{
			print_help();
			exit(0);
		}
		if (strcmp(argv[i], "--version") == 0)
			exit(printf("bench_load " VERSION "\n") < 0);
		if (strcmp(argv[i], "--timeline") == 0)
			options.timeline = true;
		else if (strcmp(argv[i], "--verify") == 0)
			options.verify = true;
		else if (strcmp(argv[i], "--wait") == 0)
			options.wait = true;
		else if (strncmp(argv[i], "--", 2) != 0 || i + 1 == argc)
			usage("what is meant by", argv[i]);
		else
		{
			set_option(argv[i] + 2, argv[i + 1]);
			i++;
		}
	}
	if (options.key_file == NULL)
		usage("--key-file is missing", NULL);
	read_url();
	if (options.count == 0)
		options.count = options.seconds * (options.rate > 0 ? options.rate : 4000);
	options.plan.count = options.count;
	options.plan.rate = options.rate;
}

static void
prepare(void)
{
	struct rlimit files;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	int			i;

	total = options.connections + options.idle;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
	{
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (epoll_fd < 0 || timer_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event) != 0)
		om_sim_die("no epoll: %s", strerror(errno));
	connections = om_sim_alloc((size_t) total * sizeof(*connections));
	free_list = om_sim_alloc((size_t) total * sizeof(*free_list));
	closed_list = om_sim_alloc((size_t) total * sizeof(*closed_list));
	outcomes = om_sim_alloc((size_t) options.count * sizeof(*outcomes));
	timeline = om_sim_alloc(SECONDS_MAX * sizeof(*timeline));
	for (i = 0; i < total; i++)
	{
		connections[i].webhook = -1;
		connections[i].idler = i >= options.connections;
		if (!connections[i].idler)
			closed_list[closed_count++] = &connections[i];
	}
}

/* Signing takes so long that those of --rate would be stale when the last of many thousands is made. */
#define SIGNING_US	60

int
main(int argc, char **argv)
{
	struct om_sim_key key;

	if (sodium_init() < 0)
		om_sim_die("libsodium does not work here");
	read_options(argc, argv);
	om_sim_key_load(options.key_file, &key);
	options.plan.key = &key;
	options.plan.start_ms = om_sim_now_ms() + (int64_t) options.count * SIGNING_US / 1000;
	om_load_make(&options.plan);
	if (options.verify)
	{
		printf("{\"verified\":%d,\"us\":%.2f}\n", options.count, om_load_verify_us());
		return 0;
	}
	prepare();
	if (options.wait)
		raise(SIGSTOP);
	if (options.idle > 0)
		open_idlers();
	begin = finished = now_ns();
	/* the last of --rate may be noticed a little late */
	end = begin + options.seconds * SECOND + (options.rate > 0 ? SECOND / 5 : 0);
	run();
	print_result();
	return 0;
}
