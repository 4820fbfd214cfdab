/*
 * gate.c
 *		Whether a message may be sent: every gate, and what each says.
 *
 * One statement fetches the facts of all sendings; then each gate is a function of the facts.
 * None of them locks anything: the dispatcher asks again right before it sends.
 */
#include "postgres.h"

#include <sodium.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "arm.h"
#include "compat.h"
#include "core/phone.h"
#include "core/segment.h"
#include "core/zone.h"
#include "erased.h"
#include "gate.h"
#include "quiet.h"

/* Where no row of omnimsg.send_limits says otherwise */
#define DEFAULT_OPENS	(8 * SECS_PER_HOUR)
#define DEFAULT_CLOSES	(20 * SECS_PER_HOUR)

/* More segments than this the provider refuses (Telnyx, error 42202) */
#define MAX_SEGMENTS	10

/* How soon an address is looked at again whose consent is being folded */
#define FOLDING_USECS	USECS_PER_SEC

/* How soon a sending is looked at again that waits for somebody: a review may end at any time */
#define REVIEWED_USECS	(5 * USECS_PER_MINUTE)
#define PASSING_USECS	USECS_PER_MINUTE

/* How soon a sending is looked at again that waits for the key of erasures */
#define KEYLESS_USECS	USECS_PER_MINUTE

#define ZONE_SEPARATOR	'\x1f'
#define MAX_ACCOUNT_ZONES	32

/*
 * What is known of one sending.  $8 is the time.
 *
 * Of the rows of limits that fit, a region is narrower than its calling code ("+1" has more
 * regions than US) and wider than any longer beginning of a number.
 *
 * The last message that counts against a limit of N is the Nth newest: when that one is over, there is room again.
 * Three messages a day are what the strictest states allow one who sells (Fla. Stat.
 * 501.616(6)).  The message itself is not counted, nor are those queued after it, or two
 * that wait would each keep the other from being sent; those before it are about to be sent, however
 * long they have waited.  A limit of nothing at all is no offset: the
 * planner may run this before it looks at the condition of the join.
 *
 * "IS DISTINCT FROM 'inbound'" is meant so.  Of a month without statistics, as each one is at first, the planner
 * believes any index to find one row, and with "= 'outbound'" it takes the one of outbound ids and reads all that the
 * organization has sent.
 */
#define SENT_WITHIN(span, cap) \
	"SELECT s.at AS reached FROM omnimsg.messages m\n" \
	" CROSS JOIN LATERAL (\n" \
	"   SELECT CASE WHEN m.status IN ('queued', 'sending') AND m.created_at <= $8 THEN $8\n" \
	"               ELSE coalesce(m.sent_at, m.created_at) END AS at) AS s\n" \
	" WHERE c." cap " > 0 AND m.organization_id = w.organization_id AND m.peer_address = w.address\n" \
	"   AND m.created_at > $8 - interval '30 days'\n" \
	"   AND m.channel = w.channel AND m.direction IS DISTINCT FROM 'inbound' AND m.in_reply_to IS NULL\n" \
	"   AND m.id IS DISTINCT FROM w.message_id\n" \
	"   AND (m.status IN ('sending', 'sent', 'delivered', 'unknown')\n" \
	"        OR m.status = 'queued' AND (w.message_id IS NULL OR m.id < w.message_id))\n" \
	"   AND s.at > $8 - interval '" span "' AND s.at <= $8\n" \
	" ORDER BY 1 DESC OFFSET greatest(c." cap ", 1) - 1 LIMIT 1"

/* An opt-in of the person's own since a time; an import or a program tells of none */
#define OPT_IN_SINCE(time) \
	"SELECT 1 FROM omnimsg.opt_out_requests x\n" \
	" WHERE x.organization_id = w.organization_id AND x.channel = w.channel AND x.address = w.address\n" \
	"   AND x.scope IN ('all', w.scope) AND x.request_type = 'opt_in'\n" \
	"   AND x.source NOT IN ('import', 'api') AND x.occurred_at > " time "\n"

