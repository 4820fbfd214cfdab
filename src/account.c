/*
 * account.c
 *		What ingest and consent write on collection_accounts, and the trigger on it.
 *
 * The copies of the consent on accounts are for people and reports; omnimsg.consents
 * alone decides.  So nothing here waits: an account that somebody has locked, an agent
 * with an open transaction for one, is passed over and done later by the worker.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/guc.h"

#include "account.h"
#include "compat.h"
#include "core/phone.h"
#include "erased.h"
#include "ingest.h"

OM_SQL_FUNCTION(omnimsg_account_trigger);

/* A region of ISO 3166, with the terminator */
#define REGION_SIZE	3

/* True while this backend itself writes the copies, which nobody else may */
static bool copying_consent = false;

/*
 * What the requests say of the phones (of the e-mail address) of an account: false
 * while one of them is opted out, else true when one is opted in, else NULL.  One look by the whole
 * key for each address: of a table without statistics, as after a restore or while the server keeps
 * crashing, the planner would else read all consents of the organization for each account.
 */
#define CONSENT_OF(channel, addresses) \
	"(SELECT CASE WHEN bool_or(c.state = 'opted_out') THEN false\n" \
	"             WHEN bool_or(c.state = 'opted_in') THEN true END\n" \
	"   FROM unnest(ARRAY[" addresses "]) AS p(address)\n" \
	"  CROSS JOIN LATERAL (SELECT s.state FROM omnimsg.consents s\n" \
	"    WHERE s.organization_id = a.organization_id AND s.channel = '" channel "'\n" \
	"      AND s.scope = 'all' AND s.address = p.address OFFSET 0) AS c)"
#define SMS_CONSENT CONSENT_OF("sms", "a.primary_phone, a.secondary_phone")
#define EMAIL_CONSENT CONSENT_OF("email", "a.email")

/*
 * The accounts of an address.  OFFSET 0 keeps the planner from making a join of it: in a join
 * the OR cannot use the organization's part of the indexes, and it reads all accounts.
 */
#define ACCOUNTS_OF(row) \
	"SELECT b.organization_id, b.id FROM omnimsg.collection_accounts b\n" \
	" WHERE b.organization_id = " row ".organization_id\n" \
	"   AND (b.primary_phone = " row ".address OR b.secondary_phone = " row ".address\n" \
	"        OR b.email = " row ".address) OFFSET 0"

/* Returns which of them were free */
static OmStatement move_contact = {
	"WITH free AS (\n"
	"  SELECT w.n, a.organization_id, a.id, w.contact_at\n"
	"    FROM unnest($1, $2, $3) WITH ORDINALITY AS w(organization_id, id, contact_at, n)\n"
	"    JOIN omnimsg.collection_accounts a ON a.organization_id = w.organization_id AND a.id = w.id\n"
	"   ORDER BY a.organization_id, a.id FOR NO KEY UPDATE OF a SKIP LOCKED),\n"
	"moved AS (\n"
	"  UPDATE omnimsg.collection_accounts a\n"
	"     SET last_contact_at = greatest(a.last_contact_at, f.contact_at), updated_at = $4\n"
	"    FROM free f\n"
	"   WHERE a.organization_id = f.organization_id AND a.id = f.id)\n"
	"SELECT f.n FROM free f",
	4, {UUIDARRAYOID, UUIDARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZOID}, NULL
};

static OmStatement note_contact = {
	"INSERT INTO omnimsg.account_repairs (organization_id, account_id, contact_at)\n"
	"SELECT w.* FROM unnest($1, $2, $3) AS w",
	3, {UUIDARRAYOID, UUIDARRAYOID, TIMESTAMPTZARRAYOID}, NULL
};

