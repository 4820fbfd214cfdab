/*
 * replay.c
 *		One thread, one connection, one batch at a time: fresh deliveries have several of each,
 *		and while some of them wait this one pauses between its batches.
 *
 * Rows are deleted after the database has committed them.  A death in between replays
 * them once more, which ingest takes for what it is.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backoff.h"
#include "clock.h"
#include "database.h"
#include "forward.h"
#include "log.h"
#include "replay.h"
#include "spool.h"
#include "store.h"

#define BATCH_BYTES			(1024 * 1024)

/* Looked at again this often, whatever was said */
#define IDLE_MS				500

/* Between two batches while fresh deliveries wait */
#define YIELD_MS			20

/* While the database does not answer, or takes nothing */
#define BACKOFF_MIN_MS		50
#define BACKOFF_MAX_MS		1000

/* A delivery that only waits for somebody's lock is tried sooner than others that fail */
#define LOCKED_BACKOFF_MS	3000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stop_asked;
static bool stopping;
static bool started;
static pthread_t thread;

static const char *database;
static int	batch_limit;

static bool
is_stopping(void)
{
	bool		asked;

	pthread_mutex_lock(&mutex);
	asked = stopping;
	pthread_mutex_unlock(&mutex);
	return asked;
}

static void
rest(int64_t ms)
{
	struct timespec until = om_clock_timespec(om_clock_ms() + ms);
	int			rc = 0;

	pthread_mutex_lock(&mutex);
	while (!stopping && rc == 0)
		rc = pthread_cond_timedwait(&stop_asked, &mutex, &until);
	pthread_mutex_unlock(&mutex);
}

static int64_t
backoff(int failures)
{
	int64_t		ms = BACKOFF_MIN_MS;

	while (failures-- > 1 && ms < BACKOFF_MAX_MS)
		ms *= 2;
	return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

static bool
is_locked(const char *sqlstate)
{
	return strcmp(sqlstate, "55P03") == 0 || strcmp(sqlstate, "40P01") == 0 ||
		strcmp(sqlstate, "40001") == 0 || strcmp(sqlstate, "57014") == 0;
}

/* What became of a delivery, into its row. */
static void
judge(OmSpoolRow *row, const OmDbDelivery *delivery, unsigned int *seed)
{
	int64_t		wait;

	row->done = delivery->stored;
	row->changed = false;
	if (row->done)
		return;
	if (delivery->crashes > row->crashes)
	{
		row->crashes = delivery->crashes;
		row->attempts++;
		row->next_at = 0;
		row->changed = true;
	}
	if (delivery->blamed)
	{
		row->attempts++;
		wait = om_backoff_ms((unsigned int) row->attempts, (uint32_t) rand_r(seed));
		if (is_locked(delivery->sqlstate) && wait > LOCKED_BACKOFF_MS)
			wait = LOCKED_BACKOFF_MS;
		row->next_at = om_clock_unix_ms() + wait;
		row->changed = true;
	}
	if (delivery->sqlstate[0] != '\0' && strcmp(delivery->sqlstate, row->sqlstate) != 0)
	{
		memcpy(row->sqlstate, delivery->sqlstate, sizeof(row->sqlstate));
		row->changed = true;
	}
}

typedef struct Replayed
{
	bool		usable;			/* the connection */
	bool		progress;		/* something was stored, or put off for itself */
} Replayed;

/* Those that are not what was kept go nowhere: they are set aside in the file.  Returns how many there are of the others. */
static int
put_damaged_last(OmSpoolRow *rows, int n)
{
	int			sound = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		OmSpoolRow	row = rows[i];

		if (row.damaged)
			continue;
		rows[i] = rows[sound];
		rows[sound++] = row;
	}
	for (i = sound; i < n; i++)
	{
		OmLogLine	line;

		rows[i].done = true;
		om_log_begin(&line, OM_LOG_ERROR, "a delivery in the spool, which was answered 200, is damaged and is set aside: omnimsg_backfill() can fetch it once more");
		om_log_number(&line, "row", rows[i].id);
		om_log_end(&line);
	}
	return sound;
}

