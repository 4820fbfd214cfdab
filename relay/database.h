/*
 * database.h
 *		One connection to PostgreSQL, on which nothing waits longer than it is told.
 */
#ifndef OM_RELAY_DATABASE_H
#define OM_RELAY_DATABASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct OmDb OmDb;

typedef struct OmDbDelivery
{
	const char *provider;
	const uint8_t *body;
	size_t		body_len;
	const char *signature;
	const char *signed_at;
	const char *key_id;
	bool		stored;			/* set by om_db_ingest */
} OmDbDelivery;

/* Connect; NULL, with a log line, when that fails. */
extern OmDb *om_db_open(const char *conninfo);
extern void om_db_close(OmDb *db);

/* False when the server has closed an idle connection.  Does not wait. */
extern bool om_db_is_open(OmDb *db);

/* Ask for a sign of life.  False: close the connection. */
extern bool om_db_ping(OmDb *db, int64_t deadline);

/*
 * Give n deliveries to omnimsg_ingest_batch.  stored is set for those that are
 * committed.  False: the connection is broken or did not answer in time, and must
 * be closed; nothing is known of the deliveries then.
 */
extern bool om_db_ingest(OmDb *db, OmDbDelivery *deliveries, int n, int64_t deadline);

#endif							/* OM_RELAY_DATABASE_H */
