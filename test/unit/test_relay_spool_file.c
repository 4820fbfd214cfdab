/*
 * test_relay_spool_file.c
 *		The file of the spool: what goes in comes out, in which order, and who may open it.
 */
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool_file.h"
#include "tap.h"

#define NOW		INT64_C(1700000000000)

static char directory[] = "/tmp/omnimsg-spool-XXXXXX";
static char path[64];
static char error[512];

static OmSpoolRow
row(const char *body, int attempts, int64_t next_at)
{
	OmSpoolRow	made = {
		.kind = "ingest", .provider = "telnyx", .body = (const uint8_t *) body, .body_len = strlen(body),
		.signature = "c2ln", .signed_at = "1700000000", .key_id = "abc", .received_at = NOW - 1000,
		.attempts = attempts, .next_at = next_at
	};

	return made;
}

static void
put(OmSpoolFile *file, const char *body, int attempts, int64_t next_at)
{
	OmSpoolRow	made = row(body, attempts, next_at);

	if (om_spool_file_put(file, &made, 1) != OM_SPOOL_OK)
		ok(false, "\"%s\" can be kept: %s", body, om_spool_file_error(file));
}

/* The bodies of what is taken, one after the other */
static const char *
taken(OmSpoolFile *file, int n, size_t max_bytes, int64_t now, bool settle)
{
	static char text[256];
	OmSpoolRow	rows[16];
	bool		known;
	int			got = om_spool_file_take(file, rows, n, max_bytes, now);
	int			i;

	text[0] = '\0';
	for (i = 0; i < got; i++)
	{
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s", i > 0 ? " " : "",
				 (int) rows[i].body_len, (const char *) rows[i].body);
		rows[i].done = settle;
	}
	if (settle && got > 0 && (om_spool_file_settle(file, rows, got, &known) != OM_SPOOL_OK || !known))
		ok(false, "what is taken can be deleted");
	for (i = 0; i < got; i++)
		om_spool_row_free(&rows[i]);
	return text;
}

static void
test_rows(void)
{
	OmSpoolFile *file = om_spool_file_open(path, error, sizeof(error));
	OmSpoolRow	rows[2];
	bool		known;

	if (!ok(file != NULL, "a file is made where there is none"))
	{
		printf("# %s\n", error);
		return;
	}
	is_int(om_spool_file_usage(file).rows, 0, "it is empty");
	put(file, "one", 0, 0);
	put(file, "", 0, 0);
	put(file, "late", 3, NOW + 5000);
	put(file, "again", 1, NOW - 5000);
	put(file, "four", 0, 0);
	is_int(om_spool_file_usage(file).rows, 5, "it counts");
	is_int(om_spool_file_usage(file).oldest_at, NOW - 1000, "and knows the oldest");
	is(taken(file, 8, 1000, NOW, false), "one  four again", "new ones come in their order, then one that was tried and is due");
	is(taken(file, 8, 3, NOW, false), "one again", "no more bytes than are wanted");
	is(taken(file, 1, 1000, NOW, false), "one", "nor rows");
	is(taken(file, 2, 1000, NOW, false), "one again", "a small take has room for one that was tried, too");
	is(taken(file, 8, 1000, NOW + 5000, false), "one  four again late", "the other one when its time has come");
	is(taken(file, 8, 1000, NOW - 3600000, false), "one  four again late", "and when the clock was set back by an hour");

	is_int(om_spool_file_take(file, rows, 1, 1000, NOW), 1, "a row is taken");
	ok(strcmp(rows[0].kind, "ingest") == 0 && strcmp(rows[0].provider, "telnyx") == 0 &&
	   strcmp(rows[0].signature, "c2ln") == 0 && strcmp(rows[0].signed_at, "1700000000") == 0 &&
	   strcmp(rows[0].key_id, "abc") == 0 && rows[0].received_at == NOW - 1000, "with all that was put in");
	rows[0].attempts = 2;
	rows[0].crashes = 1;
	rows[0].next_at = NOW + 1;
	strcpy(rows[0].sqlstate, "55P03");
	rows[0].changed = true;
	is_int(om_spool_file_settle(file, rows, 1, &known), OM_SPOOL_OK, "what became of it is written down");
	om_spool_row_free(&rows[0]);
	is(taken(file, 8, 1000, NOW, false), " four again", "so that it waits");
	om_spool_file_close(file);

	file = om_spool_file_open(path, error, sizeof(error));
	ok(file != NULL && om_spool_file_usage(file).rows == 5, "all is there when the file is opened again");
	is_int(om_spool_file_take(file, rows, 2, 1000, NOW), 2, "two are taken");
	om_spool_row_free(&rows[0]);
	om_spool_row_free(&rows[1]);
	is(taken(file, 16, 1000, NOW + 60000, true), " four again one late", "in the order in which they are due");
	is_int(om_spool_file_usage(file).rows, 0, "what is done is gone");
	is_int(om_spool_file_take(file, rows, 2, 1000, NOW), 0, "for good");
	om_spool_file_close(file);
}

