/*
 * evidence.c
 *		What proves that the provider delivered a request.
 *
 * The journal keeps the bytes of an event that changed consent, with their signature.  They are verified again here, with the
 * key as it was registered, and read again: the request must be in them.
 */
#include "postgres.h"

#include <sodium.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "arguments.h"
#include "compat.h"
#include "core/pseudonym.h"
#include "key.h"
#include "tenant.h"

OM_SQL_FUNCTION(omnimsg_reverify);

static OmStatement find_request = {
	"SELECT q.address, q.our_address, q.request_type, q.source, q.occurred_at, q.provider, q.dedupe_key\n"
	"  FROM omnimsg.opt_out_requests q WHERE q.id = $1 AND (NOT $2 OR q.organization_id = $3)",
	3, {UUIDOID, BOOLOID, UUIDOID}, NULL
};

static OmStatement find_event = {
	"SELECT e.raw, e.signature, e.key_id, e.signed_at, e.received_at, e.fetched_from IS NOT NULL\n"
	"  FROM omnimsg.events e WHERE e.provider = $1 AND e.dedupe_key = $2",
	2, {TEXTOID, TEXTOID}, NULL
};

/* The keys of that fingerprint, of the account of the number first: the number may have moved since */
static OmStatement find_keys = {
	"SELECT k.public_key, $3 >= k.not_before AND $3 <= k.not_after,\n"
	"       EXISTS (SELECT 1 FROM omnimsg.inbound_phone_numbers p\n"
	"                WHERE p.phone_number = $2 AND p.provider_account_id = k.provider_account_id)\n"
	"  FROM omnimsg.provider_keys k WHERE k.fingerprint = $1\n"
	" ORDER BY 3 DESC, 2 DESC LIMIT 1",
	3, {TEXTOID, TEXTOID, TIMESTAMPTZOID}, NULL
};

typedef struct Proof
{
	char	   *address;
	char	   *our_address;
	char	   *request_type;
	char	   *source;
	TimestampTz occurred_at;
	char	   *provider;
	char	   *dedupe_key;
	OmDelivery	delivery;
	bool		contradicted;	/* what is there says something else */
	OmColumn   *reasons;		/* why it is not proven */
} Proof;

static void
because(Proof *proof, const char *reason)
{
	om_column_add_text(proof->reasons, reason);
}

static void
contradict(Proof *proof, const char *reason)
{
	proof->contradicted = true;
	because(proof, reason);
}

static void
read_request(Proof *proof, const pg_uuid_t *id)
{
	bool		isnull;
	pg_uuid_t	own;
	bool		bound = om_tenant_binds(&own);

	if (om_db_run(&find_request, (Datum[]) {UUIDPGetDatum(id), BoolGetDatum(bound), UUIDPGetDatum(&own)}) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no such request"),
				 errhint("Requests are in omnimsg.opt_out_requests.")));
	proof->address = om_field_text(0, 1);
	proof->our_address = om_field_text(0, 2);
	proof->request_type = om_field_text(0, 3);
	proof->source = om_field_text(0, 4);
	proof->occurred_at = om_field_time(0, 5, &isnull);
	proof->provider = om_field_text(0, 6);
	proof->dedupe_key = om_field_text(0, 7);
}

/* False when there are no bytes to look at */
static bool
read_event(Proof *proof)
{
	OmDelivery *delivery = &proof->delivery;
	Datum		raw;
	bool		isnull;

	if (proof->dedupe_key == NULL)
	{
		because(proof, psprintf("it did not come from the provider: its source is \"%s\"", proof->source));
		return false;
	}
	if (om_db_run(&find_event, (Datum[]) {CStringGetTextDatum(proof->provider),
				  CStringGetTextDatum(proof->dedupe_key)}) == 0)
	{
		contradict(proof, "its event is not in the journal");
		return false;
	}
	delivery->ordinal = 1;
	delivery->provider = proof->provider;
	delivery->signature = om_field_text(0, 2);
	delivery->key_id = om_field_text(0, 3);
	delivery->signed_at = om_field_time(0, 4, &isnull);
	delivery->received_at = om_field_time(0, 5, &isnull);
	if (om_field_bool(0, 6))
		because(proof, "its event was fetched from the provider's list, which is not signed");
	raw = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (isnull)
	{
		because(proof, "the bytes of its event are not there any more: they were erased with the data of the person");
		return false;
	}
	/* the bytes are there for another organization: nothing here says what should be in them */
	if (om_is_pseudonym(proof->address, strlen(proof->address)))
	{
		because(proof, "the data of the person was erased, and with it the address that its event would have to name");
		return false;
	}
	raw = PointerGetDatum(DatumGetByteaPCopy(raw));
	delivery->body = VARDATA(DatumGetPointer(raw));
	delivery->length = VARSIZE(DatumGetPointer(raw)) - VARHDRSZ;
	return true;
}

