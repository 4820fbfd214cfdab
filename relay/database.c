/*
 * database.c
 *		libpq without a call that waits: every wait is a poll with a deadline.
 *
 * A server that is stopped, or behind a network that drops all, answers nothing and
 * closes nothing; PQexec would wait for it for ever.
 */
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "database.h"
#include "log.h"
#include "metrics.h"
#include "skew.h"

#define CONNECT_TIMEOUT_MS	2000

/* After an end without a word: how long it may take to find out whether the server went down, */
#define PROBE_MS			1500
#define PROBE_PAUSE_MS		20
/* and how long a connection lasts that is made before the server has noticed it */
#define NOTICE_MS			150

/* Types of PostgreSQL that never change (catalog/pg_type.dat) */
#define BYTEA_OID			17
#define TEXT_OID			25
#define BYTEA_ARRAY_OID		1001
#define TEXT_ARRAY_OID		1009

#define NUM_PARAMS			6

/* An array parameter in the format of array_recv */
typedef struct Param
{
	char	   *bytes;
	size_t		len;
	size_t		size;
} Param;

struct OmDb
{
	PGconn	   *conn;
	const char *conninfo;
	Param		params[NUM_PARAMS];
	bool		warned;			/* the server said 01000 in this batch */
	char		farewell[6];	/* with which SQLSTATE it ended the connection */
};

static OmLogLimit error_limit = OM_LOG_LIMIT_INIT;

/*
 * Count and log one failure.  detail is a SQLSTATE, or libpq's text about a
 * connection; messages of statements may quote what people wrote, and are not logged.
 */
static void
report(OmDbError what, const char *detail)
{
	OmLogLine	line;
	int64_t		suppressed;

	om_metrics_db_error(what);
	if (!om_log_allowed(&error_limit, &suppressed))
		return;
	om_log_begin(&line, OM_LOG_WARNING, "database error");
	om_log_text(&line, "kind", om_metrics_db_error_name(what));
	if (detail != NULL)
		om_log_text(&line, "detail", detail);
	om_log_suppressed(&line, suppressed);
	om_log_end(&line);
}

/*
 * Notices are the server's log's, not ours, where libpq would write them as they are.  One matters:
 * when somebody cancels the wait for a synchronous standby, the commit goes on with a
 * WARNING, and the standby may not have it.
 */
static void
on_notice(void *arg, const PGresult *notice)
{
	OmDb	   *db = arg;
	const char *sqlstate = PQresultErrorField(notice, PG_DIAG_SQLSTATE);
	const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);

	if (sqlstate != NULL && severity != NULL && strcmp(sqlstate, "01000") == 0 &&
		strcmp(severity, "WARNING") == 0)
		db->warned = true;
	/* 57P02: another process of the server crashed, and this one ends for that */
	if (sqlstate != NULL && strncmp(sqlstate, "57P", 3) == 0)
		memcpy(db->farewell, sqlstate, sizeof(db->farewell));
}

/* Wait for the socket; false at the deadline. */
static bool
wait_socket(PGconn *conn, short events, int64_t deadline)
{
	for (;;)
	{
		struct pollfd fd = {PQsocket(conn), events, 0};
		int64_t		left = deadline - om_clock_ms();

		if (left <= 0 || fd.fd < 0)
			return false;
		if (poll(&fd, 1, (int) left) > 0)
			return true;
	}
}

/* Connect, and say in *state how far that came; the caller closes it in any case. */
static PGconn *
connect_until(const char *conninfo, PGVerbosity verbosity, int64_t deadline,
			  PostgresPollingStatusType *state)
{
	/*
	 * What comes before dbname is a default that the connection string may
	 * override; what comes after it holds.  The timeout is for a server whose
	 * relay has given up: it frees locks that nobody waits for any more.  The shorter
	 * one for locks leaves time to try the others of a batch without the one that waits.
	 */
	static const char *const keywords[] =
	{"options", "dbname", "application_name", "client_encoding", NULL};
	const char *values[5];
	PGconn	   *conn;

	values[0] = "-c statement_timeout=1500 -c lock_timeout=500";
	values[1] = conninfo;
	values[2] = "omnimsg-relay";
	values[3] = "UTF8";
	values[4] = NULL;

	conn = PQconnectStartParams(keywords, values, 1);
	*state = conn == NULL || PQstatus(conn) == CONNECTION_BAD ? PGRES_POLLING_FAILED :
		PGRES_POLLING_WRITING;
	if (conn != NULL)
		PQsetErrorVerbosity(conn, verbosity);
	while (*state == PGRES_POLLING_READING || *state == PGRES_POLLING_WRITING)
	{
		if (!wait_socket(conn, *state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline))
			break;
		*state = PQconnectPoll(conn);
	}
	return conn;
}