static OmStatement find_facts = {
	"SELECT w.n, g.paused, g.consent_policy = 'explicit', g.timezone, d.state, d.decided_at,\n"
	"       q.scope <> 'all', a.state = 'opted_out', coalesce(a.provider_blocked, false),\n"
	"       EXISTS (SELECT 1 FROM omnimsg.consent_repairs r\n"
	"                WHERE r.organization_id = w.organization_id AND r.address = w.address),\n"
	"       NOT w.automatic AND EXISTS (\n"
	"         SELECT 1 FROM omnimsg.messages i\n"
	"          WHERE i.organization_id = w.organization_id AND i.peer_address = w.address\n"
	"            AND i.direction = 'inbound' AND i.created_at > $8 - interval '24 hours'\n"
	"            AND i.created_at <= $8),\n"
	"       w.kind = 'marketing' AND d.state = 'opted_in' AND NOT EXISTS (\n"
	"         SELECT 1 FROM omnimsg.opt_out_requests x\n"
	"          WHERE x.organization_id = w.organization_id AND x.channel = w.channel\n"
	"            AND x.address = w.address AND x.scope IN ('all', w.scope)\n"
	"            AND (x.occurred_at > f.since OR (f.reclaimed) IS NOT TRUE)\n"
	"            AND (x.request_type = 'opt_in' AND x.source NOT IN ('keyword', 'free_text', 'provider')\n"
	"                 OR x.request_type = 'opt_out' AND x.occurred_at < d.decided_at)),\n"
	"       (SELECT min(v.due_at) FROM omnimsg.reviews v\n"
	"         WHERE NOT w.automatic AND v.organization_id = w.organization_id AND v.address = w.address\n"
	"           AND v.decision IS NULL\n"
	"           AND (w.released_at IS NULL OR v.created_at > w.released_at OR v.due_at <= $8)\n"
	"           AND NOT EXISTS (" OPT_IN_SINCE("v.occurred_at")
	"                             AND (NOT x.our_address_only OR x.our_address = v.our_address))),\n"
	"       f.flag, f.reclaimed,\n"
	"       extract(epoch FROM l.opens)::bigint, extract(epoch FROM l.closes)::bigint,\n"
	"       c.per_day::bigint, c.per_week::bigint, day.reached, week.reached,\n"
	"       EXISTS (SELECT 1 FROM omnimsg.consents e\n"
	"                WHERE e.organization_id = w.organization_id AND e.channel = w.channel AND e.address = w.erased\n"
	"                  AND e.scope IN ('all', w.scope) AND (e.state = 'opted_out' OR e.provider_blocked))\n"
	"       OR EXISTS (SELECT 1 FROM omnimsg.address_flags e\n"
	"                   WHERE e.organization_id = w.organization_id AND e.address = w.erased)\n"
	"       OR EXISTS (SELECT 1 FROM omnimsg.reviews e\n"
	"                   WHERE e.organization_id = w.organization_id AND e.address = w.erased AND e.decision IS NULL),\n"
	"       EXISTS (SELECT 1 FROM omnimsg.erasures e\n"
	"                WHERE e.organization_id = w.organization_id AND e.returned_at IS NULL AND e.key_id <> $12),\n"
	"       (SELECT string_agg(DISTINCT t.timezone, E'\\x1f') FROM omnimsg.collection_accounts t\n"
	"         WHERE NOT w.automatic AND t.organization_id = w.organization_id AND t.timezone IS NOT NULL\n"
	"           AND (t.primary_phone = w.address OR t.secondary_phone = w.address OR t.email = w.address))\n"
	"  FROM unnest($1, $2, $3, $4, $5, $6, $7, $9, $10, $11) WITH ORDINALITY\n"
	"    AS u(organization_id, channel, address, kind, scope, region, message_id, code_digits, released_at, erased, n)\n"
	" CROSS JOIN LATERAL (\n"
	"    SELECT u.*, u.kind IN ('opt_out_confirmation', 'opt_in_confirmation', 'help_reply') AS automatic) AS w\n"
	"  JOIN omnimsg.organizations g ON g.id = w.organization_id\n"
	"  LEFT JOIN omnimsg.consents a\n"
	"    ON a.organization_id = w.organization_id AND a.channel = w.channel\n"
	"   AND a.address = w.address AND a.scope = 'all'\n"
	"  LEFT JOIN omnimsg.consents s\n"
	"    ON s.organization_id = w.organization_id AND s.channel = w.channel\n"
	"   AND s.address = w.address AND s.scope = w.scope\n"
	" CROSS JOIN LATERAL (\n"
	"    SELECT coalesce(s.state, a.state) AS state, coalesce(s.decided_at, a.decided_at) AS decided_at,\n"
	"           coalesce(s.request_id, a.request_id) AS request_id) AS d\n"
	"  LEFT JOIN omnimsg.opt_out_requests q\n"
	"    ON q.organization_id = w.organization_id AND q.id = d.request_id\n"
	"  LEFT JOIN LATERAL (\n"
	"    SELECT y.flag, y.since, EXISTS (" OPT_IN_SINCE("y.since") ") AS reclaimed\n"
	"      FROM omnimsg.address_flags y\n"
	"     WHERE y.organization_id = w.organization_id AND y.address = w.address) AS f ON true\n"
	"  LEFT JOIN LATERAL (\n"
	"    SELECT (array_agg(x.opens ORDER BY x.width DESC) FILTER (WHERE x.opens IS NOT NULL))[1] AS opens,\n"
	"           (array_agg(x.closes ORDER BY x.width DESC) FILTER (WHERE x.closes IS NOT NULL))[1] AS closes,\n"
	"           (array_agg(x.per_day ORDER BY x.width DESC) FILTER (WHERE x.per_day IS NOT NULL))[1] AS per_day,\n"
	"           (array_agg(x.per_week ORDER BY x.width DESC) FILTER (WHERE x.per_week IS NOT NULL))[1] AS per_week\n"
	"      FROM (SELECT y.opens, y.closes, y.per_day, y.per_week,\n"
	"                   CASE y.region WHEN '*' THEN 0 WHEN w.region THEN 2 * w.code_digits + 3\n"
	"                                 ELSE 2 * length(y.region) END AS width\n"
	"              FROM omnimsg.send_limits y\n"
	"             WHERE y.organization_id = w.organization_id\n"
	"               AND (y.region IN ('*', w.region)\n"
	"                    OR left(y.region, 1) = '+' AND starts_with(w.address, y.region))) AS x) AS l\n"
	"    ON NOT w.automatic\n"
	" CROSS JOIN LATERAL (\n"
	"    SELECT coalesce(l.per_day, CASE WHEN w.kind = 'marketing' THEN 3 END) AS per_day, l.per_week) AS c\n"
	"  LEFT JOIN LATERAL (" SENT_WITHIN("24 hours", "per_day") ") AS day ON c.per_day > 0\n"
	"  LEFT JOIN LATERAL (" SENT_WITHIN("7 days", "per_week") ") AS week ON c.per_week > 0",
	12, {UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		UUIDARRAYOID, TIMESTAMPTZOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, TEXTOID}, NULL
};

