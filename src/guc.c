/*
 * guc.c
 *		The settings, all named omnimsg.something.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "compat.h"
#include "guc.h"

/* A provider cuts off what is longer than it expects of a URL */
#define WEBHOOK_URL_MAX	400

/*
 * The database that the dispatcher connects to: one per server.  Fixed at start, because a
 * background worker cannot change its database.
 */
char	   *om_database = NULL;

/*
 * Whether anything is claimed and sent.  Off stops sending at once, without losing
 * anything: what is in flight is still recorded.
 */
bool		om_dispatch = true;

/*
 * Where the provider's API is.  Plain HTTP carries the API key in the clear, so it is taken for
 * this machine itself only, where the simulator runs.
 */
char	   *om_telnyx_api_base = NULL;

/*
 * Lets requests go to this machine, and without TLS: for the simulator and for tests.  Without it an address of
 * this machine is refused as private ones are, whatever name led to it.
 */
bool		om_allow_loopback = false;

/* Certificates of those who may vouch for the provider, instead of the system's */
char	   *om_ca_file = NULL;

/*
 * Where the API keys are, a file of mode 0600 for each.  Settings are readable by
 * every role, are dumped, and end up in logs: a key must never be in one.
 */
char	   *om_secrets_dir = NULL;

/*
 * Where the provider is to report what becomes of a message: the relay's address as the provider
 * sees it.  Each attempt adds its name as a query (src/core/token.h), by which what is told
 * of it is recognized, and by which it can be asked for.
 */
char	   *om_webhook_url = NULL;

/* How many requests may be under way at once */
int			om_max_in_flight = 64;

/* How fast one organization may send, so that it cannot use up what all share */
int			om_rate_limit = 50;

/*
 * How often the dispatcher looks without being woken: what was prepared with two-phase
 * commit or whose wake-up got lost waits no longer than this.
 */
int			om_poll_interval = 10000;

/*
 * How long a claim lasts if nothing is heard of its worker any more.  Must be longer than a
 * request may take; the dispatcher uses a longer one if it is not.
 */
int			om_lease = 30;

/* How long one request may take */
int			om_request_timeout = 10000;

/*
 * An outcome that is unknown waits so long for a webhook to tell it; then the provider is asked, and after
 * twice the time what it does not know of is taken for not accepted.
 */
int			om_reconcile_after = 60000;

/*
 * How often the provider's own list of opt-outs is pulled, for what its webhooks did not bring.  With 0
 * only omnimsg_pull_optouts() asks for it.
 */
int			om_optout_pull_interval = 3600;

/*
 * How long bodies of messages and settled outbox items are kept.  Consent, requests and audit
 * are kept longer, whatever this says.
 */
static int	retention = 90 * 24 * 60;

/*
 * How long the journal remembers an event, that is, how old a replayed webhook may be and
 * still be known.
 */
static int	journal_retention = 400 * 24 * 60;

/*
 * An API key in a setting would be read by every role, dumped and logged.  And the value that is refused is not
 * repeated in the error, which is logged as well.
 */
static bool
refuse(const char *name, const char *detail)
{
	GUC_check_errmsg("invalid value for parameter \"%s\"", name);
	GUC_check_errdetail("%s", detail);
	return false;
}

/* Telnyx's keys: KEY and long words of letters, digits and underscores */
static bool
holds_key(const char *value)
{
	for (const char *key = strstr(value, "KEY"); key != NULL; key = strstr(key + 1, "KEY"))
		if (strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") >= 24)
			return true;
	return false;
}

static bool
is_loopback_url(const char *url)
{
	static const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]"};

	for (int i = 0; i < (int) lengthof(hosts); i++)
	{
		size_t		length = strlen(hosts[i]);
		const char *after = url + strlen("http://") + length;

		if (strncmp(url + strlen("http://"), hosts[i], length) == 0 &&
			(*after == '\0' || *after == ':' || *after == '/'))
			return true;
	}
	return false;
}

/*
 * What stands before an @ is credentials, and only what follows is the host.  Programs differ in what they make of a
 * backslash, a blank, or a host that a query follows: none of that has a place here.
 */
static bool
is_safe_url(const char *name, const char *url)
{
	if (strcspn(url, "@?#\\\"") != strlen(url) || holds_key(url))
		return refuse(name, "It must carry no credentials, no query and no fragment.");
	for (const char *p = url; *p; p++)
		if (*p <= ' ' || *p > '~')
			return refuse(name, "It must have no blanks, and no characters but those of ASCII.");
	if ((strncmp(url, "https://", 8) == 0 && url[8] != '\0' && url[8] != '/') ||
		(strncmp(url, "http://", 7) == 0 && is_loopback_url(url)))
		return true;
	return refuse(name, "It must begin with https://; http:// is taken for 127.0.0.1, [::1] and localhost only.");
}

