/*
 * forward.c
 *		The queue between the HTTP threads and the database threads.
 *
 * An HTTP thread puts an item into the queue and waits for it.  A database thread
 * takes all that wait, up to a limit, and gives them to the database in one call, so
 * batches grow by themselves under load.  With a spool the HTTP thread does not wait for
 * the database to the end: early enough to spool the delivery it does that, whether the
 * database may still store it or not, for ingest applies an event once.  One mutex
 * guards the queue and the state of every item, and the state says whose it is:
 *
 * 		NEW			the HTTP thread's, and not in the queue
 * 		QUEUED		the HTTP thread's, which may take it out again
 * 		TAKEN		the database thread's; the HTTP thread only waits, or spools what it reads of it
 * 		ABANDONED	the database thread's alone: the HTTP thread has gone, and the
 * 					database thread frees it
 * 		DONE		the HTTP thread's, which frees it, once it has been told
 *
 * Who waits is told when the mutex is free again, for otherwise all of a batch would wake up only to
 * wait for it.  Of an item that is DONE its thread waits until it is told, however long that takes, for it frees what it is told by.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "database.h"
#include "forward.h"
#include "log.h"
#include "metrics.h"
#include "spool.h"
#include "store.h"

/* The bodies of one batch together; a single larger one goes alone. */
#define BATCH_BYTES			(1024 * 1024)

/*
 * A call costs about as much as ten deliveries, however many it brings.  So while one is under way the next begins when
 * half of what fits into it has gathered, or when the first has waited for this long.
 */
#define GATHER_MS			30

/* An idle connection is asked this often whether it still answers, */
#define PING_EVERY_MS		1000
#define PING_TIMEOUT_MS		1000
/* and counts as ready this long after an answer. */
#define READY_FOR_MS		3500

/* The database stands still when nothing is stored for this long while deliveries wait. */
#define STALLED_AFTER_MS	600
/* Without any connection for this long, deliveries no longer wait for one.  With a spool they never do. */
#define GIVE_UP_AFTER_MS	2000

/*
 * More comes than is stored when all threads were busy for this long, and never not for the second: others wait then
 * where nobody sees for how long, as connections that nobody has accepted.
 */
#define CROWDED_FOR_MS		500
#define CROWDED_PAUSE_MS	200

/* What the spool has of a delivery's time when the database does not answer */
#define SPOOL_TIME_MS		450

/* With a connection busy all the time, its pings are this far apart. */
#define BUSY_PING_EVERY_MS	10000

#define BACKOFF_MIN_MS		50
#define BACKOFF_MAX_MS		1000

typedef enum ItemState
{
	NEW,
	QUEUED,
	TAKEN,
	ABANDONED,
	DONE
} ItemState;

typedef struct Item
{
	OmDbDelivery delivery;
	uint8_t    *body;
	char	   *texts;			/* signature, signed_at and key_id, one after the other */
	ItemState	state;
	bool		stored;			/* valid when DONE */
	bool		is_crowded;
	int64_t		queued_at;
	bool		has_waiter;		/* its thread waits for told */
	sem_t		told;			/* not a condition: who wakes up needs no mutex, which is still held then */
	struct Item *next;
} Item;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_condattr_t monotonic;
static pthread_cond_t work;		/* the queue has grown, or stopping */
static pthread_cond_t stop_asked;	/* stopping, for those without a connection */
static Item *queue_head;
static Item **queue_tail = &queue_head;
static long queue_depth;
static int	calls;				/* under way in the database */
static long waiting;			/* in om_forward, queued or taken */
static long shed_limit;
static int64_t busy_since;		/* when the first of them came */
static int64_t stored_at;		/* when a delivery was last stored */
static int64_t crowded_since;	/* when they all began to be busy, */
static int64_t crowded_at;		/* and when they last were */
static long connections_up;
static int64_t down_since;		/* when the last connection went */
static int64_t answered_at;		/* when any connection last answered */
static bool stopping;

static const char *database;
static int	batch_limit;
static int	gather;				/* see GATHER_MS */
static pthread_t *threads;
static int	nthreads;