static OmStatement copy_consent = {
	"WITH w AS (\n"
	"  SELECT DISTINCT a.organization_id, a.id\n"
	"    FROM unnest($1, $2) AS u(organization_id, address)\n"
	"   CROSS JOIN LATERAL (" ACCOUNTS_OF("u") ") AS a),\n"
	"free AS (\n"
	"  SELECT a.organization_id, a.id FROM omnimsg.collection_accounts a\n"
	"   WHERE (a.organization_id, a.id) IN (SELECT w.organization_id, w.id FROM w)\n"
	"   ORDER BY a.organization_id, a.id FOR NO KEY UPDATE OF a SKIP LOCKED),\n"
	"copied AS (\n"
	"  UPDATE omnimsg.collection_accounts a\n"
	"     SET sms_consent = " SMS_CONSENT ", email_consent = " EMAIL_CONSENT ", updated_at = $3\n"
	"    FROM free f\n"
	"   WHERE a.organization_id = f.organization_id AND a.id = f.id)\n"
	"INSERT INTO omnimsg.account_repairs (organization_id, account_id)\n"
	"SELECT w.organization_id, w.id FROM w\n"
	" WHERE NOT EXISTS (SELECT 1 FROM free f WHERE f.organization_id = w.organization_id AND f.id = w.id)",
	3, {UUIDARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID}, NULL
};

/* So much is repaired in one transaction, and then others have their turn */
#define NOTED_LIMIT "1000"
#define CHANGED_LIMIT "2000"

/* Accounts that were passed over */
static OmStatement repair_noted = {
	"WITH noted AS (\n"
	"  SELECT r.organization_id, r.id, r.account_id, r.contact_at FROM omnimsg.account_repairs r\n"
	"   LIMIT " NOTED_LIMIT " FOR UPDATE SKIP LOCKED),\n"
	"w AS (\n"
	"  SELECT n.organization_id, n.account_id, max(n.contact_at) AS contact_at\n"
	"    FROM noted n GROUP BY n.organization_id, n.account_id),\n"
	"free AS (\n"
	"  SELECT a.organization_id, a.id, w.contact_at FROM omnimsg.collection_accounts a\n"
	"    JOIN w ON w.organization_id = a.organization_id AND w.account_id = a.id\n"
	"   ORDER BY a.organization_id, a.id FOR NO KEY UPDATE OF a SKIP LOCKED),\n"
	"repaired AS (\n"
	"  UPDATE omnimsg.collection_accounts a\n"
	"     SET last_contact_at = greatest(a.last_contact_at, f.contact_at), updated_at = $1,\n"
	"         sms_consent = " SMS_CONSENT ", email_consent = " EMAIL_CONSENT "\n"
	"    FROM free f\n"
	"   WHERE a.organization_id = f.organization_id AND a.id = f.id\n"
	"  RETURNING 1),\n"
	"done AS (\n"
	"  DELETE FROM omnimsg.account_repairs r\n"
	"   WHERE (r.organization_id, r.id) IN (\n"
	"           SELECT n.organization_id, n.id FROM noted n\n"
	"            WHERE EXISTS (SELECT 1 FROM free f\n"
	"                           WHERE f.organization_id = n.organization_id AND f.id = n.account_id)\n"
	"               OR NOT EXISTS (SELECT 1 FROM omnimsg.collection_accounts a\n"
	"                               WHERE a.organization_id = n.organization_id AND a.id = n.account_id)))\n"
	"SELECT count(*), (SELECT count(*) FROM noted) FROM repaired",
	1, {TIMESTAMPTZOID}, NULL
};

/*
 * Accounts whose copies differ from the consents of a stretch of time: an import that was under way
 * while the consent changed may not have seen it.  Returns how far it came.
 */
