/*
 * view.h
 *		Texts of messages that were shown to people.
 */
#ifndef OM_VIEW_H
#define OM_VIEW_H

#include "postgres.h"

#include "utils/uuid.h"

/*
 * The caller is given the texts of these messages, by an export or to read, and has put it on record in this transaction:
 * if that is rolled back the log says so, and it cannot be prepared.
 */
extern void om_view_note(const pg_uuid_t *organization_id, const Datum *message_ids, int count, bool export);

#endif							/* OM_VIEW_H */