static void
free_item(Item *item)
{
	sem_destroy(&item->told);
	free(item->texts);
	free(item->body);
	free(item);
}

/* Copy a text into the item's store and step behind it. */
static const char *
keep_text(char **store, const char *text)
{
	size_t		size = strlen(text) + 1;
	char	   *kept = *store;

	memcpy(kept, text, size);
	*store += size;
	return kept;
}

static Item *
make_item(const OmDelivery *delivery)
{
	Item	   *item = calloc(1, sizeof(Item));
	char	   *store;

	if (item == NULL)
		return NULL;
	item->texts = malloc(strlen(delivery->signature) + strlen(delivery->signed_at) +
						 strlen(delivery->key_id) + 3);
	if (item->texts == NULL)
	{
		free(item);
		return NULL;
	}
	sem_init(&item->told, 0, 0);
	store = item->texts;
	item->delivery.signature = keep_text(&store, delivery->signature);
	item->delivery.signed_at = keep_text(&store, delivery->signed_at);
	item->delivery.key_id = keep_text(&store, delivery->key_id);
	item->delivery.provider = delivery->provider;
	item->delivery.body = delivery->body;
	item->delivery.body_len = delivery->body_len;
	item->delivery.reason = delivery->reason;
	item->delivery.deadline = delivery->deadline;
	item->delivery.crashes = om_store_crashes(delivery->body, delivery->body_len);
	item->body = delivery->body;
	item->is_crowded = delivery->is_crowded;
	return item;
}

/* False when the moment comes first */
static bool
wait_told(Item *item, int64_t at)
{
	struct timespec until = om_clock_timespec(at);
	int			rc;

	do
		rc = sem_clockwait(&item->told, CLOCK_MONOTONIC, &until);
	while (rc != 0 && errno == EINTR);
	return rc == 0;
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
	queue_depth--;
}

/* Has nothing been stored for a while, though deliveries wait?  The caller holds the mutex. */
static bool
is_stalled(void)
{
	int64_t		since = stored_at > busy_since ? stored_at : busy_since;

	return om_clock_ms() - since >= STALLED_AFTER_MS;
}

/* See om_forward_is_overloaded.  The caller holds the mutex. */
static bool
is_overloaded(void)
{
	int64_t		now = om_clock_ms();

	if (waiting < shed_limit)
		return false;
	if (now - crowded_at > CROWDED_PAUSE_MS)
		crowded_since = now;
	crowded_at = now;
	return now - crowded_since >= CROWDED_FOR_MS;
}

bool
om_forward_is_overloaded(void)
{
	bool		overloaded;

	pthread_mutex_lock(&mutex);
	overloaded = is_overloaded();
	pthread_mutex_unlock(&mutex);
	return overloaded;
}

/* Put the item into the queue.  The caller holds the mutex. */
static void
enqueue(Item *item)
{
	item->state = QUEUED;
	item->queued_at = om_clock_ms();
	*queue_tail = item;
	queue_tail = &item->next;
	queue_depth++;
	/* at the first somebody has to look at the clock */
	if (queue_depth == 1 || queue_depth % gather == 0)
		pthread_cond_signal(&work);
}

/*
 * Put the item into the queue, if there is hope.  When the database stands still those turn away that are too many, so
 * that their threads are there for those who come; *patience is when to ask again.  The caller holds the mutex.
 */
static OmForwardResult
try_queue(Item *item, bool spooling, int64_t *patience)
{
	*patience = item->delivery.deadline;
	if (connections_up == 0 && (spooling || om_clock_ms() - down_since > GIVE_UP_AFTER_MS))
		return OM_FORWARD_NO_DATABASE;
	if (waiting == 0)
		busy_since = om_clock_ms();
	if (waiting >= shed_limit)
	{
		if (is_stalled() || (item->is_crowded && is_overloaded()))
			return OM_FORWARD_BUSY;
		*patience = om_clock_ms() + STALLED_AFTER_MS;
	}
	waiting++;
	item->has_waiter = true;
	enqueue(item);
	return OM_FORWARD_LATE;
}

