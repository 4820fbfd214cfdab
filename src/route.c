/*
 * route.c
 *		Where an event belongs: our number to organizations, a status to its message.
 *
 * Only looks; nothing is locked here.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lock.h"

#include "compat.h"
#include "ingest.h"
#include "key.h"

/* The organizations of a number, the primary one first */
static OmStatement find_owners = {
	"SELECT w.n, p.organization_id, p.reply_mode, k.label, k.language,\n"
	"  cardinality(o.key_fingerprints) > 0, w.key_id = ANY (o.key_fingerprints), y.public_key\n"
	"  FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS w(provider, number, key, key_id, n)\n"
	"  JOIN omnimsg.inbound_phone_numbers p\n"
	"    ON p.phone_number = w.number AND p.provider = w.provider\n"
	"  LEFT JOIN omnimsg.keywords k\n"
	"    ON k.organization_id = p.organization_id AND k.key = w.key\n"
	"  LEFT JOIN omnimsg.provider_accounts o ON o.id = p.provider_account_id\n"
	"  LEFT JOIN omnimsg.provider_keys y ON y.provider_account_id = o.id AND y.fingerprint = w.key_id\n"
	" ORDER BY w.n, p.is_primary DESC, p.organization_id",
	4, {TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID}, NULL
};

/* Which organizations know a person: asked where a number is shared */
static OmStatement find_knowing = {
	"SELECT w.n FROM unnest($1, $2) WITH ORDINALITY AS w(organization_id, peer, n)\n"
	" WHERE EXISTS (\n"
	"         SELECT 1 FROM omnimsg.collection_accounts a\n"
	"          WHERE a.organization_id = w.organization_id\n"
	"            AND (a.primary_phone = w.peer OR a.secondary_phone = w.peer) OFFSET 0)",
	2, {UUIDARRAYOID, TEXTARRAYOID}, NULL
};

/* An outbound message by the provider's id, among the organizations of the number it left from */
static OmStatement find_messages = {
	"SELECT w.n, m.organization_id, m.id, m.created_at, m.status, m.to_number, m.from_number,\n"
	"       coalesce(m.sent_at, m.created_at)\n"
	"  FROM unnest($1, $2, $3) WITH ORDINALITY AS w(organization_id, external_id, provider, n)\n"
	"  JOIN omnimsg.messages m\n"
	"    ON m.organization_id = w.organization_id AND m.external_message_id = w.external_id\n"
	"   AND m.direction = 'outbound' AND m.provider = w.provider",
	3, {UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID}, NULL
};

/*
 * The same by the token of the attempt, of those that the provider's id leads nowhere: the answer with the
 * id was lost, or is still under way.  An attempt that was never made is nobody's.
 */
static OmStatement find_attempts = {
	"SELECT w.n, m.organization_id, m.id, m.created_at, m.status, m.to_number, m.from_number,\n"
	"       coalesce(m.sent_at, m.created_at)\n"
	"  FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS w(organization_id, id, attempt, provider, n)\n"
	"  JOIN omnimsg.outbox o\n"
	"    ON o.organization_id = w.organization_id AND o.id = w.id AND o.attempts >= w.attempt\n"
	"  JOIN omnimsg.messages m\n"
	"    ON m.organization_id = o.organization_id AND m.id = o.message_id AND m.created_at = o.created_at\n"
	"   AND m.provider = w.provider",
	4, {UUIDARRAYOID, UUIDARRAYOID, INT4ARRAYOID, TEXTARRAYOID}, NULL
};

/*
 * Which of what an account's list told is of a number that it may not speak for: one that has accounts, and none of
 * them is this one or has its key
 */
