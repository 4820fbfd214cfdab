/*
 * utf8.h
 *		Reading UTF-8 from people, one character at a time.
 */
#ifndef OM_UTF8_H
#define OM_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* What om_utf8_decode finds where there is no UTF-8 */
#define OM_UTF8_BAD		UINT32_MAX

/*
 * Decode the character at the start of len > 0 bytes and return how many bytes it
 * takes.  Strict (RFC 3629: no overlong forms, no surrogates); anything else is
 * OM_UTF8_BAD and takes one byte, so that a loop always ends.
 */
extern size_t om_utf8_decode(const char *text, size_t len, uint32_t *code);

#endif							/* OM_UTF8_H */
