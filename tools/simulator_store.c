/*
 * simulator_store.c
 *		What the simulated provider remembers: accepted messages and opt-outs.
 *
 * Both are bounded arrays searched from end to end, which is quick enough for a
 * test tool.  The pages of Telnyx disagree whether a STOP blocks a profile or an
 * account; the simulator is one profile of one account, so the person's number is the key.
 */
#include "simulator_store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX	2048
#define BLOCKS_MAX		4096

struct om_sim_store
{
	pthread_mutex_t mutex;
	struct om_sim_stored *messages;
	uint64_t	added;
	char		blocks[BLOCKS_MAX][OM_SIM_ADDRESS_SIZE];
	int			block_count;
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

/* The caller holds the mutex. */
static int
find_block(const struct om_sim_store *store, const char *address)
{
	int			i;

	for (i = 0; i < store->block_count; i++)
		if (strcmp(store->blocks[i], address) == 0)
			return i;
	return -1;
}

bool
om_sim_store_block(struct om_sim_store *store, const char *address)
{
	bool		blocked;

	pthread_mutex_lock(&store->mutex);
	blocked = find_block(store, address) >= 0;
	if (!blocked && store->block_count < BLOCKS_MAX && strlen(address) < OM_SIM_ADDRESS_SIZE)
	{
		strcpy(store->blocks[store->block_count++], address);
		blocked = true;
	}
	pthread_mutex_unlock(&store->mutex);
	return blocked;
}

void
om_sim_store_unblock(struct om_sim_store *store, const char *address)
{
	int			i;

	pthread_mutex_lock(&store->mutex);
	i = find_block(store, address);
	if (i >= 0 && i != --store->block_count)
		strcpy(store->blocks[i], store->blocks[store->block_count]);
	pthread_mutex_unlock(&store->mutex);
}

bool
om_sim_store_is_blocked(struct om_sim_store *store, const char *address)
{
	bool		blocked;

	pthread_mutex_lock(&store->mutex);
	blocked = find_block(store, address) >= 0;
	pthread_mutex_unlock(&store->mutex);
	return blocked;
}

void
om_sim_store_unblock_all(struct om_sim_store *store)
{
	pthread_mutex_lock(&store->mutex);
	store->block_count = 0;
	pthread_mutex_unlock(&store->mutex);
}
