/*
 * key.c
 *		Keys of providers, and whether a delivery is signed with one.
 *
 * The relay has verified every delivery.  It faces the internet, so what matters is verified here again, where the
 * public key is registered: that needs no secret.
 */
#include "postgres.h"

#include <sodium.h>

#include "utils/builtins.h"

#include "arguments.h"
#include "compat.h"
#include "core/signature.h"
#include "key.h"

OM_SQL_FUNCTION(omnimsg_key_fingerprint);

bool
om_key_verifies(const OmDelivery *delivery, const uint8 *public_key, size_t length)
{
	OmPublicKey key;
	char	   *time;
	int64		seconds;
	uint8	   *scratch;
	bool		verified;

	if (length != sizeof(key.key) || delivery->signature == NULL || delivery->signed_at == 0)
		return false;
	memset(&key, 0, sizeof(key));
	memcpy(key.key, public_key, sizeof(key.key));
	/* the provider signs the decimal digits of the seconds, and the journal keeps the time */
	seconds = delivery->signed_at / USECS_PER_SEC +
		(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
	time = psprintf(INT64_FORMAT, seconds);
	scratch = palloc(delivery->length + OM_SIGNATURE_SCRATCH);
	verified = om_signature_verify(&key, 1, time, strlen(time), delivery->signature, strlen(delivery->signature),
								   (const uint8 *) delivery->body, delivery->length,
								   scratch, delivery->length + OM_SIGNATURE_SCRATCH,
								   seconds, 0, NULL) == OM_SIGNATURE_OK;
	pfree(scratch);
	return verified;
}

/* omnimsg.key_fingerprint(public_key text) returns text: raises when it is none */
Datum
omnimsg_key_fingerprint(PG_FUNCTION_ARGS)
{
	char	   *text = om_arg_text(fcinfo, 0, "public_key");
	OmPublicKey key;

	if (sodium_init() < 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not initialize libsodium")));
	if (om_public_key_parse(text, strlen(text), &key) != OM_SIGNATURE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid public key"),
				 errhint("It is the base64 of 32 bytes that the provider's portal shows under Keys & Credentials, Public Key.")));
	PG_RETURN_TEXT_P(cstring_to_text(key.fingerprint));
}
