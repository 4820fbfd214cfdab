/*
 * simulator_behave.c
 *		How the simulated provider is told to misbehave.
 *
 * The kinds are the signs by which a sender tells apart "not accepted",
 * "refused" and "unknown"; a test names one, the receiver it is for and how often.
 */
#include "simulator_behave.h"
#include "simulator_util.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const om_sim_behaviour_help =
"SPEC is NAME[:key=value,...].  NAME is one of\n"
"  ok                    answer 200, send message.sent and message.finalized\n"
"  delay:ms=N            accept at once, answer N ms later\n"
"  429[:retry_after=S]   refuse, code 10011, with a Retry-After header\n"
"  500, 503              answer that status without a body\n"
"  503:json              answer 503 with Telnyx's errors body, code 10037\n"
"  40300                 answer 403, \"Blocked due to STOP message\"\n"
"  40310                 answer 400, \"Invalid 'to' address\"\n"
"  error:status=S,code=C answer that status and that code\n"
"  redirect              answer 302\n"
"  cut                   read the request, close without a byte\n"
"  cut-early             read the header only, close (the body meets a reset)\n"
"  half                  accept, send half of the answer, close\n"
"  silent[:ms=N]         read the request, answer nothing, close after N ms (30000)\n"
"  garbage               accept, answer 200 with something that is not JSON\n"
"  noid                  accept, answer 200 with JSON without data.id\n"
"  no-events             accept, never send an event\n"
"  events-reversed       accept, send finalized before sent\n"
"  events-duplicated     accept, send each event twice\n"
"  failed[:code=C]       accept; finalized says delivery_failed, code 40008\n"
"  blocked-later         accept; finalized says 40300, \"Blocked due to STOP message\"\n"
"  unconfirmed           accept; finalized says delivery_unconfirmed\n"
"Any of them takes (cut-early: only times)\n"
"  times=N               for the next N matching requests only\n"
"  on=optouts            for pages of the opt-out list instead of messages: ok, delay, 429,\n"
"                        500, 503, error, redirect, cut, half, silent, garbage; without to\n"
"                        and accept\n"
"  on=deliveries         the same for pages of the list of webhook deliveries\n"
"  to=+1555...           for messages to that number only\n"
"  accept=yes|no         whether the message is accepted all the same and its events\n"
"                        are sent, whatever the answer was\n"
"Those with times are used first, in the order given, then the latest without.\n";

static const struct om_sim_kind_name
{
	const char *name;
	enum om_sim_kind kind;
	int			status;
	int			code;
	int			ms;
	bool		accept;
}			kinds[] = {
	{"ok", OM_SIM_OK, 200, 0, 0, true},
	{"delay", OM_SIM_DELAY, 200, 0, -1, true},
	{"429", OM_SIM_ERROR, 429, 10011, 0, false},
	{"500", OM_SIM_NO_BODY, 500, 0, 0, false},
	{"503", OM_SIM_NO_BODY, 503, 0, 0, false},
	{"40300", OM_SIM_ERROR, 403, 40300, 0, false},
	{"40310", OM_SIM_ERROR, 400, 40310, 0, false},
	{"error", OM_SIM_ERROR, 0, 0, 0, false},
	{"redirect", OM_SIM_REDIRECT, 302, 0, 0, false},
	{"cut", OM_SIM_CUT, 0, 0, 0, false},
	{"cut-early", OM_SIM_CUT_EARLY, 0, 0, 0, false},
	{"half", OM_SIM_HALF, 200, 0, 0, true},
	{"silent", OM_SIM_SILENT, 0, 0, OM_SIM_HOLD_MS, false},
	{"garbage", OM_SIM_GARBAGE, 200, 0, 0, true},
	{"noid", OM_SIM_NOID, 200, 0, 0, true},
	{"no-events", OM_SIM_NO_EVENTS, 200, 0, 0, true},
	{"events-reversed", OM_SIM_EVENTS_REVERSED, 200, 0, 0, true},
	{"events-duplicated", OM_SIM_EVENTS_DUPLICATED, 200, 0, 0, true},
	{"failed", OM_SIM_FAILED, 200, 40008, 0, true},
	{"blocked-later", OM_SIM_BLOCKED_LATER, 200, 40300, 0, true},
	{"unconfirmed", OM_SIM_UNCONFIRMED, 200, 0, 0, true},
};

/* Does it make sense for a list, which has neither a receiver nor events? */
static bool
fits_list(const struct om_sim_behaviour *b)
{
	switch (b->kind)
	{
		case OM_SIM_OK:
		case OM_SIM_DELAY:
		case OM_SIM_NO_BODY:
		case OM_SIM_REDIRECT:
		case OM_SIM_CUT:
		case OM_SIM_HALF:
		case OM_SIM_SILENT:
		case OM_SIM_GARBAGE:
			return true;
		case OM_SIM_ERROR:
			return b->code != 40300 && b->code != 40310;
		default:
			return false;
	}
}