static void
check_signature(Proof *proof)
{
	const OmDelivery *delivery = &proof->delivery;
	bytea	   *key;
	bool		isnull;

	if (delivery->signature == NULL || delivery->key_id == NULL || delivery->signed_at == 0)
	{
		because(proof, "its event has no signature");
		return;
	}
	if (om_db_run(&find_keys, (Datum[]) {CStringGetTextDatum(delivery->key_id),
				  CStringGetTextDatum(proof->our_address ? proof->our_address : ""),
				  TimestampTzGetDatum(delivery->signed_at)}) == 0)
	{
		because(proof, "the key that signed it is not registered: see omnimsg_add_key()");
		return;
	}
	key = DatumGetByteaPCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	if (!om_field_bool(0, 2))
		because(proof, "the key that signed it was not in use at that time");
	if (!om_field_bool(0, 3))
		because(proof, "the key that signed it is not one of the account that our number belongs to");
	if (!om_key_verifies(delivery, (uint8 *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)))
		contradict(proof, "the signature is not that of these bytes at that time");
}

static bool
same(const char *left, const char *right)
{
	return left != NULL && right != NULL && strcmp(left, right) == 0;
}

/* What one of our messages was refused for has the time of that message, which the event need not tell */
static bool
has_request(const Proof *proof, const OmEvent *event)
{
	bool		blocked = strcmp(proof->source, "provider_block") == 0;

	if (event->kind != (blocked ? OM_EVENT_STATUS : OM_EVENT_RECEIVED))
		return false;
	return same(blocked ? event->to : event->from, proof->address) &&
		same(blocked ? event->from : event->to, proof->our_address) &&
		(blocked ? event->status != NULL && strcmp(event->status, "blocked") == 0 :
		 event->occurred_at == proof->occurred_at);
}

/* The request must be what the bytes say.  How the text is understood is ours to say, and may have changed. */
static void
check_content(Proof *proof)
{
	OmDelivery *deliveries[1] = {&proof->delivery};
	OmBatch		batch = {.deliveries = deliveries, .ndeliveries = 1, .now = proof->delivery.received_at};
	bool		found = false;

	om_event_read(&batch);
	for (int i = 0; i < batch.nevents; i++)
		found |= has_request(proof, batch.events[i]);
	if (!found)
		contradict(proof, "its address, our number and its time are not what these bytes say");
}

static Datum
answer(FunctionCallInfo fcinfo, const Proof *proof)
{
	bool		proven = proof->reasons->count == 0;
	const OmDelivery *delivery = &proof->delivery;
	Datum		values[6];
	bool		nulls[6] = {false};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = CStringGetTextDatum(proven ? "proven" : proof->contradicted ? "contradicted" : "not proven");
	values[1] = TimestampTzGetDatum(delivery->signed_at);
	nulls[1] = delivery->signed_at == 0;
	nulls[2] = delivery->key_id == NULL;
	values[2] = nulls[2] ? (Datum) 0 : CStringGetTextDatum(delivery->key_id);
	nulls[3] = proof->provider == NULL;
	values[3] = nulls[3] ? (Datum) 0 : CStringGetTextDatum(proof->provider);
	nulls[4] = proof->dedupe_key == NULL;
	values[4] = nulls[4] ? (Datum) 0 : CStringGetTextDatum(proof->dedupe_key);
	values[5] = om_column_array(proof->reasons);
	return SPI_datumTransfer(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)), false, -1);
}

/*
 * omnimsg_reverify(request uuid)
 *		returns (verdict text, signed_at timestamptz, key_fingerprint text, provider text, event text, reasons text[])
 */
Datum
omnimsg_reverify(PG_FUNCTION_ARGS)
{
	Proof		proof = {0};
	pg_uuid_t  *request = om_arg_uuid(fcinfo, 0, "request");
	Datum		result;

	if (sodium_init() < 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not initialize libsodium")));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	proof.reasons = om_column(TEXTOID, 4);
	read_request(&proof, request);
	if (read_event(&proof))
	{
		check_signature(&proof);
		check_content(&proof);
	}
	result = answer(fcinfo, &proof);
	SPI_finish();
	PG_RETURN_DATUM(result);
}
