/*
 * simulator_main.c
 *		omnimsg-simulator: a provider to try omnimsg with, and to test it against.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "simulator_behave.h"
#include "simulator_deliver.h"
#include "simulator_http.h"
#include "simulator_json.h"
#include "simulator_key.h"
#include "simulator_ledger.h"
#include "simulator_send.h"
#include "simulator_server.h"
#include "simulator_tell.h"
#include "simulator_util.h"

#define VERSION			"1.0"
#define SERVE_ACTIVE	64		/* webhooks on their way at a time */
#define SERVE_CAPACITY	16384	/* webhooks it owes at most */
#define PARALLEL_MAX	256
#define RATE_MAX	100000

static const char usage_head[] =
"omnimsg-simulator stands in for Telnyx: it accepts messages, sends signed\n"
"webhooks, and misbehaves when told to.\n"
"\n"
"Usage:\n"
"  omnimsg-simulator keygen --key-file FILE       make a signing key, print its public key\n"
"  omnimsg-simulator public-key --key-file FILE   print the public key\n"
"  omnimsg-simulator serve OPTIONS                be the provider's API\n"
"  omnimsg-simulator send OPTIONS                 deliver inbound messages to a webhook\n"
"  omnimsg-simulator optout OPTIONS               put somebody on the opt-out list\n"
"  omnimsg-simulator --help | --version           every command knows --help, too\n"
"\n"
"serve:\n"
"  --listen HOST:PORT     where to listen; port 0 picks one         (required)\n"
"  --key-file FILE        signs the webhooks                        (required)\n"
"  --webhook-url URL      gets the events, unless a message names its own (required)\n"
"  --ledger FILE          everything is recorded here               (required)\n"
"  --api-key KEY          the only key accepted; default: any\n"
"  --behave SPEC          see below; may be repeated\n"
"  --native-optout        block after STOP, STOPALL, UNSUBSCRIBE ... as Telnyx does;\n"
"                         it hears of them by \"send --via\"\n"
"  --event-delay MS       from acceptance to message.sent, and from there to\n"
"                         message.finalized (20)\n"
"  --attempts N, --retry-backoff MS,MS   as below\n"
"  --date-offset SECONDS  the Date of its answers is that far ahead (0)\n"
"\n"
"  It answers POST /v2/messages, GET /v2/messages/ID, GET /v2/messaging_optouts,\n"
"  GET /v2/webhook_deliveries, GET /healthz, and for tests GET /sim/ledger,\n"
"  POST /sim/behave (SPECs as body), POST /sim/reset, POST /sim/inbound,\n"
"  POST /sim/optout, POST /sim/webhook, POST /sim/date-offset.  It prints \"listening on HOST:PORT\"; SIGTERM ends it.\n"
"\n"
"send:\n"
"  --webhook-url URL, --key-file FILE                               (required)\n"
"  --from NUMBER, --to NUMBER, --text TEXT        the message       (required)\n"
"  --file FILE            one JSON object per line with the message's options as\n"
"                         keys (event_id ...); those given here are its defaults\n"
"  --body-file FILE       send these bytes instead of a message; - is standard input\n"
"  --event-id ID, --message-id ID    default: random UUIDs, new for each repetition\n"
"  --event-type TYPE      default message.received\n"
"  --status STATUS        of the receiver; default as fits the event type\n"
"  --autoresponse WORD    what the provider answered itself: STOP, START, HELP\n"
"  --type SMS|MMS, --cc NUMBER ..., --media URL ...\n"
"  --received-at TIME, --occurred-at TIME    RFC 3339, or now+SECONDS, now-SECONDS\n"
"  --timestamp-offset SECONDS    shifts the signed header\n"
"  --corrupt body|signature|timestamp    after signing\n"
"  --omit signature|timestamp    leaves the header out\n"
"  --wrong-key            signs with a key nobody knows\n"
"  --repeat N             sends it N times\n"
"  --parallel N           as many at a time (1)\n"
"  --rate N               begins no more than N per second\n"
"  --source ADDRESS       connects from this address of the machine\n"
"  --attempts N           tries of each (3)\n"
"  --retry-backoff MS,MS  between them (1000,5000)\n"
"  --via URL              tell the simulator there that the person wrote, say in the\n"
"                         webhook what it answered, and tell it what became of the\n"
"                         webhook, so that it is in its list of deliveries\n"
"  --ledger FILE, --quiet\n"
"\n"
"  It prints a line for each attempt and one for each delivery.\n"
"\n"
"optout: an opt-out that no webhook tells of, in the words of the provider's list\n"
"  --url URL              the simulator that serves                 (required)\n"
"  --to NUMBER            who opted out                             (required)\n"
"  --from NUMBER          the number of ours that was answered; default: unknown\n"
"  --keyword WORD         what was written (STOP)\n"
"  --at TIME              RFC 3339, or now+SECONDS, now-SECONDS     (now)\n"
"\n"
"Exit status: 0 done, every delivery ended in a 2xx; 1 not so; 2 wrong usage.\n"
"\n";

