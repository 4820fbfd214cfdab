/*
 * logged.c
 *		What of people may be in the server's log.
 *
 * PostgreSQL logs what it cannot do as it was told it: a statement with its literals, the row that a constraint
 * refused, the line of a COPY.  Where that is about omnimsg it has people's numbers and messages in it, and a log
 * is read, kept and sent around by others than the database is.  The client is told as always.
 */
#include "postgres.h"

#include <ctype.h>

#include "tcop/tcopprot.h"
#include "utils/elog.h"

#include "logged.h"

/* Digits that stay of a number, at its end */
#define SHOWN_DIGITS	2
#define MIN_DIGITS		7

static emit_log_hook_type next_hook = NULL;

/* A statement of parameters only says nothing of anybody */
static bool
has_literals(const char *statement)
{
	int			digits = 0;

	for (const char *p = statement; *p; p++)
	{
		if (*p == '\'' || (*p == '$' && !isdigit((unsigned char) p[1])))
			return true;
		digits = isdigit((unsigned char) *p) ? digits + 1 : 0;
		if (digits >= MIN_DIGITS)
			return true;
	}
	return false;
}

/* What EXECUTE stands for is not seen here */
static bool
names_us(const char *statement)
{
	while (isspace((unsigned char) *statement))
		statement++;
	if (pg_strncasecmp(statement, "execute", 7) == 0)
		return true;
	for (const char *p = statement; *p; p++)
		if (pg_strncasecmp(p, "omnimsg", 7) == 0)
			return true;
	return false;
}

/* +15555550123 becomes +*********23, in place */
static void
mask_numbers(char *text)
{
	for (char *p = text ? strchr(text, '+') : NULL; p != NULL; p = strchr(p, '+'))
	{
		size_t		digits = strspn(++p, "0123456789");

		if (digits >= MIN_DIGITS)
			memset(p, '*', digits - SHOWN_DIGITS);
	}
}

static void
keep_people_out(ErrorData *edata)
{
	const char *statement = debug_query_string;
	bool		ours = edata->schema_name != NULL && strcmp(edata->schema_name, "omnimsg") == 0;

	if (edata->output_to_server && (ours || (statement != NULL && names_us(statement))))
	{
		if (statement != NULL && has_literals(statement))
			edata->hide_stmt = true;
		/* of a function in SQL: what it was called with may be in there as well */
		if (edata->context != NULL &&
			(edata->hide_stmt || strstr(edata->context, "COPY ") || strstr(edata->context, "JSON data")))
			edata->hide_ctx = true;
		if (edata->detail != NULL && edata->detail_log == NULL &&
			(ours || ERRCODE_TO_CATEGORY(edata->sqlerrcode) == ERRCODE_DATA_EXCEPTION))
			edata->detail_log = pstrdup("Not logged: it may quote what people wrote.");
		mask_numbers(edata->message);
		mask_numbers(edata->detail);
		mask_numbers(edata->detail_log);
		mask_numbers(edata->context);
	}
	if (next_hook)
		next_hook(edata);
}

void
om_logged_start(void)
{
	next_hook = emit_log_hook;
	emit_log_hook = keep_people_out;
}