OmDb *
om_db_open(const char *conninfo)
{
	PostgresPollingStatusType state;
	OmDb	   *db = calloc(1, sizeof(OmDb));

	if (db == NULL)
		return NULL;
	db->conninfo = conninfo;
	db->conn = connect_until(conninfo, PQERRORS_DEFAULT, om_clock_ms() + CONNECT_TIMEOUT_MS, &state);
	if (state != PGRES_POLLING_OK || PQsetnonblocking(db->conn, 1) != 0)
	{
		report(OM_DB_CONNECT, state != PGRES_POLLING_FAILED ? "timeout" :
			   db->conn != NULL ? PQerrorMessage(db->conn) : "out of memory");
		om_db_close(db);
		return NULL;
	}
	PQsetNoticeReceiver(db->conn, on_notice, db);
	om_log(OM_LOG_DEBUG, "database connected");
	return db;
}

void
om_db_close(OmDb *db)
{
	int			i;

	PQfinish(db->conn);
	for (i = 0; i < NUM_PARAMS; i++)
		free(db->params[i].bytes);
	free(db);
}

bool
om_db_is_open(OmDb *db)
{
	return PQconsumeInput(db->conn) && PQstatus(db->conn) == CONNECTION_OK;
}

/*
 * Send what is queued and read all results, up to the one that says that the
 * server is ready again.  With the extended protocol the commit comes after
 * the rows and their CommandComplete, so only then is anything known to be durable.
 * False: broken or late, and reported.  An error of the statement is true, with its
 * SQLSTATE in sqlstate ("" otherwise); the rows, if any, are in *rows.
 */
static bool
run(OmDb *db, int64_t deadline, PGresult **rows, char *sqlstate)
{
	int			flushing = 1;

	*rows = NULL;
	sqlstate[0] = '\0';
	for (;;)
	{
		PGresult   *result;

		if (flushing != 0)
			flushing = PQflush(db->conn);
		if (flushing < 0 || (!PQconsumeInput(db->conn) && PQisBusy(db->conn)))
			break;
		if (flushing != 0 || PQisBusy(db->conn))
		{
			if (!wait_socket(db->conn, flushing != 0 ? POLLIN | POLLOUT : POLLIN, deadline))
			{
				report(OM_DB_TIMEOUT, NULL);
				PQclear(*rows);
				*rows = NULL;
				return false;
			}
			continue;
		}

		result = PQgetResult(db->conn);
		if (result == NULL)
		{
			if (PQstatus(db->conn) == CONNECTION_OK &&
				PQtransactionStatus(db->conn) == PQTRANS_IDLE)
				return true;
			break;
		}
		if (PQresultStatus(result) == PGRES_TUPLES_OK && *rows == NULL)
			*rows = result;
		else
		{
			const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

			if (state != NULL)
				snprintf(sqlstate, 6, "%s", state);
			else if (sqlstate[0] == '\0' && PQstatus(db->conn) == CONNECTION_OK)
				snprintf(sqlstate, 6, "XX000");
			PQclear(result);
		}
	}

	/* Of a statement that the server ended with the connection, say why. */
	if (sqlstate[0] != '\0')
		memcpy(db->farewell, sqlstate, sizeof(db->farewell));
	report(OM_DB_LOST, db->farewell[0] != '\0' ? db->farewell : NULL);
	PQclear(*rows);
	*rows = NULL;
	return false;
}

bool
om_db_ping(OmDb *db, int64_t deadline)
{
	PGresult   *rows;
	char		sqlstate[6];
	int64_t		sent = om_clock_unix_ms();
	int64_t		begin = om_clock_ms();
	int64_t		trip;

	if (!PQsendQuery(db->conn, "SELECT (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())"
					 " OPERATOR(pg_catalog.*) 1000)::pg_catalog.int8"))
	{
		report(OM_DB_LOST, NULL);
		return false;
	}
	if (!run(db, deadline, &rows, sqlstate))
		return false;
	trip = om_clock_ms() - begin;
	if (rows != NULL && PQntuples(rows) == 1)
		om_skew_database(sent + trip / 2 - atoll(PQgetvalue(rows, 0, 0)));
	PQclear(rows);
	return true;
}