static void fail_usage(const char *format,...)
			__attribute__((format(printf, 1, 2), noreturn));

static void
fail_usage(const char *format,...)
{
	va_list		args;

	fputs("omnimsg-simulator: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\nTry \"omnimsg-simulator --help\".\n", stderr);
	exit(2);
}

static void
require(const char *value, const char *name)
{
	if (value == NULL)
		fail_usage("--%s is missing", name);
}

static int
read_count(const char *text, int min, int max, const char *name)
{
	char	   *end;
	long		value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || value < min || value > max)
		fail_usage("--%s wants a number from %d to %d, not \"%s\"", name, min, max, text);
	return (int) value;
}

static void
print_help(void)
{
	fputs(usage_head, stdout);
	fputs(om_sim_behaviour_help, stdout);
}

/* Ends each table of options */
#define LAST_OPTIONS {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}

/* The name of the next option, NULL at the end; optarg holds its value. */
static const char *
next_option(int argc, char **argv, const struct option *options)
{
	int			index = 0;
	int			c = getopt_long(argc, argv, "", options, &index);

	if (c == 'h')
	{
		print_help();
		exit(0);
	}
	if (c == '?')
		exit(2);
	if (c != -1)
		return options[index].name;
	if (optind < argc)
		fail_usage("\"%s\" is not understood", argv[optind]);
	return NULL;
}

/* One of the options about retries; false when it is none. */
static bool
set_retry(struct om_sim_delivery_options *options, const char *name)
{
	if (strcmp(name, "attempts") == 0)
		options->attempts = read_count(optarg, 1, 100, name);
	else if (strcmp(name, "retry-backoff") != 0)
		return false;
	else if (!om_sim_delivery_backoffs(options, optarg))
		fail_usage("--retry-backoff wants milliseconds like 1000,5000, not \"%s\"", optarg);
	return true;
}

static int
command_key(int argc, char **argv, bool create)
{
	static const struct option options[] = {
		{"key-file", required_argument, NULL, 0},
		LAST_OPTIONS
	};
	const char *path = NULL;
	struct om_sim_key key;

	while (next_option(argc, argv, options) != NULL)
		path = optarg;
	require(path, "key-file");
	if (create)
		om_sim_key_create(path);
	om_sim_key_load(path, &key);
	puts(key.public_key);
	return 0;
}

static void
keep_webhook(void *webhooks, const struct om_sim_webhook *webhook)
{
	om_sim_webhooks_add(webhooks, webhook);
}