/* One "key=value" or bare word; false when it is unknown or out of range. */
static bool
apply_option(struct om_sim_behaviour *b, char *option, bool *accept_given)
{
	char	   *value = strchr(option, '=');

	if (value == NULL)
	{
		if (strcmp(option, "json") != 0 || b->kind != OM_SIM_NO_BODY || b->status != 503)
			return false;
		b->kind = OM_SIM_ERROR;
		b->code = 10037;
		return true;
	}
	*value++ = '\0';
	if (strcmp(option, "times") == 0)
		return om_sim_read_int(value, 1, INT_MAX, &b->times);
	if (b->kind == OM_SIM_CUT_EARLY)
		return false;			/* neither receiver nor message are known by then */
	if (strcmp(option, "on") == 0)
	{
		b->on = strcmp(value, "deliveries") == 0 ? OM_SIM_DELIVERIES : OM_SIM_OPTOUTS;
		return b->on == OM_SIM_DELIVERIES || strcmp(value, "optouts") == 0;
	}
	if (strcmp(option, "to") == 0)
	{
		snprintf(b->to, sizeof(b->to), "%s", value);
		return *value != '\0';
	}
	if (strcmp(option, "accept") == 0)
	{
		*accept_given = true;
		b->accept = strcmp(value, "yes") == 0;
		return b->accept || strcmp(value, "no") == 0;
	}
	if (strcmp(option, "ms") == 0 && (b->kind == OM_SIM_DELAY || b->kind == OM_SIM_SILENT))
		return om_sim_read_int(value, 0, 600000, &b->ms);
	if (strcmp(option, "retry_after") == 0 && b->status == 429)
		return om_sim_read_int(value, 0, 86400, &b->retry_after);
	if (strcmp(option, "status") == 0 && b->kind == OM_SIM_ERROR)
		return om_sim_read_int(value, 400, 599, &b->status);
	if (strcmp(option, "code") == 0 && (b->kind == OM_SIM_ERROR || b->kind == OM_SIM_FAILED))
		return om_sim_read_int(value, 1, 99999, &b->code);
	return false;
}

bool
om_sim_behaviour_parse(const char *spec, struct om_sim_behaviour *behaviour,
					   char *error, size_t error_size)
{
	char		copy[OM_SIM_SPEC_MAX];
	char		shown[OM_SIM_SPEC_MAX];
	char	   *option;
	char	   *rest;
	const struct om_sim_kind_name *found = NULL;
	bool		accept_given = false;
	size_t		i;

	if (strlen(spec) >= sizeof(copy))
	{
		snprintf(error, error_size, "a behaviour is at most %d characters long",
				 OM_SIM_SPEC_MAX - 1);
		return false;
	}
	snprintf(copy, sizeof(copy), "%s", spec);
	rest = strchr(copy, ':');
	if (rest != NULL)
		*rest++ = '\0';
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, copy) == 0)
			found = &kinds[i];
	if (found == NULL)
	{
		snprintf(error, error_size, "there is no behaviour \"%s\"", copy);
		return false;
	}
	memset(behaviour, 0, sizeof(*behaviour));
	behaviour->kind = found->kind;
	behaviour->status = found->status;
	behaviour->code = found->code;
	behaviour->ms = found->ms;
	behaviour->accept = found->accept;
	behaviour->times = -1;
	behaviour->retry_after = found->status == 429 ? 1 : -1;
	snprintf(behaviour->spec, sizeof(behaviour->spec), "%s", spec);
	while (rest != NULL && *rest != '\0')
	{
		option = rest;
		rest = strchr(option, ',');
		if (rest != NULL)
			*rest++ = '\0';
		snprintf(shown, sizeof(shown), "%s", option);
		if (!apply_option(behaviour, option, &accept_given))
		{
			snprintf(error, error_size, "behaviour \"%s\" does not take \"%s\"", copy, shown);
			return false;
		}
	}
	if (behaviour->ms < 0 || (behaviour->kind == OM_SIM_ERROR &&
							  (behaviour->status == 0 || behaviour->code == 0)))
	{
		snprintf(error, error_size, "behaviour \"%s\" needs %s", copy,
				 behaviour->ms < 0 ? "ms=" : "status= and code=");
		return false;
	}
	if (behaviour->on != OM_SIM_MESSAGES &&
		(!fits_list(behaviour) || behaviour->to[0] != '\0' || accept_given))
	{
		snprintf(error, error_size, "behaviour \"%s\" is for messages, not for a list", copy);
		return false;
	}
	return true;
}

bool
om_sim_behaviours_add(struct om_sim_behaviours *all, const struct om_sim_behaviour *behaviour)
{
	if (all->count == OM_SIM_BEHAVIOURS_MAX)
		return false;
	all->list[all->count++] = *behaviour;
	return true;
}

/* The index of the one that is next for this receiver, -1 for none. */
static int
find_next(const struct om_sim_behaviours *all, enum om_sim_target on, const char *to)
{
	int			found = -1;
	int			i;

	for (i = 0; i < all->count; i++)
	{
		const struct om_sim_behaviour *b = &all->list[i];

		if (b->on != on || (b->to[0] != '\0' && strcmp(b->to, to) != 0))
			continue;
		found = i;
		if (b->times > 0)
			break;
	}
	return found;
}

struct om_sim_behaviour
om_sim_behaviours_next(struct om_sim_behaviours *all, enum om_sim_target on, const char *to)
{
	struct om_sim_behaviour chosen;
	char		ignored[1];
	int			found = find_next(all, on, to);

	if (found < 0)
	{
		om_sim_behaviour_parse("ok", &chosen, ignored, sizeof(ignored));
		return chosen;
	}
	chosen = all->list[found];
	if (chosen.times > 0 && --all->list[found].times == 0)
	{
		all->count--;
		memmove(&all->list[found], &all->list[found + 1],
				sizeof(all->list[0]) * (size_t) (all->count - found));
	}
	return chosen;
}

bool
om_sim_behaviours_cut_early(struct om_sim_behaviours *all)
{
	int			found = find_next(all, OM_SIM_MESSAGES, "");

	if (found < 0 || all->list[found].kind != OM_SIM_CUT_EARLY)
		return false;
	om_sim_behaviours_next(all, OM_SIM_MESSAGES, "");
	return true;
}
