/*
 * fuzz_relay_spool_record.c
 *		Rows of the spool in which anything may stand where the relay wrote something else.
 *
 * The input is a list of changes to a few sound rows: which row and column (a byte: two bits and the others), of
 * which type the value is that gets there (a byte: three bits, and how long it is), and the value.  Each row is read as
 * if it had come from the table.  One input in 256 is also written to a spool, by a second connection that does not
 * know how strict the table is, and is taken out of it as the replay does.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "spool_file.h"
#include "spool_record.h"

#define SOUND_ROWS	4
#define MAX_ROWS	16
#define NOW			INT64_C(1800000000000)

/* so often a file is used */
#define USES		500

static const char *const columns[] = {
	"id", "kind", "provider", "signature", "signed_at", "key_id", "received_at", "attempts", "crashes", "next_at",
	"sqlstate", "body", "checksum"
};

#define COLUMNS		(sizeof(columns) / sizeof(columns[0]))

/* A value that takes another's place */
typedef struct Change
{
	int			row;
	size_t		column;
	int			type;
	const uint8_t *bytes;
	size_t		len;
} Change;

static char directory[] = "/dev/shm/omnimsg-fuzz-XXXXXX";
static char path[64];
static OmSpoolRow sound[SOUND_ROWS];
static sqlite3 *memory;
static sqlite3_stmt *row_of_any;
static OmSpoolFile *file;
static sqlite3 *raw;
static sqlite3_stmt *change[COLUMNS];
static sqlite3_stmt *begin;
static sqlite3_stmt *empty;
static sqlite3_stmt *forget;
static sqlite3_stmt *fill;
static sqlite3_stmt *commit;
static sqlite3_stmt *unsummed;
static sqlite3_stmt *findable;

static void
remove_all(void)
{
	static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
	char		name[80];
	size_t		i;

	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
	{
		snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		unlink(name);
	}
}

static void
exec(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return;
	fprintf(stderr, "%s\n", sqlite3_errmsg(db));
	abort();
}

static void
step(sqlite3_stmt *statement)
{
	MUST(sqlite3_step(statement) == SQLITE_DONE);
	sqlite3_reset(statement);
}

static sqlite3_stmt *
prepare(const char *sql)
{
	sqlite3_stmt *statement = NULL;

	MUST(sqlite3_prepare_v2(raw, sql, -1, &statement, NULL) == SQLITE_OK);
	return statement;
}

static void
open_spool(void)
{
	char		error[512];

	file = om_spool_file_open(path, error, sizeof(error));
	MUST(file != NULL);
}

/* Column types give way for as long as the second connection reads what the table is like, and it never looks again */
static void
open_raw(void)
{
	static const char loosen[] =
		"PRAGMA writable_schema = ON;"
		"CREATE TEMP TABLE strict AS SELECT sql FROM main.sqlite_schema WHERE name = 'deliveries';"
		"UPDATE main.sqlite_schema SET sql = replace(replace(replace(replace(replace(sql, ' STRICT', ''), ' NOT NULL', ''),"
		" ' CHECK (kind IN (''ingest'', ''stale'', ''crashed''))', ''), ' TEXT', ''), ' BLOB', '')"
		" WHERE name = 'deliveries';";
	static const char tighten[] =
		"UPDATE main.sqlite_schema SET sql = (SELECT sql FROM temp.strict)"
		" WHERE name = 'deliveries';";
	sqlite3    *db;

	MUST(sqlite3_open(path, &db) == SQLITE_OK && sqlite3_open(path, &raw) == SQLITE_OK);
	exec(db, loosen);
	exec(raw, "PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY;"
		 "CREATE TEMP TABLE sound AS SELECT * FROM deliveries");
	exec(db, tighten);
	sqlite3_close(db);
}

static void
prepare_all(void)
{
	char		sql[80];
	size_t		i;

	for (i = 0; i < COLUMNS; i++)
	{
		snprintf(sql, sizeof(sql), "UPDATE OR IGNORE deliveries SET %s = ?1 WHERE id = ?2", columns[i]);
		change[i] = prepare(sql);
	}
	begin = prepare("BEGIN IMMEDIATE");
	empty = prepare("DELETE FROM deliveries");
	forget = prepare("DELETE FROM damaged WHERE id > 4");
	fill = prepare("INSERT INTO deliveries SELECT * FROM temp.sound");
	commit = prepare("COMMIT");
	unsummed = prepare("SELECT count(*) FROM deliveries WHERE checksum IS NULL");
	/* no number of attempts, or no time: the statements of the relay do not find those */
	findable = prepare("SELECT count(*) FROM deliveries WHERE attempts >= 0 AND next_at IS NOT NULL");
}

