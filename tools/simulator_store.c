/*
 * simulator_store.c
 *		The messages that the simulated provider accepted.
 *
 * A bounded array searched from end to end, which is quick enough for a test tool.
 */
#include "simulator_store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX	2048

struct om_sim_store
{
	pthread_mutex_t mutex;
	struct om_sim_stored *messages;
	uint64_t	added;
};

struct om_sim_store *
om_sim_store_create(void)
{
	struct om_sim_store *store = om_sim_alloc(sizeof(*store));

	store->messages = om_sim_alloc(sizeof(*store->messages) * MESSAGES_MAX);
	pthread_mutex_init(&store->mutex, NULL);
	return store;
}

void
om_sim_store_free(struct om_sim_store *store)
{
	pthread_mutex_destroy(&store->mutex);
	free(store->messages);
	free(store);
}

void
om_sim_store_add(struct om_sim_store *store, const struct om_sim_stored *message)
{
	pthread_mutex_lock(&store->mutex);
	store->messages[store->added++ % MESSAGES_MAX] = *message;
	pthread_mutex_unlock(&store->mutex);
}

bool
om_sim_store_find(struct om_sim_store *store, const char *id, struct om_sim_stored *message)
{
	uint64_t	kept;
	uint64_t	i;
	bool		found = false;

	pthread_mutex_lock(&store->mutex);
	kept = store->added < MESSAGES_MAX ? store->added : MESSAGES_MAX;
	for (i = 0; i < kept && !found; i++)
		if (strcmp(store->messages[i].id, id) == 0)
		{
			*message = store->messages[i];
			found = true;
		}
	pthread_mutex_unlock(&store->mutex);
	return found;
}