static bool
param_reserve(Param *param, size_t more)
{
	size_t		size = param->size > 0 ? param->size : 4096;
	char	   *grown;

	while (size < param->len + more)
		size *= 2;
	if (size == param->size)
		return true;
	grown = realloc(param->bytes, size);
	if (grown == NULL)
		return false;
	param->bytes = grown;
	param->size = size;
	return true;
}

static void
param_int32(Param *param, int32_t value)
{
	uint32_t	net = htonl((uint32_t) value);

	memcpy(param->bytes + param->len, &net, 4);
	param->len += 4;
}

/* Begin an array of one dimension: dimensions, has nulls, type, length, lower bound */
static bool
param_begin(Param *param, int element_oid, int n, bool nulls)
{
	param->len = 0;
	if (!param_reserve(param, 20))
		return false;
	param_int32(param, 1);
	param_int32(param, nulls ? 1 : 0);
	param_int32(param, element_oid);
	param_int32(param, n);
	param_int32(param, 1);
	return true;
}

/* NULL when bytes is NULL */
static bool
param_element(Param *param, const void *bytes, size_t len)
{
	if (!param_reserve(param, 4 + len))
		return false;
	if (bytes == NULL)
	{
		param_int32(param, -1);
		return true;
	}
	param_int32(param, (int32_t) len);
	memcpy(param->bytes + param->len, bytes, len);
	param->len += len;
	return true;
}

static bool
build_params(OmDb *db, OmDbDelivery *const *deliveries, int n, bool dead)
{
	Param	   *p = db->params;
	int			i;

	for (i = 0; i < NUM_PARAMS; i++)
	{
		if (!param_begin(&p[i], i == 1 ? BYTEA_OID : TEXT_OID, n, i == NUM_PARAMS - 1 && !dead))
			return false;
	}
	for (i = 0; i < n; i++)
	{
		const OmDbDelivery *d = deliveries[i];

		/* An empty body is no NULL; the last array is of reasons, or of delivery ids, which are unknown. */
		if (!param_element(&p[0], d->provider, strlen(d->provider)) ||
			!param_element(&p[1], d->body != NULL ? (const void *) d->body : "", d->body_len) ||
			!param_element(&p[2], d->signature, strlen(d->signature)) ||
			!param_element(&p[3], d->signed_at, strlen(d->signed_at)) ||
			!param_element(&p[4], d->key_id, strlen(d->key_id)) ||
			!param_element(&p[5], d->reason, dead ? strlen(d->reason) : 0))
			return false;
	}
	return true;
}

static bool
send_call(OmDb *db, OmDbDelivery *const *deliveries, int n)
{
	static const Oid types[NUM_PARAMS] = {
		TEXT_ARRAY_OID, BYTEA_ARRAY_OID, TEXT_ARRAY_OID,
		TEXT_ARRAY_OID, TEXT_ARRAY_OID, TEXT_ARRAY_OID
	};
	static const int formats[NUM_PARAMS] = {1, 1, 1, 1, 1, 1};
	bool		dead = deliveries[0]->reason != NULL;
	const char *values[NUM_PARAMS];
	int			lengths[NUM_PARAMS];
	int			i;

	if (!build_params(db, deliveries, n, dead))
		return false;
	for (i = 0; i < NUM_PARAMS; i++)
	{
		values[i] = db->params[i].bytes;
		lengths[i] = (int) db->params[i].len;
	}

	/* Unnamed: parsed once per batch, and right through any pooler. */
	return PQsendQueryParams(db->conn, dead ?
							 "SELECT ordinal, outcome FROM omnimsg_keep_dead("
							 "$1::text[], $2::bytea[], $3::text[], "
							 "$4::text[], $5::text[], $6::text[])" :
							 "SELECT ordinal, outcome FROM omnimsg_ingest_batch("
							 "$1::text[], $2::bytea[], $3::text[], "
							 "$4::text[], $5::text[], $6::text[])",
							 NUM_PARAMS, types, values, lengths, formats, 0);
}