static void
close_all(void)
{
	sqlite3_stmt *statement;

	while ((statement = sqlite3_next_stmt(raw, NULL)) != NULL)
		sqlite3_finalize(statement);
	sqlite3_close(raw);
	om_spool_file_close(file);
	remove_all();
}

static void
close_at_exit(void)
{
	close_all();
	rmdir(directory);
}

static void
open_all(void)
{
	int			i;

	open_spool();
	for (i = 0; i < SOUND_ROWS; i++)
		MUST(om_spool_file_put(file, &sound[i], 1) == OM_SPOOL_OK);
	open_raw();
	prepare_all();
	/* what the relay has read of the schema is what it was, and stays so */
	om_spool_file_close(file);
	open_spool();
}

/* The next n bytes of the input, or what is left */
static const uint8_t *
next(const uint8_t **data, size_t *size, size_t *n)
{
	const uint8_t *at = *data;

	if (*n > *size)
		*n = *size;
	*data += *n;
	*size -= *n;
	return at;
}

/* False at the end of the input */
static bool
next_change(const uint8_t **data, size_t *size, Change *out)
{
	size_t		two = 2;
	const uint8_t *head;

	if (*size < two)
		return false;
	head = next(data, size, &two);
	out->row = head[0] & 3;
	out->column = (head[0] >> 2) % COLUMNS;
	out->type = head[1] & 7;
	out->len = out->type == 1 || out->type == 2 ? 8 : head[1] >> 3;
	if (out->len == 31)
		out->len = 300;
	out->bytes = next(data, size, &out->len);
	return true;
}

static void
bind_change(sqlite3_stmt *s, int position, const Change *change)
{
	int64_t		number = 0;
	double		real = 0;

	memcpy(&number, change->bytes, change->len < sizeof(number) ? change->len : sizeof(number));
	memcpy(&real, change->bytes, change->len < sizeof(real) ? change->len : sizeof(real));
	switch (change->type)
	{
		case 0:
			sqlite3_bind_null(s, position);
			break;
		case 1:
			sqlite3_bind_int64(s, position, number);
			break;
		case 2:
			sqlite3_bind_double(s, position, real);
			break;
		case 3:
			sqlite3_bind_text(s, position, (const char *) change->bytes, (int) change->len, SQLITE_TRANSIENT);
			break;
		case 4:
			sqlite3_bind_int64(s, position, (int64_t) change->len);
			break;
		case 5:
			/* zeros, more than fit into a page */
			sqlite3_bind_zeroblob(s, position, (int) (change->len & 15) * 1000);
			break;
		default:
			sqlite3_bind_blob(s, position, change->bytes, (int) change->len, SQLITE_TRANSIENT);
			break;
	}
}

static void
bind_sound(sqlite3_stmt *s, int i)
{
	const OmSpoolRow *row = &sound[i];
	uint8_t		sum[OM_SPOOL_CHECKSUM_BYTES];

	om_spool_checksum(row, sum);
	sqlite3_bind_int64(s, 1, i + 1);
	sqlite3_bind_text(s, 2, row->kind, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 3, row->provider, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 4, row->signature, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 5, row->signed_at, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 6, row->key_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 7, row->received_at);
	sqlite3_bind_int64(s, 8, row->attempts);
	sqlite3_bind_int64(s, 9, 0);
	sqlite3_bind_int64(s, 10, 0);
	sqlite3_bind_text(s, 11, "", -1, SQLITE_STATIC);
	sqlite3_bind_blob(s, 12, row->body, (int) row->body_len, SQLITE_STATIC);
	sqlite3_bind_blob(s, 13, sum, sizeof(sum), SQLITE_TRANSIENT);
}

static void
write_rows(const uint8_t *data, size_t size)
{
	Change		one;

	step(begin);
	step(empty);
	/* ids that are set aside come again, but not ever more of them */
	step(forget);
	step(fill);
	while (next_change(&data, &size, &one))
	{
		bind_change(change[one.column], 1, &one);
		sqlite3_bind_int64(change[one.column], 2, one.row + 1);
		/* what is no integer is no id: it stays as it is */
		sqlite3_step(change[one.column]);
		sqlite3_reset(change[one.column]);
	}
	step(commit);
}

/* One of those that were kept? */
static int
is_sound(const OmSpoolRow *row)
{
	int			i;

	for (i = 0; i < SOUND_ROWS; i++)
		if (strcmp(row->kind, sound[i].kind) == 0 && strcmp(row->provider, sound[i].provider) == 0 &&
			strcmp(row->signature, sound[i].signature) == 0 && strcmp(row->signed_at, sound[i].signed_at) == 0 &&
			strcmp(row->key_id, sound[i].key_id) == 0 && row->body_len == sound[i].body_len &&
			memcmp(row->body, sound[i].body, row->body_len) == 0)
			return 1;
	return 0;
}