static int
command_serve(int argc, char **argv)
{
	static const struct option options[] = {
		{"listen", required_argument, NULL, 0},
		{"key-file", required_argument, NULL, 0},
		{"webhook-url", required_argument, NULL, 0},
		{"ledger", required_argument, NULL, 0},
		{"api-key", required_argument, NULL, 0},
		{"behave", required_argument, NULL, 0},
		{"native-optout", no_argument, NULL, 0},
		{"event-delay", required_argument, NULL, 0},
		{"date-offset", required_argument, NULL, 0},
		{"attempts", required_argument, NULL, 0},
		{"retry-backoff", required_argument, NULL, 0},
		LAST_OPTIONS
	};
	static struct om_sim_server_options server = {.event_delay = 20};
	struct om_sim_behaviour behaviour;
	struct om_sim_delivery_options delivery;
	struct om_sim_key key;
	struct om_sim_server *running;
	const char *key_file = NULL;
	const char *name;
	char		error[256];
	sigset_t	signals;
	int			received;
	int			port;

	om_sim_delivery_defaults(&delivery);
	while ((name = next_option(argc, argv, options)) != NULL)
	{
		if (set_retry(&delivery, name))
			continue;
		if (strcmp(name, "listen") == 0)
			server.listen = optarg;
		else if (strcmp(name, "key-file") == 0)
			key_file = optarg;
		else if (strcmp(name, "webhook-url") == 0)
			server.webhook_url = optarg;
		else if (strcmp(name, "ledger") == 0)
			server.ledger_path = optarg;
		else if (strcmp(name, "api-key") == 0)
			server.api_key = optarg;
		else if (strcmp(name, "native-optout") == 0)
			server.native_optout = true;
		else if (strcmp(name, "event-delay") == 0)
			server.event_delay = read_count(optarg, 0, 3600000, name);
		else if (strcmp(name, "date-offset") == 0)
			om_sim_http_date_offset(read_count(optarg, -OM_SIM_OFFSET_MAX, OM_SIM_OFFSET_MAX, name));
		else if (!om_sim_behaviour_parse(optarg, &behaviour, error, sizeof(error)))
			fail_usage("%s", error);
		else if (!om_sim_behaviours_add(&server.behaviours, &behaviour))
			fail_usage("too many behaviours");
	}
	require(server.listen, "listen");
	if (strrchr(server.listen, ':') == NULL)
		fail_usage("--listen wants HOST:PORT, not \"%s\"", server.listen);
	require(key_file, "key-file");
	require(server.webhook_url, "webhook-url");
	require(server.ledger_path, "ledger");
	om_sim_key_load(key_file, &key);
	server.ledger = om_sim_ledger_open(server.ledger_path);

	/* every thread inherits this: the signals are for sigwait alone */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);

	delivery.key = &key;
	delivery.ledger = server.ledger;
	delivery.max_active = SERVE_ACTIVE;
	delivery.capacity = SERVE_CAPACITY;
	server.webhooks = om_sim_webhooks_create();
	delivery.ended = keep_webhook;
	delivery.context = server.webhooks;
	server.deliverer = om_sim_deliverer_start(&delivery);
	running = om_sim_server_start(&server, &port);
	printf("listening on %.*s:%d\n", (int) (strrchr(server.listen, ':') - server.listen),
		   server.listen, port);
	fflush(stdout);
	sigwait(&signals, &received);
	om_sim_server_stop(running);
	om_sim_deliverer_stop(server.deliverer);
	om_sim_webhooks_free(server.webhooks);
	om_sim_ledger_close(server.ledger);
	return 0;
}

static int
command_send(int argc, char **argv)
{
	static const struct option options[] = {
		{"webhook-url", required_argument, NULL, 0},
		{"key-file", required_argument, NULL, 0},
		{"ledger", required_argument, NULL, 0},
		{"file", required_argument, NULL, 0},
		{"via", required_argument, NULL, 0},
		{"parallel", required_argument, NULL, 0},
		{"source", required_argument, NULL, 0},
		{"rate", required_argument, NULL, 0},
		{"attempts", required_argument, NULL, 0},
		{"retry-backoff", required_argument, NULL, 0},
		{"quiet", no_argument, NULL, 0},
		/* properties of a message: om_sim_inbound_set() knows them */
		{"event-id", required_argument, NULL, 0},
		{"message-id", required_argument, NULL, 0},
		{"event-type", required_argument, NULL, 0},
		{"status", required_argument, NULL, 0},
		{"autoresponse", required_argument, NULL, 0},
		{"from", required_argument, NULL, 0},
		{"to", required_argument, NULL, 0},
		{"text", required_argument, NULL, 0},
		{"type", required_argument, NULL, 0},
		{"cc", required_argument, NULL, 0},
		{"media", required_argument, NULL, 0},
		{"received-at", required_argument, NULL, 0},
		{"occurred-at", required_argument, NULL, 0},
		{"timestamp-offset", required_argument, NULL, 0},
		{"corrupt", required_argument, NULL, 0},
		{"omit", required_argument, NULL, 0},
		{"body-file", required_argument, NULL, 0},
		{"wrong-key", no_argument, NULL, 0},
		{"repeat", required_argument, NULL, 0},
		LAST_OPTIONS
	};
	struct om_sim_sender sender = {.webhook_url = NULL};
	struct om_sim_delivery_options delivery;
	struct om_sim_inbound inbound;
	struct om_sim_key key;
	const char *key_file = NULL;
	const char *ledger_path = NULL;
	const char *file = NULL;
	const char *name;
	char		error[512];
	bool		good = true;
	int			failed;

	om_sim_delivery_defaults(&delivery);
	om_sim_inbound_init(&inbound);
	delivery.report = true;
	while ((name = next_option(argc, argv, options)) != NULL)
	{
		if (set_retry(&delivery, name))
			continue;
		if (strcmp(name, "webhook-url") == 0)
			sender.webhook_url = optarg;
		else if (strcmp(name, "key-file") == 0)
			key_file = optarg;
		else if (strcmp(name, "ledger") == 0)
			ledger_path = optarg;
		else if (strcmp(name, "file") == 0)
			file = optarg;
		else if (strcmp(name, "via") == 0)
			sender.via = optarg;
		else if (strcmp(name, "parallel") == 0)
			delivery.max_active = read_count(optarg, 1, PARALLEL_MAX, name);
		else if (strcmp(name, "source") == 0)
			delivery.source = optarg;
		else if (strcmp(name, "rate") == 0)
			sender.rate = read_count(optarg, 1, RATE_MAX, name);
		else if (strcmp(name, "quiet") == 0)
			delivery.report = false;
		else if (!om_sim_inbound_set(&inbound, name, optarg, error, sizeof(error)))
			fail_usage("%s", error);
	}
	require(sender.webhook_url, "webhook-url");
	require(key_file, "key-file");
	if (file == NULL && !om_sim_inbound_check(&inbound, error, sizeof(error)))
		fail_usage("--%s", error);
	om_sim_key_load(key_file, &key);
	sender.ledger = om_sim_ledger_open(ledger_path);
	delivery.key = &key;
	delivery.ledger = sender.ledger;
	/* the next message waits until one of those before it has ended */
	delivery.capacity = delivery.max_active;
	if (sender.via != NULL)
		delivery.ended = om_sim_send_ended;
	delivery.context = &sender;
	sender.deliverer = om_sim_deliverer_start(&delivery);
	if (file == NULL)
		om_sim_send(&sender, &inbound);
	else
		good = om_sim_send_file(&sender, &inbound, file, error, sizeof(error));
	failed = om_sim_deliverer_drain(sender.deliverer);
	om_sim_deliverer_stop(sender.deliverer);
	om_sim_ledger_close(sender.ledger);
	if (!good)
		fail_usage("%s", error);
	return failed == 0 ? 0 : 1;
}

