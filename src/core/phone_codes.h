/*
 * phone_codes.h
 *		What the phone number reader knows about the countries of the world.
 */
#ifndef OM_PHONE_CODES_H
#define OM_PHONE_CODES_H

#include <stdbool.h>
#include <stddef.h>

typedef struct OmPhoneCode
{
	char		digits[4];		/* the calling code, as "44" */
	char		region[4];		/* its only region, "001" for none, "" for several */
	bool		trunk_zero;		/* 0 is dialled before national numbers and never part of one */
} OmPhoneCode;

/*
 * The calling code that n digits begin with (ITU-T E.164: no code is the beginning of
 * another), or NULL.
 */
extern const OmPhoneCode *om_phone_code_find(const char *digits, size_t n);

/* Is this region, in upper case, part of the North American Numbering Plan? */
extern bool om_phone_region_is_nanp(const char *region);

/* Is 00 dialled before international numbers in this region, in upper case? */
extern bool om_phone_region_dials_00(const char *region);

#endif							/* OM_PHONE_CODES_H */
