/*
 * test_simulator_optout.c
 *		Who opted out at the simulated provider, and the pages in which it tells.
 */
#include "simulator_optout.h"

#include <stdlib.h>

#include "tap.h"

#define OURS	"+15555550199"
#define OTHER	"+15555550198"
#define PERSON	"+15555550123"

static struct om_sim_optouts *optouts;

static bool
add(const char *from, const char *to, int64_t seconds)
{
	struct om_sim_optout optout = {.keyword = "STOP", .created_at = seconds * 1000};

	strcpy(optout.from, from);
	strcpy(optout.to, to);
	return om_sim_optouts_add(optouts, &optout);
}

/* The receivers on the page a query asks for and the number of all, "3: +1... +1..." */
static const char *
page(const char *text)
{
	static char result[2048];
	struct om_sim_optout found[OM_SIM_OPTOUT_PAGE_MAX];
	struct om_sim_optout_query query;
	char		error[200];
	int			total;
	int			count;
	int			i;

	if (!om_sim_optout_query_parse(text, &query, error, sizeof(error)))
		return "refused";
	count = om_sim_optouts_page(optouts, &query, found, &total);
	snprintf(result, sizeof(result), "%d:", total);
	for (i = 0; i < count; i++)
	{
		strcat(result, " ");
		strcat(result, found[i].to);
	}
	return result;
}

static void
test_list(void)
{
	is(page(NULL), "0:", "nobody has opted out at first");
	ok(!om_sim_optouts_has(optouts, PERSON), "and nobody is blocked");
	ok(add(OURS, PERSON, 100) && om_sim_optouts_has(optouts, PERSON),
	   "who opted out is blocked");
	ok(add(OURS, PERSON, 200), "to say it twice is fine");
	is(page("created_at[lte]=1970-01-01T00:01:40Z"), "1: " PERSON, "and the first time stays");
	add(OTHER, PERSON, 300);
	is(page(""), "2: " PERSON " " PERSON, "opt-outs from two numbers are two");
	om_sim_optouts_remove(optouts, PERSON);
	is(page(""), "0:", "START lifts both");
	ok(!om_sim_optouts_has(optouts, PERSON), "and the block");
	add(OURS, PERSON, 100);
	om_sim_optouts_clear(optouts);
	is(page(""), "0:", "nothing is left when all is forgotten");
}

static void
test_pages(void)
{
	om_sim_optouts_clear(optouts);
	add(OURS, "b", 200);
	add(OTHER, "d", 400);
	add(OURS, "a", 100);
	add(OURS, "c", 300);
	is(page(""), "4: d c b a", "the newest are first");
	is(page("page[size]=3"), "4: d c b", "a page has its size");
	is(page("page[size]=3&page[number]=2"), "4: a", "the rest is on the next");
	is(page("page[number]=3&page[size]=3"), "4:", "behind the last there is nothing");
	is(page("page[number]=1000000&page[size]=250"), "4:", "far behind it neither");
	is(page("filter%5Bfrom%5D=%2B15555550199"), "3: c b a", "one number's are filtered");
	is(page("filter[from]=%2b15555550198"), "1: d", "in either spelling");
	is(page("filter[from]=+15555550199"), "0:", "a bare plus is a blank, as at every server");
	is(page("created_at[gte]=1970-01-01T00:03:20Z&created_at[lte]=1970-01-01T00:05:00%2B00:00"),
	   "2: c b", "the times are inclusive");
	is(page("created_at[gte]=1970-01-01T00:03:20.001Z"), "2: d c", "to the millisecond");
}

static void
test_queries(void)
{
	static const char *const bad[] = {
		"page[size]=0", "page[size]=251", "page[size]=", "page[number]=0", "page[number]=x",
		"page[size]", "created_at[gte]=yesterday", "created_at[gt]=2026-01-01T00:00:00Z",
		"filter[from]=", "filter[to]=%2B15555550123", "page%5=1", "page%5Bsize%5D=1%00",
		"filter[from]=+155555501231555555012315555550123155555501231",
	};
	struct om_sim_optout_query query;
	char		error[200];
	char	   *text;
	size_t		i;

	ok(om_sim_optout_query_parse("filter[messaging_profile_id]=abc&&page[size]=7", &query, error,
								 sizeof(error)) &&
	   strcmp(query.profile, "abc") == 0 && query.size == 7 && query.page == 1,
	   "a query is read, and what is not in it has its default");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		error[0] = '\0';
		ok(!om_sim_optout_query_parse(bad[i], &query, error, sizeof(error)) && error[0] != '\0',
		   "\"%s\" is refused", bad[i]);
	}
	text = malloc(5001);
	memset(text, 'x', 5000);
	text[5000] = '\0';
	ok(!om_sim_optout_query_parse(text, &query, error, sizeof(error)), "a long one is, too");
	free(text);
}

static void
test_room(void)
{
	char		to[20];
	int			i;
	bool		room = true;

	om_sim_optouts_clear(optouts);
	for (i = 0; i < 4096; i++)
	{
		snprintf(to, sizeof(to), "+1555%07d", i);
		room = room && add(OURS, to, i);
	}
	ok(room && !add(OURS, PERSON, 0), "the list is full at some time");
	ok(add(OURS, to, 0), "who is on it is on it");
	om_sim_optouts_remove(optouts, to);
	ok(add(OURS, PERSON, 0), "START makes room");
}

int
main(void)
{
	optouts = om_sim_optouts_create();
	test_list();
	test_pages();
	test_queries();
	test_room();
	om_sim_optouts_free(optouts);
	return done_testing();
}
