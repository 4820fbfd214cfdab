/*
 * main.c
 *		omnimsg-relay: takes webhooks from a provider, verifies their signature and
 *		gives them to the database.  It answers 200 when they are committed, or in the spool.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "config.h"
#include "forward.h"
#include "http.h"
#include "limit.h"
#include "log.h"
#include "replay.h"
#include "spool.h"
#include "spool_report.h"
#include "verify.h"

#define VERSION			"1.2"

#define EXIT_OK			0
#define EXIT_RUNTIME	1
#define EXIT_USAGE		2

/* Descriptors beside those of connections: log, library internals, key file ... */
#define SPARE_FILES		96

/* After SIGTERM: longer than requests are waited for, shorter than anybody waits for us */
#define STOP_MS			4500

static void
print_help(void)
{
	printf("omnimsg-relay " VERSION "\n"
		   "Takes a provider's webhooks, verifies them and stores them in PostgreSQL.\n"
		   "\n"
		   "Usage: omnimsg-relay\n"
		   "       omnimsg-relay --spool-status [FILE]\n"
		   "       omnimsg-relay --spool-export [FILE]\n"
		   "       omnimsg-relay --help | --version\n"
		   "\n"
		   "--spool-status says what waits in the spool, --spool-export writes it as JSON lines to\n"
		   "standard output and deletes nothing; both also while a relay runs.  Without FILE it\n"
		   "is the one that OMNIMSG_RELAY_SPOOL names.\n"
		   "\n"
		   "Environment:\n");
	om_config_print_help(stdout);
	printf("\n"
		   "Paths: POST /webhooks/telnyx; GET /healthz, /readyz, /metrics\n"
		   "Signals: SIGTERM and SIGINT finish and exit, a second one exits at once;\n"
		   "SIGHUP reads the key file again.\n"
		   "Exit status: 0 after a signal; 1 when something it needs is not to be had; 2 when the\n"
		   "environment or an argument is wrong.\n");
}

/*
 * Bodies, phone numbers and the database password are in this process's memory:
 * no core files, and no reading of it by other processes of the same user.
 */
static void
harden(void)
{
	struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		om_log_with(OM_LOG_WARNING, "cannot switch off core dumps", "detail", strerror(errno));
}

/* Each connection is a descriptor. */
static bool
raise_file_limit(const OmConfig *config, char *error, size_t error_size)
{
	rlim_t		needed = (rlim_t) config->max_connections + (rlim_t) config->db_connections + 256 +
		SPARE_FILES;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return true;
	if (limit.rlim_cur == needed)
		return true;
	/* Not more either: the cutoff looks through all of them */
	if (limit.rlim_max < needed)
	{
		snprintf(error, error_size, "the limit of open files is %llu, but %llu are needed",
				 (unsigned long long) limit.rlim_max, (unsigned long long) needed);
		return false;
	}
	limit.rlim_cur = needed;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return true;
	snprintf(error, error_size, "the limit of open files cannot be set");
	return false;
}

static int
fail(int status, const char *reason)
{
	om_log_with(OM_LOG_ERROR, "cannot start", "reason", reason);
	return status;
}

static void
exit_now(int signal_number)
{
	_exit(128 + signal_number);
}

static void *
wait_and_end(void *arg)
{
	static const struct timespec patience = {STOP_MS / 1000, STOP_MS % 1000 * 1000000};

	nanosleep(&patience, NULL);
	om_log(OM_LOG_WARNING, "stopped without waiting any longer for a disk or a database");
	_exit(EXIT_OK);
}

/*
 * A disk that takes a minute to flush, or a database that takes its time for many deliveries one by one, must not keep
 * the relay from ending.  By then every request has been answered, and what was answered 200 is flushed.
 */
static void
end_in_time(void)
{
	pthread_t	thread;

	if (pthread_create(&thread, NULL, wait_and_end, NULL) == 0)
		pthread_detach(thread);
}

/* From now on a second SIGTERM or SIGINT ends the process wherever it is. */
static void
obey_second_signal(const sigset_t *ends)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = exit_now;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	pthread_sigmask(SIG_UNBLOCK, ends, NULL);
}