/* What find_facts knows of a sending, and what src/core knows of its address */
typedef struct Facts
{
	OmPhone		phone;			/* not filled for e-mail */
	bool		paused;
	bool		explicit_policy;
	char	   *timezone;		/* of the organization, or NULL */
	char	   *state;			/* of the consent, or NULL */
	TimestampTz decided_at;
	bool		by_category;	/* a request of the category decides, not one of "all" */
	bool		out_of_all;		/* an opt-out of "all" stands as well */
	bool		provider_blocked;
	bool		folding;		/* requests are recorded that the state does not hold yet */
	bool		answers;		/* the person wrote within 24 hours */
	bool		only_restarted; /* all there is to opt in is a START, of somebody never opted out */
	TimestampTz review_due_at;	/* 0 when none is open */
	char	   *flag;			/* or NULL */
	bool		reclaimed;		/* whoever has the address now has opted in since it was flagged */
	int			opens;			/* seconds of the day */
	int			closes;
	int			per_day;		/* -1 for no limit */
	int			per_week;
	TimestampTz day_reached;	/* when the last message within the limit was sent; 0: not reached */
	TimestampTz week_reached;
	bool		erased_stops;	/* what is kept of an erased person says no, and they have not come back */
	bool		erased_unknown; /* people were erased, and whether this is one of them cannot be told */
	char	   *account_zones;	/* or NULL */
	const char *not_armed;		/* why the database may not send, or NULL */
} Facts;

bool
om_kind_is_automatic(const char *kind)
{
	return strcmp(kind, "opt_out_confirmation") == 0 || strcmp(kind, "opt_in_confirmation") == 0 ||
		strcmp(kind, "help_reply") == 0;
}

static void
answer(OmGateAnswer *result, OmVerdict verdict, const char *reason, TimestampTz not_before)
{
	result->verdict = verdict;
	result->reason = reason;
	result->not_before = not_before;
}