static OmStatement repair_changed = {
	"WITH seen AS MATERIALIZED (\n"
	"  SELECT c.organization_id, c.address, c.changed_at FROM omnimsg.consents c\n"
	"   WHERE c.changed_at > $2 AND c.changed_at <= $3\n"
	"   ORDER BY c.changed_at FETCH FIRST " CHANGED_LIMIT " ROWS WITH TIES),\n"
	"w AS MATERIALIZED (\n"
	"  SELECT DISTINCT a.organization_id, a.id FROM seen s\n"
	"   CROSS JOIN LATERAL (" ACCOUNTS_OF("s") ") AS f\n"
	"    JOIN omnimsg.collection_accounts a ON a.organization_id = f.organization_id AND a.id = f.id\n"
	"   WHERE a.sms_consent IS DISTINCT FROM " SMS_CONSENT "\n"
	"      OR a.email_consent IS DISTINCT FROM " EMAIL_CONSENT "),\n"
	"free AS (\n"
	"  SELECT a.organization_id, a.id FROM omnimsg.collection_accounts a\n"
	"   WHERE (a.organization_id, a.id) IN (SELECT w.organization_id, w.id FROM w)\n"
	"   ORDER BY a.organization_id, a.id FOR NO KEY UPDATE OF a SKIP LOCKED),\n"
	"repaired AS (\n"
	"  UPDATE omnimsg.collection_accounts a\n"
	"     SET updated_at = $1, sms_consent = " SMS_CONSENT ", email_consent = " EMAIL_CONSENT "\n"
	"    FROM free f\n"
	"   WHERE a.organization_id = f.organization_id AND a.id = f.id),\n"
	"noted AS (\n"
	"  INSERT INTO omnimsg.account_repairs (organization_id, account_id)\n"
	"  SELECT w.organization_id, w.id FROM w\n"
	"   WHERE NOT EXISTS (SELECT 1 FROM free f WHERE f.organization_id = w.organization_id AND f.id = w.id))\n"
	"SELECT max(s.changed_at), count(*) FROM seen s",
	3, {TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID}, NULL
};

/* What an import said last of an address; one of a category says nothing of the rest */
static OmStatement last_import = {
	"SELECT q.request_type FROM omnimsg.opt_out_requests q\n"
	" WHERE q.organization_id = $1 AND q.channel = $2 AND q.address = $3 AND q.source = 'import'\n"
	"   AND q.scope = 'all'\n"
	" ORDER BY q.occurred_at DESC, q.id DESC LIMIT 1",
	3, {UUIDOID, TEXTOID, TEXTOID}, NULL
};

/* What is recorded of the addresses of an account, as a row for each that something is recorded of */
static OmStatement consents_of = {
	"SELECT p.channel, c.state\n"
	"  FROM unnest($2, $3) AS p(channel, address)\n"
	" CROSS JOIN LATERAL (SELECT s.state FROM omnimsg.consents s\n"
	"    WHERE s.organization_id = $1 AND s.channel = p.channel AND s.address = p.address\n"
	"      AND s.scope = 'all' OFFSET 0) AS c",
	3, {UUIDOID, TEXTARRAYOID, TEXTARRAYOID}, NULL
};

static OmStatement find_region = {
	"SELECT o.default_region FROM omnimsg.organizations o\n"
	" WHERE o.id = $1",
	1, {UUIDOID}, NULL
};

/* An account that wrote, and when */
typedef struct Contact
{
	const pg_uuid_t *organization_id;
	const pg_uuid_t *account_id;
	TimestampTz at;
} Contact;

/* The newest contact of an account comes first */
static int
compare_contacts(const void *a, const void *b)
{
	const Contact *left = a;
	const Contact *right = b;
	int			result = memcmp(left->organization_id, right->organization_id, sizeof(pg_uuid_t));

	if (result == 0)
		result = memcmp(left->account_id, right->account_id, sizeof(pg_uuid_t));
	return result != 0 ? result : (left->at < right->at) - (left->at > right->at);
}

/* The linked accounts of a batch, each once */
static int
find_contacts(const OmBatch *batch, Contact *contacts)
{
	int			count = 0;
	int			distinct = 0;

	for (int i = 0; i < batch->nevents; i++)
	{
		const OmEvent *event = batch->events[i];

		if (event->account_id != NULL && event->outcome == OM_APPLIED)
			contacts[count++] = (Contact) {&event->organization_id, event->account_id, event->occurred_at};
	}
	qsort(contacts, count, sizeof(Contact), compare_contacts);
	for (int i = 0; i < count; i++)
		if (i == 0 || memcmp(contacts[i].account_id, contacts[distinct - 1].account_id, sizeof(pg_uuid_t)) != 0 ||
			memcmp(contacts[i].organization_id, contacts[distinct - 1].organization_id, sizeof(pg_uuid_t)) != 0)
			contacts[distinct++] = contacts[i];
	return distinct;
}