static OmStatement find_foreign = {
	"SELECT w.n FROM unnest($1, $2) WITH ORDINALITY AS w(account_id, number, n)\n"
	" WHERE EXISTS (\n"
	"         SELECT 1 FROM omnimsg.inbound_phone_numbers p\n"
	"          WHERE p.phone_number = w.number AND p.provider_account_id IS NOT NULL)\n"
	"   AND NOT EXISTS (\n"
	"         SELECT 1 FROM omnimsg.provider_accounts a\n"
	"           JOIN omnimsg.provider_accounts same\n"
	"             ON same.provider = a.provider AND (same.id = a.id OR same.secret_name = a.secret_name)\n"
	"           JOIN omnimsg.inbound_phone_numbers p ON p.provider_account_id = same.id\n"
	"          WHERE a.id = w.account_id AND p.phone_number = w.number)",
	2, {UUIDARRAYOID, TEXTARRAYOID}, NULL
};

static bool
is_routed(const OmEvent *event)
{
	return event->kind == OM_EVENT_RECEIVED || event->kind == OM_EVENT_STATUS;
}

/*
 * The one that stores and answers: on a shared number the organization that alone
 * knows the sender, else the primary one.  It goes to the front of the list.
 */
static void
choose_owner(OmEvent *event)
{
	int			chosen = 0;
	int			knowing = 0;
	OmOwner		owner;

	for (int i = 0; i < event->nowners; i++)
		if (event->owners[i].knows)
		{
			knowing++;
			chosen = i;
		}
	if (knowing != 1)
		chosen = 0;

	owner = event->owners[chosen];
	event->owners[chosen] = event->owners[0];
	event->owners[0] = owner;
	event->organization_id = owner.organization_id;
	event->reply_mode = owner.reply_mode;
}

/* The form of a whole message under which an organization may have it as a keyword, or NULL */
static char *
keyword_key(const OmEvent *event)
{
	char		key[OM_KEYWORD_SIZE];

	if (event->kind != OM_EVENT_RECEIVED || event->text == NULL ||
		om_intent_keyword(event->text, strlen(event->text), key, sizeof(key)) == 0)
		return NULL;
	return pstrdup(key);
}

/*
 * An organization's own word counts like a built-in one, but never makes less of what may be an
 * opt-out by the built-in ones.  On a shared number an opt-out of any of them is one for all, as
 * STOP is; their other words are heard by the one that stores the message, and by no other.
 */
static void
apply_keyword(OmEvent *event, const char *key)
{
	OmIntent   *intent = &event->intent;
	const OmOwner *owner = &event->owners[0];

	for (int i = 0; i < event->nowners; i++)
		if (event->owners[i].keyword_label != NULL &&
			strcmp(event->owners[i].keyword_label, "opt_out") == 0)
		{
			owner = &event->owners[i];
			break;
		}
	if (owner->keyword_label == NULL || intent->label == OM_INTENT_OPT_OUT)
		return;
	if (strcmp(owner->keyword_label, "opt_out") == 0)
		intent->label = OM_INTENT_OPT_OUT;
	else if (intent->label == OM_INTENT_MAYBE_OPT_OUT)
		return;
	else
	{
		event->for_first_owner = intent->label != OM_INTENT_OPT_IN;
		intent->label = strcmp(owner->keyword_label, "opt_in") == 0 ? OM_INTENT_OPT_IN : OM_INTENT_HELP;
	}
	intent->confidence = 1.0;
	intent->rule = psprintf("organization:%s", key);
	intent->language = owner->keyword_language;
	intent->channel = "all";
	intent->span_start = 0;
	intent->span_end = strlen(event->text);
}

/* What the accounts of a number say of the key that a delivery for it was verified by */
typedef struct KeyCheck
{
	bool		registered;		/* one of them has keys */
	bool		ours;			/* and it is one of these */
	bytea	   *public_key;		/* as it is registered, or NULL */
} KeyCheck;

/* On a shared number any of the accounts will do that has keys; one that has none opens it to nobody */
static void
add_to_check(KeyCheck *check, uint64 row)
{
	bool		isnull;
	Datum		key;

	check->registered |= om_field_bool(row, 6);
	if (!om_field_bool(row, 7))
		return;
	check->ours = true;
	key = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 8, &isnull);
	if (!isnull)
		check->public_key = DatumGetByteaPP(key);
}

/*
 * A key reaches the numbers of its own account only.  Where the key itself is registered, the signature is verified
 * again: whoever has the relay cannot make up deliveries.  What did not come by the relay has been fetched by the worker, or
 * was looked at when it did.
 */