static bool
is_opted_out(const Facts *facts)
{
	return facts->state != NULL && strcmp(facts->state, "opted_out") == 0;
}

static bool
is_opted_in(const Facts *facts)
{
	return facts->state != NULL && strcmp(facts->state, "opted_in") == 0;
}

static void
ask_address(const OmSending *sending, const Facts *facts, TimestampTz at, OmGateAnswer *result)
{
	if (strcmp(sending->channel, "email") == 0)
	{
		if (strchr(sending->address, '@') == NULL)
			answer(result, OM_BLOCK, "not an e-mail address", 0);
	}
	else if (facts->phone.kind == OM_PHONE_KIND_SHORT_CODE)
		answer(result, OM_BLOCK, "a short code is nobody to write to", 0);
	else if (facts->phone.kind != OM_PHONE_KIND_E164)
		answer(result, OM_BLOCK, "not a possible phone number", 0);
}

/*
 * The confirmation of a STOP passes while the person is still opted out: a START since then
 * has taken the STOP back, a second STOP has not.
 */
static void
ask_consent(const OmSending *sending, const Facts *facts, TimestampTz at, OmGateAnswer *result)
{
	bool		marketing = strcmp(sending->kind, "marketing") == 0;

	if (facts->folding)
		answer(result, OM_HOLD, "the consent of the person is being changed", at + FOLDING_USECS);
	else if (strcmp(sending->kind, "opt_out_confirmation") == 0)
	{
		if (!is_opted_out(facts))
			answer(result, OM_BLOCK, "no longer decides the consent", 0);
	}
	else if (strcmp(sending->kind, "opt_in_confirmation") == 0)
	{
		if (is_opted_out(facts))
			answer(result, OM_BLOCK, "no longer decides the consent", 0);
	}
	else if (strcmp(sending->kind, "help_reply") == 0)
		return;
	else if (facts->erased_unknown)
		answer(result, OM_HOLD, "whether the person had their data erased cannot be told without the key of erasures",
			   at + KEYLESS_USECS);
	else if (facts->erased_stops)
		answer(result, OM_BLOCK, "opted out or not to be written to before their data was erased", 0);
	else if (is_opted_out(facts))
	{
		if (!facts->by_category || facts->out_of_all)
			answer(result, OM_BLOCK, "opted out", 0);
	}
	else if (is_opted_in(facts))
	{
		if (facts->only_restarted)
			answer(result, OM_BLOCK, "a START of somebody who was never opted out allows conversation, not marketing", 0);
	}
	else if (marketing)
		answer(result, OM_BLOCK, "marketing needs an opt-in on record", 0);
	else if (!facts->explicit_policy)
		answer(result, OM_ALLOW, "consent is implied by the organization's policy", 0);
	else if (strcmp(sending->kind, "conversation") == 0 && facts->answers)
		answer(result, OM_ALLOW, "an answer within 24 hours to the person's own message", 0);
	else
		answer(result, OM_BLOCK, "no consent on record", 0);
}

static void
ask_scope(const OmSending *sending, const Facts *facts, TimestampTz at, OmGateAnswer *result)
{
	if (!om_kind_is_automatic(sending->kind) && is_opted_out(facts) && facts->by_category)
		answer(result, OM_BLOCK, psprintf("opted out of \"%s\"", sending->scope), 0);
}

static void
ask_provider_block(const OmSending *sending, const Facts *facts, TimestampTz at, OmGateAnswer *result)
{
	if (facts->provider_blocked)
		answer(result, OM_BLOCK, "blocked by the provider", 0);
}

static void
ask_review(const OmSending *sending, const Facts *facts, TimestampTz at, OmGateAnswer *result)
{
	if (om_kind_is_automatic(sending->kind))
		return;
	if (facts->review_due_at == 0)
		answer(result, OM_ALLOW, sending->released_at ? "released by a reviewer" : NULL, 0);
	else if (facts->review_due_at <= at)
		answer(result, OM_BLOCK, "opted out: a review is past its deadline", 0);
	else
		answer(result, OM_HOLD, "a message of theirs that may be an opt-out is under review",
			   facts->review_due_at);
}

/* Those that the server knows: a name that says nothing must not stand for a place, nor displace one */
static int
split_zones(char *list, const char **zones, int room)
{
	int			count = 0;

	while (list != NULL && count < room)
	{
		char	   *next = strchr(list, ZONE_SEPARATOR);

		if (next != NULL)
			*next++ = '\0';
		if (om_timezone(list) != NULL)
			zones[count++] = list;
		list = next;
	}
	return count;
}