static void
add_contact(OmColumn **columns, const Contact *contact)
{
	om_column_add_uuid(columns[0], contact->organization_id);
	om_column_add_uuid(columns[1], contact->account_id);
	om_column_add_time(columns[2], contact->at);
}

/* Step of ingest: move last_contact_at of the linked accounts forward */
void
om_account_contacted(OmBatch *batch)
{
	Contact    *contacts = palloc(sizeof(Contact) * Max(batch->nevents, 1));
	bool	   *moved = palloc0(sizeof(bool) * Max(batch->nevents, 1));
	int			count = find_contacts(batch, contacts);
	OmColumn   *columns[3] = {om_column(UUIDOID, count), om_column(UUIDOID, count), om_column(TIMESTAMPTZOID, count)};
	uint64		rows;

	if (count == 0)
		return;
	for (int i = 0; i < count; i++)
		add_contact(columns, &contacts[i]);
	rows = om_db_run_generic(&move_contact, (Datum[]) {om_column_array(columns[0]), om_column_array(columns[1]),
							 om_column_array(columns[2]), TimestampTzGetDatum(batch->now)});
	if (rows == (uint64) count)
		return;

	/* Somebody else has them */
	for (uint64 row = 0; row < rows; row++)
		moved[om_field_int(row, 1) - 1] = true;
	for (int c = 0; c < 3; c++)
		columns[c]->count = 0;
	for (int i = 0; i < count; i++)
		if (!moved[i])
			add_contact(columns, &contacts[i]);
	om_db_run(&note_contact, (Datum[]) {om_column_array(columns[0]), om_column_array(columns[1]),
			  om_column_array(columns[2])});
}

/* Run a statement that writes the copies, past the trigger that keeps others from it */
static uint64
run_copying(uint64 (*run) (OmStatement *statement, Datum *values), OmStatement *statement, Datum *values)
{
	uint64		rows;

	copying_consent = true;
	PG_TRY();
	{
		rows = run(statement, values);
	}
	PG_FINALLY();
	{
		copying_consent = false;
	}
	PG_END_TRY();
	return rows;
}

void
om_account_copy_consent(OmColumn *organization_ids, OmColumn *addresses, TimestampTz now)
{
	if (addresses->count > 0)
		run_copying(om_db_run_generic, &copy_consent, (Datum[]) {om_column_array(organization_ids),
					om_column_array(addresses), TimestampTzGetDatum(now)});
}

/*
 * Go through the consents that changed since *upto, a stretch of them, up to the given time.
 * *upto moves to where the next call goes on.  True when there is more of it.
 */
static bool
repair_stretch(TimestampTz *upto, TimestampTz until, TimestampTz now)
{
	TimestampTz reached;
	bool		isnull;

	run_copying(om_db_run, &repair_changed, (Datum[]) {TimestampTzGetDatum(now), TimestampTzGetDatum(*upto),
				TimestampTzGetDatum(until)});
	reached = om_field_time(0, 1, &isnull);
	*upto = isnull ? Max(*upto, until) : reached;
	return om_field_int(0, 2) >= atoi(CHANGED_LIMIT);
}