static void
refused(const char *what, const char *why)
{
	OmSpoolFile *file = om_spool_file_open(path, error, sizeof(error));

	ok(file == NULL && strstr(error, why) != NULL, "%s", what);
	if (file != NULL)
		om_spool_file_close(file);
	else if (strstr(error, why) == NULL)
		printf("# %s\n", error);
}

static void
test_refusals(void)
{
	OmSpoolFile *file = om_spool_file_open(path, error, sizeof(error));
	FILE	   *other;

	refused("a second one that opens it is refused", "another relay");
	om_spool_file_close(file);
	chmod(path, 0644);
	refused("a file that others can read is refused", "chmod 0600");
	chmod(path, 0600);
	chmod(directory, 0770);
	refused("so is a directory that others can write to", "chmod 0700");
	chmod(directory, 0700);
	unlink(path);
	if (symlink("/dev/null", path) == 0)
		refused("a link is not followed", "cannot open");
	unlink(path);
	other = fopen(path, "w");
	if (other != NULL)
	{
		fputs("this is no database, and long enough to be seen as none at all ........................................", other);
		fclose(other);
		chmod(path, 0600);
		refused("what is no database is refused", "spool");
	}
	unlink(path);
	snprintf(path, sizeof(path), "%s/no/spool.db", directory);
	refused("a directory that is not there is refused", "cannot look at");
}