static bool
is_among(const char *zone, const char **zones, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(zone, zones[i]) == 0)
			return true;
	return false;
}

/*
 * Where the person may be: where the number says, where the accounts say, and where the
 * organization is.  A number that tells its country only, and a country of many zones at that, says
 * nothing that the others do not say better; of calling code 1 such a number is toll-free or
 * fictitious, nobody's at home, and says nothing at all.  An account in one of several zones that an area leaves
 * open settles which of them it is; one in another zone contradicts the number, and both
 * hold.
 */
static int
plausible_zones(const OmSending *sending, const Facts *facts, const char **zones)
{
	OmZoneSource source;
	int			of_number = om_zone_lookup(sending->address, strlen(sending->address), zones,
										   OM_ZONE_MAX, &source);
	int			of_accounts = 0;
	bool		has_own = facts->timezone != NULL && om_timezone(facts->timezone) != NULL;
	bool		drop = source == OM_ZONE_OF_COUNTRY && has_own;

	if (source == OM_ZONE_OF_COUNTRY && strncmp(sending->address, "+1", 2) == 0)
		of_number = 0;
	if (facts->account_zones != NULL)
		of_accounts = split_zones(pstrdup(facts->account_zones), zones + of_number, MAX_ACCOUNT_ZONES);
	if (of_accounts > 0)
	{
		drop = source != OM_ZONE_UNKNOWN;
		for (int i = 0; i < of_accounts && source == OM_ZONE_OF_AREA; i++)
			drop = drop && is_among(zones[of_number + i], zones, of_number);
	}
	if (drop)
	{
		memmove(zones, zones + of_number, sizeof(char *) * of_accounts);
		of_number = 0;
	}
	if (has_own)
		zones[of_number + of_accounts++] = facts->timezone;
	return of_number + of_accounts;
}

static void
ask_quiet_hours(const OmSending *sending, const Facts *facts, TimestampTz at, OmGateAnswer *result)
{
	const char *zones[OM_ZONE_MAX + MAX_ACCOUNT_ZONES + 1];
	const char *where;
	int			count;
	int			clock;
	TimestampTz until;

	if (om_kind_is_automatic(sending->kind))
		return;
	count = plausible_zones(sending, facts, zones);
	if (count == 0)
	{
		answer(result, OM_ALLOW, "no time zone is known", 0);
		return;
	}
	until = om_quiet_until(zones, count, facts->opens, facts->closes, at, &where, &clock);
	if (where == NULL)
		return;
	where = psprintf("quiet hours: it is %02d:%02d in %s", clock / SECS_PER_HOUR,
					 clock / SECS_PER_MINUTE % MINS_PER_HOUR, where);
	if (until == 0)
		answer(result, OM_BLOCK, psprintf("%s, and it is never day in all of its possible time zones at once",
										  where), 0);
	else
		answer(result, OM_HOLD, where, until);
}

static void
ask_frequency(const OmSending *sending, const Facts *facts, TimestampTz at, OmGateAnswer *result)
{
	bool		no_more = facts->per_day == 0 || facts->per_week == 0;

	if (om_kind_is_automatic(sending->kind))
		return;
	if (strcmp(sending->kind, "conversation") == 0 && facts->answers)
		return;					/* counted, not stopped: the person wants an answer */
	if (facts->week_reached != 0 || facts->per_week == 0)
		answer(result, OM_BLOCK, psprintf("no more than %d in seven days", facts->per_week),
			   no_more ? 0 : Max(facts->week_reached + 7 * USECS_PER_DAY,
								 facts->day_reached ? facts->day_reached + USECS_PER_DAY : 0));
	else if (facts->day_reached != 0 || facts->per_day == 0)
		answer(result, OM_BLOCK, psprintf("no more than %d in 24 hours", facts->per_day),
			   no_more ? 0 : facts->day_reached + USECS_PER_DAY);
}

static void
ask_number(const OmSending *sending, const Facts *facts, TimestampTz at, OmGateAnswer *result)
{
	if (om_kind_is_automatic(sending->kind) || facts->flag == NULL)
		return;
	if (is_opted_in(facts) && facts->reclaimed)
		answer(result, OM_ALLOW, "opted in since it was flagged", 0);
	else if (strcmp(facts->flag, "wrong_number") == 0)
		answer(result, OM_BLOCK, "wrong number", 0);
	else
		answer(result, OM_BLOCK, "the number was given to somebody else", 0);
}