bool
om_account_repair(TimestampTz now)
{
	/* Each change is looked at soon, and once more when even a slow import should be over */
	static TimestampTz first_look = 0;
	static TimestampTz second_look = 0;
	bool		more;

	if (first_look == 0)
		first_look = second_look = now - USECS_PER_HOUR;
	run_copying(om_db_run, &repair_noted, (Datum[]) {TimestampTzGetDatum(now)});

	/* Those that are still locked are not worth coming back for at once */
	more = om_field_int(0, 1) > 0 && om_field_int(0, 2) >= atoi(NOTED_LIMIT);
	more |= repair_stretch(&first_look, now - 10 * USECS_PER_SEC, now);
	more |= repair_stretch(&second_look, now - 15 * USECS_PER_MINUTE, now);
	return more;
}

/* One row of the trigger, by column number */
typedef struct Row
{
	TupleDesc	desc;
	Datum	   *values;
	bool	   *nulls;
} Row;

static int
column_of(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped &&
			strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of omnimsg.collection_accounts does not exist", name)));
}

/* A number that cannot be one is kept as it was given: an import must not lose it */
static void
normalize_phone_column(Row *row, const char *name, const char *region)
{
	int			column = column_of(row->desc, name);
	text	   *raw;
	OmPhone		phone;

	if (row->nulls[column])
		return;
	raw = DatumGetTextPP(row->values[column]);
	om_phone_parse(VARDATA_ANY(raw), VARSIZE_ANY_EXHDR(raw), region, &phone);
	if (phone.kind == OM_PHONE_KIND_E164)
		row->values[column] = CStringGetTextDatum(phone.e164);
}

static void
lower_email_column(Row *row)
{
	int			column = column_of(row->desc, "email");

	if (!row->nulls[column])
	{
		char	   *email = TextDatumGetCString(row->values[column]);

		for (char *p = email; *p; p++)
			*p = pg_tolower((unsigned char) *p);
		row->values[column] = CStringGetTextDatum(email);
	}
}

/* The addresses of the row in columns named so, each once, as an array of text */
static OmColumn *
addresses_of(Row *row, const char *first, const char *second)
{
	OmColumn   *addresses = om_column(TEXTOID, 2);
	int			column = column_of(row->desc, first);

	if (!row->nulls[column])
		om_column_add(addresses, row->values[column], false);
	if (second != NULL)
	{
		column = column_of(row->desc, second);
		if (!row->nulls[column] &&
			(addresses->count == 0 ||
			 strcmp(TextDatumGetCString(addresses->values[0]),
					TextDatumGetCString(row->values[column])) != 0))
			om_column_add(addresses, row->values[column], false);
	}
	return addresses;
}

/*
 * Record a value that an import brought.  One that says what the last import said of the
 * address is none: a nightly upsert would add a request a night, and undo what
 * the person asked for since.
 */
static void
record_import(Datum organization_id, Datum account_id, const char *channel, OmColumn *addresses,
			  bool consents)
{
	OmRequest **requests = palloc(sizeof(OmRequest *) * Max(addresses->count, 1));
	const char *request_type = consents ? "opt_in" : "opt_out";
	TimestampTz now = GetCurrentTimestamp();
	OmAudit    *audit;
	int			count = 0;

	for (int i = 0; i < addresses->count; i++)
	{
		OmRequest  *request;

		if (om_db_run(&last_import, (Datum[]) {organization_id, CStringGetTextDatum(channel),
					  addresses->values[i]}) > 0 &&
			strcmp(om_field_text(0, 1), request_type) == 0)
			continue;
		request = palloc0(sizeof(OmRequest));
		request->organization_id = *DatumGetUUIDP(organization_id);
		request->channel = channel;
		request->address = TextDatumGetCString(addresses->values[i]);
		request->account_id = DatumGetUUIDP(account_id);
		request->request_type = request_type;
		request->scope = "all";
		request->source = "import";
		request->occurred_at = now;
		requests[count++] = request;
	}
	if (count == 0)
		return;

	om_consent_record(requests, count, now, 0);
	audit = om_audit_begin(now, om_audit_role());
	for (int i = 0; i < count; i++)
		om_audit_add(audit, &requests[i]->organization_id, "CONSENT_RECORDED", "opt_out_request",
					 &requests[i]->id,
					 om_audit_json("opted_out", requests[i]->was_opted_out ? "yes" : "no", NULL),
					 om_audit_json("channel", channel, "request_type", request_type, "source", "import",
								   "decides", requests[i]->decides ? "yes" : "no", NULL));
	om_audit_write(audit);
}