/* The thread goes.  The caller holds the mutex; the item is queued or taken. */
static OmForwardResult
turn_away(Item *item)
{
	waiting--;
	item->has_waiter = false;
	if (item->state == QUEUED)
	{
		unqueue(item);
		item->state = NEW;
		if (connections_up == 0)
			return OM_FORWARD_NO_DATABASE;
	}
	return OM_FORWARD_LATE;
}

/* Wait for the database to store the item, as long as there is hope. */
static OmForwardResult
await_database(Item *item, int64_t patience)
{
	int64_t		deadline = item->delivery.deadline;
	OmForwardResult result;

	while (!wait_told(item, patience < deadline ? patience : deadline))
	{
		pthread_mutex_lock(&mutex);
		/* when it is done, whoever did it is about to tell */
		if (item->state != DONE && (patience >= deadline || is_stalled()))
		{
			result = turn_away(item);
			pthread_mutex_unlock(&mutex);
			return result;
		}
		if (item->state == DONE)
			deadline = patience = INT64_MAX;
		else
			patience += STALLED_AFTER_MS;
		pthread_mutex_unlock(&mutex);
	}
	return item->stored ? OM_FORWARD_STORED : OM_FORWARD_FAILED;
}

/* Leave the item to the database thread that has it, if one has. */
static OmForwardResult
leave(Item *item, OmForwardResult result)
{
	bool		ours = true;

	pthread_mutex_lock(&mutex);
	if (item->state == TAKEN)
	{
		item->state = ABANDONED;
		ours = false;
	}
	else if (item->state == DONE && item->stored)
		result = OM_FORWARD_STORED; /* after all */
	pthread_mutex_unlock(&mutex);
	if (ours)
		free_item(item);
	return result;
}

OmForwardResult
om_forward(const OmDelivery *delivery)
{
	bool		spooling = om_spool_enabled();
	OmForwardResult result = OM_FORWARD_FAILED;
	Item	   *item = make_item(delivery);
	OmDbDelivery copy;
	int64_t		patience;

	if (item == NULL)
	{
		free(delivery->body);
		return OM_FORWARD_FAILED;
	}
	if (spooling)
		item->delivery.deadline -= SPOOL_TIME_MS;

	/* One that may take the server down waits for its turn in the spool */
	if (!spooling || item->delivery.crashes == 0)
	{
		pthread_mutex_lock(&mutex);
		result = try_queue(item, spooling, &patience);
		pthread_mutex_unlock(&mutex);
		if (item->has_waiter)
			result = await_database(item, patience);
	}
	if (result == OM_FORWARD_STORED)
	{
		free_item(item);
		return result;
	}
	if (spooling)
	{
		pthread_mutex_lock(&mutex);
		copy = item->delivery;
		pthread_mutex_unlock(&mutex);
		if (om_spool_put(&copy, om_store_crashes(copy.body, copy.body_len), delivery->deadline))
			result = OM_FORWARD_SPOOLED;
	}
	return leave(item, result);
}

/* Take what waits.  The caller holds the mutex. */
static int
take_batch(Item **items)
{
	size_t		bytes = 0;
	int			n = 0;

	while (n < batch_limit && queue_head != NULL)
	{
		Item	   *item = queue_head;

		if (n > 0 && bytes + item->delivery.body_len > BATCH_BYTES)
			break;
		queue_head = item->next;
		if (queue_head == NULL)
			queue_tail = &queue_head;
		queue_depth--;
		item->next = NULL;
		item->state = TAKEN;
		bytes += item->delivery.body_len;
		items[n++] = item;
	}
	/* What is left is for the next thread. */
	if (queue_head != NULL)
		pthread_cond_signal(&work);
	return n;
}

/* The caller holds the mutex. */
static void
end_call(void)
{
	calls--;
	/* Who makes the next one has to look anew, if it is not this thread. */
	if (queue_head != NULL)
		pthread_cond_signal(&work);
}

