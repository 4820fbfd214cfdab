/*
 * assign.c
 *		A number changes hands: from nobody's to an organization's, or from one to another.
 *
 * What people asked of the number must go on holding, and nothing may be allowed that nobody
 * allowed.  A number of another organization brings the opt-outs that stand, because a person told this
 * number to stop and cannot know who has it now; opt-ins were given to the other organization and stay there.  One of
 * nobody's brings all opt-outs, and no opt-in either: it was given to nobody, and no key of an account
 * says that the provider delivered it.  For the same reason it takes no opt-out back.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "arguments.h"
#include "compat.h"
#include "consent.h"
#include "ingest.h"

#define PATIENCE	"1s"

/* Requests are copied so many at a time */
#define CHUNK		1000

OM_SQL_FUNCTION(omnimsg_assign_number);

/* Who shares a number ($3) leaves it to its primary organization to be that */
static OmStatement add_number = {
	"INSERT INTO omnimsg.inbound_phone_numbers (organization_id, phone_number, provider,\n"
	"    provider_account_id, reply_mode, is_primary)\n"
	"SELECT $2, $1, coalesce(n.provider, 'telnyx'), n.provider_account_id, coalesce(n.reply_mode, 'auto'),\n"
	"       NOT ($3 AND coalesce(n.is_primary, false))\n"
	"  FROM (VALUES (1)) AS one\n"
	"  LEFT JOIN LATERAL (\n"
	"    SELECT o.provider, o.provider_account_id, o.reply_mode, o.is_primary\n"
	"      FROM omnimsg.inbound_phone_numbers o\n"
	"     WHERE o.phone_number = $1 ORDER BY o.is_primary DESC, o.created_at LIMIT 1) AS n ON true\n"
	"ON CONFLICT (organization_id, phone_number) DO NOTHING",
	3, {TEXTOID, UUIDOID, BOOLOID}, NULL
};

static OmStatement find_owners = {
	"SELECT n.organization_id FROM omnimsg.inbound_phone_numbers n\n"
	" WHERE n.phone_number = $1 AND n.organization_id <> $2 ORDER BY 1",
	2, {TEXTOID, UUIDOID}, NULL
};

static OmStatement remove_owners = {
	"DELETE FROM omnimsg.inbound_phone_numbers n WHERE n.phone_number = $1 AND n.organization_id <> $2",
	2, {TEXTOID, UUIDOID}, NULL
};

#define LINKED(column) \
	"(SELECT a." column " FROM omnimsg.collection_accounts a\n" \
	"  WHERE a.organization_id = $2 AND (a.primary_phone = m.peer_address OR a.secondary_phone = m.peer_address)\n" \
	"  ORDER BY a.primary_phone IS DISTINCT FROM m.peer_address, a.last_contact_at DESC NULLS LAST, a.id LIMIT 1)"

static OmStatement move_messages = {
	"UPDATE omnimsg.messages m\n"
	"   SET organization_id = $2, account_id = " LINKED("id") ", campaign_id = " LINKED("campaign_id") "\n"
	" WHERE m.organization_id = '00000000-0000-0000-0000-000000000000' AND m.our_address = $1",
	2, {TEXTOID, UUIDOID}, NULL
};

static OmStatement move_reviews = {
	"UPDATE omnimsg.reviews v SET organization_id = $2, message_organization_id = $2\n"
	" WHERE v.organization_id = '00000000-0000-0000-0000-000000000000' AND v.our_address = $1",
	2, {TEXTOID, UUIDOID}, NULL
};

/* An open review is an opt-out that may stand: whoever has the number asks for itself */
static OmStatement copy_reviews = {
	"INSERT INTO omnimsg.reviews (organization_id, id, message_organization_id, message_id, channel, address,\n"
	"    our_address, rule, matched_text, provider, dedupe_key, occurred_at, due_at, created_at)\n"
	"SELECT DISTINCT ON (v.message_id) $2, omnimsg.uuid7(), v.message_organization_id, v.message_id, v.channel,\n"
	"    v.address, v.our_address, v.rule, v.matched_text, v.provider, v.dedupe_key, v.occurred_at, v.due_at, $4\n"
	"  FROM omnimsg.reviews v\n"
	" WHERE v.organization_id = ANY ($3) AND v.our_address = $1 AND v.decision IS NULL\n"
	"   AND NOT EXISTS (SELECT 1 FROM omnimsg.reviews h\n"
	"                    WHERE h.organization_id = $2 AND h.address = v.address AND h.message_id = v.message_id)",
	4, {TEXTOID, UUIDOID, UUIDARRAYOID, TIMESTAMPTZOID}, NULL
};