static void
check_row(const OmSpoolRow *row, bool without_checksum)
{
	MUST(row->store != NULL && strlen(row->sqlstate) < sizeof(row->sqlstate));
	/* without a checksum it is believed */
	MUST(row->damaged || without_checksum || is_sound(row));
}

/* Without changes it is one that was kept; with those of the input it is that, or damaged */
static void
read_row(int i, const uint8_t *data, size_t size)
{
	OmSpoolRow	row;
	Change		one;
	int			changes = 0;

	bind_sound(row_of_any, i);
	while (next_change(&data, &size, &one))
	{
		if (one.row != i)
			continue;
		bind_change(row_of_any, (int) one.column + 1, &one);
		changes++;
	}
	MUST(sqlite3_step(row_of_any) == SQLITE_ROW);
	MUST(om_spool_record_read(row_of_any, &row));
	check_row(&row, sqlite3_column_type(row_of_any, COLUMNS - 1) == SQLITE_NULL);
	MUST(changes > 0 || !row.damaged);
	om_spool_row_free(&row);
	sqlite3_reset(row_of_any);
}

/* As the replay does: what is damaged is set aside, the others are done, or tried once more */
static int
replay(int64_t now, bool all, bool without_checksum)
{
	OmSpoolRow	rows[MAX_ROWS];
	bool		known = false;
	int			n = om_spool_file_take(file, rows, MAX_ROWS, 1000000, now);
	int			i;
	int			j;

	MUST(n >= 0 && n <= SOUND_ROWS);
	for (i = 0; i < n; i++)
	{
		check_row(&rows[i], without_checksum);
		for (j = 0; j < i; j++)
			MUST(rows[j].id != rows[i].id);
		rows[i].done = all || rows[i].damaged || i % 2 == 1;
		rows[i].changed = !rows[i].done;
		rows[i].attempts = rows[i].attempts / 2 + 1;
		rows[i].next_at = 0;
	}
	if (n > 0)
	{
		MUST(om_spool_file_settle(file, rows, n, &known) == OM_SPOOL_OK);
		MUST(known);
	}
	MUST(om_spool_file_checkpoint(file) == OM_SPOOL_OK);
	for (i = 0; i < n; i++)
		om_spool_row_free(&rows[i]);
	return n;
}

static int
number_of(sqlite3_stmt *statement)
{
	int			number;

	MUST(sqlite3_step(statement) == SQLITE_ROW);
	number = sqlite3_column_int(statement, 0);
	sqlite3_reset(statement);
	return number;
}

/* Whatever is in the file comes out of it, and nothing that was not kept passes for sound */
static void
run_spool(const uint8_t *data, size_t size)
{
	static int	uses;
	bool		without_checksum;
	int			rounds;

	if (uses == 0)
	{
		MUST(mkdtemp(directory) != NULL);
		snprintf(path, sizeof(path), "%s/spool.db", directory);
		atexit(close_at_exit);
		open_all();
	}
	else if (uses % USES == 0)
	{
		close_all();
		open_all();
	}
	uses++;
	write_rows(data, size);
	without_checksum = number_of(unsummed) > 0;
	replay(NOW, false, without_checksum);
	/* what was not due is by now */
	for (rounds = 0; replay(NOW + 200000, true, without_checksum) > 0; rounds++)
		MUST(rounds < SOUND_ROWS);
	MUST(number_of(findable) == 0);
}

static void
make_sound(void)
{
	static uint8_t body[5000];
	int			i;

	memset(body, 'b', sizeof(body));
	for (i = 0; i < SOUND_ROWS; i++)
		sound[i] = (OmSpoolRow) {
			.kind = i == 2 ? "stale" : "ingest", .provider = "telnyx", .body = body,
			.body_len = i == 3 ? sizeof(body) : (size_t) i, .signature = "c2lnbmF0dXJl", .signed_at = "1700000000",
			.key_id = "0123456789abcdef", .received_at = INT64_C(1700000000000), .attempts = i % 2
		};
	MUST(sqlite3_open(":memory:", &memory) == SQLITE_OK);
	MUST(sqlite3_prepare_v2(memory, "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13", -1, &row_of_any,
							NULL) == SQLITE_OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (memory == NULL)
		make_sound();
	if (size > 0)
		read_row(data[0] & 3, data, size);
	if (one_in(256, data, size))
		run_spool(data, size);
	return 0;
}
