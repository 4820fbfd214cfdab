/*
 * view.c
 *		Texts of messages for people to read: each one that is shown is put on record.
 *
 * The row of the audit trail is of the transaction that reads, and goes with it if that is rolled back, when somebody
 * has read the text all the same.  Then the log of the server says who has read what.  A prepared transaction may be
 * rolled back when nobody knows any more, so there is none that has read texts.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "audit.h"
#include "compat.h"
#include "ingest.h"
#include "tenant.h"
#include "view.h"

OM_SQL_FUNCTION(omnimsg_read_message);
OM_SQL_FUNCTION(omnimsg_read_conversation);

#define MAX_COUNT	1000

#define TEXT_COLUMNS(account) \
	"m.id, m.created_at, m.direction, m.channel, m.our_address, " account ", m.status, m.subject, m.message_body, m.media"

/* On a number that organizations share one of them has the message, and each that is to review it may read it */
static OmStatement find_message = {
	"SELECT " TEXT_COLUMNS("CASE m.organization_id WHEN $1 THEN m.account_id END") " FROM omnimsg.messages m\n"
	" WHERE m.id = $2 AND m.organization_id = ANY ($1 || ARRAY(\n"
	"    SELECT v.message_organization_id FROM omnimsg.reviews v WHERE v.organization_id = $1 AND v.message_id = $2))",
	2, {UUIDOID, UUIDOID}, NULL
};

static OmStatement find_conversation = {
	"SELECT " TEXT_COLUMNS("m.account_id") " FROM omnimsg.messages m\n"
	" WHERE m.organization_id = $1 AND m.peer_address = $2 AND m.created_at < $3\n"
	" ORDER BY m.created_at DESC, m.id DESC LIMIT $4",
	4, {UUIDOID, TEXTOID, TIMESTAMPTZOID, INT4OID}, NULL
};

/* Messages that are named in the log; of more it says how many */
#define MAX_NAMED	10

/* What one actor was shown of one organization, in a subtransaction that may take its rows of the audit trail back */
typedef struct Shown
{
	struct Shown *next;
	SubTransactionId subtransaction;
	pg_uuid_t	organization_id;
	char	   *actor;
	int			texts;
	int			exports;
	pg_uuid_t	named[MAX_NAMED];	/* the first of the texts */
} Shown;

/* Of this transaction, the latest first; in its memory */
static Shown *shown = NULL;

/* No catalog can be asked any more */
static void
tell_of_rollback(const Shown *entry)
{
	StringInfoData ids;

	initStringInfo(&ids);
	for (int i = 0; i < Min(entry->texts, MAX_NAMED); i++)
		appendStringInfo(&ids, "%s%s", i ? ", " : "", DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&entry->named[i]))));
	if (entry->texts > MAX_NAMED)
		appendStringInfo(&ids, " and %d more", entry->texts - MAX_NAMED);
	ereport(LOG,
			(errmsg("omnimsg: %s was shown %d message texts and %d exports of organization %s in a transaction that was rolled back; messages: %s",
					entry->actor, entry->texts, entry->exports,
					DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&entry->organization_id))),
					entry->texts ? ids.data : "none"),
			 errdetail("The audit trail does not have it."),
			 errhidestmt(true)));
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			/* rolled back later, by whatever session, it would leave nothing */
			if (shown != NULL)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has read texts of messages"),
						 errhint("COMMIT it.")));
			break;
		case XACT_EVENT_ABORT:
			for (Shown *entry = shown; entry != NULL; entry = entry->next)
				tell_of_rollback(entry);
			shown = NULL;
			break;
		case XACT_EVENT_COMMIT:
			shown = NULL;
			break;
		default:
			break;
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId self, SubTransactionId parent, void *arg)
{
	Shown	  **link = &shown;

	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	while (*link != NULL)
	{
		Shown	   *entry = *link;

		if (entry->subtransaction == self && event == SUBXACT_EVENT_ABORT_SUB)
		{
			tell_of_rollback(entry);
			*link = entry->next;
			continue;
		}
		if (entry->subtransaction == self)
			entry->subtransaction = parent;
		link = &entry->next;
	}
}

