/*
 * spool.c
 *		The thread that writes the spool, and those who wait for it.
 *
 * An HTTP thread puts an item into the queue and waits.  The spool thread takes all that
 * wait and writes them in one transaction: one flush of the disk for all who came while
 * it was busy with the last.  One mutex guards the queue and the state of every item:
 *
 * 		QUEUED		the HTTP thread's, which may take it out again
 * 		TAKEN		the spool thread's; the HTTP thread only waits
 * 		ABANDONED	the spool thread's alone: the HTTP thread has gone, and the spool thread frees it
 * 		DONE		the HTTP thread's, which frees it
 *
 * A second mutex lets one thread at a time at the file: this one, or the replay.  Nobody who
 * holds it takes the first, and no HTTP thread ever waits for it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "spool.h"

/* In one transaction */
#define BATCH_ROWS			256
#define BATCH_BYTES			(4 * 1024 * 1024)

/* What a row takes up beside its body, about */
#define ROW_OVERHEAD		512

typedef enum ItemState
{
	QUEUED,
	TAKEN,
	ABANDONED,
	DONE
} ItemState;

typedef struct Item
{
	OmSpoolRow	row;			/* its pointers point into bytes */
	ItemState	state;
	bool		kept;			/* valid when DONE */
	pthread_cond_t done;
	struct Item *next;
	char		bytes[];
} Item;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work;		/* the queue has grown, or stopping */
static pthread_cond_t filled;	/* the file holds something, or stopping */
static pthread_condattr_t monotonic;
static Item *queue_head;
static Item **queue_tail = &queue_head;
static bool stopping;
static pthread_t thread;

static pthread_mutex_t file_mutex = PTHREAD_MUTEX_INITIALIZER;
static OmSpoolFile *file;
static int64_t max_size;

/* What the file said last, for those who must not wait for it */
static atomic_bool enabled;
static atomic_bool failed;
static atomic_llong deliveries;
static atomic_llong bytes_used;
static atomic_llong oldest_at;
static atomic_llong damaged;
static atomic_ullong stored;
static atomic_ullong replayed;
static atomic_ullong refused;

static OmLogLimit trouble_limit = OM_LOG_LIMIT_INIT;

/* The caller holds the mutex of the file. */
static void
note_usage(void)
{
	OmSpoolUsage usage = om_spool_file_usage(file);

	atomic_store(&deliveries, usage.rows);
	atomic_store(&bytes_used, usage.bytes);
	atomic_store(&oldest_at, usage.oldest_at);
	atomic_store(&damaged, usage.damaged);
}

/* Say what went wrong.  The caller holds the mutex of the file. */
static void
report(OmSpoolResult result, const char *doing, const char *detail)
{
	OmLogLine	line;
	int64_t		suppressed = 0;
	bool		news = result == OM_SPOOL_BROKEN && !atomic_exchange(&failed, true);

	if (result == OM_SPOOL_BROKEN ? !news : !om_log_allowed(&trouble_limit, &suppressed))
		return;
	om_log_begin(&line, OM_LOG_ERROR, result == OM_SPOOL_BROKEN ?
				 "the spool has failed and keeps nothing more until the relay is started again" :
				 result == OM_SPOOL_FULL ? "the spool is full" : "spool error");
	om_log_text(&line, "doing", doing);
	om_log_text(&line, "detail", detail);
	om_log_suppressed(&line, suppressed);
	om_log_end(&line);
}

/* ---- the HTTP threads' side ---- */

static void *
keep(char **store, const void *bytes, size_t len)
{
	void	   *kept = *store;

	if (len > 0)
		memcpy(kept, bytes, len);
	*store += len;
	return kept;
}