static const char *
why_refused(const OmDelivery *delivery, const KeyCheck *check)
{
	if (delivery->account_id != NULL || delivery->checked || !check->registered)
		return NULL;
	if (!check->ours)
		return "wrong key";
	if (check->public_key != NULL &&
		!om_key_verifies(delivery, (const uint8 *) VARDATA_ANY(check->public_key), VARSIZE_ANY_EXHDR(check->public_key)))
		return "bad signature";
	return NULL;
}

/* Kept for people, under a key that no event has, so that it does not stand in the way of the event itself */
static void
refuse(OmEvent *event, const char *prefix, const char *reason)
{
	event->kind = OM_EVENT_BROKEN;
	event->outcome = OM_DEAD;
	event->reason = event->refused = reason;
	event->nowners = 0;
	event->dedupe_key = event->delivery->letter_key ? event->delivery->letter_key :
		psprintf("%s:%s", prefix, event->dedupe_key);
}

/* Which of the organizations that share a number have an account of the person */
static void
ask_who_knows(OmEvent **events, int count)
{
	OmColumn   *organizations = om_column(UUIDOID, 4);
	OmColumn   *peers = om_column(TEXTOID, 4);
	OmOwner   **owners = NULL;
	int			sharing = 0;
	uint64		rows;

	for (int i = 0; i < count; i++)
		if (events[i]->nowners > 1)
			sharing += events[i]->nowners;
	if (sharing == 0)
		return;
	owners = palloc(sizeof(OmOwner *) * sharing);
	for (int i = 0; i < count; i++)
		for (int o = 0; events[i]->nowners > 1 && o < events[i]->nowners; o++)
		{
			owners[organizations->count] = &events[i]->owners[o];
			om_column_add_uuid(organizations, &events[i]->owners[o].organization_id);
			om_column_add_text(peers, events[i]->kind == OM_EVENT_RECEIVED ? events[i]->from : events[i]->to);
		}
	rows = om_db_run_generic(&find_knowing, (Datum[]) {om_column_array(organizations), om_column_array(peers)});
	for (uint64 row = 0; row < rows; row++)
		owners[om_field_int(row, 1) - 1]->knows = true;
}

static void
route_numbers(OmBatch *batch)
{
	OmColumn   *providers = om_column(TEXTOID, batch->nevents);
	OmColumn   *numbers = om_column(TEXTOID, batch->nevents);
	OmColumn   *keys = om_column(TEXTOID, batch->nevents);
	OmColumn   *key_ids = om_column(TEXTOID, batch->nevents);
	char	  **key = palloc(sizeof(char *) * Max(batch->nevents, 1));
	OmEvent   **asked = palloc(sizeof(OmEvent *) * Max(batch->nevents, 1));
	uint64		rows;

	for (int i = 0; i < batch->nevents; i++)
	{
		OmEvent    *event = batch->events[i];
		bool		received = event->kind == OM_EVENT_RECEIVED;

		if (!is_routed(event))
			continue;
		asked[numbers->count] = event;
		key[numbers->count] = keyword_key(event);
		om_column_add_text(keys, key[numbers->count]);
		om_column_add_text(key_ids, event->delivery->key_id);
		om_column_add_text(providers, event->delivery->provider);
		om_column_add_text(numbers, received ? event->to : event->from);
	}
	if (numbers->count == 0)
		return;

	rows = om_db_run_generic(&find_owners, (Datum[]) {om_column_array(providers),
							 om_column_array(numbers), om_column_array(keys), om_column_array(key_ids)});

	for (uint64 row = 0; row < rows;)
	{
		int64		n = om_field_int(row, 1);
		OmEvent    *event = asked[n - 1];
		KeyCheck	check = {0};
		const char *refused;
		uint64		last = row;

		while (last < rows && om_field_int(last, 1) == n)
			last++;
		event->owners = palloc(sizeof(OmOwner) * (last - row));
		for (event->nowners = 0; row < last; row++, event->nowners++)
		{
			event->owners[event->nowners].organization_id = *om_field_uuid(row, 2);
			event->owners[event->nowners].reply_mode = om_field_text(row, 3);
			event->owners[event->nowners].knows = false;
			event->owners[event->nowners].keyword_label = om_field_text(row, 4);
			event->owners[event->nowners].keyword_language = om_field_text(row, 5);
			add_to_check(&check, row);
		}
		if ((refused = why_refused(event->delivery, &check)) != NULL)
			refuse(event, "refused", refused);
	}
	ask_who_knows(asked, numbers->count);
	for (int i = 0; i < numbers->count; i++)
		if (asked[i]->nowners > 0)
		{
			choose_owner(asked[i]);
			apply_keyword(asked[i], key[i]);
		}

	/* Nobody owns the number: 'unassigned' keeps it */
	for (int i = 0; i < numbers->count; i++)
		if (asked[i]->nowners == 0 && asked[i]->refused == NULL)
		{
			asked[i]->owners = palloc0(sizeof(OmOwner));
			asked[i]->owners[0].organization_id = om_nil_uuid;
			asked[i]->organization_id = om_nil_uuid;
			asked[i]->nowners = 1;
		}
}

