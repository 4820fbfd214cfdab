/*
 * spool_report.c
 *		--spool-status and --spool-export.
 *
 * Numbers and texts that came from outside go through the JSON writer, and the status
 * shows none of them: what is in the bodies is people's messages.
 */
#include <inttypes.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "spool_file.h"
#include "spool_report.h"

static void
complain(const char *path, const char *what)
{
	fprintf(stderr, "omnimsg-relay: cannot read the spool \"%s\": %s\n", path, what);
}

/* A connection that reads, or NULL */
static sqlite3 *
open_to_read(const char *path)
{
	sqlite3    *db = NULL;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK)
	{
		sqlite3_busy_timeout(db, OM_SPOOL_BUSY_MS);
		return db;
	}
	complain(path, db != NULL ? sqlite3_errmsg(db) : "out of memory");
	sqlite3_close(db);
	return NULL;
}

/* RFC 3339 */
static void
format_time(int64_t unix_ms, char *out, size_t out_size)
{
	time_t		seconds = (time_t) (unix_ms / 1000);
	struct tm	utc;

	if (gmtime_r(&seconds, &utc) == NULL || strftime(out, out_size, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		snprintf(out, out_size, "?");
}

/* How many were set aside; a spool of an older relay has no place for them */
static int64_t
count_damaged(sqlite3 *db)
{
	sqlite3_stmt *s = NULL;
	int64_t		count = 0;

	if (sqlite3_prepare_v2(db, "SELECT count(*) FROM damaged", -1, &s, NULL) == SQLITE_OK &&
		sqlite3_step(s) == SQLITE_ROW)
		count = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return count;
}

static void
print_status(sqlite3_stmt *s)
{
	int64_t		oldest = sqlite3_column_int64(s, 2);
	const char *sqlstate = (const char *) sqlite3_column_text(s, 6);
	char		text[32];

	printf("deliveries     %" PRId64 "\n", (int64_t) sqlite3_column_int64(s, 0));
	printf("bytes          %" PRId64 "\n", (int64_t) sqlite3_column_int64(s, 1));
	if (oldest > 0)
	{
		format_time(oldest, text, sizeof(text));
		printf("oldest         %s (%" PRId64 " s ago)\n", text, (om_clock_unix_ms() - oldest) / 1000);
	}
	else
		printf("oldest         -\n");
	printf("failed before  %" PRId64 "\n", (int64_t) sqlite3_column_int64(s, 3));
	printf("most attempts  %" PRId64 "\n", (int64_t) sqlite3_column_int64(s, 4));
	printf("stale          %" PRId64 "\n", (int64_t) sqlite3_column_int64(s, 5));
	printf("last SQLSTATE  %s\n", sqlstate != NULL && sqlstate[0] != '\0' ? sqlstate : "-");
}

bool
om_spool_print_status(const char *path)
{
	/* An error counts as the last that was written down: ids do not tell, times of the next attempt do */
	static const char sql[] =
		"SELECT count(*), coalesce(sum(length(body)), 0), coalesce(min(received_at), 0),"
		" count(*) FILTER (WHERE attempts > 0), coalesce(max(attempts), 0),"
		" count(*) FILTER (WHERE kind = 'stale'),"
		" (SELECT sqlstate FROM deliveries WHERE sqlstate <> '' ORDER BY next_at DESC, id DESC LIMIT 1)"
		" FROM deliveries";
	sqlite3    *db = open_to_read(path);
	sqlite3_stmt *s = NULL;
	bool		good = false;

	if (db == NULL)
		return false;
	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
	{
		print_status(s);
		printf("damaged        %" PRId64 "\n", count_damaged(db));
		good = fflush(stdout) == 0;
	}
	else
		complain(path, sqlite3_errmsg(db));
	sqlite3_finalize(s);
	sqlite3_close(db);
	return good;
}

static void
print_string(const char *text)
{
	putchar('"');
	for (; *text != '\0'; text++)
	{
		unsigned char c = (unsigned char) *text;

		/* Header texts are ASCII; what is not is kept legible and harmless */
		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void
print_field(sqlite3_stmt *s, const char *name, int column)
{
	const unsigned char *text = sqlite3_column_text(s, column);

	printf(",\"%s\":", name);
	print_string(text != NULL ? (const char *) text : "");
}

/* False when there is no memory for it */
static bool
print_row(sqlite3_stmt *s)
{
	const void *body = sqlite3_column_blob(s, 6);
	size_t		len = (size_t) sqlite3_column_bytes(s, 6);
	size_t		size = sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_ORIGINAL);
	char	   *base64 = malloc(size);
	char		received[32];

	if (base64 == NULL)
		return false;
	sodium_bin2base64(base64, size, body, len, sodium_base64_VARIANT_ORIGINAL);
	format_time(sqlite3_column_int64(s, 5), received, sizeof(received));
	printf("{\"kind\":");
	print_string((const char *) sqlite3_column_text(s, 0));
	print_field(s, "provider", 1);
	printf(",\"body\":\"%s\"", base64);
	print_field(s, "signature", 2);
	print_field(s, "signed_at", 3);
	print_field(s, "key_id", 4);
	printf(",\"received_at\":\"%s\"}\n", received);
	free(base64);
	return true;
}

bool
om_spool_export(const char *path)
{
#define EXPORTED "provider, signature, signed_at, key_id, received_at, body"
	static const char all[] = "SELECT kind, " EXPORTED " FROM (SELECT id, kind, " EXPORTED " FROM deliveries"
		" UNION ALL SELECT id, 'damaged', " EXPORTED " FROM damaged) ORDER BY id";
	static const char older[] = "SELECT kind, " EXPORTED " FROM deliveries ORDER BY id";
	sqlite3    *db = open_to_read(path);
	sqlite3_stmt *s = NULL;
	int			code;

	if (db == NULL)
		return false;
	code = sqlite3_prepare_v2(db, count_damaged(db) > 0 ? all : older, -1, &s, NULL);
	while (code == SQLITE_OK || code == SQLITE_ROW)
	{
		code = sqlite3_step(s);
		if (code == SQLITE_ROW && !print_row(s))
			code = SQLITE_NOMEM;
	}
	if (code != SQLITE_DONE)
		complain(path, code == SQLITE_NOMEM ? "out of memory" : sqlite3_errmsg(db));
	sqlite3_finalize(s);
	sqlite3_close(db);
	if (code == SQLITE_DONE && (fflush(stdout) != 0 || ferror(stdout)))
	{
		fprintf(stderr, "omnimsg-relay: standard output cannot be written\n");
		return false;
	}
	return code == SQLITE_DONE;
}
