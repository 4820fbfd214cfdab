/*
 * test_simulator_webhook.c
 *		What became of webhooks at the simulated provider, and the pages in which it tells.
 */
#include "simulator_webhook.h"

#include <stdlib.h>

#include "tap.h"

static struct om_sim_webhooks *webhooks;

static void
add(const char *name, bool delivered, int64_t started, int64_t finished)
{
	struct om_sim_webhook webhook = {.delivered = delivered};
	char		text[100];

	webhook.started_at = started * 1000;
	webhook.finished_at = finished * 1000;
	webhook.event_type = om_sim_strdup(delivered ? "message.sent" : "message.received");
	webhook.attempts = om_sim_strdup(delivered ? "[{\"status\":200}]" : "[{\"status\":503}]");
	snprintf(text, sizeof(text), "{\"id\":\"%s\"}", name);
	webhook.webhook = om_sim_strdup(text);
	om_sim_webhooks_add(webhooks, &webhook);
}

/* The names on the page a query asks for and the number of all, "3: c b a" */
static const char *
page(const char *text)
{
	static char result[2048];
	struct om_sim_webhook_query query;
	char		error[200];
	char	   *body;
	char	   *at;
	size_t		len;
	FILE	   *out;
	int			total;
	int			count;
	int			found = 0;

	if (!om_sim_webhook_query_parse(text, &query, error, sizeof(error)))
		return "refused";
	out = om_sim_memory(&body, &len);
	count = om_sim_webhooks_page(webhooks, &query, out, &total);
	fclose(out);
	snprintf(result, sizeof(result), "%d:", total);
	for (at = body; (at = strstr(at, "\"webhook\":{\"id\":\"")) != NULL; found++)
	{
		at += strlen("\"webhook\":{\"id\":\"");
		strcat(result, " ");
		strncat(result, at, strcspn(at, "\""));
	}
	free(body);
	return found == count ? result : "another number than it says";
}

static void
test_pages(void)
{
	is(page(NULL), "0:", "nothing was delivered at first");
	add("b", false, 200, 900);
	add("d", true, 400, 401);
	add("a", false, 100, 910);
	add("c", true, 300, 301);
	is(page(""), "4: d c b a", "those that began last are first");
	is(page("page[size]=3"), "4: d c b", "a page has its size");
	is(page("page[size]=3&page[number]=2"), "4: a", "the rest is on the next");
	is(page("page[number]=3&page[size]=3"), "4:", "behind the last there is nothing");
	is(page("filter%5Bstatus%5D%5Beq%5D=failed"), "2: b a", "what failed is filtered");
	is(page("filter[status][eq]=delivered"), "2: d c", "and what was delivered");
	is(page("filter[started_at][gte]=1970-01-01T00:03:20Z&filter[started_at][lte]=1970-01-01T00:05:00%2B00:00"),
	   "2: c b", "the times are inclusive");
	is(page("filter[finished_at][gte]=1970-01-01T00:15:00.001Z"), "1: a", "the end is another time");
	is(page("filter[finished_at][lte]=1970-01-01T00:15:00Z"), "3: d c b", "likewise");
	is(page("filter[event_type]=message.sent"), "2: d c", "a type is filtered");
	is(page("filter[event_type]=call.ended,message.received"), "2: b a", "or several");
	is(page("filter[event_type]=message"), "0:", "but not a part of one");
	is(page("filter[webhook][contains]=%22c%22"), "1: c", "the event contains a text");
	is(page("filter[attempts][contains]=503"), "2: b a", "as do the attempts");
	om_sim_webhooks_clear(webhooks);
	is(page(""), "0:", "nothing is left when all is forgotten");
}

static void
test_queries(void)
{
	static const char *const bad[] = {
		"page[size]=0", "page[size]=251", "page[number]=0", "page[size]", "filter[status]=failed",
		"filter[status][eq]=lost", "filter[status][eq]=", "filter[started_at][gte]=yesterday",
		"filter[started_at][gt]=2026-01-01T00:00:00Z", "filter[webhook][contains]=", "filter[id]=1",
		"filter[webhook]=x", "sort=started_at",
	};
	struct om_sim_webhook_query query;
	char		error[200];
	size_t		i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		error[0] = '\0';
		ok(!om_sim_webhook_query_parse(bad[i], &query, error, sizeof(error)) && error[0] != '\0',
		   "\"%s\" is refused", bad[i]);
	}
}

static void
test_room(void)
{
	char		name[20];
	int			i;

	for (i = 0; i < 4100; i++)
	{
		snprintf(name, sizeof(name), "n%d", i);
		add(name, false, i, i);
	}
	is(page("page[size]=2"), "4096: n4099 n4098", "some thousand are kept");
	is(page("page[size]=2&page[number]=2048"), "4096: n5 n4", "the latest");
}

int
main(void)
{
	webhooks = om_sim_webhooks_create();
	test_pages();
	test_queries();
	test_room();
	om_sim_webhooks_free(webhooks);
	return done_testing();
}
