/*
 * view.c
 *		Texts of messages for people to read: each one that is shown is put on record.
 *
 * The row of the audit trail is of the transaction that reads, and goes with it if that is rolled back, when somebody
 * has read the text all the same.  Then the log of the server says so.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "audit.h"
#include "compat.h"
#include "ingest.h"
#include "tenant.h"

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

/* Texts that this transaction has shown, by the subtransaction that may take their rows of the audit trail back */
static SubTransactionId shown_in = InvalidSubTransactionId;
static int	shown = 0;

static void
tell_of_rollback(void)
{
	if (shown > 0)
		ereport(LOG,
				(errmsg("omnimsg: %d message texts were read in a transaction that was rolled back", shown),
				 errdetail("The audit trail may not have them."),
				 errhidestmt(true)));
	shown = 0;
	shown_in = InvalidSubTransactionId;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		tell_of_rollback();
	else if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
	{
		shown = 0;
		shown_in = InvalidSubTransactionId;
	}
}

/* Subtransactions have growing numbers, so an earlier one that is rolled back takes the later ones along */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId self, SubTransactionId parent, void *arg)
{
	if (shown_in != self)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		tell_of_rollback();
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		shown_in = parent;
}

static void
note_shown(int count)
{
	static bool watching = false;

	if (!watching)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		RegisterSubXactCallback(at_subtransaction_end, NULL);
		watching = true;
	}
	shown += count;
	shown_in = GetCurrentSubTransactionId();
}

/* What the statement has found, to the caller and on record */
static void
show(FunctionCallInfo fcinfo, const pg_uuid_t *organization_id)
{
	ReturnSetInfo *out = (ReturnSetInfo *) fcinfo->resultinfo;
	OmAudit    *audit = om_audit_begin(GetCurrentTimestamp(), om_audit_role());
	uint64		count = SPI_processed;

	for (uint64 row = 0; row < count; row++)
	{
		tuplestore_puttuple(out->setResult, SPI_tuptable->vals[row]);
		om_audit_add(audit, organization_id, "MESSAGE_VIEWED", "message", om_field_uuid(row, 1), NULL, NULL);
	}
	om_audit_write(audit);
	note_shown(count);
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
