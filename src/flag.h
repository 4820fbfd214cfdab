/*
 * flag.h
 *		Addresses that do not belong to the person meant.
 */
#ifndef OM_FLAG_H
#define OM_FLAG_H

#include "postgres.h"

#include "db.h"

/*
 * Flag an address: "wrong_number" or "reassigned", since a time, with a note ("" for none) and who says so.
 * only_newer leaves a flag alone that is as young or younger.  Returns the id of the flag, or NULL when it
 * was left alone.  SPI must be connected.
 */
extern pg_uuid_t *om_flag_set(const pg_uuid_t *organization_id, const char *address, const char *flag,
							  TimestampTz since, const char *note, const char *who, bool only_newer);

#endif							/* OM_FLAG_H */
