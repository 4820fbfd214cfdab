/*
 * phone_number.c
 *		From digits to calling code, national number, region and type.
 */
#include "phone_number.h"

#include <string.h>

#include "phone_pattern.h"

/* libphonenumber reads no shorter national number */
#define MIN_NATIONAL	2

/* a national number behind a transformed prefix may be longer than the text was */
#define MAX_DIGITS		(OM_PHONE_MAX_TEXT + 8)

const OmPhoneRegion *
om_phone_region_find(const char *region)
{
	unsigned	letters[2];
	unsigned	index;
	size_t		i;

	if (region == NULL)
		return NULL;
	for (i = 0; i < 2; i++)
	{
		letters[i] = (unsigned char) region[i] & ~0x20u;
		if (letters[i] < 'A' || letters[i] > 'Z')
			return NULL;
	}
	if (region[2] != '\0')
		return NULL;
	index = om_phone_region_index[(letters[0] - 'A') * 26 + letters[1] - 'A'];
	return index == 0 ? NULL : &om_phone_regions[index - 1];
}

/*
 * The calling code that the digits begin with and how long it is; NULL for none.  No code
 * is the beginning of another (ITU-T E.164).
 */
static const OmPhoneCode *
find_code(const char *digits, size_t len, size_t *code_len)
{
	unsigned	value = 0;
	size_t		i;

	for (i = 0; i < 3 && i < len; i++)
	{
		value = value * 10 + (unsigned) (digits[i] - '0');
		if (value == 0)
			return NULL;
		if (om_phone_code_index[value] != 0)
		{
			*code_len = i + 1;
			return &om_phone_codes[om_phone_code_index[value] - 1];
		}
	}
	return NULL;
}

static OmPhoneStatus
length_class(const OmPhoneRegion *region, size_t len)
{
	uint32_t	bit = len < 32 ? (uint32_t) 1 << len : 0;

	if (region->local_lengths & bit)
		return OM_PHONE_LOCAL_ONLY;
	if (region->lengths & bit)
		return OM_PHONE_POSSIBLE;
	if (bit == 0 || bit > region->lengths)
		return OM_PHONE_TOO_LONG;
	return (region->lengths & (bit - 1)) == 0 ? OM_PHONE_TOO_SHORT : OM_PHONE_INVALID_LENGTH;
}

static bool
is_general(const OmPhoneRegion *region, const char *digits, size_t len)
{
	return om_phone_label(region->general, digits, len) != 0;
}

/*
 * Strip what is dialled before a national number, and rewrite the number where the plan
 * says so (a mobile of Argentina, a local number of an island).  Not if a number that the
 * plan knows would become one that it does not know.  out has room for MAX_DIGITS and may
 * not be digits; false when nothing changed, out is undefined then.
 */
static bool
strip_prefix(const OmPhoneRegion *region, const char *digits, size_t len, char *out,
			 size_t *out_len)
{
	OmPhoneGroups groups;
	const char *rule = "";
	size_t		n = 0;
	int			matched;

	if (len == 0 || (region->prefix_digits >> (digits[0] - '0') & 1) == 0)
		return false;
	matched = om_phone_match(region->prefix, digits, len, &groups);
	if (matched <= 0)
		return false;

	if (region->prefix_groups > 0 &&
		groups.end[region->prefix_groups - 1] > groups.start[region->prefix_groups - 1])
		rule = region->transform;
	for (; *rule != '\0'; rule++)
	{
		if (*rule >= 'A')
		{
			size_t		group = (size_t) (*rule - 'A');
			size_t		size = (size_t) (groups.end[group] - groups.start[group]);

			memcpy(out + n, digits + groups.start[group], size);
			n += size;
		}
		else
			out[n++] = *rule;
	}
	memcpy(out + n, digits + matched, len - (size_t) matched);
	*out_len = n + len - (size_t) matched;

	return !is_general(region, digits, len) || is_general(region, out, *out_len);
}

/* Region and type of a complete number */
static void
identify(const OmPhoneCode *code, OmPhoneNumber *number)
{
	const OmPhoneLabel *label =
		&om_phone_labels[om_phone_label(code->number, number->national, number->len)];

	number->type = (OmPhoneType) label->type;
	number->valid = number->type != OM_PHONE_TYPE_UNKNOWN;
	if (code->single)
		memcpy(number->region, om_phone_regions[code->region].id, sizeof(number->region));
	else if (label->region != OM_PHONE_NO_REGION)
		memcpy(number->region, om_phone_regions[label->region].id, sizeof(number->region));
	else
		number->region[0] = '\0';
}

