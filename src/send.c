/*
 * send.c
 *		Messages that people and programs ask for: what the gates say of one, and queueing it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "arguments.h"
#include "compat.h"
#include "core/mask.h"
#include "gate.h"
#include "ingest.h"
#include "queue.h"

/* What a gate refuses */
#define OM_ERRCODE_REFUSED	MAKE_SQLSTATE('O', 'M', '0', '0', '1')

/* How long a message is worth sending after it first could be */
#define LIFE_USECS	USECS_PER_DAY

/* Times about which gates may be asked: the years 1970 to 9999 */
#define AT_MIN	((UNIX_EPOCH_JDATE - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY)
#define AT_MAX	(INT64CONST(2921939) * USECS_PER_DAY)

OM_SQL_FUNCTION(omnimsg_explain_send);
OM_SQL_FUNCTION(omnimsg_send);

static const char *const all_kinds[] = {"conversation", "notification", "marketing",
	"opt_out_confirmation", "opt_in_confirmation", "help_reply", NULL};

/* What answers a keyword is queued by ingest and by nobody else */
static const char *const sent_kinds[] = {"conversation", "notification", "marketing", NULL};

/*
 * The number to send from: the one that was asked for; else the one that the person wrote to last, where
 * they expect the answer; else the primary one.
 */
static OmStatement find_number = {
	"SELECT n.phone_number, n.provider FROM omnimsg.inbound_phone_numbers n\n"
	" WHERE n.organization_id = $1 AND ($2 = '' OR n.phone_number = $2)\n"
	" ORDER BY n.phone_number IS NOT DISTINCT FROM (\n"
	"            SELECT m.our_address FROM omnimsg.messages m\n"
	"             WHERE m.organization_id = $1 AND m.peer_address = $3 AND m.direction = 'inbound'\n"
	"             ORDER BY m.created_at DESC LIMIT 1) DESC,\n"
	"          n.is_primary DESC, n.created_at, n.phone_number\n"
	" LIMIT 1",
	3, {UUIDOID, TEXTOID, TEXTOID}, NULL
};

static OmStatement find_account = {
	"SELECT a.campaign_id FROM omnimsg.collection_accounts a WHERE a.organization_id = $1 AND a.id = $2",
	2, {UUIDOID, UUIDOID}, NULL
};

/*
 * omnimsg_explain_send(organization_id uuid, channel text, address text, body text, kind text,
 *		scope text, at timestamptz) returns setof (gate, verdict, reason, not_before)
 */
Datum
omnimsg_explain_send(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *out = (ReturnSetInfo *) fcinfo->resultinfo;
	OmSending	sending = {0};
	OmSending  *sendings[1] = {&sending};
	TimestampTz at;
	char	   *address;

	sending.organization_id = om_arg_organization(fcinfo, 0);
	sending.channel = om_arg_word(fcinfo, 1, "channel", om_channels);
	address = om_arg_text(fcinfo, 2, "address");
	sending.body = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));
	sending.kind = om_arg_word(fcinfo, 4, "kind", all_kinds);
	sending.scope = om_arg_scope(fcinfo, 5);
	at = om_arg_time(fcinfo, 6, "at");
	if (at < AT_MIN || at > AT_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("at must be a time between the years 1970 and 9999")));

	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	sending.address = om_address_for(address, sending.channel,
									 om_organization_region(sending.organization_id));
	om_gates_ask(sendings, 1, at);
	for (int gate = 0; gate < OM_GATES; gate++)
	{
		const OmGateAnswer *answer = &sending.answers[gate];
		Datum		values[4];
		bool		nulls[4] = {false};

		values[0] = CStringGetTextDatum(om_gate_name(gate));
		values[1] = CStringGetTextDatum(om_verdict_name(answer->verdict));
		nulls[2] = answer->reason == NULL;
		values[2] = nulls[2] ? (Datum) 0 : CStringGetTextDatum(answer->reason);
		nulls[3] = answer->not_before == 0;
		values[3] = TimestampTzGetDatum(answer->not_before);
		tuplestore_putvalues(out->setResult, out->setDesc, values, nulls);
	}
	SPI_finish();
	return (Datum) 0;
}

