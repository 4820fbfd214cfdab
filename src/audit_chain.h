/*
 * audit_chain.h
 *		What seals consist of: the key that signs, the tree over the rows, and the bytes that are signed.
 *
 * doc/audit.md describes all three so that another program can check them.
 */
#ifndef OM_AUDIT_CHAIN_H
#define OM_AUDIT_CHAIN_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "utils/uuid.h"

#include "audit.h"

/* The file in omnimsg.secrets_dir: the base64 of the 32 bytes that an Ed25519 key is made of */
#define OM_AUDIT_SECRET	"audit_signing_key"

#define OM_AUDIT_KEY		32	/* bytes of a public key */
#define OM_AUDIT_SIGNATURE	64
#define OM_AUDIT_FINGERPRINT	65	/* of a public key: SHA-256 in hex, and the terminator */

/* Of each row a seal keeps the id and the beginning of the hash, so that a row that is missing can be named */
#define OM_MANIFEST_HASH	8
#define OM_MANIFEST_ROW		(UUID_LEN + OM_MANIFEST_HASH)

typedef struct OmAuditKey
{
	unsigned char public_key[OM_AUDIT_KEY];
	unsigned char secret_key[64];
	char		fingerprint[OM_AUDIT_FINGERPRINT];
} OmAuditKey;

/* NULL when there is one; the caller wipes it.  Else why there is none, as a part of a sentence. */
extern const char *om_audit_key_read(OmAuditKey *key);

extern void om_audit_fingerprint(const unsigned char *public_key, char *fingerprint);

/* What one key signs to say of another that it was used before it */
extern void om_audit_vouch_bytes(StringInfo buffer, const unsigned char *public_key);

/* The tree of RFC 6962 over hashes that are added one by one, with BLAKE2b-256 */
typedef struct OmMerkle
{
	int64		count;
	int			depth;
	unsigned char stack[64][OM_AUDIT_HASH];
	int			levels[64];
} OmMerkle;

extern void om_merkle_begin(OmMerkle *tree);
extern void om_merkle_add(OmMerkle *tree, const unsigned char *hash);
extern void om_merkle_root(const OmMerkle *tree, unsigned char *root);

typedef struct OmSeal
{
	pg_uuid_t	organization_id;
	int64		number;
	int			epoch;
	bool		has_origin;
	int64		origin;
	uint64		from_xid;
	uint64		to_xid;
	int64		rows;
	unsigned char root[OM_AUDIT_HASH];
	const char *manifest;
	int			manifest_length;
	unsigned char previous[OM_AUDIT_HASH];	/* zeros for the first */
	TimestampTz sealed_at;
	int64		sealed_in;
	char		fingerprint[OM_AUDIT_FINGERPRINT];
} OmSeal;

/* The bytes that are signed, and whose hash the next seal holds */
extern void om_seal_bytes(StringInfo buffer, const OmSeal *seal);

/* omnimsg_audit_seal(), in this process: whether its latest call left rows for another one */
extern bool om_audit_more;

#endif							/* OM_AUDIT_CHAIN_H */
