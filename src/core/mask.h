/*
 * mask.h
 *		Addresses for people who need to recognise one but may not read it.
 */
#ifndef OM_MASK_H
#define OM_MASK_H

#include <stddef.h>

/* A buffer of this size always suffices for om_mask_address */
#define OM_MASK_SIZE	80

/*
 * Mask an address into out: "+15551234567" becomes "+1555***4567", a short code
 * "262966" becomes "26***", "jane.doe@example.com" becomes "j***@example.com" (a
 * domain is cut to what fits).  Of a number of 11 digits and more at least three
 * stay hidden, of a shorter one at least half; what has fewer than four digits, or
 * does not fit, is "***".  No control characters.  Writes a NUL-terminated string and
 * returns its length.  out_size must be at least 4.
 */
extern size_t om_mask_address(const char *address, size_t len,
							  char *out, size_t out_size);

#endif							/* OM_MASK_H */
