/*
 * test_simulator_behave.c
 *		What the provider simulator is told to do wrong, and in which order it does.
 */
#include "simulator_behave.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

static struct om_sim_behaviours all;

static bool
add(const char *spec)
{
	struct om_sim_behaviour behaviour;
	char		error[200];

	return om_sim_behaviour_parse(spec, &behaviour, error, sizeof(error)) &&
		om_sim_behaviours_add(&all, &behaviour);
}

static const char *
next(const char *to)
{
	static struct om_sim_behaviour behaviour;

	behaviour = om_sim_behaviours_next(&all, OM_SIM_MESSAGES, to);
	return behaviour.spec;
}

static void
test_parsing(void)
{
	static const char *const bad[] = {
		"", "nope", "delay", "delay:ms=-1", "delay:ms=x", "ok:ms=5", "429:json", "503:jsn",
		"error", "error:status=402", "error:code=1", "error:status=200,code=1", "cut:times=0",
		"cut:to=", "cut:accept=perhaps", "500:retry_after=1", "cut-early:to=+15555550123",
		"cut-early:accept=yes", "failed:status=500", "500:on=messages", "noid:on=optouts",
		"40300:on=optouts", "500:on=optouts,to=+15555550123", "half:on=optouts,accept=yes",
		"cut-early:on=optouts", "noid:on=deliveries", "failed:on=optouts", "error:status=400,code=40300,on=optouts",
	};
	struct om_sim_behaviour behaviour;
	char		error[200];
	char		longest[OM_SIM_SPEC_MAX + 1];
	size_t		i;

	ok(om_sim_behaviour_parse("429:retry_after=7,times=2,to=+15555550123", &behaviour,
							  error, sizeof(error)) &&
	   behaviour.status == 429 && behaviour.code == 10011 && behaviour.retry_after == 7 &&
	   behaviour.times == 2 && strcmp(behaviour.to, "+15555550123") == 0 && !behaviour.accept,
	   "a behaviour is read with its options");
	ok(om_sim_behaviour_parse("503:json", &behaviour, error, sizeof(error)) &&
	   behaviour.kind == OM_SIM_ERROR && behaviour.status == 503,
	   "503 with an errors body is not 503 without one");
	ok(om_sim_behaviour_parse("cut:accept=yes", &behaviour, error, sizeof(error)) &&
	   behaviour.accept, "a message can be accepted although its answer is lost");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		error[0] = '\0';
		ok(!om_sim_behaviour_parse(bad[i], &behaviour, error, sizeof(error)) && error[0] != '\0',
		   "\"%s\" is refused", bad[i]);
	}
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	ok(!om_sim_behaviour_parse(longest, &behaviour, error, sizeof(error)),
	   "one that is too long is refused");
}

static void
test_order(void)
{
	all.count = 0;
	is(next("+15555550123"), "ok", "all is well unless told otherwise");
	add("500");
	add("429:times=1");
	add("cut:times=2,to=+15555550123");
	add("503:times=1");
	is(next("+15555550124"), "429:times=1", "those with times go first, in the order given");
	is(next("+15555550124"), "503:times=1", "those for another receiver are passed over");
	is(next("+15555550123"), "cut:times=2,to=+15555550123", "those for this receiver are not");
	is(next("+15555550123"), "cut:times=2,to=+15555550123", "two times are two times");
	is(next("+15555550123"), "500", "then the standing one holds");
	add("ok");
	is(next("+15555550123"), "ok", "the latest standing one replaces those before");
	ok(!om_sim_behaviours_cut_early(&all), "nothing is cut early without being told");
	add("cut-early:times=1");
	ok(om_sim_behaviours_cut_early(&all), "the next is cut early when told");
	ok(!om_sim_behaviours_cut_early(&all), "and is counted");
}

static void
test_lists(void)
{
	all.count = 0;
	ok(add("500:on=optouts,times=1") && add("429:on=optouts,retry_after=3") &&
	   add("delay:ms=5,times=1"), "a list of opt-outs can misbehave, too");
	is(next("+15555550123"), "delay:ms=5,times=1", "a message meets only what is for messages");
	is(next("+15555550123"), "ok", "and after that nothing");
	is(om_sim_behaviours_next(&all, OM_SIM_OPTOUTS, "").spec, "500:on=optouts,times=1",
	   "a list meets what is for lists");
	is(om_sim_behaviours_next(&all, OM_SIM_OPTOUTS, "").spec, "429:on=optouts,retry_after=3",
	   "in the same order");
	ok(add("503:on=deliveries,times=1"), "and a list of webhooks");
	is(om_sim_behaviours_next(&all, OM_SIM_DELIVERIES, "").spec, "503:on=deliveries,times=1",
	   "which is another list");
	add("cut-early");
	ok(om_sim_behaviours_cut_early(&all), "what is cut early is a message");
}

static void
test_room(void)
{
	int			i;

	all.count = 0;
	for (i = 0; i < OM_SIM_BEHAVIOURS_MAX; i++)
		add("ok:times=1");
	ok(!add("ok"), "one more than there is room for is not taken");
	for (i = 0; i < OM_SIM_BEHAVIOURS_MAX; i++)
		next("+15555550123");
	ok(all.count == 0, "used ones make room");
}

int
main(void)
{
	test_parsing();
	test_order();
	test_lists();
	test_room();
	return done_testing();
}