/* Its thread may go on once it is told; false when nobody waits.  The caller holds the mutex. */
static bool
finish(Item *item, bool stored)
{
	item->stored = stored;
	item->state = DONE;
	if (item->has_waiter)
		waiting--;
	return item->has_waiter;
}

/* Give the items back to whom they belong. */
static void
finish_batch(Item **items, const OmDbDelivery *deliveries, int n, bool answered)
{
	int64_t		now = om_clock_ms();
	int			i;

	pthread_mutex_lock(&mutex);
	end_call();
	if (answered)
		answered_at = now;
	for (i = 0; i < n; i++)
	{
		Item	   *item = items[i];

		items[i] = NULL;
		if (deliveries[i].stored)
			stored_at = now;
		if (item->state == ABANDONED)
			free_item(item);
		else
		{
			memcpy(item->delivery.sqlstate, deliveries[i].sqlstate, sizeof(deliveries[i].sqlstate));
			if (finish(item, deliveries[i].stored))
				items[i] = item;
		}
	}
	pthread_mutex_unlock(&mutex);
	for (i = 0; i < n; i++)
	{
		if (items[i] != NULL)
			sem_post(&items[i]->told);
	}
}

static void
note_up(void)
{
	pthread_mutex_lock(&mutex);
	connections_up++;
	answered_at = om_clock_ms();
	pthread_mutex_unlock(&mutex);
}

static void
note_down(void)
{
	pthread_mutex_lock(&mutex);
	connections_up--;
	if (connections_up == 0)
		down_since = om_clock_ms();
	/* With a spool nobody waits for a connection that may come */
	while (connections_up == 0 && om_spool_enabled() && queue_head != NULL)
	{
		Item	   *item = queue_head;

		unqueue(item);
		if (finish(item, false))
			sem_post(&item->told);
	}
	pthread_mutex_unlock(&mutex);
}

/* Wait before the next attempt to connect; false when stopping. */
static bool
wait_backoff(unsigned int failures, unsigned int *seed)
{
	int64_t		ms = BACKOFF_MIN_MS;
	struct timespec until;
	bool		go_on;
	int			rc = 0;

	while (failures-- > 1 && ms < BACKOFF_MAX_MS)
		ms *= 2;
	/* Half of it by chance, so that the threads do not come all together. */
	ms = ms / 2 + rand_r(seed) % (ms / 2 + 1);
	until = om_clock_timespec(om_clock_ms() + ms);

	pthread_mutex_lock(&mutex);
	while (!stopping && rc == 0)
		rc = pthread_cond_timedwait(&stop_asked, &mutex, &until);
	go_on = !stopping;
	pthread_mutex_unlock(&mutex);
	return go_on;
}

static bool
ping(OmDb *db)
{
	if (!om_db_ping(db, om_clock_ms() + PING_TIMEOUT_MS))
		return false;
	pthread_mutex_lock(&mutex);
	answered_at = om_clock_ms();
	pthread_mutex_unlock(&mutex);
	return true;
}

/* Is it time for a call?  The caller holds the mutex. */
static bool
is_due(void)
{
	return queue_head != NULL && (calls == 0 || queue_depth >= gather || stopping ||
								  om_clock_ms() >= queue_head->queued_at + GATHER_MS);
}

/* Wait for a batch to be taken, which counts as a call from then on; false when it is time for a ping, or to stop. */
static bool
begin_call(int64_t ping_at)
{
	bool		due;

	pthread_mutex_lock(&mutex);
	while (!(due = is_due()) && !stopping && (queue_head != NULL || om_clock_ms() < ping_at))
	{
		struct timespec until = om_clock_timespec(queue_head != NULL ? queue_head->queued_at + GATHER_MS : ping_at);

		pthread_cond_timedwait(&work, &mutex, &until);
	}
	if (due)
		calls++;
	pthread_mutex_unlock(&mutex);
	return due;
}

