/*
 * functions.c
 *		src/core as SQL functions.
 */
#include "postgres.h"

#include <sodium.h>

#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rls.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "core/intent.h"
#include "core/mask.h"
#include "core/phone.h"
#include "core/segment.h"
#include "core/signature.h"
#include "core/template.h"
#include "ingest.h"
#include "quiet.h"

OM_SQL_FUNCTION(omnimsg_normalize_phone);
OM_SQL_FUNCTION(omnimsg_parse_phone);
OM_SQL_FUNCTION(omnimsg_detect_intent);
OM_SQL_FUNCTION(omnimsg_verify_telnyx);
OM_SQL_FUNCTION(omnimsg_mask_phone);
OM_SQL_FUNCTION(omnimsg_count_segments);
OM_SQL_FUNCTION(omnimsg_keyword_key);
OM_SQL_FUNCTION(omnimsg_check_template);
OM_SQL_FUNCTION(omnimsg_is_timezone);
OM_SQL_FUNCTION(omnimsg_versions);

static void
parse_phone_arguments(FunctionCallInfo fcinfo, OmPhone *phone)
{
	text	   *raw = PG_GETARG_TEXT_PP(0);

	om_phone_parse(VARDATA_ANY(raw), VARSIZE_ANY_EXHDR(raw),
				   text_to_cstring(PG_GETARG_TEXT_PP(1)), phone);
}

/* omnimsg_normalize_phone(raw text, region text) returns text */
Datum
omnimsg_normalize_phone(PG_FUNCTION_ARGS)
{
	OmPhone		phone;

	parse_phone_arguments(fcinfo, &phone);
	if (phone.kind != OM_PHONE_KIND_E164)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(phone.e164));
}

static void
put_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = *text == '\0';
	values[column] = nulls[column] ? (Datum) 0 : CStringGetTextDatum(text);
}

static Datum
record_datum(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* omnimsg_parse_phone(raw text, region text) returns record */
Datum
omnimsg_parse_phone(PG_FUNCTION_ARGS)
{
	OmPhone		phone;
	Datum		values[7];
	bool		nulls[7] = {false};

	parse_phone_arguments(fcinfo, &phone);
	put_text(values, nulls, 0, om_phone_kind_name(phone.kind));
	put_text(values, nulls, 1, phone.e164);
	put_text(values, nulls, 2, phone.extension);
	values[3] = Int32GetDatum(phone.country_code);
	nulls[3] = phone.country_code == 0;
	put_text(values, nulls, 4, phone.region);
	put_text(values, nulls, 5, phone.kind == OM_PHONE_KIND_E164 ? om_phone_type_name(phone.type) : "");
	put_text(values, nulls, 6, om_phone_status_name(phone.status));
	return record_datum(fcinfo, values, nulls);
}

/* omnimsg_detect_intent(body text) returns record */
Datum
omnimsg_detect_intent(PG_FUNCTION_ARGS)
{
	text	   *body = PG_GETARG_TEXT_PP(0);
	OmIntent	intent;
	Datum		values[6];
	bool		nulls[6] = {false};

	om_intent_detect(VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body), &intent);
	put_text(values, nulls, 0, om_intent_label_name(intent.label));
	values[1] = Float8GetDatum(intent.confidence);
	put_text(values, nulls, 2, intent.rule);
	values[3] = Int32GetDatum((int32) intent.span_start);
	values[4] = Int32GetDatum((int32) intent.span_end);
	nulls[3] = nulls[4] = intent.label == OM_INTENT_NONE;
	put_text(values, nulls, 5, intent.channel);
	return record_datum(fcinfo, values, nulls);
}

/*
 * omnimsg_verify_telnyx(body bytea, signature text, signed_at text, public_key text,
 *		at timestamptz, tolerance interval) returns boolean
 */
Datum
omnimsg_verify_telnyx(PG_FUNCTION_ARGS)
{
	text	   *parts[4];
	OmPublicKey key;
	Interval   *tolerance;
	int64		now;
	size_t		length;
	OmSignatureResult result;

	for (int i = 0; i < 6; i++)
		if (PG_ARGISNULL(i))
			PG_RETURN_BOOL(false);
	for (int i = 0; i < 4; i++)
		parts[i] = PG_GETARG_TEXT_PP(i);
	tolerance = PG_GETARG_INTERVAL_P(5);

	if (sodium_init() < 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not initialize libsodium")));
	if (om_public_key_parse(VARDATA_ANY(parts[3]), VARSIZE_ANY_EXHDR(parts[3]), &key) != OM_SIGNATURE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid public key"),
				 errhint("It is the base64 of 32 bytes that the provider's portal shows under Keys & Credentials, Public Key.")));
	if (tolerance->month != 0 || tolerance->day < 0 || tolerance->time < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tolerance must be positive and without months"),
				 errhint("The provider's own libraries use 300 seconds.")));

	now = PG_GETARG_TIMESTAMPTZ(4);
	if (TIMESTAMP_NOT_FINITE(now))
		PG_RETURN_BOOL(false);
	now = now / USECS_PER_SEC + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
	length = VARSIZE_ANY_EXHDR(parts[0]) + OM_SIGNATURE_SCRATCH;
	result = om_signature_verify(&key, 1,
								 VARDATA_ANY(parts[2]), VARSIZE_ANY_EXHDR(parts[2]),
								 VARDATA_ANY(parts[1]), VARSIZE_ANY_EXHDR(parts[1]),
								 (uint8_t *) VARDATA_ANY(parts[0]), VARSIZE_ANY_EXHDR(parts[0]),
								 palloc(length), length, now,
								 tolerance->day * INT64CONST(86400) + tolerance->time / USECS_PER_SEC,
								 NULL);
	PG_RETURN_BOOL(result == OM_SIGNATURE_OK);
}