static Replayed
replay_rows(OmDb *db, OmSpoolRow *rows, OmDbDelivery *deliveries, int n, unsigned int *seed)
{
	Replayed	replayed = {true, false};
	int			sound = put_damaged_last(rows, n);
	bool		changed = sound < n;
	int			i;

	for (i = 0; i < sound; i++)
	{
		OmDbDelivery *d = &deliveries[i];
		const OmSpoolRow *row = &rows[i];

		memset(d, 0, sizeof(*d));
		d->provider = row->provider;
		d->body = row->body;
		d->body_len = row->body_len;
		d->signature = row->signature;
		d->signed_at = row->signed_at;
		d->key_id = row->key_id;
		d->reason = strcmp(row->kind, "ingest") == 0 ? NULL : row->kind;
		d->crashes = row->crashes;
		d->alone = row->attempts > 0;
	}
	replayed.usable = sound == 0 || om_store(db, deliveries, sound);
	for (i = 0; i < sound; i++)
	{
		int			attempts = rows[i].attempts;

		judge(&rows[i], &deliveries[i], seed);
		replayed.progress = replayed.progress || rows[i].done || rows[i].attempts > attempts;
		changed = changed || rows[i].done || rows[i].changed;
	}
	replayed.progress = replayed.progress || sound < n;
	if (changed && !om_spool_settle(rows, n))
		replayed.progress = false;	/* the same again after a while */
	return replayed;
}

/* One batch over a connection that is up */
static Replayed
replay_some(OmDb *db, OmSpoolRow *rows, OmDbDelivery *deliveries, unsigned int *seed)
{
	Replayed	replayed = {true, true};
	int			n = om_spool_take(rows, batch_limit, BATCH_BYTES);
	int			i;

	if (n < 0)
		replayed.progress = false;
	if (n == 0)
		om_spool_wait(IDLE_MS);	/* what is there waits for its time */
	if (n > 0)
		replayed = replay_rows(db, rows, deliveries, n, seed);
	for (i = 0; i < n; i++)
		om_spool_row_free(&rows[i]);
	return replayed;
}

static void *
replay_main(void *arg)
{
	unsigned int seed = (unsigned int) om_clock_unix_ms();
	OmSpoolRow *rows = calloc((size_t) batch_limit, sizeof(OmSpoolRow));
	OmDbDelivery *deliveries = calloc((size_t) batch_limit, sizeof(OmDbDelivery));
	OmDb	   *db = NULL;
	int			failures = 0;

	while (rows != NULL && deliveries != NULL && !is_stopping())
	{
		Replayed	replayed = {false, false};

		if (om_spool_numbers().deliveries == 0)
		{
			if (db != NULL)
				om_db_close(db);
			db = NULL;
			om_spool_wait(IDLE_MS);
			continue;
		}
		/* One that was closed while it was idle must not look like a crash */
		if (db != NULL && !om_db_is_open(db))
		{
			om_db_close(db);
			db = NULL;
		}
		if (db == NULL)
			db = om_db_open(database);
		if (db != NULL)
			replayed = replay_some(db, rows, deliveries, &seed);
		if (db != NULL && !replayed.usable)
		{
			om_db_close(db);
			db = NULL;
		}
		failures = replayed.progress ? 0 : failures + 1;
		if (failures > 0)
			rest(backoff(failures));
		else if (om_forward_queue_depth() > 0)
			rest(YIELD_MS);
	}
	if (db != NULL)
		om_db_close(db);
	free(rows);
	free(deliveries);
	return NULL;
}

bool
om_replay_start(const char *conninfo, int batch)
{
	pthread_condattr_t monotonic;

	database = conninfo;
	batch_limit = batch;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&stop_asked, &monotonic);
	started = pthread_create(&thread, NULL, replay_main, NULL) == 0;
	return started;
}

void
om_replay_ask_to_stop(void)
{
	pthread_mutex_lock(&mutex);
	stopping = true;
	if (started)
		pthread_cond_broadcast(&stop_asked);
	pthread_mutex_unlock(&mutex);
}

void
om_replay_stop(void)
{
	om_replay_ask_to_stop();
	if (started)
		pthread_join(thread, NULL);
}
