/*
 * key.h
 *		Keys of providers, and whether a delivery is signed with one.
 */
#ifndef OM_KEY_H
#define OM_KEY_H

#include "postgres.h"

#include "ingest.h"

/* Whether the signature of a delivery is that of a public key over the time and the body, whatever the time is now */
extern bool om_key_verifies(const OmDelivery *delivery, const uint8 *public_key, size_t length);

#endif							/* OM_KEY_H */
