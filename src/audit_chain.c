/*
 * audit_chain.c
 *		What seals consist of: the key that signs, the tree over the rows, and the bytes that are signed.
 */
#include "postgres.h"

#include <sodium.h>

#include "libpq/pqformat.h"

#include "audit_chain.h"
#include "compat.h"
#include "secret.h"

/* Two kinds of things are signed with the key; neither can be taken for the other */
#define SEAL_PREFIX		"omnimsg audit seal 1"
#define VOUCH_PREFIX	"omnimsg audit key 1"

void
om_audit_fingerprint(const unsigned char *public_key, char *fingerprint)
{
	unsigned char hash[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(hash, public_key, OM_AUDIT_KEY);
	sodium_bin2hex(fingerprint, OM_AUDIT_FINGERPRINT, hash, sizeof(hash));
}

const char *
om_audit_key_read(OmAuditKey *key)
{
	char		secret[OM_SECRET_SIZE];
	unsigned char seed[crypto_sign_SEEDBYTES];
	size_t		length;
	const char *error;

	if (sodium_init() < 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not initialize libsodium")));
	error = om_secret_read(OM_AUDIT_SECRET, secret);
	if (error != NULL)
		return error;
	if (sodium_base642bin(seed, sizeof(seed), secret, strlen(secret), NULL, &length, NULL,
						  sodium_base64_VARIANT_ORIGINAL) != 0 || length != sizeof(seed))
		error = "the secret is not the base64 of 32 bytes";
	else
	{
		crypto_sign_seed_keypair(key->public_key, key->secret_key, seed);
		om_audit_fingerprint(key->public_key, key->fingerprint);
	}
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(secret, sizeof(secret));
	return error;
}

void
om_audit_vouch_bytes(StringInfo buffer, const unsigned char *public_key)
{
	resetStringInfo(buffer);
	appendBinaryStringInfo(buffer, VOUCH_PREFIX, strlen(VOUCH_PREFIX));
	appendBinaryStringInfo(buffer, (const char *) public_key, OM_AUDIT_KEY);
}

void
om_merkle_begin(OmMerkle *tree)
{
	tree->count = 0;
	tree->depth = 0;
}

static void
join(const unsigned char *left, const unsigned char *right, unsigned char *out)
{
	unsigned char bytes[1 + 2 * OM_AUDIT_HASH];

	bytes[0] = 1;				/* a node, and never a leaf */
	memcpy(bytes + 1, left, OM_AUDIT_HASH);
	memcpy(bytes + 1 + OM_AUDIT_HASH, right, OM_AUDIT_HASH);
	om_audit_blake2b(out, OM_AUDIT_HASH, bytes, sizeof(bytes));
}

void
om_merkle_add(OmMerkle *tree, const unsigned char *hash)
{
	unsigned char bytes[1 + OM_AUDIT_HASH];

	bytes[0] = 0;
	memcpy(bytes + 1, hash, OM_AUDIT_HASH);
	om_audit_blake2b(tree->stack[tree->depth], OM_AUDIT_HASH, bytes, sizeof(bytes));
	tree->levels[tree->depth++] = 0;
	tree->count++;

	/* two full trees of the same size are one of twice the size: the stack has one of each size at most */
	while (tree->depth > 1 && tree->levels[tree->depth - 1] == tree->levels[tree->depth - 2])
	{
		tree->depth--;
		join(tree->stack[tree->depth - 1], tree->stack[tree->depth], tree->stack[tree->depth - 1]);
		tree->levels[tree->depth - 1]++;
	}
}

void
om_merkle_root(const OmMerkle *tree, unsigned char *root)
{
	if (tree->depth == 0)
	{
		om_audit_blake2b(root, OM_AUDIT_HASH, "", 0);
		return;
	}
	memcpy(root, tree->stack[tree->depth - 1], OM_AUDIT_HASH);
	for (int i = tree->depth - 2; i >= 0; i--)
		join(tree->stack[i], root, root);
}

static void
put_bytes(StringInfo buffer, const void *data, int length)
{
	pq_sendint32(buffer, length);
	appendBinaryStringInfo(buffer, data, length);
}

void
om_seal_bytes(StringInfo buffer, const OmSeal *seal)
{
	unsigned char manifest[OM_AUDIT_HASH];

	om_audit_blake2b(manifest, sizeof(manifest), seal->manifest, seal->manifest_length);
	resetStringInfo(buffer);
	appendBinaryStringInfo(buffer, SEAL_PREFIX, strlen(SEAL_PREFIX));
	put_bytes(buffer, &seal->organization_id, UUID_LEN);
	pq_sendint64(buffer, seal->number);
	pq_sendint64(buffer, seal->epoch);
	pq_sendbyte(buffer, seal->has_origin);
	pq_sendint64(buffer, seal->has_origin ? seal->origin : 0);
	pq_sendint64(buffer, seal->from_xid);
	pq_sendint64(buffer, seal->to_xid);
	pq_sendint64(buffer, seal->rows);
	put_bytes(buffer, seal->root, OM_AUDIT_HASH);
	put_bytes(buffer, manifest, OM_AUDIT_HASH);
	put_bytes(buffer, seal->previous, OM_AUDIT_HASH);
	pq_sendint64(buffer, seal->sealed_at);
	pq_sendint64(buffer, seal->sealed_in);
	put_bytes(buffer, seal->fingerprint, strlen(seal->fingerprint));
}