/* A calling code is known; digits is what follows, still with a national prefix perhaps */
static OmPhoneStatus
finish(const OmPhoneCode *code, const OmPhoneRegion *region, const char *digits, size_t len,
	   OmPhoneNumber *number)
{
	char		stripped[MAX_DIGITS];
	size_t		stripped_len;

	number->settled = region == &om_phone_regions[code->region];
	if (len < MIN_NATIONAL)
		return OM_PHONE_TOO_SHORT;
	if (strip_prefix(region, digits, len, stripped, &stripped_len))
	{
		OmPhoneStatus status = length_class(region, stripped_len);

		/* otherwise it may have been a short number that looks like a prefix */
		if (status == OM_PHONE_POSSIBLE || status == OM_PHONE_TOO_LONG)
		{
			digits = stripped;
			len = stripped_len;
			number->settled = false;
		}
	}
	if (len < MIN_NATIONAL)
		return OM_PHONE_TOO_SHORT;
	if (len > OM_PHONE_MAX_NATIONAL)
		return OM_PHONE_TOO_LONG;

	number->country_code = code->code;
	number->len = len;
	memcpy(number->national, digits, len);
	identify(code, number);
	return length_class(&om_phone_regions[code->region], len);
}

OmPhoneStatus
om_phone_number_international(const char *digits, size_t len, OmPhoneNumber *number)
{
	const OmPhoneCode *code;
	size_t		code_len;

	number->country_code = 0;
	number->source = OM_PHONE_FROM_PLUS;
	if (len <= MIN_NATIONAL)
		return OM_PHONE_TOO_SHORT;
	code = find_code(digits, len, &code_len);
	if (code == NULL)
		return OM_PHONE_INVALID_COUNTRY_CODE;
	return finish(code, &om_phone_regions[code->region], digits + code_len, len - code_len,
				  number);
}

/* Digits without a plus, as dialled in a region */
static OmPhoneStatus
read_national(const char *digits, size_t len, const OmPhoneRegion *region, OmPhoneNumber *number)
{
	const OmPhoneCode *own = &om_phone_codes[om_phone_code_index[region->code] - 1];
	const OmPhoneCode *code;
	OmPhoneGroups groups;
	size_t		code_len;
	int			idd = region->idd == 0 ? 0 : om_phone_match(region->idd, digits, len, &groups);

	/* no calling code begins with 0 */
	if (idd > 0 && ((size_t) idd == len || digits[idd] != '0'))
	{
		OmPhoneStatus status = om_phone_number_international(digits + idd, len - (size_t) idd,
															 number);

		number->source = OM_PHONE_FROM_IDD;
		return status;
	}

	code = find_code(digits, len, &code_len);
	if (code == own)
	{
		char		stripped[MAX_DIGITS];
		const char *rest = digits + code_len;
		size_t		rest_len = len - code_len;

		if (strip_prefix(region, rest, rest_len, stripped, &rest_len))
			rest = stripped;
		else
			rest_len = len - code_len;
		if ((!is_general(region, digits, len) && is_general(region, rest, rest_len)) ||
			length_class(region, len) == OM_PHONE_TOO_LONG)
		{
			number->source = OM_PHONE_FROM_DIGITS;
			return finish(own, &om_phone_regions[own->region], rest, rest_len, number);
		}
	}
	number->source = OM_PHONE_FROM_REGION;
	return finish(own, region, digits, len, number);
}

OmPhoneStatus
om_phone_number_settle(OmPhoneNumber *number, OmPhoneStatus status)
{
	const OmPhoneCode *code = &om_phone_codes[om_phone_code_index[number->country_code] - 1];

	while (status == OM_PHONE_POSSIBLE && !number->settled)
	{
		char		national[OM_PHONE_MAX_NATIONAL];
		size_t		len = number->len;

		memcpy(national, number->national, len);
		status = finish(code, &om_phone_regions[code->region], national, len, number);
		/* a rule that makes a number longer could go on for ever */
		if (number->len >= len)
			number->settled = true;
	}
	return status;
}

OmPhoneStatus
om_phone_number_read(const OmPhoneText *form, const OmPhoneRegion *region, OmPhoneNumber *number)
{
	OmPhoneStatus status;

	number->country_code = 0;
	if (form->plus)
	{
		status = om_phone_number_international(form->digits, form->len, number);
		if (status != OM_PHONE_INVALID_COUNTRY_CODE || region == NULL)
			return status;

		/* "+0049 ..." and "+011 44 ...": the plus is one too many */
		status = read_national(form->digits, form->len, region, number);
		if (number->source == OM_PHONE_FROM_REGION)
		{
			/* only a calling code in the digits counts here, not that of the region */
			number->country_code = 0;
			return OM_PHONE_INVALID_COUNTRY_CODE;
		}
		return status;
	}
	if (region == NULL)
		return OM_PHONE_INVALID_COUNTRY_CODE;
	return read_national(form->digits, form->len, region, number);
}

OmPhoneStatus
om_phone_read_number(const char *raw, size_t len, const char *region, OmPhoneText *form,
					 OmPhoneNumber *number)
{
	number->country_code = 0;
	if (!om_phone_text_read(raw, len, form))
		return OM_PHONE_NOT_A_NUMBER;
	return om_phone_number_read(form, om_phone_region_find(region), number);
}
