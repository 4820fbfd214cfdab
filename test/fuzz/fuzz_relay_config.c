/*
 * fuzz_relay_config.c
 *		Values of the relay's variables, and lists of keys.  Byte 0 chooses the variable; without one, a list of keys.
 *
 * What is accepted lies within its limits; what is not is named, and the value, which may be a
 * password, is not quoted.
 */
#include <stdio.h>
#include <sodium.h>

#include "config.h"
#include "fuzz.h"
#include "verify.h"

#define KEY "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

extern char **environ;

static void
check_config(const char *name, const char *value)
{
	char		keys[] = "OMNIMSG_RELAY_TELNYX_PUBLIC_KEYS=" KEY;
	char		error[256] = "";
	char	   *variables[3] = {keys, NULL, NULL};
	char	  **before = environ;
	OmConfig	config;
	size_t		size = strlen(name) + strlen(value) + 20;

	variables[1] = malloc(size);
	MUST(variables[1] != NULL);
	snprintf(variables[1], size, "OMNIMSG_RELAY_%s=%s", name, value);
	environ = variables;
	if (om_config_load(&config, error, sizeof(error)))
	{
		MUST(strspn(config.listen, "0123456789.:") == strlen(config.listen));
		MUST(config.spool_max_mb >= 1 && config.spool_max_mb <= 1048576);
		MUST(config.max_body_bytes >= 1 && config.max_body_bytes <= 9999999);
		MUST(config.db_connections >= 1 && config.db_connections <= 64);
		MUST(config.batch >= 1 && config.batch <= 1000);
		MUST(config.max_connections >= 1 && config.max_connections <= 4096);
		MUST(config.refused_per_minute >= 0 && config.refused_per_minute <= 1000000);
		MUST(config.log_level <= OM_LOG_DEBUG);
	}
	else
	{
		MUST(strstr(error, name) != NULL);
		MUST(strlen(value) < 24 || strstr(error, value) == NULL);
	}
	environ = before;
	free(variables[1]);
}

static void
check_keys(const char *value)
{
	char		error[256] = "";

	/* "@" would open a file */
	if (value[0] == '@')
		return;
	if (om_verify_load(value, error, sizeof(error)))
		MUST(strlen(value) >= 44);
	else
		MUST(strlen(error) > 0 && (strlen(value) < 44 || strstr(error, value) == NULL));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {
		"LISTEN", "DATABASE", "SPOOL", "SPOOL_MAX_MB", "MAX_BODY_BYTES", "DB_CONNECTIONS", "BATCH", "MAX_CONNECTIONS",
		"LOG_LEVEL", "REFUSED_PER_MINUTE"
	};
	const size_t count = sizeof(names) / sizeof(names[0]);
	char	   *value;

	if (size < 1)
		return 0;
	MUST(sodium_init() >= 0);
	value = calloc(size, 1);
	MUST(value != NULL);
	memcpy(value, data + 1, size - 1);
	if (data[0] % 16 < count)
		check_config(names[data[0] % 16], value);
	else
		check_keys(value);
	free(value);
	return 0;
}
