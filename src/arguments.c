/*
 * arguments.c
 *		Reading the arguments of the functions that people call, and saying what is wrong with them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "compat.h"
#include "core/letters.h"
#include "core/mask.h"
#include "core/phone.h"
#include "core/utf8.h"
#include "db.h"
#include "ingest.h"
#include "statement.h"
#include "tenant.h"

/* So much of a wrong word is shown, in whole characters; none of what may be an address in its place */
#define MAX_SHOWN	64

const char *const om_channels[] = {"sms", "email", "voice", NULL};

static OmStatement find_organization = {
	"SELECT o.default_region FROM omnimsg.organizations o WHERE o.id = $1",
	1, {UUIDOID}, NULL
};

static void
refuse_null(FunctionCallInfo fcinfo, int number, const char *name)
{
	om_statement_calls_us();
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be NULL", name),
				 errhint("Give a value, or leave the argument out where it has a default.")));
}

pg_uuid_t *
om_arg_uuid(FunctionCallInfo fcinfo, int number, const char *name)
{
	refuse_null(fcinfo, number, name);
	return PG_GETARG_UUID_P(number);
}

pg_uuid_t *
om_arg_organization(FunctionCallInfo fcinfo, int number)
{
	pg_uuid_t  *organization_id = om_arg_uuid(fcinfo, number, "organization_id");

	om_tenant_require(organization_id);
	return organization_id;
}

char *
om_arg_text(FunctionCallInfo fcinfo, int number, const char *name)
{
	refuse_null(fcinfo, number, name);
	return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

char *
om_arg_word(FunctionCallInfo fcinfo, int number, const char *name, const char *const *words)
{
	char	   *word = om_arg_text(fcinfo, number, name);
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; words[i] != NULL; i++)
	{
		if (strcmp(word, words[i]) == 0)
			return word;
		appendStringInfo(&list, "%s\"%s\"", i > 0 ? ", " : "", words[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 strpbrk(word, "0123456789@ ") ? errmsg("invalid %s", name) :
			 errmsg("invalid %s: \"%.*s\"", name, pg_mbcliplen(word, strlen(word), MAX_SHOWN), word),
			 errhint("It is one of %s.", list.data)));
}

TimestampTz
om_arg_time(FunctionCallInfo fcinfo, int number, const char *name)
{
	refuse_null(fcinfo, number, name);
	if (TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(number)))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("%s must be a finite time", name),
				 errhint("Leave it out, and it is now.")));
	return PG_GETARG_TIMESTAMPTZ(number);
}

char *
om_arg_scope(FunctionCallInfo fcinfo, int number)
{
	char	   *scope = om_arg_text(fcinfo, number, "scope");

	if (scope[0] == '\0' || strlen(scope) > OM_MAX_ID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("scope must have 1 to %d bytes", OM_MAX_ID),
				 errhint("It is \"all\" or the name of a category of messages.")));
	return scope;
}

/* 2026-11-28 */
static bool
is_date(const char *text)
{
	return strspn(text, "0123456789") == 4 && text[4] == '-' && strspn(text + 5, "0123456789") == 2 &&
		text[7] == '-' && strspn(text + 8, "0123456789") == 2;
}

void
om_arg_refuse_address(const char *value, const char *name)
{
	size_t		len = strlen(value);
	bool		found = strchr(value, '@') != NULL;
	int			digits = 0;

	for (size_t at = 0; at < len && !found;)
	{
		uint32		code;
		char		folded;

		if (digits == 0 && is_date(value + at))
		{
			at += strlen("2026-11-28");
			continue;
		}
		at += om_utf8_decode(value + at, len - at, &code);
		folded = code == OM_UTF8_BAD ? OM_LETTER_OTHER : om_letter_fold(code);
		if (folded >= '0' && folded <= '9')
			digits++;
		else if (folded != OM_LETTER_BREAK && folded != OM_LETTER_NONE)
			digits = 0;
		found = digits >= OM_NUMBER_DIGITS;
	}
	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not have an e-mail address or a number in it", name),
				 errdetail("It goes to the audit trail, from which nobody's data can be erased."),
				 errhint("Leave out any \"@\", and seven digits or more in a row, also with blanks or dashes between them.")));
}

char *
om_organization_region(const pg_uuid_t *organization_id)
{
	if (om_db_run(&find_organization, (Datum[]) {UUIDPGetDatum(organization_id)}) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("organization \"%s\" does not exist",
						DatumGetCString(DirectFunctionCall1(uuid_out,
															UUIDPGetDatum(organization_id)))),
				 errhint("Organizations are in omnimsg.organizations.")));
	return om_field_text(0, 1);
}

char *
om_address_for(const char *raw, const char *channel, const char *region)
{
	char		masked[OM_MASK_SIZE];
	OmPhone		phone;

	om_phone_parse(raw, strlen(raw), region, &phone);
	if (strlen(raw) <= OM_MAX_ADDRESS)
	{
		if (strcmp(channel, "email") == 0)
		{
			if (phone.kind == OM_PHONE_KIND_EMAIL)
			{
				char	   *email = pstrdup(raw);

				for (char *p = email; *p; p++)
					*p = pg_tolower((unsigned char) *p);
				return email;
			}
		}
		else if (phone.kind == OM_PHONE_KIND_E164)
			return pstrdup(phone.e164);
		else if (phone.kind == OM_PHONE_KIND_SHORT_CODE)
			return pstrdup(raw);
	}

	om_mask_address(raw, strlen(raw), masked, sizeof(masked));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("\"%s\" is not an address of channel \"%s\"", masked, channel),
			 strcmp(channel, "email") == 0 ?
			 errhint("Give an e-mail address.") :
			 errhint("Give a phone number with plus and country code, or one of the organization's default region.")));
}
