/*
 * phone.c
 *		Phone numbers as people and providers write them, to E.164.
 *
 * A written form is first folded into a short ASCII form in which every separator is a
 * '-' and everything that has no place in a number is a '?'.  What is no number is
 * recognised next, and only the rest is read as digits.
 */
#include "phone.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "phone_codes.h"
#include "utf8.h"

/* Nothing longer is an address (RFC 5321: 64 + 1 + 255) */
#define MAX_RAW_LEN			320

/* Room for a number with the most generous punctuation and an extension */
#define MAX_FORM_LEN		80

/* ITU-T E.164 allows 15 digits; no number in use has fewer than 7 */
#define MIN_DIGITS			7
#define MAX_DIGITS			15

#define NANP_DIGITS			10
#define NANP_LOCAL_DIGITS	7

#define MAX_EXTENSION		11
#define MAX_ALPHANUMERIC	11
#define MAX_SHORT_CODE		8

/* The folded form: digits, lower-case letters, '+', '(', ')', '#', ';', '=', '-', '?' */
typedef struct Form
{
	char		text[MAX_FORM_LEN];
	size_t		len;
	size_t		digits;
	size_t		letters;
	bool		overflow;
} Form;

/* The digits of a form */
typedef struct Digits
{
	char		text[MAX_FORM_LEN];
	size_t		len;
	bool		international;	/* a plus came before the first digit */
} Digits;

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return c >= 'a' && c <= 'z';
}

static char
ascii_lower(char c)
{
	return (c >= 'A' && c <= 'Z') ? (char) (c + ('a' - 'A')) : c;
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
is_dash(uint32_t code)
{
	return (code >= 0x2010 && code <= 0x2015) || code == 0x2212 || code == 0x30fc;
}

/* One character of the folded form; '\0' for what leaves no trace */
static char
fold_char(uint32_t code)
{
	if (is_invisible(code))
		return '\0';
	if (is_space(code) || is_dash(code))
		return '-';
	if (code >= 0xff01 && code <= 0xff5e)	/* full-width forms of ASCII */
		code -= 0xfee0;
	if (code >= 0x660 && code <= 0x669) /* Arabic-Indic digits */
		code = code - 0x660 + '0';
	if (code >= 0x6f0 && code <= 0x6f9) /* and the extended ones */
		code = code - 0x6f0 + '0';
	if (code >= 0x80)
		return '?';

	switch (code)
	{
		case '.':
		case '-':
		case '/':
		case ':':
			return '-';
		case '+':
		case '(':
		case ')':
		case '#':
		case ';':
		case '=':
			return (char) code;
		default:
			code = (uint32_t) (unsigned char) ascii_lower((char) code);
			return is_digit((char) code) || is_letter((char) code) ? (char) code : '?';
	}
}

static void
fold(const char *raw, size_t len, Form *form)
{
	size_t		pos = 0;

	memset(form, 0, sizeof(*form));
	while (pos < len)
	{
		uint32_t	code;
		char		c;

		pos += om_utf8_decode(raw + pos, len - pos, &code);
		c = fold_char(code);
		if (c == '\0')
			continue;
		if (form->len == sizeof(form->text))
		{
			form->overflow = true;
			return;
		}
		form->text[form->len++] = c;
		if (is_digit(c))
			form->digits++;
		else if (is_letter(c))
			form->letters++;
	}
}

/* Cut white space and invisible characters from both ends */
static void
trim(const char **raw, size_t *len)
{
	size_t		pos = 0;
	size_t		end = 0;
	bool		started = false;

	while (pos < *len)
	{
		uint32_t	code;
		size_t		size = om_utf8_decode(*raw + pos, *len - pos, &code);

		if (!is_space(code) && !is_invisible(code))
			started = true;
		if (!started)
		{
			*raw += size;
			*len -= size;
			continue;
		}
		pos += size;
		if (!is_space(code) && !is_invisible(code))
			end = pos;
	}
	*len = end;
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
		if (code < 0x80 && is_letter(ascii_lower((char) code)))
			letter = true;
		else if (is_gsm_letter(code))
			letter = true;
		else if (code == '\0' || code >= 0x80 ||
				 strchr("0123456789 &-_.!+", (int) code) == NULL)
			return false;
	}
	return letter;
}

/* Does the form hold word at pos? */
static bool
form_has(const Form *form, size_t pos, const char *word)
{
	size_t		size = strlen(word);

	return form->len - pos >= size && memcmp(form->text + pos, word, size) == 0;
}

/*
 * Split an extension off the end of the form: "x12", "ext. 12", "#12", ";ext=12".  There
 * must be a number before it and nothing but its digits behind it.  Other
 * parameters of a tel: URI are cut off unread: phone-context would let a sender choose the
 * country that his number is read in.
 */
