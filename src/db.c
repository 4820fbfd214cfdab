/*
 * db.c
 *		SPI with kept plans, and arrays as columns.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "db.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/resowner.h"

#include "version.h"

/* After so many calls the plans of a session are made anew, then after twice as many, and at last after each thousand; and so on each day */
#define FIRST_AGE	8
#define LAST_AGE	1024

static void
prepare(OmStatement *statement, int options)
{
	SPIPlanPtr	plan;

	om_require_version();
	if (statement->plan != NULL)
		return;
	plan = SPI_prepare_cursor(statement->sql, statement->nargs, statement->types, options);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
	statement->plan = plan;
}

static uint64
run(OmStatement *statement, Datum *values, int options)
{
	int			result;

	prepare(statement, options);
	result = SPI_execute_plan(statement->plan, values, NULL, false, 0);
	if (result < 0)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(result));
	return SPI_processed;
}

uint64
om_db_run(OmStatement *statement, Datum *values)
{
	return run(statement, values, 0);
}

uint64
om_db_run_generic(OmStatement *statement, Datum *values)
{
	return run(statement, values, CURSOR_OPT_GENERIC_PLAN);
}

void
om_db_age_plans(void)
{
	static uint64 calls = 0;
	static uint64 next = FIRST_AGE;
	static int64 day = 0;
	int64		today = GetCurrentTransactionStartTimestamp() / USECS_PER_DAY;

	/* A month begins with empty tables */
	if (today != day)
	{
		day = today;
		calls = 0;
		next = FIRST_AGE;
	}
	if (++calls < next)
		return;
	next = calls + Min(calls, LAST_AGE);
	ResetPlanCache();
}

/* What takes the rows, and counts them */
typedef struct Counter
{
	DestReceiver receiver;
	uint64	   *reached;
} Counter;

static bool
count_row(TupleTableSlot *slot, DestReceiver *self)
{
	(*((Counter *) self)->reached)++;
	return true;
}

static void
start_counting(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
stop_counting(DestReceiver *self)
{
}

void
om_db_run_counting(OmStatement *statement, Datum *values, uint64 *reached)
{
	Counter		counter = {{count_row, start_counting, stop_counting, stop_counting, DestNone}, reached};
	ParamListInfo params = makeParamList(statement->nargs);
	SPIExecuteOptions options = {.params = params, .dest = &counter.receiver};
	int			result;

	*reached = 0;
	prepare(statement, 0);
	for (int i = 0; i < statement->nargs; i++)
	{
		params->params[i].value = values[i];
		params->params[i].isnull = false;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = statement->types[i];
	}
	result = SPI_execute_plan_extended(statement->plan, &options);
	if (result < 0)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(result));
}

ErrorData *
om_db_try(void (*work) (void *), void *argument, bool keep)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(argument);
		if (keep)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

void
om_db_become_owner(Oid *user, int *context)
{
	Relation	relation = table_open(get_relname_relid("organizations", get_namespace_oid("omnimsg", false)), AccessShareLock);

	GetUserIdAndSecContext(user, context);
	SetUserIdAndSecContext(relation->rd_rel->relowner, *context | SECURITY_LOCAL_USERID_CHANGE);
	table_close(relation, AccessShareLock);
}

OmColumn *
om_column(Oid type, int capacity)
{
	OmColumn   *column = palloc(sizeof(OmColumn));

	column->type = type;
	column->count = 0;
	column->capacity = Max(capacity, 1);
	column->values = palloc(sizeof(Datum) * column->capacity);
	column->nulls = palloc(sizeof(bool) * column->capacity);
	return column;
}

void
om_column_add(OmColumn *column, Datum value, bool isnull)
{
	if (column->count == column->capacity)
	{
		column->capacity *= 2;
		column->values = repalloc(column->values, sizeof(Datum) * column->capacity);
		column->nulls = repalloc(column->nulls, sizeof(bool) * column->capacity);
	}
	column->values[column->count] = value;
	column->nulls[column->count] = isnull;
	column->count++;
}

void
om_column_add_text(OmColumn *column, const char *value)
{
	om_column_add(column, value ? CStringGetTextDatum(value) : (Datum) 0, value == NULL);
}

void
om_column_add_uuid(OmColumn *column, const pg_uuid_t *value)
{
	om_column_add(column, PointerGetDatum(value), value == NULL);
}

/* 0 stands for "no time": the year 2000 is not one that an event is from */
void
om_column_add_time(OmColumn *column, TimestampTz value)
{
	om_column_add(column, TimestampTzGetDatum(value), value == 0);
}

void
om_column_add_bool(OmColumn *column, bool value)
{
	om_column_add(column, BoolGetDatum(value), false);
}

void
om_column_add_int(OmColumn *column, int32 value)
{
	om_column_add(column, Int32GetDatum(value), false);
}

Datum
om_column_array(OmColumn *column)
{
	return om_column_part(column, 0, column->count);
}

Datum
om_column_part(OmColumn *column, int begin, int count)
{
	int			dims[1];
	int			lbs[1] = {1};
	int16		length = -1;
	bool		byval = false;
	char		align = TYPALIGN_INT;

	dims[0] = count;
	switch (column->type)
	{
		case TEXTOID:
		case BYTEAOID:
		case JSONBOID:
			break;
		case UUIDOID:
			length = UUID_LEN;
			align = TYPALIGN_CHAR;
			break;
		case TIMESTAMPTZOID:
			length = sizeof(TimestampTz);
			byval = FLOAT8PASSBYVAL;
			align = TYPALIGN_DOUBLE;
			break;
		case BOOLOID:
			length = sizeof(bool);
			byval = true;
			align = TYPALIGN_CHAR;
			break;
		case INT4OID:
			length = sizeof(int32);
			byval = true;
			break;
		default:
			elog(ERROR, "no columns of type %u", column->type);
	}
	return PointerGetDatum(construct_md_array(column->values + begin, column->nulls + begin, 1, dims, lbs,
											  column->type, length, byval, align));
}

static Datum
field(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

char *
om_field_text(uint64 row, int column)
{
	bool		isnull;
	Datum		value = field(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

pg_uuid_t *
om_field_uuid(uint64 row, int column)
{
	bool		isnull;
	Datum		value = field(row, column, &isnull);
	pg_uuid_t  *copy;

	if (isnull)
		return NULL;
	copy = palloc(sizeof(pg_uuid_t));
	memcpy(copy, DatumGetUUIDP(value), sizeof(pg_uuid_t));
	return copy;
}

bool
om_field_bool(uint64 row, int column)
{
	bool		isnull;
	Datum		value = field(row, column, &isnull);

	return !isnull && DatumGetBool(value);
}

/* Of a column of type bigint; NULL is 0 */
int64
om_field_int(uint64 row, int column)
{
	bool		isnull;
	Datum		value = field(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

int64
om_field_int_or(uint64 row, int column, int64 otherwise)
{
	bool		isnull;
	Datum		value = field(row, column, &isnull);

	return isnull ? otherwise : DatumGetInt64(value);
}

TimestampTz
om_field_time(uint64 row, int column, bool *isnull)
{
	Datum		value = field(row, column, isnull);

	return *isnull ? 0 : DatumGetTimestampTz(value);
}
