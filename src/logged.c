/*
 * logged.c
 *		What of people may be in the server's log.
 *
 * PostgreSQL logs what it cannot do as it was told it: a statement with its literals, the row that a constraint
 * refused, the line of a COPY.  Where that is about omnimsg it has people's numbers and messages in it, and a log
 * is read, kept and sent around by others than the database is.  The client is told as always.
 */
#include "postgres.h"

#include "tcop/tcopprot.h"
#include "utils/elog.h"

#include "logged.h"
#include "statement.h"

/* Digits that stay of a number, at its end */
#define SHOWN_DIGITS	2

static emit_log_hook_type next_hook = NULL;

/* While an error is logged in a version of its own */
static bool is_told = false;

/* +15555550123 becomes +*********23, in place */
static void
mask_numbers(char *text)
{
	for (char *p = text ? strchr(text, '+') : NULL; p != NULL; p = strchr(p, '+'))
	{
		size_t		digits = strspn(++p, "0123456789");

		if (digits >= OM_NUMBER_DIGITS)
			memset(p, '*', digits - SHOWN_DIGITS);
	}
}

/* The text without what PostgreSQL quotes in it, or without all that was put into it */
static char *
without_values(const ErrorData *edata)
{
	const char *first = strchr(edata->message, '"');

	if (first == NULL)
		return pstrdup(edata->message_id != NULL ? edata->message_id : "");
	return psprintf("%.*s\"...%s", (int) (first - edata->message), edata->message, strrchr(edata->message, '"'));
}

/* The log has one version, the client another: it is logged from here, and what goes on is for the client only */
static void
log_without_values(ErrorData *edata)
{
	ErrorData	told = *edata;

	if (ERRCODE_TO_CATEGORY(edata->sqlerrcode) == ERRCODE_DATA_EXCEPTION && edata->message != NULL)
		edata->message = without_values(edata);
	edata->internalquery = NULL;
	edata->output_to_client = false;
	is_told = true;
	EmitErrorReport();
	*edata = told;
	edata->output_to_server = false;
}

/* In a function or trigger of an application the statement need not name us: the error does, or what ran before it */
static bool
is_about_us(const ErrorData *edata)
{
	return (edata->schema_name != NULL && strcmp(edata->schema_name, "omnimsg") == 0) ||
		(debug_query_string != NULL && om_statement_names_us(debug_query_string)) ||
		(edata->context != NULL && om_statement_names_us(edata->context)) ||
		(edata->internalquery != NULL && om_statement_names_us(edata->internalquery)) ||
		om_statement_called_us();
}

static void
hide_people(ErrorData *edata)
{
	bool		refused = edata->schema_name != NULL && strcmp(edata->schema_name, "omnimsg") == 0;
	bool		is_value = ERRCODE_TO_CATEGORY(edata->sqlerrcode) == ERRCODE_DATA_EXCEPTION;

	if (debug_query_string != NULL && om_statement_literal(debug_query_string) != NULL)
		edata->hide_stmt = true;
	/* of a function in SQL: what it was called with may be in there as well */
	if (edata->context != NULL &&
		(edata->hide_stmt || om_statement_literal(edata->context) != NULL || strstr(edata->context, "COPY ") ||
		 strstr(edata->context, "JSON data")))
		edata->hide_ctx = true;
	if (edata->detail != NULL && edata->detail_log == NULL && (refused || is_value))
		edata->detail_log = pstrdup("Not logged: it may quote what people wrote.");
	mask_numbers(edata->message);
	mask_numbers(edata->detail);
	mask_numbers(edata->detail_log);
	mask_numbers(edata->context);
	if (is_value || edata->internalquery != NULL)
		log_without_values(edata);
}

static void
keep_people_out(ErrorData *edata)
{
	bool		second = is_told;

	is_told = false;
	if (!second && edata->output_to_server)
	{
		if (is_about_us(edata))
		{
			hide_people(edata);
			/* of one that could not be understood, or came after an error, nothing has seen the text before */
			om_statement_show_less();
		}
		else if (om_statement_is_tenants())
			om_statement_show_less();
		/* plans that are logged, as debug_print_plan and auto_explain do */
		if (edata->elevel <= LOG && om_statement_is_tenants())
			edata->output_to_client = false;
	}
	if (next_hook && edata->output_to_server)
		next_hook(edata);
}

void
om_logged_start(void)
{
	next_hook = emit_log_hook;
	emit_log_hook = keep_people_out;
}