/* The latest entry, where it says the same but for the messages */
static Shown *
find_entry(const pg_uuid_t *organization_id, const char *actor)
{
	Shown	   *entry = shown;

	if (entry != NULL && entry->subtransaction == GetCurrentSubTransactionId() &&
		memcmp(&entry->organization_id, organization_id, sizeof(pg_uuid_t)) == 0 && strcmp(entry->actor, actor) == 0)
		return entry;
	entry = MemoryContextAllocZero(TopTransactionContext, sizeof(Shown));
	entry->subtransaction = GetCurrentSubTransactionId();
	entry->organization_id = *organization_id;
	entry->actor = MemoryContextStrdup(TopTransactionContext, actor);
	entry->next = shown;
	shown = entry;
	return entry;
}

void
om_view_note(const pg_uuid_t *organization_id, const Datum *message_ids, int count, bool export)
{
	static bool watching = false;
	Shown	   *entry;

	if (count == 0 && !export)
		return;
	if (!watching)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		RegisterSubXactCallback(at_subtransaction_end, NULL);
		watching = true;
	}
	entry = find_entry(organization_id, om_audit_role());
	for (int i = 0; i < count && entry->texts + i < MAX_NAMED; i++)
		entry->named[entry->texts + i] = *DatumGetUUIDP(message_ids[i]);
	entry->texts += count;
	entry->exports += export ? 1 : 0;
}

/* What the statement has found, to the caller and on record */
static void
show(FunctionCallInfo fcinfo, const pg_uuid_t *organization_id)
{
	ReturnSetInfo *out = (ReturnSetInfo *) fcinfo->resultinfo;
	OmAudit    *audit = om_audit_begin(GetCurrentTimestamp(), om_audit_role());
	uint64		count = SPI_processed;
	Datum	   *ids = palloc(sizeof(Datum) * Max(count, 1));

	for (uint64 row = 0; row < count; row++)
	{
		ids[row] = UUIDPGetDatum(om_field_uuid(row, 1));
		tuplestore_puttuple(out->setResult, SPI_tuptable->vals[row]);
		om_audit_add(audit, organization_id, "MESSAGE_VIEWED", "message", DatumGetUUIDP(ids[row]), NULL, NULL);
	}
	om_audit_write(audit);
	om_view_note(organization_id, ids, count, false);
}

/* omnimsg_read_message(organization_id uuid, message_id uuid) returns setof (message_id, created_at ...) */
Datum
omnimsg_read_message(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *organization_id = om_arg_organization(fcinfo, 0);
	pg_uuid_t  *message_id = om_arg_uuid(fcinfo, 1, "message_id");

	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	om_db_run(&find_message, (Datum[]) {UUIDPGetDatum(organization_id), UUIDPGetDatum(message_id)});
	show(fcinfo, organization_id);
	SPI_finish();
	return (Datum) 0;
}

/*
 * omnimsg_read_conversation(organization_id uuid, address text, before timestamptz, max_count int)
 *		returns setof (message_id, created_at ...)
 */
Datum
omnimsg_read_conversation(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *organization_id = om_arg_organization(fcinfo, 0);
	char	   *address = om_arg_text(fcinfo, 1, "address");

	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("before must not be NULL"),
				 errhint("Give infinity for the newest messages.")));
	if (PG_ARGISNULL(3) || PG_GETARG_INT32(3) < 1 || PG_GETARG_INT32(3) > MAX_COUNT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_count must be between 1 and %d", MAX_COUNT),
				 errhint("Those before the oldest that you have got come with before => its created_at.")));
	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	address = om_address_for(address, strchr(address, '@') ? "email" : "sms", om_organization_region(organization_id));
	om_db_run(&find_conversation, (Datum[]) {UUIDPGetDatum(organization_id), CStringGetTextDatum(address),
			  PG_GETARG_DATUM(2), PG_GETARG_DATUM(3)});
	show(fcinfo, organization_id);
	SPI_finish();
	return (Datum) 0;
}
