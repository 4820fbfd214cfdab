/*
 * statement.c
 *		What a statement says of people, and what others see of it.
 *
 * pg_stat_activity shows a statement as it was written, to all sessions of the same role and to those that monitor, while it
 * runs and until the next one.  Where it is a tenant's, or names or calls something of ours, it is shown up to its first
 * literal only.  The server puts its whole text there when a message of the client arrives, and again with each message of
 * the extended protocol; the first place after that where a module can do anything is its analysis, or its execution.
 */
#include "postgres.h"

#include <ctype.h>

#include "access/xact.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "parser/analyze.h"
#include "pgstat.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "statement.h"
#include "tenant.h"

static post_parse_analyze_hook_type next_analyze = NULL;
static ExecutorRun_hook_type next_run = NULL;
static ProcessUtility_hook_type next_utility = NULL;

/* When the statement arrived that was looked at last, and in which a function of ours was called last */
static TimestampTz looked_at = 0;
static TimestampTz called_at = 0;
static bool tenants = false;

const char *
om_statement_literal(const char *statement)
{
	int			digits = 0;

	for (const char *p = statement; *p; p++)
	{
		if (*p == '\'' || (*p == '$' && !isdigit((unsigned char) p[1])))
			return p;
		digits = isdigit((unsigned char) *p) ? digits + 1 : 0;
		if (digits >= OM_NUMBER_DIGITS)
			return p - digits + 1;
	}
	return NULL;
}

/* What EXECUTE stands for is not seen here */
bool
om_statement_names_us(const char *statement)
{
	while (isspace((unsigned char) *statement))
		statement++;
	if (pg_strncasecmp(statement, "execute", 7) == 0)
		return true;
	for (const char *p = statement; *p; p++)
		if ((*p == 'o' || *p == 'O') && pg_strncasecmp(p, "omnimsg", 7) == 0)
			return true;
	return false;
}

void
om_statement_show_less(void)
{
	const char *literal = debug_query_string != NULL ? om_statement_literal(debug_query_string) : NULL;
	uint64		query_id = pgstat_get_my_query_id();
	char	   *shown;
	int			length;

	if (literal == NULL)
		return;
	length = pg_mbcliplen(debug_query_string, literal - debug_query_string, pgstat_track_activity_query_size - (int) strlen("...") - 1);
	shown = psprintf("%.*s...", length, debug_query_string);
	pgstat_report_activity(STATE_RUNNING, shown);
	pgstat_report_query_id(query_id, true);
	pfree(shown);
}

/*
 * Once for each message of the client; those of functions in it are no messages.  In a transaction that has failed nothing
 * can be looked up, and nothing runs but its end.
 */
static void
look(void)
{
	TimestampTz arrived = GetCurrentStatementStartTimestamp();

	if (debug_query_string == NULL || arrived == looked_at || !IsTransactionState())
		return;
	looked_at = arrived;
	tenants = om_tenant_is_restricted();
	if (tenants || om_statement_names_us(debug_query_string))
		om_statement_show_less();
}

void
om_statement_calls_us(void)
{
	TimestampTz arrived = GetCurrentStatementStartTimestamp();

	if (arrived == called_at)
		return;
	called_at = arrived;
	om_statement_show_less();
}

bool
om_statement_called_us(void)
{
	return called_at != 0 && called_at == GetCurrentStatementStartTimestamp();
}

bool
om_statement_is_tenants(void)
{
	return tenants;
}

static void
at_analysis(ParseState *pstate, Query *query, JumbleState *jumble)
{
	look();
	if (next_analyze)
		next_analyze(pstate, query, jumble);
}

static void
at_run(QueryDesc *query, ScanDirection direction, OM_RUN_PARAMETERS)
{
	look();
	if (next_run)
		next_run(query, direction, OM_RUN_ARGUMENTS);
	else
		standard_ExecutorRun(query, direction, OM_RUN_ARGUMENTS);
}

/*
 * The estimates of a plan rest on statistics over all tenants, and its counts on their rows.  So EXPLAIN is nothing for a
 * tenant's people, whatever it is about and whatever function it is in.
 */
static void
at_utility(PlannedStmt *statement, const char *text, bool read_only, ProcessUtilityContext context, ParamListInfo parameters,
		   QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	look();
	if (IsA(statement->utilityStmt, ExplainStmt) && om_tenant_is_restricted())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for EXPLAIN"),
				 errdetail("A plan tells of the rows of all organizations."),
				 errhint("Ask who administers the database: a superuser may.")));
	if (next_utility)
		next_utility(statement, text, read_only, context, parameters, environment, receiver, completion);
	else
		standard_ProcessUtility(statement, text, read_only, context, parameters, environment, receiver, completion);
}

void
om_statement_start(void)
{
	next_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = at_analysis;
	next_run = ExecutorRun_hook;
	ExecutorRun_hook = at_run;
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = at_utility;
}