static void
find_sender(OmQueued *item, const char *wanted, const char *region)
{
	char		masked[OM_MASK_SIZE];

	wanted = wanted ? om_address_for(wanted, "sms", region) : "";
	if (om_db_run(&find_number, (Datum[]) {UUIDPGetDatum(&item->organization_id),
				  CStringGetTextDatum(wanted), CStringGetTextDatum(item->to)}) > 0)
	{
		item->from = om_field_text(0, 1);
		item->provider = om_field_text(0, 2);
		return;
	}
	om_mask_address(wanted, strlen(wanted), masked, sizeof(masked));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 *wanted ? errmsg("%s is not a number of the organization", masked) :
			 errmsg("the organization has no number to send from"),
			 errhint("Its numbers are in omnimsg.inbound_phone_numbers.")));
}

static void
find_receiver(OmQueued *item, const pg_uuid_t *account_id)
{
	pg_uuid_t  *linked;
	pg_uuid_t  *campaign_id;

	if (account_id == NULL)
	{
		om_link_address(&item->organization_id, item->to, &linked, &campaign_id);
		item->account_id = linked;
		item->campaign_id = campaign_id;
		return;
	}
	if (om_db_run(&find_account, (Datum[]) {UUIDPGetDatum(&item->organization_id),
				  UUIDPGetDatum(account_id)}) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the organization has no account \"%s\"",
						DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(account_id)))),
				 errhint("Leave account_id out, and the account is found by the address.")));
	item->account_id = account_id;
	item->campaign_id = om_field_uuid(0, 1);
}

/* Say when it may first be sent and until when it is worth that; raises when it may not be queued at all */
static void
pass_gates(OmQueued *item, const char *channel, TimestampTz now)
{
	OmSending	sending = {0};
	OmSending  *sendings[1] = {&sending};
	const OmGateAnswer *answer;
	char		masked[OM_MASK_SIZE];
	OmGate		gate;

	sending.organization_id = &item->organization_id;
	sending.channel = channel;
	sending.address = item->to;
	sending.kind = item->kind;
	sending.scope = item->scope;
	sending.body = item->body;
	om_gates_ask(sendings, 1, now);
	answer = om_gates_decision(&sending, &gate);
	if (answer == NULL || answer->verdict == OM_HOLD)
	{
		item->next_attempt_at = answer ? om_gate_ask_again(gate, answer, now) : now;
		item->expires_at = (answer ? Max(answer->not_before, now) : now) + LIFE_USECS;
		return;
	}

	om_mask_address(item->to, strlen(item->to), masked, sizeof(masked));
	ereport(ERROR,
			(errcode(OM_ERRCODE_REFUSED),
			 errmsg("message to %s is refused: %s", masked, answer->reason),
			 errdetail("The gate is \"%s\".", om_gate_name(gate)),
			 errhint("omnimsg_explain_send() shows what every gate says.")));
}

/*
 * omnimsg_send(organization_id uuid, address text, body text, channel text, from_number text,
 *		account_id uuid, kind text, scope text) returns uuid
 */
Datum
omnimsg_send(PG_FUNCTION_ARGS)
{
	OmQueued	item = {0};
	TimestampTz now = GetCurrentTimestamp();
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	char	   *address;
	char	   *channel;
	char	   *region;

	item.organization_id = *om_arg_organization(fcinfo, 0);
	address = om_arg_text(fcinfo, 1, "address");
	item.body = om_arg_text(fcinfo, 2, "body");
	channel = om_arg_word(fcinfo, 3, "channel", om_channels);
	item.kind = om_arg_word(fcinfo, 6, "kind", sent_kinds);
	item.scope = om_arg_scope(fcinfo, 7);
	if (strcmp(channel, "sms") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("messages of channel \"%s\" cannot be sent yet", channel),
				 errhint("Ask omnimsg_explain_send() before you send them by other means.")));

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	region = om_organization_region(&item.organization_id);
	item.to = om_address_for(address, channel, region);
	pass_gates(&item, channel, now);
	find_sender(&item, PG_ARGISNULL(4) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(4)), region);
	find_receiver(&item, PG_ARGISNULL(5) ? NULL : PG_GETARG_UUID_P(5));
	om_uuid7(&item.message_id);
	om_queue(&item, 1, now);

	memcpy(result, &item.message_id, sizeof(pg_uuid_t));
	SPI_finish();
	PG_RETURN_UUID_P(result);
}