static void
ask_organization(const OmSending *sending, const Facts *facts, TimestampTz at, OmGateAnswer *result)
{
	if (memcmp(sending->organization_id, &om_nil_uuid, sizeof(pg_uuid_t)) == 0)
		answer(result, OM_BLOCK, "nobody owns the number", 0);
	else if (facts->paused && !om_kind_is_automatic(sending->kind))
		answer(result, OM_BLOCK, "the organization is paused", 0);
}

static void
ask_content(const OmSending *sending, const Facts *facts, TimestampTz at, OmGateAnswer *result)
{
	OmSegments	segments;

	if (sending->body == NULL)
		return;
	if (sending->body[strspn(sending->body, " \t\r\n")] == '\0')
	{
		answer(result, OM_BLOCK, "the text is empty", 0);
		return;
	}
	if (strcmp(sending->channel, "sms") != 0)
		return;
	segments = om_segment_count(sending->body, strlen(sending->body));
	if (segments.segments > MAX_SEGMENTS)
		answer(result, OM_BLOCK, psprintf("%d segments (%s); the provider takes %d",
										  (int) segments.segments, om_encoding_name(segments.encoding), MAX_SEGMENTS), 0);
	else
		answer(result, OM_ALLOW, psprintf("%d segment%s (%s)", (int) segments.segments,
										  segments.segments == 1 ? "" : "s", om_encoding_name(segments.encoding)), 0);
}

/* Of every kind, the confirmation of a STOP included: the original of this database may send it as well */
static void
ask_armed(const OmSending *sending, const Facts *facts, TimestampTz at, OmGateAnswer *result)
{
	if (facts->not_armed != NULL)
		answer(result, OM_HOLD, psprintf("the database is not armed: %s", facts->not_armed), 0);
}

static const struct
{
	const char *name;
	void		(*ask) (const OmSending *sending, const Facts *facts, TimestampTz at, OmGateAnswer *result);
	bool		passes;
}			gates[OM_GATES] = {
	[OM_GATE_ADDRESS] = {"address", ask_address, false},
	[OM_GATE_CONSENT] = {"consent", ask_consent, false},
	[OM_GATE_SCOPE] = {"scope", ask_scope, false},
	[OM_GATE_PROVIDER_BLOCK] = {"provider_block", ask_provider_block, false},
	[OM_GATE_REVIEW] = {"review", ask_review, false},
	[OM_GATE_QUIET_HOURS] = {"quiet_hours", ask_quiet_hours, false},
	[OM_GATE_FREQUENCY] = {"frequency", ask_frequency, true},
	[OM_GATE_NUMBER] = {"number", ask_number, false},
	[OM_GATE_ORGANIZATION] = {"organization", ask_organization, true},
	[OM_GATE_CONTENT] = {"content", ask_content, false},
	[OM_GATE_ARMED] = {"armed", ask_armed, false},
};

const char *
om_gate_name(OmGate gate)
{
	return gates[gate].name;
}

bool
om_gate_passes(OmGate gate)
{
	return gates[gate].passes;
}

const char *
om_verdict_name(OmVerdict verdict)
{
	static const char *const names[] = {"allow", "hold", "block"};

	return names[verdict];
}

static void
read_facts(uint64 row, Facts *facts)
{
	bool		isnull;

	facts->paused = om_field_bool(row, 2);
	facts->explicit_policy = om_field_bool(row, 3);
	facts->timezone = om_field_text(row, 4);
	facts->state = om_field_text(row, 5);
	facts->decided_at = om_field_time(row, 6, &isnull);
	facts->by_category = om_field_bool(row, 7);
	facts->out_of_all = om_field_bool(row, 8);
	facts->provider_blocked = om_field_bool(row, 9);
	facts->folding = om_field_bool(row, 10);
	facts->answers = om_field_bool(row, 11);
	facts->only_restarted = om_field_bool(row, 12);
	facts->review_due_at = om_field_time(row, 13, &isnull);
	facts->flag = om_field_text(row, 14);
	facts->reclaimed = om_field_bool(row, 15);
	facts->opens = om_field_int_or(row, 16, DEFAULT_OPENS);
	facts->closes = om_field_int_or(row, 17, DEFAULT_CLOSES);
	facts->per_day = om_field_int_or(row, 18, -1);
	facts->per_week = om_field_int_or(row, 19, -1);
	facts->day_reached = om_field_time(row, 20, &isnull);
	facts->week_reached = om_field_time(row, 21, &isnull);
	facts->erased_stops = om_field_bool(row, 22);
	facts->erased_unknown = om_field_bool(row, 23);
	facts->account_zones = om_field_text(row, 24);
}

