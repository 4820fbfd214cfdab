/*
 * spool_file.c
 *		SQLite, with a write-ahead log and synchronous=FULL.
 *
 * Why a write-ahead log: a commit is one fdatasync of an append, and it is durable.  With a
 * rollback journal it would be three or four, and with journal_mode=DELETE and FULL not even
 * durable, for the removal of the journal is what commits, and nobody flushes it.  Readers
 * (--spool-status) and the writer do not wait for each other either.
 *
 * A flush that failed is not tried again: the kernel may have dropped the pages and call
 * them clean, and a second fsync would say yes to what is lost.  The file then takes
 * nothing new until the process starts anew and reads what is really there.  Rows may still be
 * deleted, without any flush and without touching anything but the log: if that is lost they are
 * replayed once more, and ingest knows them.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "spool_file.h"
#include "spool_place.h"
#include "spool_record.h"

#define APPLICATION_ID		0x6f6d7370	/* "omsp" */
#define SCHEMA_VERSION		3

/*
 * Left free on the file system, beside what the log needs to be moved into the file, so that
 * rows can always be deleted
 */
#define RESERVED_BYTES		(1024 * 1024)

/* The log is moved into the file beyond this many pages; sooner in test/fault */
#ifndef CHECKPOINT_PAGES
#define CHECKPOINT_PAGES	1000
#endif
#define JOURNAL_SIZE_LIMIT	"8388608"

/* Rows tried before that come along with one take */
#define TRIED_AT_ONCE		8

/* So many are deleted one by one before others get their turn */
#define DELETED_ALONE		16

/* A row is never put off for longer: a clock that was set back must not hide it */
#define LONGEST_BACKOFF_MS	120000

struct OmSpoolFile
{
	sqlite3    *db;
	sqlite3_stmt *insert;
	sqlite3_stmt *take_new;
	sqlite3_stmt *take_tried;
	sqlite3_stmt *remove;
	sqlite3_stmt *set_aside;
	sqlite3_stmt *change;
	sqlite3_stmt *oldest;
	sqlite3_stmt *page_count;
	sqlite3_stmt *free_count;
	sqlite3_stmt *count_damaged;
	int			lock_fd;
	char	   *directory;
	int			page_size;
	int			log_pages;
	uint64_t	unused_bytes;	/* in pages of the file that no row is in */
	bool		broken;
	OmSpoolUsage usage;
	char		error[160];

	/* Rows that are done and could not be deleted, for the disk was full or the like */
	int64_t    *undeleted;
	int			num_undeleted;
	int64_t		first;			/* new rows are read from this id on: behind the highest of them */
};

/* What was found damaged is kept for people, as it was found */
#define DAMAGED \
"CREATE TABLE damaged (id INTEGER PRIMARY KEY, kind, provider, signature, signed_at, key_id, received_at," \
" attempts, crashes, next_at, sqlstate, body, checksum);"

/* Of every row, and without the bodies: a relay that starts counts them by it, and need not read all of its spool for that */
#define COUNTED \
"CREATE INDEX deliveries_counted ON deliveries (attempts);"

static const char schema[] =
"CREATE TABLE deliveries ("
" id INTEGER PRIMARY KEY,"
" kind TEXT NOT NULL CHECK (kind IN ('ingest', 'stale', 'crashed')),"
" provider TEXT NOT NULL,"
" signature TEXT NOT NULL,"
" signed_at TEXT NOT NULL,"
" key_id TEXT NOT NULL,"
" received_at INTEGER NOT NULL,"
" attempts INTEGER NOT NULL,"
" crashes INTEGER NOT NULL,"
" next_at INTEGER NOT NULL,"
" sqlstate TEXT NOT NULL,"
" body BLOB NOT NULL,"
" checksum BLOB) STRICT;"
"CREATE INDEX deliveries_tried ON deliveries (next_at) WHERE attempts > 0;"
COUNTED DAMAGED;

/* An id is given again when its row has gone, but what is set aside stays */
#define SET_ASIDE "CASE WHEN EXISTS (SELECT 1 FROM damaged WHERE id = ?1) THEN NULL ELSE id END, kind, provider," \
	" signature, signed_at, key_id, received_at, attempts, crashes, next_at, sqlstate, body, checksum"

