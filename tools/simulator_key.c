/*
 * simulator_key.c
 *		The Ed25519 key (RFC 8032) with which the simulator signs webhooks.
 */
#include "simulator_key.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "simulator_util.h"

#define SEED_TEXT_SIZE	45		/* base64 of 32 bytes and its NUL */

static void
from_seed(const unsigned char *seed, struct om_sim_key *key)
{
	unsigned char public_key[crypto_sign_PUBLICKEYBYTES];

	crypto_sign_seed_keypair(public_key, key->secret, seed);
	sodium_bin2base64(key->public_key, sizeof(key->public_key), public_key,
					  sizeof(public_key), sodium_base64_VARIANT_ORIGINAL);
}

void
om_sim_key_create(const char *path)
{
	unsigned char seed[crypto_sign_SEEDBYTES];
	char		text[SEED_TEXT_SIZE + 1];
	size_t		len;
	int			fd;

	randombytes_buf(seed, sizeof(seed));
	sodium_bin2base64(text, SEED_TEXT_SIZE, seed, sizeof(seed), sodium_base64_VARIANT_ORIGINAL);
	len = strlen(text);
	text[len++] = '\n';
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		om_sim_die("%s exists already and is not overwritten", path);
	if (fd < 0)
		om_sim_die("cannot create %s: %s", path, strerror(errno));
	if (write(fd, text, len) != (ssize_t) len || fsync(fd) != 0 || close(fd) != 0)
		om_sim_die("cannot write %s: %s", path, strerror(errno));
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(text, sizeof(text));
}

void
om_sim_key_load(const char *path, struct om_sim_key *key)
{
	unsigned char seed[crypto_sign_SEEDBYTES];
	char		text[256];
	size_t		len;
	size_t		seed_len;
	FILE	   *file = fopen(path, "re");

	if (file == NULL)
		om_sim_die("cannot open the key file %s: %s", path, strerror(errno));
	len = fread(text, 1, sizeof(text), file);
	fclose(file);
	while (len > 0 && strchr(" \r\n\t", text[len - 1]) != NULL)
		len--;
	/* without an end pointer libsodium refuses anything behind the base64 */
	if (sodium_base642bin(seed, sizeof(seed), text, len, NULL, &seed_len, NULL,
						  sodium_base64_VARIANT_ORIGINAL) != 0 || seed_len != sizeof(seed))
		om_sim_die("%s does not hold an Ed25519 seed (32 bytes in base64); "
				   "make one with: omnimsg-simulator keygen --key-file FILE", path);
	from_seed(seed, key);
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(text, sizeof(text));
}

void
om_sim_key_random(struct om_sim_key *key)
{
	unsigned char seed[crypto_sign_SEEDBYTES];

	randombytes_buf(seed, sizeof(seed));
	from_seed(seed, key);
}

void
om_sim_key_sign(const struct om_sim_key *key, const char *timestamp,
				const char *body, size_t body_len, unsigned char signature[64])
{
	size_t		prefix_len = strlen(timestamp);
	unsigned char *message = om_sim_alloc(prefix_len + 1 + body_len);

	memcpy(message, timestamp, prefix_len);
	message[prefix_len] = '|';
	memcpy(message + prefix_len + 1, body, body_len);
	crypto_sign_detached(signature, NULL, message, prefix_len + 1 + body_len, key->secret);
	free(message);
}
