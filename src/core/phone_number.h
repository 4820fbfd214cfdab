/*
 * phone_number.h
 *		From digits to calling code, national number, region and type, exactly as
 *		libphonenumber does it.  Numbers that only look like ones are sorted out by phone.c.
 */
#ifndef OM_PHONE_NUMBER_H
#define OM_PHONE_NUMBER_H

#include "phone.h"
#include "phone_tables.h"
#include "phone_text.h"

/* libphonenumber reads no longer national number */
#define OM_PHONE_MAX_NATIONAL	17

/* How the calling code was found */
typedef enum OmPhoneSource
{
	OM_PHONE_FROM_PLUS,
	OM_PHONE_FROM_IDD,			/* what is dialled before a calling code, as 00 */
	OM_PHONE_FROM_DIGITS,		/* the digits begin with the code of the region */
	OM_PHONE_FROM_REGION
} OmPhoneSource;

typedef struct OmPhoneNumber
{
	OmPhoneSource source;
	int			country_code;	/* 0 when the text is no number; the rest is undefined then */
	size_t		len;
	char		national[OM_PHONE_MAX_NATIONAL];	/* without prefix, with leading zeros */
	bool		valid;
	bool		settled;		/* its E.164 form is read as the same number */
	OmPhoneType type;
	char		region[4];
} OmPhoneNumber;

/*
 * Read a text as libphonenumber's Parse() does.  The status is the class of its length
 * (POSSIBLE, LOCAL_ONLY, TOO_SHORT, TOO_LONG, INVALID_LENGTH), also for valid numbers; or,
 * with country_code 0, why it is no number (NOT_A_NUMBER, INVALID_COUNTRY_CODE, TOO_SHORT,
 * TOO_LONG).  form->extension is the extension.
 */
extern OmPhoneStatus om_phone_read_number(const char *raw, size_t len, const char *region,
										  OmPhoneText *form, OmPhoneNumber *number);

/* The same for a text that was read already */
extern OmPhoneStatus om_phone_number_read(const OmPhoneText *form, const OmPhoneRegion *region,
										  OmPhoneNumber *number);

/* The same for digits behind a plus */
extern OmPhoneStatus om_phone_number_international(const char *digits, size_t len,
												   OmPhoneNumber *number);

/*
 * libphonenumber strips one prefix.  Behind a second one, as in "+49 00 30 901820", it returns
 * a number that it would read as another one the next time.  Strip until that ends, so that
 * a stored number stays what it is.  status is what reading it returned; returns the new one.
 */
extern OmPhoneStatus om_phone_number_settle(OmPhoneNumber *number, OmPhoneStatus status);

/* A region by two letters of any case; NULL when there is none */
extern const OmPhoneRegion *om_phone_region_find(const char *region);

#endif							/* OM_PHONE_NUMBER_H */
