/*
 * erased.h
 *		People whose data was erased: how they are recognised when they come back.
 *
 * In the place of an erased address stands its pseudonym (core/pseudonym.h), with the requests and the state of its
 * consent, so that who said STOP and had their data erased is not written to when the address is imported again.
 * The key of the pseudonyms is made of a file in omnimsg.secrets_dir, which no dump has.
 */
#ifndef OM_ERASED_H
#define OM_ERASED_H

#include "postgres.h"

#include "core/pseudonym.h"
#include "db.h"

/* The name of the file */
#define OM_ERASURE_SECRET	"erasure_key"

/* What tells one key from another, in hexadecimal digits */
#define OM_ERASURE_KEY_ID_SIZE	17

typedef struct OmErasureKey
{
	unsigned char key[OM_PSEUDONYM_KEY_BYTES];
	char		id[OM_ERASURE_KEY_ID_SIZE]; /* "" when it could not be read */
	const char *error;			/* why not, or NULL */
} OmErasureKey;

/*
 * Whether data was ever erased in this database.  Asked on the way of every webhook, so it costs no statement: it
 * is whether the table of certificates has a block.
 */
extern bool om_erased_any(void);

/* Read the key; the caller wipes it with sodium_memzero as soon as it can */
extern void om_erasure_key_read(OmErasureKey *key);

/* The pseudonym of an address under a key that could be read, in memory of the caller's context */
extern char *om_erased_name(const OmErasureKey *key, const char *address);

/*
 * The address under which the consent of a person is kept: the pseudonym when the address was erased, else the address
 * itself.  SPI must be connected.
 */
extern const char *om_erased_address(const pg_uuid_t *organization_id, const char *address);

/*
 * Of addresses that ask for something now, those that were erased before get their requests, flags and reviews back.  The consents of
 * the addresses must be locked: nobody erases or brings back the same address meanwhile.  When the key cannot be read nothing
 * happens; the gates hold messages of the organization until it can.
 */
extern void om_erased_recall(OmColumn *organization_ids, OmColumn *addresses, TimestampTz now);

/*
 * Let everything about the consent of one address go by another name, and compute the state anew.  The consents
 * of both must be locked, or nobody may know of them yet.
 */
extern void om_erased_rename(const pg_uuid_t *organization_id, const char *from, const char *to, TimestampTz now);

/* Put the pseudonyms into the place of those of the addresses that were erased in some organization */
extern void om_erased_translate(OmColumn *addresses);

#endif							/* OM_ERASED_H */
