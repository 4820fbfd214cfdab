/*
 * secret.h
 *		API keys, from files.
 */
#ifndef OM_SECRET_H
#define OM_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#define OM_SECRET_SIZE	4097

/*
 * Read the key called name from omnimsg.secrets_dir into out, NUL-terminated and without
 * the white space at its end; or, while its file is there and cannot be used, give the one that this process read
 * before.  NULL when there is one, else why not, as a sentence part without
 * the key.  The caller wipes out with sodium_memzero as soon as it can.
 */
extern const char *om_secret_read(const char *name, char out[OM_SECRET_SIZE]);

#endif							/* OM_SECRET_H */