/* An account of somebody whose data was erased brings the opt-out back that was kept without their address */
static void
bring_back(Datum organization_id, const char *channel, OmColumn *addresses)
{
	OmColumn   *organization_ids = om_column(UUIDOID, addresses->count);
	OmColumn   *channels = om_column(TEXTOID, addresses->count);
	TimestampTz now = GetCurrentTimestamp();

	if (addresses->count == 0 || !om_erased_any())
		return;
	for (int i = 0; i < addresses->count; i++)
	{
		om_column_add(organization_ids, organization_id, false);
		om_column_add_text(channels, channel);
	}
	om_consent_lock(organization_ids, channels, addresses, now);
	om_erased_recall(organization_ids, addresses, now);
}

/* Record a value that an INSERT brought */
static void
take_import(Row *row, const char *name, const char *channel, OmColumn *addresses)
{
	int			column = column_of(row->desc, name);

	if (!row->nulls[column])
		record_import(row->values[column_of(row->desc, "organization_id")], row->values[column_of(row->desc, "id")], channel,
					  addresses, DatumGetBool(row->values[column]));
}

/* A state of one of the addresses: an opt-out stands whatever the others say */
static void
add_state(Row *row, const char *name, const char *state)
{
	int			column = column_of(row->desc, name);
	bool		out = strcmp(state, "opted_out") == 0;

	if (out || row->nulls[column])
		row->values[column] = BoolGetDatum(!out);
	row->nulls[column] = false;
}

/* Set the copies to what omnimsg.consents says of the addresses */
static void
copy_states(Row *row, OmColumn *phones, OmColumn *emails)
{
	OmColumn   *channels = om_column(TEXTOID, 3);
	OmColumn   *addresses = om_column(TEXTOID, 3);
	uint64		rows = 0;

	for (int i = 0; i < phones->count + emails->count; i++)
	{
		om_column_add_text(channels, i < phones->count ? "sms" : "email");
		om_column_add(addresses, i < phones->count ? phones->values[i] : emails->values[i - phones->count], false);
	}
	row->nulls[column_of(row->desc, "sms_consent")] = row->nulls[column_of(row->desc, "email_consent")] = true;
	if (addresses->count > 0)
		rows = om_db_run_generic(&consents_of, (Datum[]) {row->values[column_of(row->desc, "organization_id")],
								 om_column_array(channels), om_column_array(addresses)});
	for (uint64 i = 0; i < rows; i++)
	{
		char	   *state = om_field_text(i, 2);

		if (state != NULL)
			add_state(row, strcmp(om_field_text(i, 1), "sms") == 0 ? "sms_consent" : "email_consent", state);
	}
}

static bool
column_changed(Row *row, HeapTuple old, const char *name)
{
	int			column = column_of(row->desc, name);
	bool		isnull;
	Datum		value = heap_getattr(old, column + 1, row->desc, &isnull);
	Form_pg_attribute attribute = TupleDescAttr(row->desc, column);

	if (isnull != row->nulls[column])
		return true;
	return !isnull && !datumIsEqual(value, row->values[column], attribute->attbyval, attribute->attlen);
}

static void
refuse_direct_write(Row *row, HeapTuple old, const char *name)
{
	if (column_changed(row, old, name))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("column \"%s\" cannot be changed directly", name),
				 errdetail("It is a copy of what the requests of the person's addresses add up to."),
				 errhint("Record a request with omnimsg_record_consent().")));
}

/* A restore runs as the owner of the table or as superuser; for others the setting changes nothing */
static bool
may_restore(Relation relation)
{
	Oid			user = GetOuterUserId();

	return superuser_arg(user) || has_privs_of_role(user, relation->rd_rel->relowner);
}

