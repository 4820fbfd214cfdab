/*
 * simulator_optout.c
 *		Who opted out at the simulated provider, and the pages in which it tells.
 *
 * A bounded array searched from end to end, which is quick enough for a test tool.  The pages
 * of Telnyx disagree whether a STOP blocks a profile or an account; the simulator is one
 * profile of one account, so a person who opted out from one number is blocked for all.
 */
#include "simulator_optout.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "simulator_util.h"
#include "timestamp.h"

#define OPTOUTS_MAX		4096
#define PAGE_SIZE		20
#define PAGES_MAX		1000000

struct om_sim_optouts
{
	pthread_mutex_t mutex;
	struct om_sim_optout *list;	/* in the order of their times; equal ones as they came */
	int			count;
};

struct om_sim_optouts *
om_sim_optouts_create(void)
{
	struct om_sim_optouts *optouts = om_sim_alloc(sizeof(*optouts));

	optouts->list = om_sim_alloc(sizeof(*optouts->list) * OPTOUTS_MAX);
	pthread_mutex_init(&optouts->mutex, NULL);
	return optouts;
}

void
om_sim_optouts_free(struct om_sim_optouts *optouts)
{
	pthread_mutex_destroy(&optouts->mutex);
	free(optouts->list);
	free(optouts);
}

bool
om_sim_optouts_add(struct om_sim_optouts *optouts, const struct om_sim_optout *optout)
{
	struct om_sim_optout *list = optouts->list;
	bool		there = false;
	bool		added = false;
	int			at;

	pthread_mutex_lock(&optouts->mutex);
	for (at = 0; at < optouts->count && !there; at++)
		there = strcmp(list[at].from, optout->from) == 0 && strcmp(list[at].to, optout->to) == 0;
	if (!there && optouts->count < OPTOUTS_MAX)
	{
		for (at = optouts->count++; at > 0 && list[at - 1].created_at > optout->created_at; at--)
			list[at] = list[at - 1];
		list[at] = *optout;
		added = true;
	}
	pthread_mutex_unlock(&optouts->mutex);
	return there || added;
}

void
om_sim_optouts_remove(struct om_sim_optouts *optouts, const char *to)
{
	int			kept = 0;
	int			i;

	pthread_mutex_lock(&optouts->mutex);
	for (i = 0; i < optouts->count; i++)
		if (strcmp(optouts->list[i].to, to) != 0)
			optouts->list[kept++] = optouts->list[i];
	optouts->count = kept;
	pthread_mutex_unlock(&optouts->mutex);
}

bool
om_sim_optouts_has(struct om_sim_optouts *optouts, const char *to)
{
	bool		found = false;
	int			i;

	pthread_mutex_lock(&optouts->mutex);
	for (i = 0; i < optouts->count && !found; i++)
		found = strcmp(optouts->list[i].to, to) == 0;
	pthread_mutex_unlock(&optouts->mutex);
	return found;
}

void
om_sim_optouts_clear(struct om_sim_optouts *optouts)
{
	pthread_mutex_lock(&optouts->mutex);
	optouts->count = 0;
	pthread_mutex_unlock(&optouts->mutex);
}

static bool
set_text(char target[OM_SIM_OPTOUT_ADDRESS], const char *value)
{
	if (*value == '\0' || strlen(value) >= OM_SIM_OPTOUT_ADDRESS)
		return false;
	strcpy(target, value);
	return true;
}

static bool
set_parameter(void *context, const char *name, const char *value)
{
	struct om_sim_optout_query *query = context;

	if (strcmp(name, "filter[messaging_profile_id]") == 0)
		return set_text(query->profile, value);
	if (strcmp(name, "filter[from]") == 0)
		return set_text(query->from, value);
	if (strcmp(name, "created_at[gte]") == 0)
		return om_timestamp_parse(value, strlen(value), &query->since);
	if (strcmp(name, "created_at[lte]") == 0)
		return om_timestamp_parse(value, strlen(value), &query->until);
	if (strcmp(name, "page[number]") == 0)
		return om_sim_read_int(value, 1, PAGES_MAX, &query->page);
	if (strcmp(name, "page[size]") == 0)
		return om_sim_read_int(value, 1, OM_SIM_OPTOUT_PAGE_MAX, &query->size);
	return false;
}

bool
om_sim_optout_query_parse(const char *text, struct om_sim_optout_query *query,
						  char *error, size_t error_size)
{
	memset(query, 0, sizeof(*query));
	query->since = INT64_MIN;
	query->until = INT64_MAX;
	query->page = 1;
	query->size = PAGE_SIZE;
	return om_sim_query_read(text, set_parameter, query, error, error_size);
}

int
om_sim_optouts_page(struct om_sim_optouts *optouts, const struct om_sim_optout_query *query,
					struct om_sim_optout *out, int *total)
{
	int64_t		skip = (int64_t) (query->page - 1) * query->size;
	int			taken = 0;
	int			i;

	*total = 0;
	pthread_mutex_lock(&optouts->mutex);
	for (i = optouts->count - 1; i >= 0; i--)
	{
		const struct om_sim_optout *optout = &optouts->list[i];
		int64_t		at = optout->created_at * 1000;

		if (at < query->since || at > query->until ||
			(query->from[0] != '\0' && strcmp(query->from, optout->from) != 0))
			continue;
		if (*total >= skip && taken < query->size)
			out[taken++] = *optout;
		(*total)++;
	}
	pthread_mutex_unlock(&optouts->mutex);
	return taken;
}
