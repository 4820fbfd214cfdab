/*
 * phone.h
 *		Phone numbers as people and providers write them, to E.164.
 *
 * Classifies before it parses: a short code, an alphanumeric sender or an e-mail
 * address is never forced into E.164.  Gates on possible numbers, never on valid
 * ones, because every list of valid ranges is older than the numbers in use.
 *
 * Numbers of all regions are read by the algorithm of libphonenumber over tables that
 * are generated from its metadata (phone_tables.h).
 */
#ifndef OM_PHONE_H
#define OM_PHONE_H

#include <stddef.h>

typedef enum OmPhoneKind
{
	OM_PHONE_KIND_UNKNOWN,
	OM_PHONE_KIND_E164,
	OM_PHONE_KIND_SHORT_CODE,	/* 3 to 8 digits without a plus, no number of the region */
	OM_PHONE_KIND_ALPHANUMERIC, /* a sender of up to 11 characters with a letter; cannot be answered */
	OM_PHONE_KIND_EMAIL
} OmPhoneKind;

typedef enum OmPhoneStatus
{
	OM_PHONE_VALID,				/* in a range that the metadata knows */
	OM_PHONE_POSSIBLE,			/* of a length that its plan has */
	OM_PHONE_LOCAL_ONLY,		/* can be dialled within its area only: no area code */
	OM_PHONE_TOO_SHORT,
	OM_PHONE_TOO_LONG,
	OM_PHONE_INVALID_LENGTH,	/* between the lengths that its plan has */
	OM_PHONE_INVALID_COUNTRY_CODE,
	OM_PHONE_PLACEHOLDER,		/* all digits of the national number equal, as +10000000000 */
	OM_PHONE_NOT_A_NUMBER		/* short codes, senders with letters and e-mail too */
} OmPhoneStatus;

/* UNKNOWN unless the number is valid */
typedef enum OmPhoneType
{
	OM_PHONE_TYPE_UNKNOWN,
	OM_PHONE_TYPE_FIXED_LINE,
	OM_PHONE_TYPE_MOBILE,
	OM_PHONE_TYPE_FIXED_LINE_OR_MOBILE, /* the plan does not tell them apart, as in the US */
	OM_PHONE_TYPE_TOLL_FREE,
	OM_PHONE_TYPE_PREMIUM_RATE,
	OM_PHONE_TYPE_SHARED_COST,
	OM_PHONE_TYPE_VOIP,
	OM_PHONE_TYPE_PERSONAL_NUMBER,
	OM_PHONE_TYPE_PAGER,
	OM_PHONE_TYPE_UAN,
	OM_PHONE_TYPE_VOICEMAIL
} OmPhoneType;

typedef struct OmPhone
{
	OmPhoneKind kind;
	OmPhoneStatus status;
	OmPhoneType type;
	char		e164[17];		/* "+15551234567", NUL-terminated, set exactly when kind is E164 and
								 * status VALID or POSSIBLE, else empty */
	char		extension[21];	/* ASCII digits, empty when there is none */
	int			country_code;	/* 1, 44 ... ; 0 when unknown */
	char		region[4];		/* ISO 3166 "US", "001" for none; empty when it cannot be told */
} OmPhone;

/*
 * Parse len bytes of raw (UTF-8, need not be NUL-terminated; bad bytes are never
 * an error, only not a number).  region is the ISO code that national input is
 * read in, NUL-terminated and in any case of letters; unknown regions and NULL
 * leave only international input.  Returns out->status; out is always filled.
 */
extern OmPhoneStatus om_phone_parse(const char *raw, size_t len,
									const char *region, OmPhone *out);

/* The words that SQL shows: "e164", "short_code" ...; "valid", "possible" ...; "mobile" ... */
extern const char *om_phone_kind_name(OmPhoneKind kind);
extern const char *om_phone_status_name(OmPhoneStatus status);
extern const char *om_phone_type_name(OmPhoneType type);

/* Where the tables of number plans come from, as "google-libphonenumber 3.2.47" */
extern const char *om_phone_tables_version(void);

#endif							/* OM_PHONE_H */