/*
 * The region that the organization's national numbers are read in.  It is asked for once in a statement, which may load
 * a million rows: the number of the command changes with whatever this transaction writes.
 */
static const char *
region_of(const pg_uuid_t *organization_id)
{
	static struct
	{
		LocalTransactionId transaction;
		CommandId	command;
		pg_uuid_t	organization_id;
		char		region[REGION_SIZE];
	}			known[256];
	int			slot = organization_id->data[UUID_LEN - 1];
	CommandId	command = GetCurrentCommandId(false);

	if (known[slot].transaction != MyProc->lxid || known[slot].command != command ||
		memcmp(&known[slot].organization_id, organization_id, sizeof(pg_uuid_t)) != 0)
	{
		if (om_db_run_generic(&find_region, (Datum[]) {UUIDPGetDatum(organization_id)}) == 0)
			return NULL;		/* the foreign key will say so */
		strlcpy(known[slot].region, om_field_text(0, 1), REGION_SIZE);
		known[slot].organization_id = *organization_id;
		known[slot].command = command;
		known[slot].transaction = MyProc->lxid;
	}
	return known[slot].region;
}

/*
 * omnimsg.account_trigger() returns trigger
 *
 * BEFORE INSERT OR UPDATE OF the phones, the e-mail address and the copies, for each row.
 */
Datum
omnimsg_account_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	bool		inserted;
	HeapTuple	tuple;
	HeapTuple	result;
	Row			row;
	const char *region;
	Datum		organization_id;
	OmColumn   *phones;
	OmColumn   *emails;
	MemoryContext context = CurrentMemoryContext;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("omnimsg.account_trigger() must be called BEFORE, FOR EACH ROW")));

	/* It trusts the columns and runs with the rights of its owner: on this table only */
	if (RelationGetRelid(data->tg_relation) !=
		get_relname_relid("collection_accounts", get_namespace_oid("omnimsg", true)))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("omnimsg.account_trigger() is for omnimsg.collection_accounts only")));
	inserted = TRIGGER_FIRED_BY_INSERT(data->tg_event);
	tuple = inserted ? data->tg_trigtuple : data->tg_newtuple;

	/*
	 * pg_dump and pg_restore begin with row_security = off, and nothing else
	 * does.  A restore brings back what was; to record it once more as an import would
	 * change it.
	 */
	if (copying_consent || (!row_security && may_restore(data->tg_relation)))
		return PointerGetDatum(tuple);

	row.desc = RelationGetDescr(data->tg_relation);
	row.values = palloc(sizeof(Datum) * row.desc->natts);
	row.nulls = palloc(sizeof(bool) * row.desc->natts);
	heap_deform_tuple(tuple, row.desc, row.values, row.nulls);
	if (row.nulls[column_of(row.desc, "organization_id")] || row.nulls[column_of(row.desc, "id")])
		return PointerGetDatum(tuple);	/* their NOT NULL will say so */
	if (!inserted)
	{
		refuse_direct_write(&row, data->tg_trigtuple, "sms_consent");
		refuse_direct_write(&row, data->tg_trigtuple, "email_consent");
	}

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");

	organization_id = row.values[column_of(row.desc, "organization_id")];
	region = region_of(DatumGetUUIDP(organization_id));
	normalize_phone_column(&row, "primary_phone", region);
	normalize_phone_column(&row, "secondary_phone", region);
	lower_email_column(&row);
	phones = addresses_of(&row, "primary_phone", "secondary_phone");
	emails = addresses_of(&row, "email", NULL);
	bring_back(organization_id, "sms", phones);
	bring_back(organization_id, "email", emails);
	if (inserted)
	{
		take_import(&row, "sms_consent", "sms", phones);
		take_import(&row, "email_consent", "email", emails);
	}
	copy_states(&row, phones, emails);

	/* The new row outlives SPI */
	MemoryContextSwitchTo(context);
	result = heap_form_tuple(row.desc, row.values, row.nulls);
	SPI_finish();
	return PointerGetDatum(result);
}
