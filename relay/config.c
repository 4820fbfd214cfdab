/*
 * config.c
 *		The table of OMNIMSG_RELAY_* variables: what --help prints is what is read.
 */
#include <errno.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define PREFIX	"OMNIMSG_RELAY_"

typedef enum Variable
{
	LISTEN,
	DATABASE,
	TELNYX_PUBLIC_KEYS,
	SPOOL,
	SPOOL_MAX_MB,
	MAX_BODY_BYTES,
	DB_CONNECTIONS,
	BATCH,
	MAX_CONNECTIONS,
	PROXIES,
	REFUSED_PER_MINUTE,
	LOG_LEVEL,
	NUM_VARIABLES
} Variable;

static const struct
{
	const char *name;
	const char *fallback;		/* NULL: required */
	long		min;			/* numbers only */
	long		max;
	const char *help;
}			variables[NUM_VARIABLES] =
{
	[LISTEN] = {
		PREFIX "LISTEN", "127.0.0.1:8080", 0, 0,
		"IPv4 address and port to listen on; port 0 takes a free one,\n"
		"which the log line \"listening\" names"
	},
	[DATABASE] = {
		PREFIX "DATABASE", "dbname=omnimsg", 0, 0,
		"libpq connection string or URI of the database that has the\n"
		"extension omnimsg"
	},
	[TELNYX_PUBLIC_KEYS] = {
		PREFIX "TELNYX_PUBLIC_KEYS", NULL, 0, 0,
		"public keys of Telnyx (base64, as its portal shows them),\n"
		"separated by commas or white space; or @/path of a file with\n"
		"them, which SIGHUP reads again"
	},
	[SPOOL] = {
		PREFIX "SPOOL", "", 0, 0,
		"file in which deliveries wait while the database does not take\n"
		"them, in a directory of mode 0700; empty: none, they get 503"
	},
	[SPOOL_MAX_MB] = {
		PREFIX "SPOOL_MAX_MB", "1024", 1, 1048576,
		"how large that file may grow; beyond it they get 503"
	},
	[MAX_BODY_BYTES] = {
		PREFIX "MAX_BODY_BYTES", "262144", 1, 9999999,
		"longer bodies are answered 413"
	},
	[DB_CONNECTIONS] = {
		PREFIX "DB_CONNECTIONS", "4", 1, 64,
		"connections to the database"
	},
	[BATCH] = {
		PREFIX "BATCH", "64", 1, 1000,
		"most deliveries given to the database in one call"
	},
	[MAX_CONNECTIONS] = {
		PREFIX "MAX_CONNECTIONS", "256", 1, 4096,
		"HTTP connections served at once with keep-alive; above it\n"
		"each is closed after one answer"
	},
	[PROXIES] = {
		PREFIX "PROXIES", "127.0.0.1", 0, 0,
		"IPv4 addresses of proxies in front, each with /bits if it is a\n"
		"network, separated by commas or white space.  The last address\n"
		"of X-Forwarded-For is believed only to them"
	},
	[REFUSED_PER_MINUTE] = {
		PREFIX "REFUSED_PER_MINUTE", "300", 0, 1000000,
		"requests without a right signature that an address may send;\n"
		"beyond it they get 429 and no time, and what is signed rightly is\n"
		"still taken; 0: no limit"
	},
	[LOG_LEVEL] = {
		PREFIX "LOG_LEVEL", "info", 0, 0,
		"error, warning, info or debug"
	},
};

static const char *
variable_value(Variable v)
{
	const char *value = getenv(variables[v].name);

	return value != NULL && value[0] != '\0' ? value : variables[v].fallback;
}

static bool
number_value(Variable v, long *out, char *error, size_t error_size)
{
	const char *text = variable_value(v);
	char	   *end;

	errno = 0;
	*out = strtol(text, &end, 10);
	if (errno == 0 && end != text && *end == '\0' &&
		*out >= variables[v].min && *out <= variables[v].max)
		return true;
	snprintf(error, error_size, "%s must be a whole number from %ld to %ld",
			 variables[v].name, variables[v].min, variables[v].max);
	return false;
}

const char *
om_config_spool(void)
{
	const char *path = variable_value(SPOOL);

	return path[0] != '\0' ? path : NULL;
}

bool
om_config_load(OmConfig *config, char *error, size_t error_size)
{
	PQconninfoOption *options;
	char	   *message = NULL;
	long		number;

	config->listen = variable_value(LISTEN);
	config->database = variable_value(DATABASE);
	config->telnyx_public_keys = variable_value(TELNYX_PUBLIC_KEYS);

	/*
	 * Digits, dots, a colon: no list, and none of civetweb's suffixes for TLS, which
	 * crashes in Debian's build and belongs to the proxy anyway.  That build has no IPv6.
	 */
	if (strspn(config->listen, "0123456789.:") != strlen(config->listen))
	{
		snprintf(error, error_size,
				 "%s must be one IPv4 address and port, as 127.0.0.1:8080",
				 variables[LISTEN].name);
		return false;
	}

	if (config->telnyx_public_keys == NULL)
	{
		snprintf(error, error_size, "%s is not set; it holds the public key "
				 "from the provider's portal", variables[TELNYX_PUBLIC_KEYS].name);
		return false;
	}

	/* Its message may quote a password, so it is not shown. */
	options = PQconninfoParse(config->database, &message);
	PQfreemem(message);
	if (options == NULL)
	{
		snprintf(error, error_size, "%s is not a libpq connection string",
				 variables[DATABASE].name);
		return false;
	}
	PQconninfoFree(options);

	config->spool = om_config_spool();
	if (!number_value(SPOOL_MAX_MB, &number, error, error_size))
		return false;
	config->spool_max_mb = (int) number;
	if (!number_value(MAX_BODY_BYTES, &number, error, error_size))
		return false;
	config->max_body_bytes = (size_t) number;
	if (!number_value(DB_CONNECTIONS, &number, error, error_size))
		return false;
	config->db_connections = (int) number;
	if (!number_value(BATCH, &number, error, error_size))
		return false;
	config->batch = (int) number;
	if (!number_value(MAX_CONNECTIONS, &number, error, error_size))
		return false;
	config->max_connections = (int) number;
	config->proxies = variable_value(PROXIES);
	if (!number_value(REFUSED_PER_MINUTE, &number, error, error_size))
		return false;
	config->refused_per_minute = (int) number;

	if (!om_log_level_parse(variable_value(LOG_LEVEL), &config->log_level))
	{
		snprintf(error, error_size, "%s must be error, warning, info or debug",
				 variables[LOG_LEVEL].name);
		return false;
	}
	return true;
}

void
om_config_print_help(FILE *out)
{
	int			v;

	for (v = 0; v < NUM_VARIABLES; v++)
	{
		const char *p;

		fprintf(out, "  %s", variables[v].name);
		if (variables[v].fallback == NULL)
			fprintf(out, "  (required)\n");
		else if (variables[v].fallback[0] == '\0')
			fprintf(out, "  (default: none)\n");
		else
			fprintf(out, "  (default: %s)\n", variables[v].fallback);
		fprintf(out, "      ");
		for (p = variables[v].help; *p != '\0'; p++)
		{
			fputc(*p, out);
			if (*p == '\n')
				fprintf(out, "      ");
		}
		fputc('\n', out);
	}
}