/* Row number row of find_messages or find_attempts is the message of an event */
static void
found_message(OmEvent *event, uint64 row)
{
	bool		isnull;

	event->organization_id = *om_field_uuid(row, 2);
	event->message_id = *om_field_uuid(row, 3);
	event->message_created_at = om_field_time(row, 4, &isnull);
	event->message_left_at = om_field_time(row, 8, &isnull);
	event->message_status = om_field_text(row, 5);
	event->message_peer = om_field_text(row, 6);
	event->message_ours = om_field_text(row, 7);
	event->has_message = true;
	event->outcome = OM_APPLIED;
	event->reason = NULL;
	if (event->status == NULL)
		event->reason = "unknown status, kept with the message";
}

static void
route_by_id(OmBatch *batch)
{
	OmColumn   *organizations = om_column(UUIDOID, batch->nevents);
	OmColumn   *external_ids = om_column(TEXTOID, batch->nevents);
	OmColumn   *providers = om_column(TEXTOID, batch->nevents);
	OmColumn   *asked = om_column(INT4OID, batch->nevents);
	uint64		rows;

	for (int i = 0; i < batch->nevents; i++)
	{
		OmEvent    *event = batch->events[i];

		if (event->kind != OM_EVENT_STATUS)
			continue;
		event->outcome = OM_PENDING;
		event->reason = "waits for its message";
		for (int o = 0; o < event->nowners; o++)
		{
			om_column_add_uuid(organizations, &event->owners[o].organization_id);
			om_column_add_text(external_ids, event->external_id);
			om_column_add_text(providers, event->delivery->provider);
			om_column_add_int(asked, i);
		}
	}
	if (asked->count == 0)
		return;

	rows = om_db_run_generic(&find_messages, (Datum[]) {om_column_array(organizations),
					 om_column_array(external_ids), om_column_array(providers)});
	for (uint64 row = 0; row < rows; row++)
		found_message(batch->events[DatumGetInt32(asked->values[om_field_int(row, 1) - 1])], row);
}

/* The organization must be one of those whose number it left from: a token alone opens nothing */
static void
route_by_token(OmBatch *batch)
{
	OmColumn   *organizations = om_column(UUIDOID, batch->nevents);
	OmColumn   *ids = om_column(UUIDOID, batch->nevents);
	OmColumn   *attempts = om_column(INT4OID, batch->nevents);
	OmColumn   *providers = om_column(TEXTOID, batch->nevents);
	OmColumn   *asked = om_column(INT4OID, batch->nevents);
	uint64		rows;

	for (int i = 0; i < batch->nevents; i++)
	{
		OmEvent    *event = batch->events[i];

		if (event->kind != OM_EVENT_STATUS || event->outcome != OM_PENDING || !event->has_token)
			continue;
		for (int o = 0; o < event->nowners; o++)
		{
			om_column_add_uuid(organizations, &event->owners[o].organization_id);
			om_column_add_uuid(ids, (const pg_uuid_t *) event->token.id);
			om_column_add_int(attempts, event->token.attempt);
			om_column_add_text(providers, event->delivery->provider);
			om_column_add_int(asked, i);
		}
	}
	if (asked->count == 0)
		return;

	rows = om_db_run_generic(&find_attempts, (Datum[]) {om_column_array(organizations), om_column_array(ids),
					 om_column_array(attempts), om_column_array(providers)});
	for (uint64 row = 0; row < rows; row++)
	{
		OmEvent    *event = batch->events[DatumGetInt32(asked->values[om_field_int(row, 1) - 1])];

		found_message(event, row);
		event->by_token = true;
	}
}

