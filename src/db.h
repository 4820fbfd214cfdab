/*
 * db.h
 *		SPI with kept plans, and arrays as columns.
 *
 * Each step of ingest is a few statements over whole batches.  A statement is a
 * static OmStatement whose plan is made once per backend; its arguments are
 * OmColumns, which become arrays that the SQL text unnests side by side.
 */
#ifndef OM_DB_H
#define OM_DB_H

#include "postgres.h"

#include "executor/spi.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#define OM_MAX_ARGS 24

typedef struct OmStatement
{
	const char *sql;
	int			nargs;
	Oid			types[OM_MAX_ARGS]; /* array types for columns */
	SPIPlanPtr	plan;
} OmStatement;

typedef struct OmColumn
{
	Oid			type;			/* of an element */
	int			count;
	int			capacity;
	Datum	   *values;
	bool	   *nulls;
} OmColumn;

/*
 * Run a statement inside SPI.  values has statement->nargs entries; a NULL
 * argument is passed as a column element, never as an argument.  Rows are in
 * SPI_tuptable until the next call.  Returns the number of rows.
 */
extern uint64 om_db_run(OmStatement *statement, Datum *values);

/*
 * The same for a statement that joins a list with tables, which takes much longer to plan than to run: it is planned once, not for
 * the values, and again when statistics change.  A plan for values looks cheaper for each list of fewer than ten, which is what the
 * planner takes a list for that it does not know, so that om_db_run would plan for each call.  Statements of another kind are for
 * om_db_run: a plan that was made while the tables were empty reads all of them when they no longer are.  Whoever runs one of this
 * kind often calls om_db_age_plans.
 */
extern uint64 om_db_run_generic(OmStatement *statement, Datum *values);

/*
 * Called before each piece of work, in a transaction: now and then lets all plans of the session be made anew, so that none outlives
 * for long the time when its tables were small.  Between two of these the tables at most double, as far as it is this session that
 * fills them; on each day it begins again, for a month begins with partitions that are empty.
 */
extern void om_db_age_plans(void);

/*
 * The same for a statement with RETURNING, whose rows nobody wants: *reached is how many there were, also when it
 * raises an error.  So of a statement that takes rows one by one, as INSERT does, it is the number of the row that
 * it failed at, from 0; or as many as there are, if it failed after the last.
 */
extern void om_db_run_counting(OmStatement *statement, Datum *values, uint64 *reached);

/*
 * Do something in a subtransaction, which is kept if nothing is raised and it is to be kept.  The error that was
 * raised, and has been rolled back; or NULL.
 */
extern ErrorData *om_db_try(void (*work) (void *), void *argument, bool keep);

/* Act as the owner of the tables, until SetUserIdAndSecContext(user, context); an error sets that back by itself */
extern void om_db_become_owner(Oid *user, int *context);

extern OmColumn *om_column(Oid type, int capacity);
extern void om_column_add(OmColumn *column, Datum value, bool isnull);
extern void om_column_add_text(OmColumn *column, const char *value);
extern void om_column_add_uuid(OmColumn *column, const pg_uuid_t *value);
extern void om_column_add_time(OmColumn *column, TimestampTz value);
extern void om_column_add_bool(OmColumn *column, bool value);
extern void om_column_add_int(OmColumn *column, int32 value);
extern Datum om_column_array(OmColumn *column);
/* Of some of its elements, side by side */
extern Datum om_column_part(OmColumn *column, int begin, int count);

/* Fields of row number row of SPI_tuptable, columns counted from 1, copied */
extern char *om_field_text(uint64 row, int column);
extern pg_uuid_t *om_field_uuid(uint64 row, int column);
extern bool om_field_bool(uint64 row, int column);
extern int64 om_field_int(uint64 row, int column);
extern int64 om_field_int_or(uint64 row, int column, int64 otherwise);
extern TimestampTz om_field_time(uint64 row, int column, bool *isnull);

/* uuid.c */
extern void om_uuid7(pg_uuid_t *uuid);
extern const pg_uuid_t om_nil_uuid;

#endif							/* OM_DB_H */
