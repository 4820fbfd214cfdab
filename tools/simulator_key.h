/*
 * simulator_key.h
 *		The Ed25519 key with which the simulator signs webhooks.
 */
#ifndef OM_SIMULATOR_KEY_H
#define OM_SIMULATOR_KEY_H

#include <stddef.h>

#define OM_SIM_PUBLIC_KEY_SIZE	45	/* base64 of 32 bytes */
#define OM_SIM_SIGNATURE_SIZE	89	/* base64 of 64 bytes */

struct om_sim_key
{
	unsigned char secret[64];
	char		public_key[OM_SIM_PUBLIC_KEY_SIZE];
};

/* Write a new seed to a file that must not exist, mode 0600. */
extern void om_sim_key_create(const char *path);

/* Read a seed.  Like om_sim_key_create, ends the program when it cannot. */
extern void om_sim_key_load(const char *path, struct om_sim_key *key);

/* A key nobody knows. */
extern void om_sim_key_random(struct om_sim_key *key);

/* Sign "timestamp|body" as Telnyx does. */
extern void om_sim_key_sign(const struct om_sim_key *key, const char *timestamp,
							const char *body, size_t body_len, unsigned char signature[64]);

#endif							/* OM_SIMULATOR_KEY_H */