static void
reload_keys(const OmConfig *config)
{
	char		error[256];

	if (om_verify_load(config->telnyx_public_keys, error, sizeof(error)))
	{
		/* what an address was refused for may have been a key of ours that was wrong */
		om_limit_forgive_all();
		om_verify_log_keys("keys loaded");
	}
	else
		om_log_with(OM_LOG_ERROR, "keys not reloaded, the old ones stay", "reason", error);
}

/* Returns the signal that ends the process. */
static int
wait_for_end(const OmConfig *config, const sigset_t *handled)
{
	for (;;)
	{
		int			signal_number;

		if (sigwait(handled, &signal_number) != 0)
			continue;
		if (signal_number != SIGHUP)
			return signal_number;
		reload_keys(config);
	}
}

static int
run(void)
{
	OmConfig	config;
	OmLogLine	line;
	sigset_t	handled;
	sigset_t	ends;
	char		error[256];
	char		address[128];
	int			ended_by;

	if (!om_config_load(&config, error, sizeof(error)))
		return fail(EXIT_USAGE, error);
	om_log_set_level(config.log_level);
	harden();
	if (sodium_init() < 0)
		return fail(EXIT_RUNTIME, "libsodium does not work here");
	if (!om_verify_load(config.telnyx_public_keys, error, sizeof(error)))
		return fail(EXIT_USAGE, error);
	if (!om_client_load_proxies(config.proxies, error, sizeof(error)))
		return fail(EXIT_USAGE, error);
	om_limit_start(config.refused_per_minute);
	if (!raise_file_limit(&config, error, sizeof(error)))
		return fail(EXIT_RUNTIME, error);

	/* Blocked before any thread exists, so that all inherit it and sigwait gets them. */
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	handled = ends;
	sigaddset(&handled, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &handled, NULL);
	signal(SIGPIPE, SIG_IGN);

	om_verify_log_keys("starting");
	if (config.spool != NULL &&
		!om_spool_start(config.spool, (int64_t) config.spool_max_mb * 1024 * 1024, error, sizeof(error)))
		return fail(EXIT_RUNTIME, error);
	if (!om_forward_start(config.database, config.db_connections, config.batch,
						  config.max_connections / 2))
		return fail(EXIT_RUNTIME, "cannot start a thread");
	if (config.spool != NULL && !om_replay_start(config.database, config.batch))
		return fail(EXIT_RUNTIME, "cannot start a thread");
	if (!om_http_start(&config, error, sizeof(error)))
		return fail(EXIT_RUNTIME, error);

	om_http_address(address, sizeof(address));
	om_log_begin(&line, OM_LOG_INFO, "listening");
	om_log_text(&line, "address", address);
	om_log_number(&line, "pid", getpid());
	om_log_end(&line);

	ended_by = wait_for_end(&config, &handled);
	om_log_with(OM_LOG_INFO, "stopping", "signal", ended_by == SIGTERM ? "TERM" : "INT");
	obey_second_signal(&ends);
	end_in_time();
	om_replay_ask_to_stop();
	om_http_drain();
	om_forward_stop();
	om_replay_stop();
	om_spool_stop();
	om_log(OM_LOG_INFO, "stopped");
	return EXIT_OK;
}

static int
report_spool(const char *command, const char *path)
{
	bool		good;

	if (path == NULL)
	{
		fprintf(stderr, "omnimsg-relay: which spool?  Name the file, or set OMNIMSG_RELAY_SPOOL\n");
		return EXIT_USAGE;
	}
	if (sodium_init() < 0)
		return fail(EXIT_RUNTIME, "libsodium does not work here");
	harden();
	good = strcmp(command, "--spool-status") == 0 ? om_spool_print_status(path) :
		om_spool_export(path);
	return good ? EXIT_OK : EXIT_RUNTIME;
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
	{
		print_help();
		return EXIT_OK;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
	{
		printf("omnimsg-relay " VERSION "\n");
		return EXIT_OK;
	}
	if (argc >= 2 && argc <= 3 && (strcmp(argv[1], "--spool-status") == 0 ||
								   strcmp(argv[1], "--spool-export") == 0))
		return report_spool(argv[1], argc == 3 ? argv[2] : om_config_spool());
	if (argc != 1)
	{
		fprintf(stderr, "omnimsg-relay: unknown argument; try --help\n");
		return EXIT_USAGE;
	}
	return run();
}
