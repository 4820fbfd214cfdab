/*
 * store.c
 *		What to do when a batch fails.
 *
 * A batch that fails for one of its deliveries, a row that somebody has locked or a deadlock, is
 * tried again one by one: so the others do not wait for it.  A trouble of the server, as a full disk,
 * is no delivery's fault; but one that needs more memory than there is looks the same, and is told
 * from it by the others, which go in.
 *
 * When the server's process ends without a word while it works on a batch, one of the bodies may
 * have killed it, and with it everybody's connections.  From then on each of them is tried alone; the
 * one that does it again is kept as it is, without being looked into.  So one body costs
 * two restarts at most.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "metrics.h"
#include "seen.h"
#include "store.h"

/* For calls that nobody waits for: longer than the statement_timeout */
#define PATIENCE_MS			1700

/* One by one, that many refused in a row: it is not because of one of them */
#define ENOUGH_REFUSALS		3

static OmSeen crashed = OM_SEEN_INIT;

int
om_store_crashes(const uint8_t *body, size_t len)
{
	return om_seen_count(&crashed, body, len);
}

static bool
is_of_class(const char *sqlstate, const char *const *classes)
{
	for (; *classes != NULL; classes++)
	{
		if (strncmp(sqlstate, *classes, strlen(*classes)) == 0)
			return true;
	}
	return false;
}

/* Errors that any other delivery would meet as well */
static bool
is_of_server(const char *sqlstate)
{
	static const char *const classes[] = {
		"01",					/* the wait for a standby was cancelled */
		"08",					/* connection */
		"0A",					/* not supported: an older database */
		"25",					/* read only */
		"28",					/* authorization */
		"3D", "3F",				/* no such database, no such schema */
		"42",					/* no such function or table, no right to it */
		"57P",					/* shutdown */
		NULL
	};

	return is_of_class(sqlstate, classes);
}

/* Errors that perhaps only this one meets: disk, memory, I/O */
static bool
may_be_of_server(const char *sqlstate)
{
	static const char *const classes[] = {"53", "58", NULL};

	return is_of_class(sqlstate, classes);
}

/* The last moment at which somebody waits for one of them */
static int64_t
deadline_of(OmDbDelivery *const *group, int n)
{
	int64_t		latest = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		if (group[i]->deadline == 0)
			return om_clock_ms() + PATIENCE_MS;
		if (group[i]->deadline > latest)
			latest = group[i]->deadline;
	}
	return latest;
}

/* They were under way when the server went down. */
static void
suspect(OmDbDelivery **group, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		if (group[i]->reason != NULL)
			continue;
		group[i]->crashes++;
		om_seen_set(&crashed, group[i]->body, group[i]->body_len, group[i]->crashes);
	}
}

static void
look_at_stored(OmDbDelivery **group, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		if (!group[i]->stored)
			group[i]->blamed = true;
		else if (group[i]->crashes > 0 && group[i]->reason == NULL)
			om_seen_set(&crashed, group[i]->body, group[i]->body_len, 0);
	}
}

/* One call for all of them */
static OmDbCall
call_once(OmDb *db, OmDbDelivery **group, int n)
{
	OmDbCall	call;

	om_metrics_batch(n);
	call = om_db_store(db, group, n, deadline_of(group, n));
	if (call == OM_CALL_CRASHED)
		suspect(group, n);
	if (call == OM_CALL_DONE)
		look_at_stored(group, n);
	return call;
}

/* One call each, until it is clear that it is not because of one of them */
static OmDbCall
call_each(OmDb *db, OmDbDelivery **group, int n)
{
	static atomic_uint turns;
	int			first = (int) (atomic_fetch_add(&turns, 1) % (unsigned int) n);
	int			refused_in_a_row = 0;
	bool		one_stored = false;
	OmDbCall	call = OM_CALL_DONE;
	int			i;

	/* Not always the same first, so that a few bad ones do not hide the others for ever */
	for (i = 0; i < n && refused_in_a_row < ENOUGH_REFUSALS; i++)
	{
		OmDbDelivery *d = group[(first + i) % n];

		if (deadline_of(&d, 1) <= om_clock_ms())
			continue;			/* nobody waits for it any more */
		call = call_once(db, &d, 1);
		if (call != OM_CALL_DONE && call != OM_CALL_REFUSED)
			return call;
		d->blamed = !d->stored && d->sqlstate[0] != '\0' && !is_of_server(d->sqlstate);
		one_stored = one_stored || d->stored;
		refused_in_a_row = d->stored ? 0 : refused_in_a_row + 1;
	}
	for (i = 0; i < n; i++)
	{
		if (group[i]->blamed && may_be_of_server(group[i]->sqlstate))
			group[i]->blamed = one_stored;
	}
	return OM_CALL_DONE;
}

/* All at once, and if that fails one by one.  False: the connection must be closed. */
static bool
give(OmDb *db, OmDbDelivery **group, int n)
{
	OmDbCall	call;

	if (deadline_of(group, n) <= om_clock_ms())
		return true;
	call = call_once(db, group, n);
	if (call == OM_CALL_REFUSED && n == 1)
		group[0]->blamed = !is_of_server(group[0]->sqlstate) && !may_be_of_server(group[0]->sqlstate);
	if (call == OM_CALL_REFUSED && n > 1 && !is_of_server(group[0]->sqlstate))
		call = call_each(db, group, n);
	return call == OM_CALL_DONE || call == OM_CALL_REFUSED;
}

typedef enum Kind
{
	TOGETHER,
	WITHOUT_EFFECT,
	ALONE
} Kind;

static Kind
kind_of(const OmDbDelivery *delivery)
{
	if (delivery->reason != NULL)
		return WITHOUT_EFFECT;
	return delivery->alone || delivery->crashes > 0 ? ALONE : TOGETHER;
}

static int
select_kind(OmDbDelivery *deliveries, int n, Kind kind, OmDbDelivery **group)
{
	int			selected = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		if (kind_of(&deliveries[i]) == kind)
			group[selected++] = &deliveries[i];
	}
	return selected;
}

/* What is known of each before the first call */
static void
prepare(OmDbDelivery *deliveries, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		OmDbDelivery *d = &deliveries[i];
		int			known = om_store_crashes(d->body, d->body_len);

		d->stored = false;
		d->blamed = false;
		if (known > d->crashes)
			d->crashes = known;
		if (d->reason == NULL && d->crashes >= OM_STORE_MAX_CRASHES)
			d->reason = "crashed";
	}
}

bool
om_store(OmDb *db, OmDbDelivery *deliveries, int n)
{
	OmDbDelivery **group = malloc(sizeof(OmDbDelivery *) * (size_t) n);
	bool		usable;
	int			alone;
	int			m;
	int			i;

	prepare(deliveries, n);
	if (group == NULL)
		return true;
	m = select_kind(deliveries, n, TOGETHER, group);
	usable = m == 0 || give(db, group, m);
	m = usable ? select_kind(deliveries, n, WITHOUT_EFFECT, group) : 0;
	usable = usable && (m == 0 || give(db, group, m));
	alone = usable ? select_kind(deliveries, n, ALONE, group) : 0;
	for (i = 0; i < alone && usable; i++)
		usable = give(db, &group[i], 1);
	free(group);
	return usable;
}