static Item *
make_item(const OmDbDelivery *delivery, int crashes)
{
	size_t		provider = strlen(delivery->provider) + 1;
	size_t		signature = strlen(delivery->signature) + 1;
	size_t		signed_at = strlen(delivery->signed_at) + 1;
	size_t		key_id = strlen(delivery->key_id) + 1;
	Item	   *item = calloc(1, sizeof(Item) + provider + signature + signed_at + key_id +
							  delivery->body_len);
	char	   *store;

	if (item == NULL)
		return NULL;
	store = item->bytes;
	item->row.kind = delivery->reason != NULL ? delivery->reason : "ingest";
	item->row.provider = keep(&store, delivery->provider, provider);
	item->row.signature = keep(&store, delivery->signature, signature);
	item->row.signed_at = keep(&store, delivery->signed_at, signed_at);
	item->row.key_id = keep(&store, delivery->key_id, key_id);
	item->row.body = keep(&store, delivery->body, delivery->body_len);
	item->row.body_len = delivery->body_len;
	item->row.received_at = om_clock_unix_ms();
	/* One that the server went down with is tried alone, as those are that failed before */
	item->row.crashes = crashes;
	item->row.attempts = crashes;
	memcpy(item->row.sqlstate, delivery->sqlstate, sizeof(item->row.sqlstate));
	pthread_cond_init(&item->done, &monotonic);
	return item;
}

static void
free_item(Item *item)
{
	pthread_cond_destroy(&item->done);
	free(item);
}

/* The caller holds the mutex; the item is in the queue. */
static void
unqueue(Item *item)
{
	Item	  **link = &queue_head;

	while (*link != item)
		link = &(*link)->next;
	*link = item->next;
	if (item->next == NULL)
		queue_tail = link;
}

bool
om_spool_put(const OmDbDelivery *delivery, int crashes, int64_t deadline)
{
	struct timespec until = om_clock_timespec(deadline);
	Item	   *item;
	bool		ours = true;
	bool		kept = false;

	if (!atomic_load(&enabled))
		return false;
	item = atomic_load(&failed) ? NULL : make_item(delivery, crashes);
	if (item == NULL)
	{
		atomic_fetch_add(&refused, 1);
		return false;
	}

	pthread_mutex_lock(&mutex);
	*queue_tail = item;
	queue_tail = &item->next;
	pthread_cond_signal(&work);
	while (item->state != DONE &&
		   pthread_cond_timedwait(&item->done, &mutex, &until) == 0)
		;
	switch (item->state)
	{
		case QUEUED:
			unqueue(item);
			break;
		case TAKEN:
			item->state = ABANDONED;
			ours = false;
			break;
		case DONE:
			kept = item->kept;
			break;
		case ABANDONED:
			break;				/* nobody else abandons it */
	}
	pthread_mutex_unlock(&mutex);

	atomic_fetch_add(kept ? &stored : &refused, 1);
	if (ours)
		free_item(item);
	return kept;
}

/* ---- the thread ---- */

/* Wait for items and take them; 0 when stopping and nothing is left. */
static int
take_items(Item **items)
{
	size_t		bytes = 0;
	int			n = 0;

	pthread_mutex_lock(&mutex);
	while (queue_head == NULL && !stopping)
		pthread_cond_wait(&work, &mutex);
	while (queue_head != NULL && n < BATCH_ROWS && (n == 0 || bytes < BATCH_BYTES))
	{
		Item	   *item = queue_head;

		queue_head = item->next;
		if (queue_head == NULL)
			queue_tail = &queue_head;
		item->next = NULL;
		item->state = TAKEN;
		bytes += item->row.body_len;
		items[n++] = item;
	}
	pthread_mutex_unlock(&mutex);
	return n;
}

/* How many of the rows fit under the limit */
static int
fitting(const OmSpoolRow *rows, int n)
{
	int64_t		size = om_spool_file_usage(file).bytes;
	int			i;

	for (i = 0; i < n; i++)
	{
		size += (int64_t) rows[i].body_len + ROW_OVERHEAD;
		if (size > max_size)
			break;
	}
	return i;
}

/* Write the items; returns how many, counted from the first, are kept. */
static int
write_items(Item **items, OmSpoolRow *rows, int n)
{
	OmSpoolResult result = OM_SPOOL_OK;
	int			fit;
	int			i;

	for (i = 0; i < n; i++)
		rows[i] = items[i]->row;
	pthread_mutex_lock(&file_mutex);
	fit = fitting(rows, n);
	if (fit > 0)
		result = om_spool_file_put(file, rows, fit);
	if (result != OM_SPOOL_OK)
		report(result, "keeping deliveries", om_spool_file_error(file));
	else if (fit < n)
		report(OM_SPOOL_FULL, "keeping deliveries", "it has the size that it may have");
	note_usage();
	pthread_mutex_unlock(&file_mutex);
	return result == OM_SPOOL_OK ? fit : 0;
}

