/*
 * simulator_webhook.c
 *		What became of webhooks, as the provider lists it.
 *
 * Names and filters are those of GET /v2/webhook_deliveries in Telnyx's Node SDK
 * (src/resources/webhook-deliveries.ts).  How long it keeps them, in which order it lists them and
 * how long a page may be is not published.
 */
#include "simulator_webhook.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "timestamp.h"

#define WEBHOOKS_MAX	4096
#define PAGE_SIZE		20
#define PAGES_MAX		1000000
#define USER_ID			"aaaaaaaa-0000-4000-8000-000000000003"

struct om_sim_webhooks
{
	pthread_mutex_t mutex;
	struct om_sim_webhook *list;	/* in the order in which they began */
	int			count;
};

struct om_sim_webhooks *
om_sim_webhooks_create(void)
{
	struct om_sim_webhooks *webhooks = om_sim_alloc(sizeof(*webhooks));

	webhooks->list = om_sim_alloc(sizeof(*webhooks->list) * WEBHOOKS_MAX);
	pthread_mutex_init(&webhooks->mutex, NULL);
	return webhooks;
}

static void
free_strings(struct om_sim_webhook *webhook)
{
	free(webhook->event_type);
	free(webhook->attempts);
	free(webhook->webhook);
}

void
om_sim_webhooks_clear(struct om_sim_webhooks *webhooks)
{
	pthread_mutex_lock(&webhooks->mutex);
	while (webhooks->count > 0)
		free_strings(&webhooks->list[--webhooks->count]);
	pthread_mutex_unlock(&webhooks->mutex);
}

void
om_sim_webhooks_free(struct om_sim_webhooks *webhooks)
{
	om_sim_webhooks_clear(webhooks);
	pthread_mutex_destroy(&webhooks->mutex);
	free(webhooks->list);
	free(webhooks);
}

void
om_sim_webhooks_add(struct om_sim_webhooks *webhooks, const struct om_sim_webhook *webhook)
{
	struct om_sim_webhook *list = webhooks->list;
	int			at;

	pthread_mutex_lock(&webhooks->mutex);
	if (webhooks->count == WEBHOOKS_MAX)
	{
		free_strings(&list[0]);
		memmove(&list[0], &list[1], sizeof(*list) * (size_t) --webhooks->count);
	}
	for (at = webhooks->count++; at > 0 && list[at - 1].started_at > webhook->started_at; at--)
		list[at] = list[at - 1];
	list[at] = *webhook;
	om_sim_uuid(list[at].id);
	pthread_mutex_unlock(&webhooks->mutex);
}

static bool
set_text(char *target, size_t size, const char *value)
{
	if (*value == '\0' || strlen(value) >= size)
		return false;
	strcpy(target, value);
	return true;
}

static bool
set_parameter(void *context, const char *name, const char *value)
{
	struct om_sim_webhook_query *query = context;
	const struct
	{
		const char *name;
		int64_t    *target;
	}			times[] = {
		{"filter[started_at][gte]", &query->started_since},
		{"filter[started_at][lte]", &query->started_until},
		{"filter[finished_at][gte]", &query->finished_since},
		{"filter[finished_at][lte]", &query->finished_until},
	};
	size_t		i;

	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (strcmp(name, times[i].name) == 0)
			return om_timestamp_parse(value, strlen(value), times[i].target);
	if (strcmp(name, "filter[status][eq]") == 0)
		return (strcmp(value, "delivered") == 0 || strcmp(value, "failed") == 0) &&
			set_text(query->status, sizeof(query->status), value);
	if (strcmp(name, "filter[event_type]") == 0)
		return set_text(query->event_types, sizeof(query->event_types), value);
	if (strcmp(name, "filter[webhook][contains]") == 0)
		return set_text(query->webhook, sizeof(query->webhook), value);
	if (strcmp(name, "filter[attempts][contains]") == 0)
		return set_text(query->attempts, sizeof(query->attempts), value);
	if (strcmp(name, "page[number]") == 0)
		return om_sim_read_int(value, 1, PAGES_MAX, &query->page);
	if (strcmp(name, "page[size]") == 0)
		return om_sim_read_int(value, 1, OM_SIM_WEBHOOK_PAGE_MAX, &query->size);
	return false;
}

bool
om_sim_webhook_query_parse(const char *text, struct om_sim_webhook_query *query,
						   char *error, size_t error_size)
{
	memset(query, 0, sizeof(*query));
	query->started_since = query->finished_since = INT64_MIN;
	query->started_until = query->finished_until = INT64_MAX;
	query->page = 1;
	query->size = PAGE_SIZE;
	return om_sim_query_read(text, set_parameter, query, error, error_size);
}

static bool
is_one_of(const char *word, const char *list)
{
	size_t		len = word != NULL ? strlen(word) : 0;

	for (; len > 0 && list != NULL; list = strchr(list, ','))
	{
		list += *list == ',';
		if (strncmp(list, word, len) == 0 && (list[len] == ',' || list[len] == '\0'))
			return true;
	}
	return false;
}

static bool
fits(const struct om_sim_webhook *webhook, const struct om_sim_webhook_query *query)
{
	int64_t		started = webhook->started_at * 1000;
	int64_t		finished = webhook->finished_at * 1000;

	return started >= query->started_since && started <= query->started_until &&
		finished >= query->finished_since && finished <= query->finished_until &&
		(query->status[0] == '\0' || webhook->delivered == (query->status[0] == 'd')) &&
		(query->event_types[0] == '\0' || is_one_of(webhook->event_type, query->event_types)) &&
		(query->webhook[0] == '\0' || strstr(webhook->webhook, query->webhook) != NULL) &&
		(query->attempts[0] == '\0' || strstr(webhook->attempts, query->attempts) != NULL);
}

static void
write_webhook(FILE *out, const struct om_sim_webhook *webhook)
{
	char		started_at[OM_SIM_TIME_SIZE];
	char		finished_at[OM_SIM_TIME_SIZE];

	om_sim_format_time(webhook->started_at, started_at);
	om_sim_format_time(webhook->finished_at, finished_at);
	fprintf(out, "{\"id\":\"%s\",\"status\":\"%s\",\"started_at\":\"%s\",\"finished_at\":\"%s\","
			"\"attempts\":%s,\"record_type\":\"webhook_delivery\",\"user_id\":\"" USER_ID "\",\"webhook\":%s}",
			webhook->id, webhook->delivered ? "delivered" : "failed", started_at, finished_at,
			webhook->attempts, webhook->webhook);
}

int
om_sim_webhooks_page(struct om_sim_webhooks *webhooks, const struct om_sim_webhook_query *query,
					 FILE *out, int *total)
{
	int64_t		skip = (int64_t) (query->page - 1) * query->size;
	int			taken = 0;
	int			i;

	*total = 0;
	pthread_mutex_lock(&webhooks->mutex);
	for (i = webhooks->count - 1; i >= 0; i--)
	{
		if (!fits(&webhooks->list[i], query))
			continue;
		if (*total >= skip && taken < query->size)
		{
			if (taken++ > 0)
				putc(',', out);
			write_webhook(out, &webhooks->list[i]);
		}
		(*total)++;
	}
	pthread_mutex_unlock(&webhooks->mutex);
	return taken;
}
