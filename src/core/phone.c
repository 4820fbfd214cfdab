/*
 * phone.c
 *		Phone numbers as people and providers write them: what is none, and what is read as one.
 *
 * libphonenumber's algorithm (phone_text.c, phone_number.c) makes a number of almost anything
 * that holds two digits: of a short code, of "Uber 123", of the digits in a sentence.  So what
 * the text is comes first, and that algorithm is asked about the rest only.
 */
#include "phone.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "phone_number.h"
#include "phone_text.h"
#include "utf8.h"

/* Nothing longer is an address (RFC 5321: 64 + 1 + 255) */
#define MAX_RAW_LEN			320

/*
 * ITU-T E.164 allows 15 digits with the calling code.  Fewer than 7 are a number in a handful
 * of ranges only (+98 9601), which the metadata knows; what is left of others is a short code.
 */
#define MIN_E164_DIGITS		7
#define MAX_E164_DIGITS		15

#define NANP_DIGITS			10

#define MAX_ALPHANUMERIC	11

/*
 * Short codes have 3 to 8 digits.  Plans like those of Germany and Australia count numbers of
 * five and six digits as possible; nobody can be reached by one, so that without a plus they
 * are short codes unless they are valid.
 */
#define MIN_SHORT_CODE		3
#define MAX_SHORT_CODE		8
#define MAX_USUAL_SHORT_CODE	6

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char
ascii_lower(char c)
{
	return (c >= 'A' && c <= 'Z') ? (char) (c + ('a' - 'A')) : c;
}

static bool
is_ascii_letter(char c)
{
	return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
}

static bool
is_space(uint32_t code)
{
	return code == ' ' || (code >= '\t' && code <= '\r') || code == 0xa0 ||
		(code >= 0x2000 && code <= 0x200a) || code == 0x202f || code == 0x205f ||
		code == 0x3000;
}

/* Characters without a shape, which come along when a number is copied */
static bool
is_invisible(uint32_t code)
{
	return code == 0xad || (code >= 0x200b && code <= 0x200f) ||
		(code >= 0x202a && code <= 0x202e) || (code >= 0x2060 && code <= 0x2069) ||
		code == 0xfeff;
}

static bool
is_blank(uint32_t code)
{
	return is_space(code) || is_invisible(code);
}

/* Cut white space and invisible characters from both ends */
static void
trim(const char **raw, size_t *len)
{
	uint32_t	code;
	size_t		size;

	while (*len > 0)
	{
		size = om_utf8_decode(*raw, *len, &code);
		if (!is_blank(code))
			break;
		*raw += size;
		*len -= size;
	}
	while (*len > 0)
	{
		/* back to where the last character begins */
		size = 1;
		while (size < *len && size < 4 && ((*raw)[*len - size] & 0xc0) == 0x80)
			size++;
		if (om_utf8_decode(*raw + *len - size, size, &code) != size || !is_blank(code))
			break;
		*len -= size;
	}
}

/* Cut the scheme of a URI */
static void
strip_scheme(const char **raw, size_t *len)
{
	static const char *const schemes[] = {"tel:", "sms:", "whatsapp:"};
	size_t		i;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
	{
		size_t		size = strlen(schemes[i]);
		size_t		j = 0;

		while (j < size && j < *len && ascii_lower((*raw)[j]) == schemes[i][j])
			j++;
		if (j == size)
		{
			*raw += size;
			*len -= size;
			trim(raw, len);
			return;
		}
	}
}

/* One '@' with something on both sides and no white space or control character */
static bool
is_email(const char *raw, size_t len)
{
	size_t		at = 0;
	size_t		count = 0;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) raw[i];

		if (c <= ' ' || c == 0x7f)
			return false;
		if (c == '@')
		{
			at = i;
			count++;
		}
	}
	return count == 1 && at > 0 && at + 1 < len;
}

