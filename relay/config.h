/*
 * config.h
 *		What the environment tells the relay.
 */
#ifndef OM_RELAY_CONFIG_H
#define OM_RELAY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "log.h"

typedef struct OmConfig
{
	const char *listen;
	const char *database;
	const char *telnyx_public_keys;
	const char *spool;			/* NULL: none */
	int			spool_max_mb;
	size_t		max_body_bytes;
	int			db_connections;
	int			batch;
	int			max_connections;
	const char *proxies;
	int			refused_per_minute; /* 0: no limit */
	OmLogLevel	log_level;
} OmConfig;

/*
 * Read the OMNIMSG_RELAY_* variables.  False when one cannot be used; then error
 * says which, and what it must be.  Strings point into the environment or are static.
 */
extern bool om_config_load(OmConfig *config, char *error, size_t error_size);

/* OMNIMSG_RELAY_SPOOL alone; NULL when it is not set */
extern const char *om_config_spool(void);

/* The variables with their defaults, as --help shows them */
extern void om_config_print_help(FILE *out);

#endif							/* OM_RELAY_CONFIG_H */
