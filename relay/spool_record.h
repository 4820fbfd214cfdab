/*
 * spool_record.h
 *		One row of the spool: what is read of it, and whether that is what was kept.
 */
#ifndef OM_RELAY_SPOOL_RECORD_H
#define OM_RELAY_SPOOL_RECORD_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "spool_file.h"

/* Of each delivery, in its row: SQLite believes what it reads */
#define OM_SPOOL_CHECKSUM_BYTES	16

/* What om_spool_record_read expects a statement to select, in this order */
#define OM_SPOOL_COLUMNS	"id, kind, provider, signature, signed_at, key_id, received_at, attempts," \
	" crashes, next_at, sqlstate, body, checksum"

/* Of what a delivery is, and never changes in its row */
extern void om_spool_checksum(const OmSpoolRow *row, uint8_t *sum);

/* The row that the statement is at, in memory of its own; false when there is none */
extern bool om_spool_record_read(sqlite3_stmt *s, OmSpoolRow *row);

#endif							/* OM_RELAY_SPOOL_RECORD_H */