static int
command_optout(int argc, char **argv)
{
	static const struct option options[] = {
		{"url", required_argument, NULL, 0},
		{"from", required_argument, NULL, 0},
		{"to", required_argument, NULL, 0},
		{"keyword", required_argument, NULL, 0},
		{"at", required_argument, NULL, 0},
		LAST_OPTIONS
	};
	const char *url = NULL;
	const char *from = NULL;
	const char *to = NULL;
	const char *keyword = "STOP";
	const char *at = NULL;
	const char *name;
	char		now[OM_SIM_TIME_SIZE];
	char	   *request;
	size_t		len;
	FILE	   *out;

	while ((name = next_option(argc, argv, options)) != NULL)
		*(strcmp(name, "url") == 0 ? &url : strcmp(name, "from") == 0 ? &from :
		  strcmp(name, "to") == 0 ? &to : strcmp(name, "keyword") == 0 ? &keyword : &at) = optarg;
	require(url, "url");
	require(to, "to");
	name = at;
	at = om_sim_resolve_time(at, now);
	if (at == NULL)
		fail_usage("--at wants a time, not \"%s\"", name);
	out = om_sim_memory(&request, &len);
	fputs("{\"to\":", out);
	om_sim_json_write(out, to);
	om_sim_ledger_field(out, "from", from);
	om_sim_ledger_field(out, "keyword", keyword);
	om_sim_ledger_field(out, "created_at", at);
	putc('}', out);
	if (fclose(out) != 0)
		om_sim_die("out of memory");
	free(om_sim_tell(url, "/sim/optout", request, &len));
	free(request);
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct rlimit no_core = {0, 0};
	const char *command = argc > 1 ? argv[1] : "";

	/* the signing key stays out of core files */
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGPIPE, SIG_IGN);
	if (sodium_init() < 0)
		om_sim_die("cannot start libsodium");
	if (strcmp(command, "--help") == 0 || strcmp(command, "help") == 0)
	{
		print_help();
		return 0;
	}
	if (strcmp(command, "--version") == 0)
	{
		puts("omnimsg-simulator " VERSION);
		return 0;
	}
	if (strcmp(command, "keygen") == 0)
		return command_key(argc - 1, argv + 1, true);
	if (strcmp(command, "public-key") == 0)
		return command_key(argc - 1, argv + 1, false);
	if (strcmp(command, "serve") == 0)
		return command_serve(argc - 1, argv + 1);
	if (strcmp(command, "send") == 0)
		return command_send(argc - 1, argv + 1);
	if (strcmp(command, "optout") == 0)
		return command_optout(argc - 1, argv + 1);
	if (*command == '\0')
		fail_usage("a command is missing");
	fail_usage("there is no command \"%s\"", command);
}
