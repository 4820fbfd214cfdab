/*
 * verify.c
 *		The provider's public keys and the check of one delivery.
 *
 * Several keys are valid at once, so that a key can be changed without a gap: add
 * the new one, SIGHUP, change it at the provider, remove the old one, SIGHUP.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "verify.h"

#define SEPARATORS		", \t\r\n\v\f"
#define MAX_SETTING		4096

typedef struct KeySet
{
	size_t		count;
	OmPublicKey keys[OM_VERIFY_MAX_KEYS];
} KeySet;

/* Replaced as a whole; readers copy it, so nobody holds the lock while verifying. */
static pthread_mutex_t keys_mutex = PTHREAD_MUTEX_INITIALIZER;
static KeySet current_keys;

static KeySet
keys_now(void)
{
	KeySet		copy;

	pthread_mutex_lock(&keys_mutex);
	copy = current_keys;
	pthread_mutex_unlock(&keys_mutex);
	return copy;
}

/* Read a small text file whole; false with a reason when that is not possible. */
static bool
read_key_file(const char *path, char *out, size_t out_size, char *error, size_t error_size)
{
	size_t		len = 0;
	ssize_t		n;
	int			fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
	{
		snprintf(error, error_size, "cannot open the key file: %s", strerror(errno));
		return false;
	}
	do
	{
		n = read(fd, out + len, out_size - len);
		if (n > 0)
			len += (size_t) n;
	} while (n > 0 && len < out_size);
	close(fd);
	if (n < 0)
	{
		snprintf(error, error_size, "cannot read the key file: %s", strerror(errno));
		return false;
	}
	if (len == out_size || memchr(out, '\0', len) != NULL)
	{
		snprintf(error, error_size, "the key file is not a short text file");
		return false;
	}
	out[len] = '\0';
	return true;
}

bool
om_verify_load(const char *setting, char *error, size_t error_size)
{
	char		file_text[MAX_SETTING];
	const char *p = setting;
	KeySet		loaded;

	if (setting[0] == '@')
	{
		if (!read_key_file(setting + 1, file_text, sizeof(file_text), error, error_size))
			return false;
		p = file_text;
	}

	memset(&loaded, 0, sizeof(loaded));
	for (p += strspn(p, SEPARATORS); *p != '\0'; p += strspn(p, SEPARATORS))
	{
		size_t		len = strcspn(p, SEPARATORS);

		if (loaded.count == OM_VERIFY_MAX_KEYS)
		{
			snprintf(error, error_size, "there are more than %d public keys",
					 OM_VERIFY_MAX_KEYS);
			return false;
		}
		if (om_public_key_parse(p, len, &loaded.keys[loaded.count]) != OM_SIGNATURE_OK)
		{
			snprintf(error, error_size,
					 "public key number %d is not the base64 of an Ed25519 public key",
					 (int) loaded.count + 1);
			return false;
		}
		loaded.count++;
		p += len;
	}
	if (loaded.count == 0)
	{
		snprintf(error, error_size, "there is no public key");
		return false;
	}

	pthread_mutex_lock(&keys_mutex);
	current_keys = loaded;
	pthread_mutex_unlock(&keys_mutex);
	return true;
}

void
om_verify_log_keys(const char *msg)
{
	KeySet		set = keys_now();
	char		list[OM_VERIFY_MAX_KEYS * 17 + 1];
	size_t		len = 0;
	size_t		i;
	OmLogLine	line;

	list[0] = '\0';
	for (i = 0; i < set.count; i++)
		len += (size_t) snprintf(list + len, sizeof(list) - len, "%s%.16s",
								 i > 0 ? " " : "", set.keys[i].fingerprint);

	om_log_begin(&line, OM_LOG_INFO, msg);
	om_log_number(&line, "keys", (int64_t) set.count);
	om_log_text(&line, "fingerprints", list);
	om_log_end(&line);
}

bool
om_verify_is_stale(OmSignatureResult result)
{
	return result == OM_SIGNATURE_TOO_OLD || result == OM_SIGNATURE_TOO_NEW;
}

OmSignatureResult
om_verify_delivery(const char *timestamp, const char *signature,
				   uint8_t *buffer, size_t body_len, char *key_id)
{
	KeySet		set = keys_now();
	size_t		index = 0;
	OmSignatureResult result;

	result = om_signature_verify(set.keys, set.count,
								 timestamp, strlen(timestamp),
								 signature, strlen(signature),
								 buffer + OM_SIGNATURE_SCRATCH, body_len, buffer, body_len + OM_SIGNATURE_SCRATCH,
								 (int64_t) time(NULL), OM_SIGNATURE_TOLERANCE, &index);
	if (result == OM_SIGNATURE_OK || om_verify_is_stale(result))
		memcpy(key_id, set.keys[index].fingerprint, sizeof(set.keys[index].fingerprint));
	return result;
}