/*
 * What the number brings from an organization, oldest first: the opt-outs that stand, and ($5) those that
 * were taken back.  What one of those in $4 has already was brought before.
 */
static OmStatement find_requests = {
	"SELECT q.channel, q.address, q.our_address_only, q.request_type, q.scope, q.source, q.rule,\n"
	"       q.matched_text, q.message_id, q.provider, q.dedupe_key, q.occurred_at, q.id\n"
	"  FROM omnimsg.opt_out_requests q\n"
	" WHERE q.organization_id = $2 AND q.our_address = $1 AND (q.occurred_at, q.id) > ($6, $7)\n"
	"   AND q.request_type = 'opt_out' AND ($5 OR NOT EXISTS (\n"
	"             SELECT 1 FROM omnimsg.opt_out_requests i\n"
	"              WHERE i.organization_id = q.organization_id AND i.channel = q.channel\n"
	"                AND i.address = q.address AND i.request_type = 'opt_in'\n"
	"                AND i.source NOT IN ('import', 'api') AND i.scope IN ('all', q.scope)\n"
	"                AND (NOT i.our_address_only OR i.our_address = q.our_address)\n"
	"                AND i.occurred_at > q.occurred_at))\n"
	"   AND NOT EXISTS (\n"
	"         SELECT 1 FROM omnimsg.opt_out_requests h\n"
	"          WHERE h.organization_id = ANY ($4) AND h.channel = q.channel AND h.address = q.address\n"
	"            AND h.our_address = q.our_address AND h.request_type = q.request_type\n"
	"            AND h.scope = q.scope AND h.source = q.source AND h.occurred_at = q.occurred_at)\n"
	" ORDER BY q.occurred_at, q.id LIMIT $3",
	7, {TEXTOID, UUIDOID, INT8OID, UUIDARRAYOID, BOOLOID, TIMESTAMPTZOID, UUIDOID}, NULL
};

/* Ingest of this number waits behind us while we wait, and its provider gives it two seconds */
static void
lock_number(const char *number)
{
	int			level = NewGUCNestLevel();

	(void) set_config_option("lock_timeout", PATIENCE, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	om_number_lock(number);
	AtEOXact_GUC(true, level);
}

static OmRequest *
read_request(uint64 row, const char *number, const pg_uuid_t *to, const char *note)
{
	OmRequest  *request = palloc0(sizeof(OmRequest));
	bool		isnull;

	request->organization_id = *to;
	request->our_address = number;
	request->channel = om_field_text(row, 1);
	request->address = om_field_text(row, 2);
	request->our_address_only = om_field_bool(row, 3);
	request->request_type = om_field_text(row, 4);
	request->scope = om_field_text(row, 5);
	request->source = om_field_text(row, 6);
	request->rule = om_field_text(row, 7);
	request->matched_text = om_field_text(row, 8);
	request->message_id = om_field_uuid(row, 9);
	request->provider = om_field_text(row, 10);
	request->dedupe_key = om_field_text(row, 11);
	request->occurred_at = om_field_time(row, 12, &isnull);
	request->note = note;
	return request;
}

/*
 * Copy the opt-outs that the number brings from an organization, all or those that stand, but for what one
 * of known_to has; returns how many requests that were.
 */
static int64
copy_requests(const char *number, const pg_uuid_t *from, const pg_uuid_t *to, OmColumn *known_to,
			  bool all, OmAudit *audit, TimestampTz now)
{
	char	   *note = psprintf("came with the number from organization %s",
								DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(from))));
	OmRequest **requests = palloc(sizeof(OmRequest *) * CHUNK);
	TimestampTz last_at = DT_NOBEGIN;
	pg_uuid_t	last_id = om_nil_uuid;
	int64		copied = 0;
	uint64		rows;

	do
	{
		CHECK_FOR_INTERRUPTS();
		rows = om_db_run(&find_requests, (Datum[]) {CStringGetTextDatum(number), UUIDPGetDatum(from),
						 Int64GetDatum(CHUNK), om_column_array(known_to), BoolGetDatum(all),
						 TimestampTzGetDatum(last_at), UUIDPGetDatum(&last_id)});
		for (uint64 row = 0; row < rows; row++)
			requests[row] = read_request(row, number, to, note);
		if (rows > 0)
		{
			last_at = requests[rows - 1]->occurred_at;
			last_id = *om_field_uuid(rows - 1, 13);
		}
		om_consent_record(requests, rows, now, 0);
		for (uint64 row = 0; row < rows; row++)
			om_audit_add(audit, to, "CONSENT_RECORDED", "opt_out_request", &requests[row]->id, NULL,
						 om_audit_json("request_type", requests[row]->request_type,
									   "source", requests[row]->source,
									   "why", "number assigned",
									   "decides", requests[row]->decides ? "yes" : "no", NULL));
		copied += rows;
	} while (rows == CHUNK);
	return copied;
}