void
om_gates_ask(OmSending **sendings, int count, TimestampTz at)
{
	static const Oid types[9] = {
		UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, UUIDOID, INT4OID, TIMESTAMPTZOID
	};
	OmColumn   *columns[9];
	OmColumn   *erased = om_column(TEXTOID, count);
	OmPhone    *phones = palloc(sizeof(OmPhone) * Max(count, 1));
	OmErasureKey key = {0};
	Datum		values[12];
	const char *not_armed;
	uint64		rows;

	if (count == 0)
		return;
	om_arm_check(&not_armed);
	if (om_erased_any())
		om_erasure_key_read(&key);
	for (int c = 0; c < 9; c++)
		columns[c] = om_column(types[c], count);
	for (int i = 0; i < count; i++)
	{
		const OmSending *sending = sendings[i];

		om_phone_parse(sending->address, strlen(sending->address), NULL, &phones[i]);
		om_column_add_uuid(columns[0], sending->organization_id);
		om_column_add_text(columns[1], sending->channel);
		om_column_add_text(columns[2], sending->address);
		om_column_add_text(columns[3], sending->kind);
		om_column_add_text(columns[4], sending->scope);
		om_column_add_text(columns[5], phones[i].region);
		om_column_add_uuid(columns[6], sending->message_id);
		om_column_add_int(columns[7], phones[i].country_code > 99 ? 3 : phones[i].country_code > 9 ? 2 : 1);
		om_column_add_time(columns[8], sending->released_at);
		om_column_add_text(erased, key.id[0] != '\0' ? om_erased_name(&key, sending->address) : NULL);
		for (int gate = 0; gate < OM_GATES; gate++)
			answer(&sendings[i]->answers[gate], OM_BLOCK, "the organization does not exist", 0);
	}
	for (int c = 0; c < 7; c++)
		values[c] = om_column_array(columns[c]);
	values[7] = TimestampTzGetDatum(at);
	values[8] = om_column_array(columns[7]);
	values[9] = om_column_array(columns[8]);
	values[10] = om_column_array(erased);
	values[11] = CStringGetTextDatum(key.id);
	sodium_memzero(&key, sizeof(key));

	rows = om_db_run_generic(&find_facts, values);
	for (uint64 row = 0; row < rows; row++)
	{
		int			n = om_field_int(row, 1) - 1;
		Facts		facts;

		facts.phone = phones[n];
		read_facts(row, &facts);
		facts.not_armed = not_armed;
		memset(sendings[n]->answers, 0, sizeof(sendings[n]->answers));
		for (int gate = 0; gate < OM_GATES; gate++)
			gates[gate].ask(sendings[n], &facts, at, &sendings[n]->answers[gate]);
	}
}

TimestampTz
om_gate_ask_again(OmGate gate, const OmGateAnswer *answer, TimestampTz now)
{
	TimestampTz soon = now + (gate == OM_GATE_REVIEW ? REVIEWED_USECS : PASSING_USECS);

	/* The worker claims nothing until the database is armed, and then it should not have to wait */
	if (gate == OM_GATE_ARMED)
		return now;
	if (answer->not_before == 0)
		return soon;
	return gate == OM_GATE_REVIEW ? Min(answer->not_before, soon) : answer->not_before;
}

const OmGateAnswer *
om_gates_decision(const OmSending *sending, OmGate *gate)
{
	const OmGateAnswer *longest = NULL;

	for (int i = 0; i < OM_GATES; i++)
	{
		const OmGateAnswer *answer = &sending->answers[i];

		if (answer->verdict == OM_BLOCK)
		{
			*gate = i;
			return answer;
		}
		if (answer->verdict == OM_HOLD && (longest == NULL || answer->not_before > longest->not_before))
		{
			*gate = i;
			longest = answer;
		}
	}
	return longest;
}