static bool
check_database(char **value, void **extra, GucSource source)
{
	return !holds_key(*value) || refuse("omnimsg.database", "It must be the name of a database.");
}

static bool
check_api_base(char **value, void **extra, GucSource source)
{
	return is_safe_url("omnimsg.telnyx_api_base", *value);
}

static bool
check_webhook_url(char **value, void **extra, GucSource source)
{
	if ((*value)[0] == '\0')
		return true;
	if (strlen(*value) <= WEBHOOK_URL_MAX)
		return is_safe_url("omnimsg.webhook_url", *value);
	GUC_check_errmsg("invalid value for parameter \"omnimsg.webhook_url\"");
	GUC_check_errdetail("It must be at most %d bytes long, because each attempt adds a query of its own.",
						WEBHOOK_URL_MAX);
	return false;
}

static bool
check_ca_file(char **value, void **extra, GucSource source)
{
	return (*value)[0] == '\0' || ((*value)[0] == '/' && !holds_key(*value)) ||
		refuse("omnimsg.ca_file", "It must be the absolute path of a file.");
}

/* Whatever is below the data directory is in every base backup */
static bool
check_secrets_dir(char **value, void **extra, GucSource source)
{
	if ((*value)[0] != '/' || holds_key(*value))
		refuse("omnimsg.secrets_dir", "It must be the absolute path of a directory.");
	else if (DataDir != NULL && path_is_prefix_of_path(DataDir, *value))
		refuse("omnimsg.secrets_dir", "It must not be in the data directory, for base backups would have the keys in them.");
	else
		return true;
	GUC_check_errhint("A key itself does not belong into a setting, which every role can read. Write it to a file of mode 0600 in this directory.");
	return false;
}

void
om_guc_define(void)
{
	if (process_shared_preload_libraries_in_progress)
		DefineCustomStringVariable("omnimsg.database",
								   "Database that the dispatcher works in.",
								   NULL, &om_database, "postgres",
								   PGC_POSTMASTER, 0, check_database, NULL, NULL);
	DefineCustomBoolVariable("omnimsg.dispatch",
							 "Sends what is in the outbox.",
							 NULL, &om_dispatch, true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("omnimsg.telnyx_api_base",
							   "Base URL of Telnyx's API.",
							   NULL, &om_telnyx_api_base, "https://api.telnyx.com",
							   PGC_SIGHUP, 0, check_api_base, NULL, NULL);
	DefineCustomBoolVariable("omnimsg.allow_loopback",
							 "Lets requests to the provider go to this machine, and without TLS: for tests.",
							 NULL, &om_allow_loopback, false,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("omnimsg.ca_file",
							   "File of certificates to trust instead of the system's.",
							   NULL, &om_ca_file, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, check_ca_file, NULL, NULL);
	DefineCustomStringVariable("omnimsg.secrets_dir",
							   "Directory of the files, mode 0600, that hold the API keys.",
							   NULL, &om_secrets_dir, "/etc/omnimsg/secrets",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, check_secrets_dir, NULL, NULL);
	DefineCustomStringVariable("omnimsg.webhook_url",
							   "Where the provider reports what becomes of messages: the relay, as the provider sees it.",
							   NULL, &om_webhook_url, "",
							   PGC_SIGHUP, 0, check_webhook_url, NULL, NULL);
	DefineCustomIntVariable("omnimsg.max_in_flight",
							"How many requests to providers may be under way at once.",
							NULL, &om_max_in_flight, 64, 1, 1000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("omnimsg.rate_limit",
							"How many messages an organization may send per second.",
							NULL, &om_rate_limit, 50, 1, 10000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("omnimsg.poll_interval",
							"How often the dispatcher looks without being woken.",
							NULL, &om_poll_interval, 10000, 100, 60000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("omnimsg.lease",
							"How long a claim on an outbox item lasts.",
							NULL, &om_lease, 30, 5, 3600,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("omnimsg.request_timeout",
							"How long a request to a provider may take.",
							NULL, &om_request_timeout, 10000, 100, 600000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("omnimsg.reconcile_after",
							"How long an unknown outcome waits for a webhook before the provider is asked.",
							NULL, &om_reconcile_after, 60000, 100, 3600000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("omnimsg.optout_pull_interval",
							"How often the provider's list of opt-outs is pulled; 0 for only when asked to.",
							NULL, &om_optout_pull_interval, 3600, 0, 30 * 24 * 3600,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("omnimsg.retention",
							"How long message bodies and settled outbox items are kept.",
							NULL, &retention, 90 * 24 * 60, 24 * 60, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MIN, NULL, NULL, NULL);
	DefineCustomIntVariable("omnimsg.journal_retention",
							"How long the journal remembers events.",
							NULL, &journal_retention, 400 * 24 * 60, 30 * 24 * 60, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MIN, NULL, NULL, NULL);
	MarkGUCPrefixReserved("omnimsg");
}