/* A letter of the GSM 7-bit default alphabet (3GPP TS 23.038, 6.2.1) beyond ASCII */
static bool
is_gsm_letter(uint32_t code)
{
	static const uint16_t letters[] = {
		0xc4, 0xc5, 0xc6, 0xc7, 0xc9, 0xd1, 0xd6, 0xd8, 0xdc, 0xdf, 0xe0, 0xe4, 0xe5,
		0xe6, 0xe8, 0xe9, 0xec, 0xf1, 0xf2, 0xf6, 0xf8, 0xf9, 0xfc
	};
	size_t		i;

	for (i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
	{
		if (letters[i] == code)
			return true;
	}
	return false;
}

/*
 * An alphanumeric sender: at most 11 characters with a letter among them.  A plus in
 * front claims to be a number, so it is none.
 */
static bool
is_alphanumeric(const char *raw, size_t len)
{
	size_t		pos = 0;
	size_t		chars = 0;
	bool		letter = false;

	if (len == 0 || raw[0] == '+')
		return false;
	while (pos < len)
	{
		uint32_t	code;

		pos += om_utf8_decode(raw + pos, len - pos, &code);
		if (++chars > MAX_ALPHANUMERIC)
			return false;
		if ((code < 0x80 && is_ascii_letter((char) code)) || is_gsm_letter(code))
			letter = true;
		else if (code == '\0' || code >= 0x80 ||
				 strchr("0123456789 &-_.!+", (int) code) == NULL)
			return false;
	}
	return letter;
}

/*
 * The end of the parameter of a tel: URI (RFC 3966) at pos, ";name=value"; pos when there
 * is none.  ";ext=" is left to the reader of numbers.
 */
static size_t
parameter_end(const char *raw, size_t len, size_t pos)
{
	size_t		name = pos + 1;
	size_t		end = name;

	if (raw[pos] != ';')
		return pos;
	while (end < len && (is_ascii_letter(raw[end]) || raw[end] == '-'))
		end++;
	if (end == name || end == len || raw[end] != '=' ||
		(end - name == 3 && ascii_lower(raw[name]) == 'e' &&
		 ascii_lower(raw[name + 1]) == 'x' && ascii_lower(raw[name + 2]) == 't'))
		return pos;
	while (end < len && raw[end] != ';')
		end++;
	return end;
}

/*
 * What the reader of numbers gets to see: without invisible characters, all horizontal white
 * space as blanks, and without parameters.  phone-context, above all, would let a
 * sender choose the country that his number is read in.
 */
static size_t
clean(const char *raw, size_t len, char *out)
{
	size_t		pos = 0;
	size_t		n = 0;

	while (pos < len)
	{
		uint32_t	code;
		size_t		end;

		if (raw[pos] > ' ' && raw[pos] <= '~' && raw[pos] != ';')
		{
			out[n++] = raw[pos++];
			continue;
		}
		end = parameter_end(raw, len, pos);
		if (end > pos)
		{
			pos = end;
			continue;
		}
		end = pos + om_utf8_decode(raw + pos, len - pos, &code);
		if (is_space(code) && !(code >= '\n' && code <= '\r'))
			out[n++] = ' ';
		else if (!is_invisible(code))
		{
			memcpy(out + n, raw + pos, end - pos);
			n += end - pos;
		}
		pos = end;
	}
	return n;
}

/*
 * A vanity number such as 1-800-FLOWERS: at least three digits, then at least three
 * letters, 10 or 11 keys in all.  Known in the North American Numbering Plan only.
 */
static bool
is_vanity(const OmPhoneText *form, const OmPhoneRegion *region)
{
	size_t		leading = 0;
	size_t		digits = 0;
	bool		letter = false;
	size_t		pos;

	if (form->plus ? form->digits[0] != '1' : region == NULL || region->code != 1)
		return false;
	for (pos = form->start; pos < form->end; pos++)
	{
		OmPhoneChar class = om_phone_char_class(form->text[pos]);

		letter |= class == OM_PHONE_CHAR_LETTER;
		digits += class == OM_PHONE_CHAR_DIGIT;
		leading += class == OM_PHONE_CHAR_DIGIT && !letter;
	}

	/* beside letters only ASCII digits have been read; a number with a gap would be another */
	return leading >= 3 && form->letters >= 3 && form->len == digits + form->letters &&
		(form->len == NANP_DIGITS || form->len == NANP_DIGITS + 1);
}

/*
 * Is there nothing but the number, its punctuation and an extension?  libphonenumber would
 * take a number out of any text.
 */
static bool
is_number_only(const OmPhoneText *form)
{
	size_t		pos;

	for (pos = 0; pos < form->text_len; pos++)
	{
		OmPhoneChar class = om_phone_char_class(form->text[pos]);

		/* the extension was recognised already */
		if (pos == form->end && form->extension[0] != '\0')
			break;
		if (class == OM_PHONE_CHAR_OTHER ||
			(class == OM_PHONE_CHAR_LETTER && (pos < form->start || pos >= form->end)))
			return false;
	}
	return true;
}

static bool
all_equal(const char *digits, size_t len)
{
	size_t		i;

	for (i = 1; i < len; i++)
	{
		if (digits[i] != digits[0])
			return false;
	}
	return true;
}

/* What a number that was read means to the caller */
static OmPhoneStatus
accept_number(OmPhoneNumber *number, OmPhoneStatus status, OmPhone *out)
{
	char		code[4];
	size_t		code_len = 0;
	int			rest;

	status = om_phone_number_settle(number, status);
	out->country_code = number->country_code;
	memcpy(out->region, number->region, sizeof(out->region));
	if (status != OM_PHONE_POSSIBLE)
		return status;
	for (rest = number->country_code; rest > 0; rest /= 10)
		code[code_len++] = (char) ('0' + rest % 10);
	if (code_len + number->len < MIN_E164_DIGITS && !number->valid)
		return OM_PHONE_TOO_SHORT;
	if (code_len + number->len > MAX_E164_DIGITS)
		return OM_PHONE_TOO_LONG;
	if (all_equal(number->national, number->len))
		return OM_PHONE_PLACEHOLDER;

	out->kind = OM_PHONE_KIND_E164;
	out->type = number->type;
	out->e164[0] = '+';
	for (size_t i = 0; i < code_len; i++)
		out->e164[1 + i] = code[code_len - 1 - i];
	memcpy(out->e164 + 1 + code_len, number->national, number->len);
	out->e164[1 + code_len + number->len] = '\0';
	return number->valid ? OM_PHONE_VALID : OM_PHONE_POSSIBLE;
}

/* A plus and ASCII digits: nothing to classify */
static bool
is_canonical(const char *raw, size_t len)
{
	size_t		i;

	if (len < 4 || len > 1 + MAX_E164_DIGITS || raw[0] != '+')
		return false;
	for (i = 1; i < len; i++)
	{
		if (!is_digit(raw[i]))
			return false;
	}
	return true;
}

/* What may have looked like a number is none, so that it is of no country */
static OmPhoneStatus
none(const char *raw, size_t len, OmPhone *out)
{
	if (is_alphanumeric(raw, len))
		out->kind = OM_PHONE_KIND_ALPHANUMERIC;
	out->country_code = 0;
	out->region[0] = '\0';
	return OM_PHONE_NOT_A_NUMBER;
}

static OmPhoneStatus
parse(const char *raw, size_t len, const char *region_id, OmPhone *out)
{
	const OmPhoneRegion *region;
	OmPhoneNumber number;
	OmPhoneStatus status;
	OmPhoneText form;
	char		text[MAX_RAW_LEN];
	size_t		text_len;
	bool		short_form;

	if (raw == NULL || len > MAX_RAW_LEN)
		return OM_PHONE_NOT_A_NUMBER;
	if (is_canonical(raw, len))
	{
		status = om_phone_number_international(raw + 1, len - 1, &number);
		if (number.country_code != 0)
			return accept_number(&number, status, out);
	}

	trim(&raw, &len);
	strip_scheme(&raw, &len);
	if (is_email(raw, len))
	{
		out->kind = OM_PHONE_KIND_EMAIL;
		return OM_PHONE_NOT_A_NUMBER;
	}
	text_len = clean(raw, len, text);
	region = om_phone_region_find(region_id);
	if (!om_phone_text_read(text, text_len, &form) || !is_number_only(&form) ||
		(form.letters > 0 && !is_vanity(&form, region)))
		return none(raw, len, out);
	short_form = !form.plus && form.extension[0] == '\0' && form.letters == 0 &&
		form.len >= MIN_SHORT_CODE && form.len <= MAX_SHORT_CODE;
	status = om_phone_number_read(&form, region, &number);
	if (number.country_code != 0)
	{
		if (!short_form || form.len > MAX_USUAL_SHORT_CODE || number.valid)
			status = accept_number(&number, status, out);
	}
	else if (!form.plus && region == NULL)
		status = OM_PHONE_NOT_A_NUMBER;
	if (out->e164[0] != '\0')
		memcpy(out->extension, form.extension, sizeof(out->extension));
	else if (is_alphanumeric(raw, len))
		return none(raw, len, out);
	else if (short_form &&
			 (form.len <= MAX_USUAL_SHORT_CODE ||
			  (status != OM_PHONE_LOCAL_ONLY && status != OM_PHONE_PLACEHOLDER)))
	{
		none(raw, len, out);
		out->kind = OM_PHONE_KIND_SHORT_CODE;
		return OM_PHONE_NOT_A_NUMBER;
	}
	return status;
}

OmPhoneStatus
om_phone_parse(const char *raw, size_t len, const char *region, OmPhone *out)
{
	memset(out, 0, sizeof(*out));
	out->kind = OM_PHONE_KIND_UNKNOWN;
	out->status = parse(raw, len, region, out);
	return out->status;
}

const char *
om_phone_kind_name(OmPhoneKind kind)
{
	switch (kind)
	{
		case OM_PHONE_KIND_UNKNOWN:
			break;
		case OM_PHONE_KIND_E164:
			return "e164";
		case OM_PHONE_KIND_SHORT_CODE:
			return "short_code";
		case OM_PHONE_KIND_ALPHANUMERIC:
			return "alphanumeric";
		case OM_PHONE_KIND_EMAIL:
			return "email";
	}
	return "unknown";
}

const char *
om_phone_status_name(OmPhoneStatus status)
{
	switch (status)
	{
		case OM_PHONE_VALID:
			return "valid";
		case OM_PHONE_POSSIBLE:
			return "possible";
		case OM_PHONE_LOCAL_ONLY:
			return "local_only";
		case OM_PHONE_TOO_SHORT:
			return "too_short";
		case OM_PHONE_TOO_LONG:
			return "too_long";
		case OM_PHONE_INVALID_LENGTH:
			return "invalid_length";
		case OM_PHONE_INVALID_COUNTRY_CODE:
			return "invalid_country_code";
		case OM_PHONE_PLACEHOLDER:
			return "placeholder";
		case OM_PHONE_NOT_A_NUMBER:
			break;
	}
	return "not_a_number";
}

const char *
om_phone_type_name(OmPhoneType type)
{
	static const char *const names[] = {
		"unknown", "fixed_line", "mobile", "fixed_line_or_mobile", "toll_free", "premium_rate",
		"shared_cost", "voip", "personal_number", "pager", "uan", "voicemail"
	};

	return (size_t) type < sizeof(names) / sizeof(names[0]) ? names[type] : names[0];
}

const char *
om_phone_tables_version(void)
{
	return om_phone_version;
}