/* omnimsg_mask_phone(text) returns text */
Datum
omnimsg_mask_phone(PG_FUNCTION_ARGS)
{
	text	   *address = PG_GETARG_TEXT_PP(0);
	char		masked[OM_MASK_SIZE];

	om_mask_address(VARDATA_ANY(address), VARSIZE_ANY_EXHDR(address), masked, sizeof(masked));
	PG_RETURN_TEXT_P(cstring_to_text(masked));
}

/* omnimsg_count_segments(body text) returns record */
Datum
omnimsg_count_segments(PG_FUNCTION_ARGS)
{
	text	   *body = PG_GETARG_TEXT_PP(0);
	OmSegments	count = om_segment_count(VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body));
	Datum		values[3];
	bool		nulls[3] = {false};

	values[0] = CStringGetTextDatum(om_encoding_name(count.encoding));
	values[1] = Int32GetDatum((int32) count.units);
	values[2] = Int32GetDatum((int32) count.segments);
	return record_datum(fcinfo, values, nulls);
}

/* omnimsg.keyword_key(keyword text) returns text */
Datum
omnimsg_keyword_key(PG_FUNCTION_ARGS)
{
	text	   *keyword = PG_GETARG_TEXT_PP(0);
	char		key[OM_KEYWORD_SIZE];
	size_t		length = om_intent_keyword(VARDATA_ANY(keyword), VARSIZE_ANY_EXHDR(keyword),
										   key, sizeof(key));

	PG_RETURN_TEXT_P(cstring_to_text_with_len(key, length));
}

static OmTemplateTrigger
template_trigger(const char *name)
{
	if (strcmp(name, "opt_out") == 0)
		return OM_TEMPLATE_OPT_OUT;
	if (strcmp(name, "opt_in") == 0)
		return OM_TEMPLATE_OPT_IN;
	return strcmp(name, "help") == 0 ? OM_TEMPLATE_HELP : OM_TEMPLATE_OTHER;
}

/*
 * omnimsg.check_template(trigger text, body text) returns boolean
 *
 * Raises instead of returning false: whoever writes a template should read what is wrong with it.
 */
Datum
omnimsg_check_template(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	text	   *body = PG_GETARG_TEXT_PP(1);
	OmTemplateFinding finding;
	OmTemplateFault fault;

	/* pg_dump's output begins so, and a restore must not fail on what an older version has let pass */
	if (!row_security)
		PG_RETURN_BOOL(true);
	fault = om_template_check(template_trigger(name), VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body),
							  &finding);
	if (fault != OM_TEMPLATE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("invalid template: %s", om_template_fault_message(fault)),
				 finding.span_end > finding.span_start ?
				 errdetail("It is \"%.*s\".", pg_mbcliplen(VARDATA_ANY(body) + finding.span_start,
														 finding.span_end - finding.span_start, 80),
						   VARDATA_ANY(body) + finding.span_start) : 0));
	PG_RETURN_BOOL(true);
}

/* omnimsg.is_timezone(name text) returns boolean */
Datum
omnimsg_is_timezone(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(om_timezone(text_to_cstring(PG_GETARG_TEXT_PP(0))) != NULL);
}

/* omnimsg_versions() returns setof (component text, version text) */
Datum
omnimsg_versions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *out = (ReturnSetInfo *) fcinfo->resultinfo;
	const char *const rows[][2] = {
		{"lexicon", om_intent_version()},
		{"phone numbers", om_phone_tables_version()},
	};

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < (int) lengthof(rows); i++)
	{
		Datum		values[2] = {CStringGetTextDatum(rows[i][0]), CStringGetTextDatum(rows[i][1])};
		bool		nulls[2] = {false, false};

		tuplestore_putvalues(out->setResult, out->setDesc, values, nulls);
	}
	return (Datum) 0;
}