static void
split_extension(Form *form, char *extension)
{
	static const char *const markers[] = {
		";ext=", "extension", "extn", "ext", "x", "#"
	};
	size_t		digits = 0;
	size_t		start = 0;
	size_t		end;
	size_t		pos;
	size_t		i;
	size_t		n = 0;

	while (start < form->len && !is_letter(form->text[start]) &&
		   form->text[start] != '#' && form->text[start] != ';')
	{
		if (is_digit(form->text[start]))
			digits++;
		start++;
	}
	if (start == form->len || digits < MIN_DIGITS)
		return;

	for (i = 0; i < sizeof(markers) / sizeof(markers[0]); i++)
	{
		if (form_has(form, start, markers[i]))
			break;
	}
	end = start;
	if (i < sizeof(markers) / sizeof(markers[0]))
	{
		pos = start + strlen(markers[i]);
		while (pos < form->len && form->text[pos] == '-')
			pos++;
		while (pos < form->len && is_digit(form->text[pos]))
		{
			if (n == MAX_EXTENSION)
				return;
			extension[n++] = form->text[pos++];
		}
		while (pos < form->len && form->text[pos] == '-')
			pos++;
		if (n == 0 || (pos < form->len && form->text[pos] != ';'))
		{
			extension[0] = '\0';
			return;
		}
		extension[n] = '\0';
	}
	else if (form->text[start] != ';')
		return;

	form->len = end;
	form->digits = digits;
	form->letters = 0;
}

/* The digit of a letter on a telephone's keys (ITU-T E.161) */
static char
keypad_digit(char c)
{
	static const char keys[] = "22233344455566677778889999";

	return is_letter(c) ? keys[c - 'a'] : c;
}

/*
 * A vanity number such as 1-800-FLOWERS: at least three digits, then at least three
 * letters, 10 or 11 keys in all.
 */
static bool
is_vanity(const Form *form)
{
	size_t		leading = 0;
	size_t		i;

	if (form->letters < 3)
		return false;
	for (i = 0; i < form->len && !is_letter(form->text[i]); i++)
	{
		if (is_digit(form->text[i]))
			leading++;
	}
	return leading >= 3 && (form->digits + form->letters == NANP_DIGITS ||
							form->digits + form->letters == NANP_DIGITS + 1);
}