/* What somebody, or a disk, does to the file; the first column of the first row, or -1 */
static int
by_hand(const char *sql)
{
	sqlite3    *db = NULL;
	sqlite3_stmt *s = NULL;
	int			number = -1;

	if (sqlite3_open(path, &db) == SQLITE_OK && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK &&
		sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		number = sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	sqlite3_close(db);
	return number;
}

/* Does the statement need nothing but an index, which has no bodies?  */
static bool
by_index(const char *sql)
{
	sqlite3    *db = NULL;
	sqlite3_stmt *s = NULL;
	bool		is = sqlite3_open(path, &db) == SQLITE_OK && sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK &&
		sqlite3_step(s) == SQLITE_ROW && strstr((const char *) sqlite3_column_text(s, 3), "USING COVERING INDEX") != NULL;

	sqlite3_finalize(s);
	sqlite3_close(db);
	return is;
}

/* A spool as a relay of before left it, with a delivery in it */
static void
test_version(const char *undo, int version)
{
	OmSpoolFile *file = om_spool_file_open(path, error, sizeof(error));
	char		sql[64];

	put(file, "old", 0, 0);
	om_spool_file_close(file);
	by_hand("DROP INDEX deliveries_counted");
	by_hand(undo);
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", version);
	by_hand(sql);
	file = om_spool_file_open(path, error, sizeof(error));
	ok(file != NULL, "a spool of version %d is opened: %s", version, file == NULL ? error : "");
	if (file == NULL)
		return;
	put(file, "new", 0, 0);
	ok(om_spool_file_usage(file).rows == 2, "both are counted");
	ok(strcmp(taken(file, 12, 1000, NOW, true), "old new") == 0, "what is in it comes out, and new ones as well");
	om_spool_file_close(file);
	ok(by_hand("SELECT count(*) FROM damaged") == 0 && by_hand("PRAGMA user_version") == 3, "and it is one of now");
	ok(by_index("EXPLAIN QUERY PLAN SELECT count(*) FROM deliveries"), "whose rows are counted without reading them");
}

static void
by_hands(const char *sql)
{
	sqlite3    *db;

	if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		ok(false, "%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
}

/* What no checksum is of: the id and the numbers, in a file that has something set aside */
static void
test_damage_of_numbers(void)
{
	OmSpoolFile *file = om_spool_file_open(path, error, sizeof(error));
	OmSpoolRow	rows[16];
	bool		known = false;
	int			n;
	int			i;

	put(file, "fifth", 0, 0);
	put(file, "sixth", 0, 0);
	put(file, "seventh", 0, 0);
	om_spool_file_close(file);
	by_hands("UPDATE deliveries SET body = CAST('s' AS BLOB) WHERE body = CAST('sixth' AS BLOB);"
			 "UPDATE deliveries SET id = -9223372036854775808 WHERE body = CAST('fifth' AS BLOB);"
			 "PRAGMA writable_schema = ON;"
			 "UPDATE sqlite_schema SET sql = replace(sql, ' STRICT', '') WHERE name = 'deliveries'");
	by_hands("UPDATE deliveries SET received_at = 'soon' WHERE body = CAST('seventh' AS BLOB);"
			 "PRAGMA writable_schema = ON;"
			 "UPDATE sqlite_schema SET sql = sql || ' STRICT' WHERE name = 'deliveries'");
	file = om_spool_file_open(path, error, sizeof(error));
	n = om_spool_file_take(file, rows, 12, 1000, NOW);
	ok(n == 3, "a row is found under whatever id it has: %d of 3", n);
	ok(n == 3 && !rows[0].damaged && rows[1].damaged, "and is sound under it");
	ok(n == 3 && rows[2].damaged, "a number that is none is damage, though no checksum is of it");
	for (i = 0; i < n; i++)
	{
		rows[i].done = rows[i].damaged;
		rows[i].changed = !rows[i].done;
		rows[i].attempts = 1;
	}
	ok(om_spool_file_settle(file, rows, n, &known) == OM_SPOOL_OK && known,
	   "a damaged row can be set aside though another had its id before: %s", om_spool_file_error(file));
	for (i = 0; i < n; i++)
		om_spool_row_free(&rows[i]);
	ok(om_spool_file_usage(file).damaged == 5, "both are kept");
	ok(strcmp(taken(file, 12, 1000, NOW, true), "fifth") == 0, "what is sound stays");
	om_spool_file_close(file);
}

static void
test_damage(void)
{
	OmSpoolFile *file;
	OmSpoolRow	rows[16];
	bool		known = false;
	int			damaged = 0;
	int			n;
	int			i;

	snprintf(path, sizeof(path), "%s/spool.db", directory);
	file = om_spool_file_open(path, error, sizeof(error));
	put(file, "first", 0, 0);
	put(file, "second", 0, 0);
	put(file, "third", 0, 0);
	put(file, "fourth", 0, 0);
	om_spool_file_close(file);
	by_hand("UPDATE deliveries SET body = CAST('secund' AS BLOB) WHERE body = CAST('second' AS BLOB)");
	by_hand("UPDATE deliveries SET signed_at = '1700000001' WHERE body = CAST('third' AS BLOB)");
	by_hand("UPDATE deliveries SET checksum = x'00' WHERE body = CAST('fourth' AS BLOB)");
	file = om_spool_file_open(path, error, sizeof(error));
	n = om_spool_file_take(file, rows, 12, 1000, NOW);
	ok(n == 4 && !rows[0].damaged, "a delivery that is as it was kept is sound");
	for (i = 0; i < n; i++)
	{
		damaged += rows[i].damaged;
		rows[i].done = true;
	}
	ok(damaged == 3, "those that are not are known by their checksum: %d", damaged);
	ok(om_spool_file_settle(file, rows, n, &known) == OM_SPOOL_OK && known, "they can be settled");
	for (i = 0; i < n; i++)
		om_spool_row_free(&rows[i]);
	ok(om_spool_file_usage(file).rows == 0, "and are in nobody's way");
	ok(om_spool_file_usage(file).damaged == 3, "but are counted");
	om_spool_file_close(file);
	ok(by_hand("SELECT count(*) FROM damaged") == 3, "they are set aside");
	test_damage_of_numbers();

	test_version("ALTER TABLE deliveries DROP COLUMN checksum; DROP TABLE damaged", 1);
	test_version("", 2);
}

int
main(int argc, char **argv)
{
	static const char *const names[] = {"spool.db", "spool.db.lock", "spool.db-wal", "spool.db-shm"};
	size_t		i;

	umask(022);
	if (mkdtemp(directory) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/spool.db", directory);
	test_rows();
	test_damage();
	test_refusals();
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	rmdir(directory);
	return done_testing();
}