static void
put_row(ReturnSetInfo *out, const char *object, int64 rows)
{
	Datum		values[2] = {CStringGetTextDatum(object), Int64GetDatum(rows)};
	bool		nulls[2] = {false, false};

	tuplestore_putvalues(out->setResult, out->setDesc, values, nulls);
}

/*
 * omnimsg_assign_number(phone_number text, organization_id uuid, share boolean)
 *		returns setof (object, rows)
 *
 * Takes the number from all others, unless it is to be shared with them.  While the transaction is
 * open, what is said to this number waits.
 */
Datum
omnimsg_assign_number(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *out = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *number = om_arg_text(fcinfo, 0, "phone_number");
	pg_uuid_t  *to = om_arg_uuid(fcinfo, 1, "organization_id");
	TimestampTz now = GetCurrentTimestamp();
	OmAudit    *audit;
	pg_uuid_t **owners;
	uint64		nowners;
	OmColumn   *known_to;
	OmColumn   *former;
	bool		share = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	int64		copied = 0;

	if (memcmp(to, &om_nil_uuid, sizeof(pg_uuid_t)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a number cannot be assigned to nobody"),
				 errhint("Delete its row in omnimsg.inbound_phone_numbers.")));
	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	number = om_address_for(number, "sms", om_organization_region(to));
	audit = om_audit_begin(now, om_audit_role());

	lock_number(number);
	nowners = om_db_run(&find_owners, (Datum[]) {CStringGetTextDatum(number), UUIDPGetDatum(to)});
	owners = palloc(sizeof(pg_uuid_t *) * (nowners + 1));
	for (uint64 i = 0; i < nowners; i++)
		owners[i] = om_field_uuid(i, 1);

	put_row(out, "omnimsg.inbound_phone_numbers",
			om_db_run(&add_number, (Datum[]) {CStringGetTextDatum(number), UUIDPGetDatum(to), BoolGetDatum(share)}));
	if (!share)
		om_db_run(&remove_owners, (Datum[]) {CStringGetTextDatum(number), UUIDPGetDatum(to)});
	put_row(out, "omnimsg.messages",
			om_db_run(&move_messages, (Datum[]) {CStringGetTextDatum(number), UUIDPGetDatum(to)}));
	former = om_column(UUIDOID, nowners);
	for (uint64 i = 0; i < nowners; i++)
		om_column_add_uuid(former, owners[i]);
	put_row(out, "omnimsg.reviews",
			om_db_run(&move_reviews, (Datum[]) {CStringGetTextDatum(number), UUIDPGetDatum(to)}) +
			om_db_run(&copy_reviews, (Datum[]) {CStringGetTextDatum(number), UUIDPGetDatum(to),
					  om_column_array(former), TimestampTzGetDatum(now)}));

	known_to = om_column(UUIDOID, nowners + 1);
	om_column_add_uuid(known_to, to);
	for (uint64 i = 0; i < nowners; i++)
		copied += copy_requests(number, owners[i], to, known_to, false, audit, now);

	/* Also what was said while it was nobody's and no owner has, perhaps because the number came to them by INSERT */
	for (uint64 i = 0; i < nowners; i++)
		om_column_add_uuid(known_to, owners[i]);
	copied += copy_requests(number, &om_nil_uuid, to, known_to, true, audit, now);
	put_row(out, "omnimsg.opt_out_requests", copied);

	om_audit_add(audit, to, "NUMBER_ASSIGNED", "organization", to, NULL,
				 om_audit_json("taken_from", psprintf("%d", (int) nowners), NULL));
	om_audit_write(audit);
	SPI_finish();
	return (Datum) 0;
}