/* The digits of a form, letters by their keys; false when it holds anything else */
static bool
collect_digits(const Form *form, Digits *out)
{
	size_t		i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < form->len; i++)
	{
		char		c = keypad_digit(form->text[i]);

		if (is_digit(c))
			out->text[out->len++] = c;
		else if (c == '+' && out->len == 0)
			out->international = true;
		else if (c != '-' && c != '(' && c != ')')
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

static OmPhoneStatus
nanp_length_status(size_t len)
{
	if (len == NANP_DIGITS)
		return OM_PHONE_POSSIBLE;
	if (len == NANP_LOCAL_DIGITS)
		return OM_PHONE_LOCAL_ONLY;
	return len < NANP_DIGITS ? OM_PHONE_TOO_SHORT : OM_PHONE_TOO_LONG;
}

/* A calling code and a national number, to E.164 when that is possible */
static OmPhoneStatus
accept_number(const OmPhoneCode *code, const char *national, size_t len, OmPhone *out)
{
	size_t		code_len = strlen(code->digits);
	OmPhoneStatus status = OM_PHONE_POSSIBLE;
	size_t		i;

	for (i = 0; i < code_len; i++)
		out->country_code = out->country_code * 10 + (code->digits[i] - '0');
	memcpy(out->region, code->region, sizeof(out->region));

	if (out->country_code == 1)
		status = nanp_length_status(len);
	else if (code_len + len < MIN_DIGITS)
		status = OM_PHONE_TOO_SHORT;
	else if (code_len + len > MAX_DIGITS)
		status = OM_PHONE_TOO_LONG;
	if (status != OM_PHONE_POSSIBLE)
		return status;
	if (all_equal(national, len))
		return OM_PHONE_PLACEHOLDER;

	out->kind = OM_PHONE_KIND_E164;
	out->e164[0] = '+';
	memcpy(out->e164 + 1, code->digits, code_len);
	memcpy(out->e164 + 1 + code_len, national, len);
	return OM_PHONE_POSSIBLE;
}

/* skip digits have been read as a prefix, the calling code follows */
static OmPhoneStatus
read_international(const Digits *digits, size_t skip, OmPhone *out)
{
	const char *text = digits->text + skip;
	size_t		len = digits->len - skip;
	const OmPhoneCode *code = om_phone_code_find(text, len);
	size_t		code_len;

	if (code == NULL)
		return len < 3 ? OM_PHONE_TOO_SHORT : OM_PHONE_INVALID_COUNTRY_CODE;
	code_len = strlen(code->digits);
	text += code_len;
	len -= code_len;

	/*
	 * "+44 (0)20 ..." and "+44 020 ...": the zero is dialled inside the country only.
	 * "+1 1415 ..." comes from programs that put +1 before everything.
	 */
	if (code->trunk_zero && len >= 2 && text[0] == '0' && text[1] != '0')
	{
		text++;
		len--;
	}
	else if (code->digits[0] == '1' && len == NANP_DIGITS + 1 && text[0] == '1')
	{
		text++;
		len--;
	}
	return accept_number(code, text, len, out);
}

static OmPhoneStatus
short_code(OmPhone *out)
{
	out->kind = OM_PHONE_KIND_SHORT_CODE;
	return OM_PHONE_NOT_A_NUMBER;
}

static OmPhoneStatus
read_nanp(const Digits *digits, OmPhone *out)
{
	const char *text = digits->text;
	size_t		len = digits->len;

	if (len > MAX_SHORT_CODE && memcmp(text, "011", 3) == 0)
		return read_international(digits, 3, out);
	if (len == NANP_DIGITS + 1 && text[0] == '1')
	{
		text++;
		len--;
	}
	if (len >= 3 && len <= MAX_SHORT_CODE && len != NANP_LOCAL_DIGITS)
		return short_code(out);
	return accept_number(om_phone_code_find("1", 1), text, len, out);
}

/*
 * National input of a region whose rules this version does not know.  Seven and eight
 * digits are full numbers in many regions (8 in Denmark), so they are no short codes there.
 */
static OmPhoneStatus
read_elsewhere(const Digits *digits, const char *region, OmPhone *out)
{
	size_t		max = region[0] == '\0' ? MAX_SHORT_CODE : 6;

	if (digits->len > MAX_SHORT_CODE && memcmp(digits->text, "00", 2) == 0 &&
		om_phone_region_dials_00(region))
		return read_international(digits, 2, out);
	if (digits->len >= 3 && digits->len <= max)
		return short_code(out);
	return OM_PHONE_NOT_A_NUMBER;
}

/* Two letters in upper case, or "" */
static void
read_region(const char *region, char *out)
{
	size_t		i;

	memset(out, 0, 3);
	if (region == NULL || strlen(region) != 2)
		return;
	for (i = 0; i < 2; i++)
	{
		char		c = ascii_lower(region[i]);

		if (!is_letter(c))
		{
			out[0] = '\0';
			return;
		}
		out[i] = (char) (c - ('a' - 'A'));
	}
}

static OmPhoneStatus
parse(const char *raw, size_t len, const char *region, OmPhone *out)
{
	Form		form;
	Digits		digits;
	char		upper[3];
	bool		nanp;

	if (raw == NULL || len > MAX_RAW_LEN)
		return OM_PHONE_NOT_A_NUMBER;
	trim(&raw, &len);
	strip_scheme(&raw, &len);
	if (is_email(raw, len))
	{
		out->kind = OM_PHONE_KIND_EMAIL;
		return OM_PHONE_NOT_A_NUMBER;
	}

	fold(raw, len, &form);
	if (form.overflow)
		return OM_PHONE_NOT_A_NUMBER;
	split_extension(&form, out->extension);
	if (form.letters > 0 && !is_vanity(&form))
	{
		if (is_alphanumeric(raw, len))
			out->kind = OM_PHONE_KIND_ALPHANUMERIC;
		return OM_PHONE_NOT_A_NUMBER;
	}
	if (form.digits == 0 || !collect_digits(&form, &digits))
		return OM_PHONE_NOT_A_NUMBER;

	read_region(region, upper);
	nanp = om_phone_region_is_nanp(upper);
	if (form.letters > 0 && !(digits.international ? digits.text[0] == '1' : nanp))
		return OM_PHONE_NOT_A_NUMBER;
	if (digits.international)
		return read_international(&digits, 0, out);
	if (nanp)
		return read_nanp(&digits, out);
	return read_elsewhere(&digits, upper, out);
}

OmPhoneStatus
om_phone_parse(const char *raw, size_t len, const char *region, OmPhone *out)
{
	memset(out, 0, sizeof(*out));
	out->kind = OM_PHONE_KIND_UNKNOWN;
	out->status = parse(raw, len, region, out);
	if (out->status != OM_PHONE_POSSIBLE)
		out->extension[0] = '\0';
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
		case OM_PHONE_POSSIBLE:
			return "possible";
		case OM_PHONE_LOCAL_ONLY:
			return "local_only";
		case OM_PHONE_TOO_SHORT:
			return "too_short";
		case OM_PHONE_TOO_LONG:
			return "too_long";
		case OM_PHONE_INVALID_COUNTRY_CODE:
			return "invalid_country_code";
		case OM_PHONE_PLACEHOLDER:
			return "placeholder";
		case OM_PHONE_NOT_A_NUMBER:
			break;
	}
	return "not_a_number";
}