/* Make the call, with what waits by now; false when the connection is of no use any more. */
static bool
call(OmDb *db, Item **items, OmDbDelivery *deliveries)
{
	bool		usable;
	int			n = 0;
	int			i;

	/*
	 * A server that was stopped while nothing happened has closed its end.  Seen
	 * before a batch is taken, this costs no delivery.
	 */
	usable = om_db_is_open(db);
	pthread_mutex_lock(&mutex);
	if (usable)
		n = take_batch(items);
	if (n == 0)
		end_call();				/* another thread was faster */
	pthread_mutex_unlock(&mutex);
	if (n == 0)
		return usable;

	for (i = 0; i < n; i++)
		deliveries[i] = items[i]->delivery;
	usable = om_store(db, deliveries, n);
	finish_batch(items, deliveries, n, usable);
	return usable;
}

static bool
is_stopping(void)
{
	bool		is;

	pthread_mutex_lock(&mutex);
	is = stopping && queue_head == NULL;
	pthread_mutex_unlock(&mutex);
	return is;
}

/* Serve the queue with a connection until it breaks; false when stopping. */
static bool
serve(OmDb *db, Item **items, OmDbDelivery *deliveries)
{
	int64_t		pinged_at = 0;

	for (;;)
	{
		bool		called = begin_call(om_clock_ms() + PING_EVERY_MS);

		if (called && !call(db, items, deliveries))
			return true;
		if (is_stopping())
			return false;
		if (!called || om_clock_ms() - pinged_at > BUSY_PING_EVERY_MS)
		{
			if (!ping(db))
				return true;
			pinged_at = om_clock_ms();
		}
	}
}

static void *
database_main(void *arg)
{
	unsigned int seed = (unsigned int) om_clock_ms() + (unsigned int) (uintptr_t) arg * 7919u;
	Item	  **items = calloc((size_t) batch_limit, sizeof(Item *));
	OmDbDelivery *deliveries = calloc((size_t) batch_limit, sizeof(OmDbDelivery));
	unsigned int failures = 0;
	bool		go_on = items != NULL && deliveries != NULL;

	while (go_on)
	{
		OmDb	   *db = om_db_open(database);

		if (db != NULL)
		{
			failures = 0;
			note_up();
			go_on = serve(db, items, deliveries);
			note_down();
			om_db_close(db);
		}
		if (go_on)
			go_on = wait_backoff(++failures, &seed);
	}
	free(items);
	free(deliveries);
	return NULL;
}

bool
om_forward_start(const char *conninfo, int connections, int batch, int shed)
{
	database = conninfo;
	batch_limit = batch;
	gather = (batch + 1) / 2;
	shed_limit = shed;
	down_since = om_clock_ms();
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&work, &monotonic);
	pthread_cond_init(&stop_asked, &monotonic);

	threads = calloc((size_t) connections, sizeof(pthread_t));
	if (threads == NULL)
		return false;
	for (nthreads = 0; nthreads < connections; nthreads++)
	{
		if (pthread_create(&threads[nthreads], NULL, database_main,
						   (void *) (uintptr_t) nthreads) != 0)
			return false;
	}
	return true;
}

void
om_forward_stop(void)
{
	int			i;

	pthread_mutex_lock(&mutex);
	stopping = true;
	pthread_cond_broadcast(&work);
	pthread_cond_broadcast(&stop_asked);
	pthread_mutex_unlock(&mutex);
	for (i = 0; i < nthreads; i++)
		pthread_join(threads[i], NULL);
	free(threads);
}

bool
om_forward_ready(void)
{
	bool		ready;

	pthread_mutex_lock(&mutex);
	ready = connections_up > 0 && om_clock_ms() - answered_at <= READY_FOR_MS;
	pthread_mutex_unlock(&mutex);
	return ready;
}

long
om_forward_queue_depth(void)
{
	long		depth;

	pthread_mutex_lock(&mutex);
	depth = queue_depth;
	pthread_mutex_unlock(&mutex);
	return depth;
}

long
om_forward_connections(void)
{
	long		up;

	pthread_mutex_lock(&mutex);
	up = connections_up;
	pthread_mutex_unlock(&mutex);
	return up;
}