static void
finish_items(Item **items, int n, int kept)
{
	int			i;

	pthread_mutex_lock(&mutex);
	for (i = 0; i < n; i++)
	{
		Item	   *item = items[i];

		if (item->state == ABANDONED)
			free_item(item);
		else
		{
			item->kept = i < kept;
			item->state = DONE;
			pthread_cond_signal(&item->done);
		}
	}
	if (kept > 0)
		pthread_cond_broadcast(&filled);
	pthread_mutex_unlock(&mutex);
}

/* When nobody waits for it any more */
static void
tidy(void)
{
	OmSpoolResult result;

	pthread_mutex_lock(&file_mutex);
	result = om_spool_file_checkpoint(file);
	if (result != OM_SPOOL_OK)
		report(result, "moving the log into the file", om_spool_file_error(file));
	pthread_mutex_unlock(&file_mutex);
}

static void *
spool_main(void *arg)
{
	static Item *items[BATCH_ROWS];
	static OmSpoolRow rows[BATCH_ROWS];
	int			n;

	while ((n = take_items(items)) > 0)
	{
		finish_items(items, n, write_items(items, rows, n));
		tidy();
	}
	return NULL;
}

bool
om_spool_start(const char *path, int64_t max_bytes, char *error, size_t error_size)
{
	file = om_spool_file_open(path, error, error_size);
	if (file == NULL)
		return false;
	max_size = max_bytes;
	note_usage();
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&work, NULL);
	pthread_cond_init(&filled, &monotonic);
	if (pthread_create(&thread, NULL, spool_main, NULL) != 0)
	{
		om_spool_file_close(file);
		snprintf(error, error_size, "cannot start a thread");
		return false;
	}
	atomic_store(&enabled, true);
	return true;
}

void
om_spool_stop(void)
{
	if (!atomic_exchange(&enabled, false))
		return;
	pthread_mutex_lock(&mutex);
	stopping = true;
	pthread_cond_broadcast(&work);
	pthread_mutex_unlock(&mutex);
	pthread_join(thread, NULL);
	om_spool_file_close(file);
	file = NULL;
}

bool
om_spool_enabled(void)
{
	return atomic_load(&enabled);
}

/* ---- the replay's side ---- */

void
om_spool_wait(int ms)
{
	struct timespec until = om_clock_timespec(om_clock_ms() + ms);

	pthread_mutex_lock(&mutex);
	pthread_cond_timedwait(&filled, &mutex, &until);
	pthread_mutex_unlock(&mutex);
}

int
om_spool_take(OmSpoolRow *rows, int n, size_t max_bytes)
{
	int			taken;

	pthread_mutex_lock(&file_mutex);
	taken = om_spool_file_take(file, rows, n, max_bytes, om_clock_unix_ms());
	note_usage();
	if (taken < 0)
		report((OmSpoolResult) -taken, "reading deliveries", om_spool_file_error(file));
	pthread_mutex_unlock(&file_mutex);
	return taken;
}

bool
om_spool_settle(const OmSpoolRow *rows, int n)
{
	OmSpoolResult result;
	bool		known;
	int			i;

	pthread_mutex_lock(&file_mutex);
	result = om_spool_file_settle(file, rows, n, &known);
	if (result != OM_SPOOL_OK)
		report(result, "deleting what the database has", om_spool_file_error(file));
	note_usage();
	pthread_mutex_unlock(&file_mutex);
	for (i = 0; i < n && known; i++)
	{
		if (rows[i].done && !rows[i].damaged)
			atomic_fetch_add(&replayed, 1);
	}
	tidy();
	return known;
}

OmSpoolNumbers
om_spool_numbers(void)
{
	OmSpoolNumbers numbers = {
		.enabled = atomic_load(&enabled),
		.failed = atomic_load(&failed),
		.deliveries = atomic_load(&deliveries),
		.bytes = atomic_load(&bytes_used),
		.max_bytes = max_size,
		.oldest_at = atomic_load(&oldest_at),
		.damaged = atomic_load(&damaged),
		.stored = atomic_load(&stored),
		.replayed = atomic_load(&replayed),
		.refused = atomic_load(&refused)
	};

	return numbers;
}