/* Version 1 had no checksums: the rows of then are believed */
static const char from_version_1[] = "ALTER TABLE deliveries ADD COLUMN checksum BLOB;" COUNTED DAMAGED;
static const char from_version_2[] = COUNTED;

static bool
is_broken(int code)
{
	int			primary = code & 0xff;

	return code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC ||
		primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB;
}

/* What an error of SQLite means for the caller; undoes the transaction. */
static OmSpoolResult
give_up(OmSpoolFile *file, int code)
{
	snprintf(file->error, sizeof(file->error), "%d: %s", code, sqlite3_errmsg(file->db));
	if (!sqlite3_get_autocommit(file->db))
		sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
	if (is_broken(code))
	{
		file->broken = true;
		sqlite3_exec(file->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
		sqlite3_db_config(file->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		return OM_SPOOL_BROKEN;
	}
	return (code & 0xff) == SQLITE_FULL ? OM_SPOOL_FULL : OM_SPOOL_TROUBLE;
}

static int
exec(OmSpoolFile *file, const char *sql)
{
	int			code = sqlite3_exec(file->db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? code : sqlite3_extended_errcode(file->db);
}

/* Without memory even an attempt to undo the transaction before may have failed. */
static int
begin(OmSpoolFile *file)
{
	int			code = sqlite3_get_autocommit(file->db) ? SQLITE_OK : exec(file, "ROLLBACK");

	return code == SQLITE_OK ? exec(file, "BEGIN IMMEDIATE") : code;
}

/* One step of a statement without rows */
static int
step(OmSpoolFile *file, sqlite3_stmt *statement)
{
	int			code = sqlite3_step(statement);

	if (code != SQLITE_DONE && code != SQLITE_ROW)
		code = sqlite3_extended_errcode(file->db);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

/* The first column of the first row, or missing */
static int64_t
number_of(sqlite3_stmt *statement, int64_t missing)
{
	int64_t		number = missing;

	if (sqlite3_step(statement) == SQLITE_ROW)
		number = sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	return number;
}

static void
measure(OmSpoolFile *file)
{
	int64_t		pages = number_of(file->page_count, -1);
	int64_t		unused = number_of(file->free_count, 0);

	if (pages >= 0)
		file->usage.bytes = (pages - unused) * file->page_size;
	file->unused_bytes = (uint64_t) unused * (uint64_t) file->page_size;
	file->usage.oldest_at = number_of(file->oldest, 0);
	file->usage.damaged = number_of(file->count_damaged, 0);
}

static int
on_log_grown(void *arg, sqlite3 *db, const char *name, int pages)
{
	OmSpoolFile *file = arg;

	file->log_pages = pages;
	return SQLITE_OK;
}

/* ---- opening ---- */

static bool
prepare(OmSpoolFile *file, sqlite3_stmt **statement, const char *sql)
{
	return sqlite3_prepare_v3(file->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) ==
		SQLITE_OK;
}

static int64_t
pragma_number(OmSpoolFile *file, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	int64_t		number = -1;

	if (prepare(file, &statement, sql))
		number = number_of(statement, -1);
	sqlite3_finalize(statement);
	return number;
}

static bool
make_schema(OmSpoolFile *file, char *error, size_t error_size)
{
	char		sql[sizeof(schema) + 128];
	int64_t		version = pragma_number(file, "PRAGMA user_version");
	int64_t		application = pragma_number(file, "PRAGMA application_id");

	if (application == APPLICATION_ID && version == SCHEMA_VERSION)
		return true;
	if (application == APPLICATION_ID && version > SCHEMA_VERSION)
	{
		snprintf(error, error_size, "the spool was made by a newer omnimsg-relay");
		return false;
	}
	if (application == APPLICATION_ID && (version == 1 || version == 2))
	{
		snprintf(sql, sizeof(sql), "BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT",
				 version == 1 ? from_version_1 : from_version_2, SCHEMA_VERSION);
		if (exec(file, sql) == SQLITE_OK)
			return true;
		snprintf(error, error_size, "cannot bring the spool up to date: %s", sqlite3_errmsg(file->db));
		return false;
	}
	if (application != 0 || version != 0 || pragma_number(file, "SELECT count(*) FROM sqlite_schema") != 0)
	{
		snprintf(error, error_size, "the file is no spool of omnimsg-relay, or is damaged (%s)",
				 sqlite3_errmsg(file->db));
		return false;
	}
	snprintf(sql, sizeof(sql), "BEGIN IMMEDIATE; %s PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
			 schema, APPLICATION_ID, SCHEMA_VERSION);
	if (exec(file, sql) == SQLITE_OK)
		return true;
	snprintf(error, error_size, "cannot make the spool: %s", sqlite3_errmsg(file->db));
	return false;
}

static bool
open_database(OmSpoolFile *file, const char *path, char *error, size_t error_size)
{
	sqlite3_stmt *count = NULL;
	bool		good;

	if (sqlite3_open_v2(path, &file->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL) != SQLITE_OK)
	{
		snprintf(error, error_size, "cannot open the spool \"%s\": %s", path,
				 file->db != NULL ? sqlite3_errmsg(file->db) : "out of memory");
		return false;
	}
	sqlite3_extended_result_codes(file->db, 1);
	sqlite3_busy_timeout(file->db, OM_SPOOL_BUSY_MS);
	if (exec(file, "PRAGMA journal_mode = WAL") != SQLITE_OK ||
		exec(file, "PRAGMA synchronous = FULL") != SQLITE_OK ||
		exec(file, "PRAGMA wal_autocheckpoint = 0") != SQLITE_OK ||
		exec(file, "PRAGMA journal_size_limit = " JOURNAL_SIZE_LIMIT) != SQLITE_OK ||
		exec(file, "PRAGMA temp_store = MEMORY") != SQLITE_OK)
	{
		snprintf(error, error_size, "cannot use the spool \"%s\": %s", path, sqlite3_errmsg(file->db));
		return false;
	}
	if (!make_schema(file, error, error_size))
		return false;
	sqlite3_wal_hook(file->db, on_log_grown, file);

	file->page_size = (int) pragma_number(file, "PRAGMA page_size");
	good = prepare(file, &file->insert, "INSERT INTO deliveries (kind, provider, signature, signed_at,"
				   " key_id, received_at, attempts, crashes, next_at, sqlstate, body, checksum)"
				   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)") &&
		prepare(file, &file->take_new, "SELECT " OM_SPOOL_COLUMNS " FROM deliveries WHERE attempts = 0"
				" AND id >= ?2 ORDER BY id LIMIT ?1") &&
		prepare(file, &file->take_tried, "SELECT " OM_SPOOL_COLUMNS " FROM deliveries WHERE attempts > 0"
				" AND (next_at <= ?2 OR next_at > ?3) ORDER BY next_at LIMIT ?1") &&
		prepare(file, &file->remove, "DELETE FROM deliveries WHERE id = ?1") &&
		prepare(file, &file->set_aside, "INSERT INTO damaged SELECT " SET_ASIDE " FROM deliveries WHERE id = ?1") &&
		prepare(file, &file->change, "UPDATE deliveries SET attempts = ?2, crashes = ?3, next_at = ?4,"
				" sqlstate = ?5 WHERE id = ?1") &&
		prepare(file, &file->oldest, "SELECT received_at FROM deliveries ORDER BY id LIMIT 1") &&
		prepare(file, &file->page_count, "PRAGMA page_count") &&
		prepare(file, &file->free_count, "PRAGMA freelist_count") &&
		prepare(file, &file->count_damaged, "SELECT count(*) FROM damaged") &&
		prepare(file, &count, "SELECT count(*) FROM deliveries");
	if (good)
	{
		file->usage.rows = number_of(count, -1);
		measure(file);
		good = file->usage.rows >= 0 && file->page_size > 0;
	}
	sqlite3_finalize(count);
	if (!good)
		snprintf(error, error_size, "cannot read the spool \"%s\": %s", path, sqlite3_errmsg(file->db));
	return good;
}

OmSpoolFile *
om_spool_file_open(const char *path, char *error, size_t error_size)
{
	OmSpoolFile *file = calloc(1, sizeof(OmSpoolFile));
	const char *slash = strrchr(path, '/');

	if (file != NULL)
	{
		file->lock_fd = -1;
		file->first = INT64_MIN;
		file->directory = slash == NULL ? strdup(".") : slash == path ? strdup("/") :
			strndup(path, (size_t) (slash - path));
	}
	if (file == NULL || file->directory == NULL)
	{
		free(file);
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	if (om_spool_place_check(file->directory, error, error_size) &&
		(file->lock_fd = om_spool_place_lock(path, error, error_size)) >= 0 &&
		om_spool_place_make(path, error, error_size) &&
		open_database(file, path, error, error_size) &&
		om_spool_place_flush(file->directory, error, error_size))
		return file;
	om_spool_file_close(file);
	return NULL;
}

void
om_spool_file_close(OmSpoolFile *file)
{
	sqlite3_finalize(file->insert);
	sqlite3_finalize(file->take_new);
	sqlite3_finalize(file->take_tried);
	sqlite3_finalize(file->remove);
	sqlite3_finalize(file->set_aside);
	sqlite3_finalize(file->change);
	sqlite3_finalize(file->oldest);
	sqlite3_finalize(file->page_count);
	sqlite3_finalize(file->free_count);
	sqlite3_finalize(file->count_damaged);
	sqlite3_close(file->db);
	if (file->lock_fd >= 0)
		close(file->lock_fd);
	free(file->undeleted);
	free(file->directory);
	free(file);
}

/* ---- rows ---- */

/*
 * New rows go into the log first, and from there into the file: both must be possible.  Pages that rows have left take
 * new ones.
 */
static bool
fits(const OmSpoolFile *file, const OmSpoolRow *rows, int n)
{
	struct statvfs vfs;
	uint64_t	added = 0;
	uint64_t	moved;
	int			i;

	for (i = 0; i < n; i++)
		added += rows[i].body_len + (uint64_t) file->page_size;
	moved = added + (uint64_t) file->log_pages * (uint64_t) file->page_size;
	moved = moved > file->unused_bytes ? moved - file->unused_bytes : 0;
	return statvfs(file->directory, &vfs) != 0 ||
		(uint64_t) vfs.f_bavail * vfs.f_frsize >= RESERVED_BYTES + added + moved;
}

/* A log that is not needed any more takes up room until it is cut */
static bool
has_space(OmSpoolFile *file, const OmSpoolRow *rows, int n)
{
	if (fits(file, rows, n))
		return true;
	if (sqlite3_wal_checkpoint_v2(file->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK)
		return false;
	file->log_pages = 0;
	return fits(file, rows, n);
}

static int
bind_text(sqlite3_stmt *statement, int position, const char *text)
{
	return sqlite3_bind_text(statement, position, text, -1, SQLITE_STATIC);
}

static int
insert(OmSpoolFile *file, const OmSpoolRow *row)
{
	sqlite3_stmt *s = file->insert;
	uint8_t		sum[OM_SPOOL_CHECKSUM_BYTES];

	om_spool_checksum(row, sum);
	if (bind_text(s, 1, row->kind) != SQLITE_OK || bind_text(s, 2, row->provider) != SQLITE_OK ||
		bind_text(s, 3, row->signature) != SQLITE_OK || bind_text(s, 4, row->signed_at) != SQLITE_OK ||
		bind_text(s, 5, row->key_id) != SQLITE_OK || bind_text(s, 10, row->sqlstate) != SQLITE_OK ||
		sqlite3_bind_int64(s, 6, row->received_at) != SQLITE_OK ||
		sqlite3_bind_int(s, 7, row->attempts) != SQLITE_OK ||
		sqlite3_bind_int(s, 8, row->crashes) != SQLITE_OK ||
		sqlite3_bind_int64(s, 9, row->next_at) != SQLITE_OK ||
		sqlite3_bind_blob64(s, 11, row->body_len > 0 ? (const void *) row->body : "", row->body_len,
							SQLITE_STATIC) != SQLITE_OK ||
		sqlite3_bind_blob(s, 12, sum, sizeof(sum), SQLITE_STATIC) != SQLITE_OK)
		return SQLITE_NOMEM;
	return step(file, s);
}

OmSpoolResult
om_spool_file_put(OmSpoolFile *file, const OmSpoolRow *rows, int n)
{
	int			code;
	int			i;

	if (file->broken)
		return OM_SPOOL_BROKEN;
	if (!has_space(file, rows, n))
	{
		if (is_broken(sqlite3_extended_errcode(file->db)))
			return give_up(file, sqlite3_extended_errcode(file->db));
		snprintf(file->error, sizeof(file->error), "the file system is full");
		return OM_SPOOL_FULL;
	}
	code = begin(file);
	for (i = 0; i < n && code == SQLITE_OK; i++)
		code = insert(file, &rows[i]);
	if (code == SQLITE_OK)
		code = exec(file, "COMMIT");
	if (code != SQLITE_OK)
		return give_up(file, code);
	file->usage.rows += n;
	measure(file);
	return OM_SPOOL_OK;
}

static bool
is_undeleted(const OmSpoolFile *file, int64_t id)
{
	int			i;

	for (i = 0; i < file->num_undeleted; i++)
	{
		if (file->undeleted[i] == id)
			return true;
	}
	return false;
}

/* Remember what is done; false when there is no memory. */
static bool
pass_over(OmSpoolFile *file, const OmSpoolRow *rows, int n)
{
	int64_t    *grown = realloc(file->undeleted, sizeof(int64_t) * (size_t) (file->num_undeleted + n));
	int			i;

	if (grown == NULL)
		return false;
	file->undeleted = grown;
	for (i = 0; i < n; i++)
	{
		if (!rows[i].done || rows[i].damaged)
			continue;
		grown[file->num_undeleted++] = rows[i].id;
		if (rows[i].attempts == 0 && rows[i].id >= file->first)
			file->first = rows[i].id < INT64_MAX ? rows[i].id + 1 : INT64_MAX;
	}
	return true;
}

/* The last n of them, in one transaction */
static int
delete_last(OmSpoolFile *file, int n)
{
	int			code = begin(file);
	int			i;

	for (i = file->num_undeleted - n; i < file->num_undeleted && code == SQLITE_OK; i++)
	{
		sqlite3_bind_int64(file->remove, 1, file->undeleted[i]);
		code = step(file, file->remove);
	}
	if (code == SQLITE_OK)
		code = exec(file, "COMMIT");
	if (code != SQLITE_OK)
	{
		give_up(file, code);
		return code;
	}
	file->usage.rows -= n;
	file->num_undeleted -= n;
	return code;
}

/*
 * Delete them now, if that is possible by now.  Deleting overwrites what was there, so it takes as much of the log as the
 * rows are long.  Where the disk is nearly full they go one by one, and the log is cut after each.
 */
static void
delete_undeleted(OmSpoolFile *file)
{
	int			code = SQLITE_OK;
	int			i;

	if (file->num_undeleted == 0)
		return;
	code = delete_last(file, file->num_undeleted);
	for (i = 0; i < DELETED_ALONE && file->num_undeleted > 0 && !file->broken; i++)
	{
		if ((code & 0xff) != SQLITE_OK && (code & 0xff) != SQLITE_FULL)
			break;
		if (sqlite3_wal_checkpoint_v2(file->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK)
			file->log_pages = 0;
		else if (is_broken(sqlite3_extended_errcode(file->db)))
			give_up(file, sqlite3_extended_errcode(file->db));
		else
			break;
		code = delete_last(file, 1);
		if (code != SQLITE_OK)
			break;
	}
	if (file->num_undeleted == 0)
		file->first = INT64_MIN;
	measure(file);
}

/* Up to limit rows of a statement, behind the n that are there.  Returns how many in all, or minus an OmSpoolResult. */
static int
read_rows(OmSpoolFile *file, sqlite3_stmt *statement, OmSpoolRow *rows, int n, int limit,
		  size_t *bytes, size_t max_bytes)
{
	int			code = SQLITE_ROW;

	sqlite3_bind_int(statement, 1, limit);
	while (n < limit && (n == 0 || *bytes < max_bytes) && code == SQLITE_ROW)
	{
		code = sqlite3_step(statement);
		if (code != SQLITE_ROW)
			break;
		if (!om_spool_record_read(statement, &rows[n]))
		{
			code = SQLITE_NOMEM;
			break;
		}
		if (is_undeleted(file, rows[n].id))
			om_spool_row_free(&rows[n]);
		else
			*bytes += rows[n++].body_len;
	}
	if (code != SQLITE_ROW && code != SQLITE_DONE)
	{
		code = code == SQLITE_NOMEM ? code : sqlite3_extended_errcode(file->db);
		sqlite3_reset(statement);
		while (n > 0)
			om_spool_row_free(&rows[--n]);
		return -(int) give_up(file, code);
	}
	sqlite3_reset(statement);
	return n;
}

int
om_spool_file_take(OmSpoolFile *file, OmSpoolRow *rows, int n, size_t max_bytes, int64_t now)
{
	size_t		bytes = 0;
	int			tried = n / 4 < TRIED_AT_ONCE ? n / 4 : TRIED_AT_ONCE;
	int			taken;

	/* also in small takes, or new ones that keep coming would leave them no turn */
	if (tried == 0 && n > 1)
		tried = 1;
	delete_undeleted(file);
	sqlite3_bind_int64(file->take_new, 2, file->first);
	taken = read_rows(file, file->take_new, rows, 0, n - tried, &bytes, max_bytes);
	if (taken < 0)
		return taken;
	sqlite3_bind_int64(file->take_tried, 2, now);
	sqlite3_bind_int64(file->take_tried, 3, now + LONGEST_BACKOFF_MS);
	if (tried == 0 && taken == 0)
		tried = 1;
	bytes = 0;
	return read_rows(file, file->take_tried, rows, taken, taken + tried, &bytes, max_bytes);
}

static int
write_down(OmSpoolFile *file, const OmSpoolRow *row)
{
	sqlite3_stmt *s = row->done ? file->remove : file->change;

	if (!row->done && !row->changed)
		return SQLITE_OK;
	if (row->damaged)
	{
		int			code;

		sqlite3_bind_int64(file->set_aside, 1, row->id);
		code = step(file, file->set_aside);
		if (code != SQLITE_OK)
			return code;
	}
	sqlite3_bind_int64(s, 1, row->id);
	if (!row->done &&
		(sqlite3_bind_int(s, 2, row->attempts) != SQLITE_OK ||
		 sqlite3_bind_int(s, 3, row->crashes) != SQLITE_OK ||
		 sqlite3_bind_int64(s, 4, row->next_at) != SQLITE_OK ||
		 bind_text(s, 5, row->sqlstate) != SQLITE_OK))
		return SQLITE_NOMEM;
	return step(file, s);
}

OmSpoolResult
om_spool_file_settle(OmSpoolFile *file, const OmSpoolRow *rows, int n, bool *known)
{
	int			done = 0;
	int			code = begin(file);
	int			i;

	for (i = 0; i < n && code == SQLITE_OK; i++)
	{
		code = write_down(file, &rows[i]);
		done += rows[i].done ? 1 : 0;
	}
	if (code == SQLITE_OK)
		code = exec(file, "COMMIT");
	if (code != SQLITE_OK)
	{
		OmSpoolResult result = give_up(file, code);

		/* What the log takes up on a full disk can be given back */
		if (result == OM_SPOOL_FULL &&
			sqlite3_wal_checkpoint_v2(file->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK &&
			is_broken(sqlite3_extended_errcode(file->db)))
			result = give_up(file, sqlite3_extended_errcode(file->db));
		*known = pass_over(file, rows, n);
		return result;
	}
	*known = true;
	file->usage.rows -= done;
	measure(file);
	return OM_SPOOL_OK;
}

OmSpoolResult
om_spool_file_checkpoint(OmSpoolFile *file)
{
	int			in_log = 0;
	int			moved = 0;
	int			code;

	if (file->broken || file->log_pages < CHECKPOINT_PAGES)
		return OM_SPOOL_OK;
	code = sqlite3_wal_checkpoint_v2(file->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log, &moved);
	if (code == SQLITE_OK && in_log == moved)
		file->log_pages = 0;
	/* A reader in the way is no trouble, nor is a full disk: the log waits */
	if (code == SQLITE_OK || !is_broken(sqlite3_extended_errcode(file->db)))
		return OM_SPOOL_OK;
	return give_up(file, sqlite3_extended_errcode(file->db));
}

OmSpoolUsage
om_spool_file_usage(const OmSpoolFile *file)
{
	return file->usage;
}

const char *
om_spool_file_error(const OmSpoolFile *file)
{
	return file->error;
}
