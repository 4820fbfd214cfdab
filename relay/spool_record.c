/*
 * spool_record.c
 *		One row of the spool: what is read of it, and whether that is what was kept.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spool_record.h"

static void
add_text(crypto_generichash_state *state, const char *text)
{
	crypto_generichash_update(state, (const unsigned char *) text, strlen(text) + 1);
}

void
om_spool_checksum(const OmSpoolRow *row, uint8_t *sum)
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, OM_SPOOL_CHECKSUM_BYTES);
	add_text(&state, row->kind);
	add_text(&state, row->provider);
	add_text(&state, row->signature);
	add_text(&state, row->signed_at);
	add_text(&state, row->key_id);
	crypto_generichash_update(&state, row->body, row->body_len);
	crypto_generichash_final(&state, sum, OM_SPOOL_CHECKSUM_BYTES);
}

/* Copy a column of text into the store and step behind it. */
static const char *
keep_text(char **store, sqlite3_stmt *statement, int column)
{
	const unsigned char *text = sqlite3_column_text(statement, column);
	size_t		len = (size_t) sqlite3_column_bytes(statement, column);
	char	   *kept = *store;

	if (text != NULL)
		memcpy(kept, text, len);
	kept[text != NULL ? len : 0] = '\0';
	*store += len + 1;
	return kept;
}

/* Has each column the type that the table has for it?  SQLite does not look when it reads, but refuses to write such a row. */
static bool
has_types(sqlite3_stmt *s)
{
	static const int types[] = {
		SQLITE_INTEGER, SQLITE_TEXT, SQLITE_TEXT, SQLITE_TEXT, SQLITE_TEXT, SQLITE_TEXT, SQLITE_INTEGER, SQLITE_INTEGER,
		SQLITE_INTEGER, SQLITE_INTEGER, SQLITE_TEXT, SQLITE_BLOB
	};
	size_t		i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
	{
		if (sqlite3_column_type(s, (int) i) != types[i])
			return false;
	}
	return true;
}

/* The row that the statement is at and that was read from it */
static bool
is_damaged(sqlite3_stmt *s, const OmSpoolRow *row, bool typed)
{
	uint8_t		sum[OM_SPOOL_CHECKSUM_BYTES];

	if (!typed)
		return true;
	if (sqlite3_column_type(s, 12) == SQLITE_NULL)
		return false;
	om_spool_checksum(row, sum);
	return sqlite3_column_bytes(s, 12) != OM_SPOOL_CHECKSUM_BYTES ||
		memcmp(sqlite3_column_blob(s, 12), sum, OM_SPOOL_CHECKSUM_BYTES) != 0;
}

bool
om_spool_record_read(sqlite3_stmt *s, OmSpoolRow *row)
{
	static const int texts[] = {1, 2, 3, 4, 5, 10};
	bool		typed = has_types(s);	/* first: to read a number as text makes a text of it */
	size_t		body_len = (size_t) sqlite3_column_bytes(s, 11);
	size_t		size = body_len + sizeof(texts) / sizeof(texts[0]);
	const void *body = sqlite3_column_blob(s, 11);
	char	   *store;
	size_t		i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		size += (size_t) sqlite3_column_bytes(s, texts[i]);
	memset(row, 0, sizeof(*row));
	row->store = store = malloc(size);
	if (store == NULL || (body == NULL && body_len > 0))
	{
		free(store);
		return false;
	}
	row->id = sqlite3_column_int64(s, 0);
	row->kind = keep_text(&store, s, 1);
	row->provider = keep_text(&store, s, 2);
	row->signature = keep_text(&store, s, 3);
	row->signed_at = keep_text(&store, s, 4);
	row->key_id = keep_text(&store, s, 5);
	snprintf(row->sqlstate, sizeof(row->sqlstate), "%s", keep_text(&store, s, 10));
	row->received_at = sqlite3_column_int64(s, 6);
	row->attempts = sqlite3_column_int(s, 7);
	row->crashes = sqlite3_column_int(s, 8);
	row->next_at = sqlite3_column_int64(s, 9);
	row->body = (const uint8_t *) store;
	row->body_len = body_len;
	if (body_len > 0)
		memcpy(store, body, body_len);
	row->damaged = is_damaged(s, row, typed);
	return true;
}

void
om_spool_row_free(OmSpoolRow *row)
{
	free(row->store);
	row->store = NULL;
}