/*
 * Advisory locks that SQL cannot take: its functions make those of the classes 1 (one key) and 2 (two keys) only.
 * Else any role that may connect could hold up the webhooks of a number.
 */
#define NUMBER_LOCK_CLASS	0x6F6D	/* "om" */

static Datum
number_lock_key(const char *number)
{
	return hash_any((const unsigned char *) number, strlen(number));
}

static void
lock_key(Datum key, LOCKMODE mode)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, DatumGetUInt32(key), NUMBER_LOCK_CLASS);
	(void) LockAcquire(&tag, mode, false, false);
}

void
om_number_lock(const char *number)
{
	lock_key(number_lock_key(number), ExclusiveLock);
}

static int
compare_keys(const void *a, const void *b)
{
	int32		left = DatumGetInt32(*(const Datum *) a);
	int32		right = DatumGetInt32(*(const Datum *) b);

	return (left > right) - (left < right);
}

/*
 * Our numbers must not change hands between the look-up of their owners and the commit: what is
 * recorded for the old owner would never reach the new one.
 */
static void
lock_numbers(OmBatch *batch)
{
	Datum	   *keys = palloc(sizeof(Datum) * Max(batch->nevents, 1));
	int			count = 0;

	for (int i = 0; i < batch->nevents; i++)
		if (batch->events[i]->kind == OM_EVENT_RECEIVED && batch->events[i]->to != NULL)
			keys[count++] = number_lock_key(batch->events[i]->to);
	qsort(keys, count, sizeof(Datum), compare_keys);
	for (int i = 0; i < count; i++)
		if (i == 0 || DatumGetInt32(keys[i]) != DatumGetInt32(keys[i - 1]))
			lock_key(keys[i], ShareLock);
}

/*
 * Whoever can write an account's list must not write into what belongs to other accounts, and not by a replay either.
 */
static void
refuse_foreign(OmBatch *batch)
{
	OmColumn   *accounts = om_column(UUIDOID, batch->nevents);
	OmColumn   *numbers = om_column(TEXTOID, batch->nevents);
	OmEvent   **asked = palloc(sizeof(OmEvent *) * Max(batch->nevents, 1));
	uint64		rows;

	for (int i = 0; i < batch->nevents; i++)
	{
		OmEvent    *event = batch->events[i];

		if (!is_routed(event) || event->delivery->account_id == NULL)
			continue;
		asked[accounts->count] = event;
		om_column_add_uuid(accounts, event->delivery->account_id);
		om_column_add_text(numbers, event->kind == OM_EVENT_RECEIVED ? event->to : event->from);
	}
	if (accounts->count == 0)
		return;
	rows = om_db_run(&find_foreign, (Datum[]) {om_column_array(accounts), om_column_array(numbers)});
	for (uint64 row = 0; row < rows; row++)
		refuse(asked[om_field_int(row, 1) - 1], "foreign", "its number belongs to another provider account");
}

void
om_route(OmBatch *batch)
{
	lock_numbers(batch);
	refuse_foreign(batch);
	route_numbers(batch);
	route_by_id(batch);
	route_by_token(batch);

	for (int i = 0; i < batch->nevents; i++)
		if (batch->events[i]->kind == OM_EVENT_RECEIVED)
		{
			om_uuid7(&batch->events[i]->message_id);
			batch->events[i]->has_message = true;
		}
}