/* Which deliveries do the rows speak of?  Any outcome is durable: dead letters too. */
static void
mark_stored(const PGresult *rows, OmDbDelivery **deliveries, int n)
{
	int			i;

	for (i = 0; i < PQntuples(rows); i++)
	{
		int			ordinal = atoi(PQgetvalue(rows, i, 0));

		if (ordinal >= 1 && ordinal <= n)
			deliveries[ordinal - 1]->stored = true;
	}
	for (i = 0; i < n; i++)
	{
		if (!deliveries[i]->stored)
			report(OM_DB_NO_ROW, NULL);
	}
}

/* A connection that was made after the end: has the server started since, or does it end this one as well? */
static bool
tells_of_crash(PGconn *conn, int64_t begin)
{
	OmDb		db = {.conn = conn};
	char		sql[160];
	char		sqlstate[6];
	PGresult   *rows = NULL;
	int64_t		watched = om_clock_ms() + NOTICE_MS;
	bool		alive;
	bool		started = false;

	snprintf(sql, sizeof(sql), "SELECT pg_catalog.pg_postmaster_start_time() OPERATOR(pg_catalog.>)"
			 " pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) interval '%lld ms'",
			 (long long) (om_clock_ms() - begin));
	PQsetNoticeReceiver(conn, on_notice, &db);
	if (PQsetnonblocking(conn, 1) != 0 || !PQsendQuery(conn, sql))
		return true;
	alive = run(&db, watched + PROBE_MS, &rows, sqlstate);
	if (alive && rows != NULL && PQntuples(rows) == 1)
		started = strcmp(PQgetvalue(rows, 0, 0), "t") == 0;
	PQclear(rows);
	if (!alive || started)
		return true;

	/* Nothing comes in unless it ends */
	return wait_socket(conn, POLLIN, watched);
}

/*
 * A connection has ended without a word, while the server worked for it.  That may have been a network, which can
 * do it to anybody twice.  A server that went down says so for a while: it takes no connections before it has
 * recovered (57P03), ends those that it has (57P02), or was started since.
 */
static bool
server_crashed(const char *conninfo, int64_t begin)
{
	static const struct timespec pause = {0, PROBE_PAUSE_MS * 1000000};
	int64_t		until = om_clock_ms() + PROBE_MS;
	bool		known = false;
	bool		crashed = false;

	while (!known && om_clock_ms() < until)
	{
		PostgresPollingStatusType state;
		PGconn	   *conn = connect_until(conninfo, PQERRORS_SQLSTATE, until, &state);

		if (state == PGRES_POLLING_OK)
		{
			known = true;
			crashed = tells_of_crash(conn, begin);
		}
		else if (conn != NULL && strstr(PQerrorMessage(conn), "57P0") != NULL)
			known = crashed = true;
		PQfinish(conn);
		if (!known)
			nanosleep(&pause, NULL);
	}
	return crashed;
}

OmDbCall
om_db_store(OmDb *db, OmDbDelivery **deliveries, int n, int64_t deadline)
{
	int64_t		begin = om_clock_ms();
	PGresult   *rows;
	char		sqlstate[6];
	int			i;

	db->warned = false;
	db->farewell[0] = '\0';
	for (i = 0; i < n; i++)
		deliveries[i]->sqlstate[0] = '\0';
	if (!send_call(db, deliveries, n))
	{
		report(OM_DB_LOST, NULL);
		return OM_CALL_BROKEN;
	}
	if (!run(db, deadline, &rows, sqlstate))
		return PQstatus(db->conn) == CONNECTION_BAD && db->farewell[0] == '\0' &&
			server_crashed(db->conninfo, begin) ? OM_CALL_CRASHED : OM_CALL_BROKEN;
	if (sqlstate[0] == '\0' && db->warned)
		strcpy(sqlstate, "01000");
	if (sqlstate[0] == '\0')
	{
		if (rows != NULL)
			mark_stored(rows, deliveries, n);
		PQclear(rows);
		return OM_CALL_DONE;
	}
	report(OM_DB_STATEMENT, sqlstate);
	PQclear(rows);
	for (i = 0; i < n; i++)
		memcpy(deliveries[i]->sqlstate, sqlstate, sizeof(sqlstate));
	return OM_CALL_REFUSED;
}
