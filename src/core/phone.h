/*
 * phone.h
 *		Phone numbers as people and providers write them, to E.164.
 *
 * Classifies before it parses: a short code, an alphanumeric sender or an e-mail
 * address is never forced into E.164.  Gates on possible numbers, never on valid
 * ones, because every list of valid ranges is older than the numbers in use.
 *
 * This version knows E.164 input of every country and national input of the North
 * American Numbering Plan (regions US, CA and the others of calling code 1).
 * National input of other regions is OM_PHONE_NOT_A_NUMBER: no number is invented.
 */
#ifndef OM_PHONE_H
#define OM_PHONE_H

#include <stddef.h>

typedef enum OmPhoneKind
{
	OM_PHONE_KIND_UNKNOWN,
	OM_PHONE_KIND_E164,
	OM_PHONE_KIND_SHORT_CODE,	/* 3 to 8 digits without a plus */
	OM_PHONE_KIND_ALPHANUMERIC, /* a sender of up to 11 characters with a letter; cannot be answered */
	OM_PHONE_KIND_EMAIL
} OmPhoneKind;

typedef enum OmPhoneStatus
{
	OM_PHONE_POSSIBLE,
	OM_PHONE_LOCAL_ONLY,		/* seven digits of the NANP without an area code */
	OM_PHONE_TOO_SHORT,
	OM_PHONE_TOO_LONG,
	OM_PHONE_INVALID_COUNTRY_CODE,
	OM_PHONE_PLACEHOLDER,		/* all digits of the national number equal, as +10000000000 */
	OM_PHONE_NOT_A_NUMBER		/* short codes, senders with letters and e-mail too */
} OmPhoneStatus;

typedef struct OmPhone
{
	OmPhoneKind kind;
	OmPhoneStatus status;		/* POSSIBLE exactly when kind is E164 and e164 is set */
	char		e164[17];		/* "+15551234567", NUL-terminated, empty when there is none */
	char		extension[12];	/* digits, empty when there is none */
	int			country_code;	/* 1, 44 ... ; 0 when unknown */
	char		region[4];		/* ISO 3166 "US", "001" for none; empty when the code has several regions */
} OmPhone;

/*
 * Parse len bytes of raw (UTF-8, need not be NUL-terminated; bad bytes are never
 * an error, only not a number).  region is the ISO code that national input is
 * read in, NUL-terminated and in any case of letters; unknown regions and NULL
 * leave only international input.  Returns out->status; out is always filled.
 */
extern OmPhoneStatus om_phone_parse(const char *raw, size_t len,
									const char *region, OmPhone *out);

/* The words that SQL shows: "e164", "short_code" ...; "possible", "too_short" ... */
extern const char *om_phone_kind_name(OmPhoneKind kind);
extern const char *om_phone_status_name(OmPhoneStatus status);

#endif							/* OM_PHONE_H */
