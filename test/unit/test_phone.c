/*
 * test_phone.c
 *		Phone numbers as people and providers write them, to E.164.
 */
#include "phone.h"

#include "tap.h"

typedef struct PhoneCase
{
	const char *raw;
	const char *region;
	const char *expected;		/* E.164 and "?" if it is not valid; or the status and kind */
	const char *sentence;
} PhoneCase;

#define NBSP	"\xc2\xa0"

static const PhoneCase cases[] = {
	/* E.164 of every country */
	{"+15551234567", "US", "+15551234567?", "E.164 stays as it is"},
	{"+15551234567", "GB", "+15551234567?", "the region does not matter to E.164"},
	{"+15551234567", NULL, "+15551234567?", "E.164 needs no region"},
	{"+442079460958", "US", "+442079460958", "a British number"},
	{"+4930901820", "US", "+4930901820", "a German number"},
	{"+390612345678", "US", "+390612345678", "an Italian number keeps its zero"},
	{"+5215512345678", "US", "too_long unknown", "a Mexican mobile of the form before 2019"},
	{"+525512345678", "US", "+525512345678", "and of the present one"},
	{"+6834123", "US", "+6834123", "four digits of Niue"},
	{"+881612345678", "US", "+881612345678", "a satellite telephone"},
	{"+123456789012345", "US", "too_long unknown", "a NANP number has ten digits"},
	{"+86123456789012345", "US", "+866789012345?", "in China 12345 is a carrier that was dialled"},
	{"+49123456789012345678", "US", "too_long unknown", "twenty digits are too long"},
	{"+44123", "US", "too_short unknown", "three digits are too short for Britain"},
	{"+44123456", "US", "local_only unknown", "six can be dialled within a town"},
	{"+4412345678", "US", "local_only unknown", "and eight"},
	{"+37112345", "US", "too_short unknown", "five are too short for Latvia"},
	{"+3761234567", "US", "invalid_length unknown", "in Andorra there are six digits and eight, not seven"},
	{"+4", "US", "not_a_number unknown", "one digit is no number"},
	{"+44", "US", "not_a_number unknown", "nor is a calling code alone"},
	{"+0049 30 901820", "GB", "+4930901820", "a plus and 00 are one too many"},
	{"+011 49 30 901820", "US", "+4930901820", "and a plus and 011"},
	{"+0 20 7946 0958", "GB", "invalid_country_code unknown", "a plus and 0 are no calling code"},
	{"+2100000001", "US", "invalid_country_code unknown", "210 is no calling code"},
	{"+999123456789", "US", "invalid_country_code unknown", "999 is no calling code"},
	{"+0123456789", "US", "invalid_country_code unknown", "no calling code begins with 0"},
	{"+1555123456", "US", "too_short unknown", "nine digits of the NANP are too short"},
	{"+1 555 1234", "US", "local_only unknown", "seven digits of the NANP are local"},
	{"+10000000000", "US", "placeholder unknown", "ten zeros are a placeholder"},
	{"+15555555555", "US", "placeholder unknown", "ten fives are a placeholder"},
	{"5555555555", "US", "placeholder unknown", "national fives are a placeholder"},
	{"55555555", "DK", "placeholder unknown", "eight fives in Denmark are no short code"},
	{"+441111111111", "US", "placeholder unknown", "so are ones elsewhere"},
	{"+1 1 415 555 2671", "US", "+14155552671", "a +1 before 1-415 is one too many"},

	/* Written forms of international numbers */
	{"+44 20 7946 0958", "US", "+442079460958", "spaces"},
	{"+44.20.7946.0958", "US", "+442079460958", "dots"},
	{"+44-20-7946-0958", "US", "+442079460958", "dashes"},
	{"+44/20/7946/0958", "US", "+442079460958", "slashes"},
	{"(+44) 20 7946 0958", "US", "+442079460958", "a calling code in parentheses"},
	{"+44 (0)20 7946 0958", "US", "+442079460958", "a zero in parentheses is dropped"},
	{"+44 (0) 20 7946 0958", "US", "+442079460958", "with a space behind it too"},
	{"+44 020 7946 0958", "US", "+442079460958", "and without parentheses"},
	{"+39 (0)6 1234 5678", "US", "+390612345678", "but in Italy it is part of the number"},
	{"+44" NBSP "20" NBSP "7946 0958", "US", "+442079460958", "no-break spaces"},
	{"\xe2\x80\xaa+44 20 7946 0958\xe2\x80\xac", "US", "+442079460958", "bidi marks"},
	{"+44\xe2\x80\x91" "20\xe2\x80\x93" "79460958", "US", "+442079460958", "other dashes"},
	{"\xef\xbc\x8b\xef\xbc\x94\xef\xbc\x94" "2079460958", "US", "+442079460958",
	"full-width plus and digits"},
	{"  +44 2079460958\n", "US", "+442079460958", "white space around"},
	{"011 44 20 7946 0958", "US", "+442079460958", "011 in the NANP"},
	{"011442079460958", "JM", "+442079460958", "011 in Jamaica"},
	{"00 44 20 7946 0958", "DE", "+442079460958", "00 in Germany"},
	{"00442079460958", "US", "too_long unknown", "00 means nothing in the NANP"},
	{"0011442079460958", "AU", "+442079460958", "0011 in Australia"},
	{"8~10 44 20 7946 0958", "RU", "+442079460958", "with a tone to wait for in Russia"},
	{"810 44 20 7946 0958", "RU", "+442079460958", "810 in Russia"},
	{"tel:+44-20-7946-0958", "US", "+442079460958", "a tel: URI"},
	{"TEL:+442079460958", "US", "+442079460958", "in upper case"},
	{"sms:+442079460958", "US", "+442079460958", "an sms: URI"},
	{"whatsapp:+442079460958", "US", "+442079460958", "a whatsapp: address"},
	{"tel:4155552671;phone-context=+44", "US", "+14155552671",
	"phone-context does not choose the country"},

	/* National numbers of the NANP */
	{"(415) 555-2671", "US", "+14155552671", "parentheses and dash"},
	{"415-555-2671", "US", "+14155552671", "dashes only"},
	{"415.555.2671", "US", "+14155552671", "dots only"},
	{"4155552671", "US", "+14155552671", "digits only"},
	{"1-415-555-2671", "US", "+14155552671", "a leading 1"},
	{"1 (415) 555-2671", "us", "+14155552671", "a region in lower case"},
	{"14155552671", "CA", "+14155552671", "Canada is treated alike"},
	{"876 555 0123", "JM", "+18765550123", "Jamaica is treated alike"},
	{"787-555-0123", "PR", "+17875550123", "Puerto Rico is treated alike"},
	{"5551234567", "US", "+15551234567?", "area code 555 is possible"},
	{"555-2671", "US", "local_only unknown", "seven digits are local"},
	{"415555267", "US", "too_short unknown", "nine digits are too short"},
	{"24155552671", "US", "too_long unknown", "eleven digits without a 1 are too long"},
	{"415555267112", "US", "too_long unknown", "twelve digits are too long"},
	{"4155552671", NULL, "not_a_number unknown", "without a region nothing is guessed"},
	{"4155552671", "USA", "not_a_number unknown", "an unknown region is none"},
	{"020 7946 0958", "GB", "+442079460958", "a British number"},
	{"030 901820", "DE", "+4930901820", "a German number"},
	{"06 1234 5678", "IT", "+390612345678", "an Italian number begins with its zero"},
	{"8 (912) 345-67-89", "RU", "+79123456789", "a Russian number behind its 8"},
	{"011 15 2345-6789", "AR", "+5491123456789", "an Argentinian mobile is rewritten"},
	{"+54 11 15 2345-6789", "US", "+5491123456789", "behind its calling code, too"},
	{"0 15 11 98765-4321", "BR", "+5511987654321", "a Brazilian number behind the code of a carrier"},
	{"55 1234 5678", "MX", "+525512345678", "a Mexican number"},
	{"44 20 7946 0958", "GB", "+442079460958", "a calling code without a plus"},
	{"7946 0958", "GB", "local_only unknown", "a British number without its area code"},
	{"12345678", "DK", "+4512345678?", "eight digits are a number in Denmark"},

	{"+491234", "US", "too_short unknown", "six digits with the calling code are too short"},
	{"1234", "DE", "not_a_number short_code", "and a short code without it"},
	{"72903", "DE", "not_a_number short_code", "five digits that are possible but not valid, too"},
	{"199123", "AU", "not_a_number short_code", "and six in Australia"},
	{"9601", "IR", "+989601", "but a valid number is a number"},
	{"+98 9601", "US", "+989601", "even of six digits in all"},
	{"61 234", "FO", "not_a_number short_code", "five digits of six"},
	{"212345", "FO", "+298212345", "and six of six"},
	{"+8112345678901234", "US", "too_long unknown", "sixteen digits are more than E.164 allows"},
	{"+49 0030 123456", "US", "+4930123456", "no zero stays before a German number"},

	/* Vanity numbers */
	{"1-800-FLOWERS", "US", "+18003569377", "letters of the keypad"},
	{"1800flowers", "US", "+18003569377", "in lower case and one piece"},
	{"800-FLOWERS", "US", "+18003569377", "without the 1"},
	{"+1 800 FLOWERS", NULL, "+18003569377", "with the calling code"},
	{"1-800-FLOWERS", "GB", "not_a_number unknown", "not outside of the NANP"},
	{"1-800-FLO", "US", "not_a_number alphanumeric", "too few keys make no vanity number"},

	/* What is no number */
	{"262966", "US", "not_a_number short_code", "six digits are a short code"},
	{"911", "US", "not_a_number short_code", "three digits are a short code"},
	{"12345678", "US", "not_a_number short_code", "eight digits are a short code"},
	{"60777", "GB", "not_a_number short_code", "five digits elsewhere"},
	{"12345678", NULL, "not_a_number short_code", "eight digits without a region"},
	{"1234567", NULL, "not_a_number short_code", "and seven"},
	{"55 53", "US", "not_a_number short_code", "with a blank in it"},
	{"+262966", "US", "too_short unknown", "with a plus it is no short code"},
	{"555 x12", "US", "not_a_number alphanumeric", "a short code has no extension"},
	{"12", "US", "too_short unknown", "two digits are too short"},
	{"AMZN2024", "US", "not_a_number alphanumeric", "a sender with letters"},
	{"Uber 123", "US", "not_a_number alphanumeric", "a sender with a space"},
	{"MY-SHOP&Co.", "US", "not_a_number alphanumeric", "a sender with punctuation"},
	{"Caf\xc3\xa9", "US", "not_a_number alphanumeric", "a sender with a letter of GSM"},
	{"AMAZON ORDERS", "US", "not_a_number unknown", "more than eleven characters are no sender"},
	{"Shop*1", "US", "not_a_number unknown", "a star is not in a sender"},
	{"jane@example.com", "US", "not_a_number email", "an e-mail address"},
	{"4155552671@example.com", "US", "not_a_number email", "of digits too"},
	{"jane@", "US", "not_a_number unknown", "half an e-mail address"},
	{"a@b@c", "US", "not_a_number unknown", "two signs"},
	{"", "US", "not_a_number unknown", "nothing"},
	{"   ", "US", "not_a_number unknown", "blanks"},
	{"+", "US", "not_a_number unknown", "a plus"},
	{"()", "US", "not_a_number unknown", "parentheses"},
	{"415+5552671", "US", "not_a_number unknown", "a plus in the middle"},
	{"*67 4155552671", "US", "not_a_number unknown", "a star"},
	{"\xff\xfe\xfd", "US", "not_a_number unknown", "bytes that are no text"},
	{"415555\xff" "2671", "US", "not_a_number unknown", "a bad byte in a number"},
	{"4155552671\n4155552672", "US", "not_a_number unknown", "two lines are not one number"},
	{"+49 30 901820 / x12", "US", "not_a_number unknown", "a second number"},
	{"+49 30 901820 \xf0\x9f\x93\x9e", "US", "not_a_number unknown", "a picture of a telephone"},
	{"Tel. +49 30 901820", "US", "not_a_number unknown", "a word before the number"},
	{"1-800-FLOWER\xd9\xa5", "US", "not_a_number unknown", "an Arabic digit behind letters"},
	{"call me maybe at 415-555-2671", "US", "not_a_number unknown", "a sentence"},
	{"415-555-2671 x123456789012", "US", "not_a_number unknown", "a very long extension"},

	/* Digits of other scripts */
	{"\xd9\xa4\xd9\xa1\xd9\xa5 \xd9\xa5\xd9\xa5\xd9\xa5 \xd9\xa2\xd9\xa6\xd9\xa7\xd9\xa1", "US",
	"+14155552671", "Arabic-Indic digits"},
	{"\xe0\xa5\xaa\xe0\xa5\xa7\xe0\xa5\xab 555 2671", "US", "+14155552671", "Devanagari digits"},
	{"\xf0\x9d\x9f\x92\xf0\x9d\x9f\x8f\xf0\x9d\x9f\x93 555 2671", "US", "+14155552671", "mathematical digits"},
	{"\xc2\xb2" "155552671", "US", "not_a_number unknown", "a superscript is no digit"},
};

static void
test_cases(void)
{
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const PhoneCase *c = &cases[i];
		OmPhone		out;
		char		got[64];

		om_phone_parse(c->raw, strlen(c->raw), c->region, &out);
		if (out.e164[0] != '\0')
			snprintf(got, sizeof(got), "%s%s", out.e164, out.status == OM_PHONE_VALID ? "" : "?");
		else
			snprintf(got, sizeof(got), "%s %s", om_phone_status_name(out.status),
					 om_phone_kind_name(out.kind));
		if (!ok(strcmp(got, c->expected) == 0, "%s: '%s'", c->sentence,
				strchr(c->raw, '\xff') == NULL && strchr(c->raw, '\n') == NULL ? c->raw : "..."))
			printf("#   got '%s', expected '%s'\n", got, c->expected);
		if ((out.status <= OM_PHONE_POSSIBLE) != (out.e164[0] == '+') ||
			(out.status <= OM_PHONE_POSSIBLE) != (out.kind == OM_PHONE_KIND_E164) ||
			(out.type != OM_PHONE_TYPE_UNKNOWN && out.status != OM_PHONE_VALID))
			ok(false, "valid and possible go with E.164, a type with valid: %s", c->sentence);
	}
}

static void
test_extensions(void)
{
	static const char *const forms[] = {
		"1 415 555 2671 x12", "415-555-2671 ext. 12", "415-555-2671 ext 12",
		"4155552671x12", "4155552671#12", "(415) 555-2671 extension 12",
		"tel:+1-415-555-2671;ext=12", "+14155552671 Extn: 12",
		"415\xe2\x80\x93" "555\xe2\x80\x93" "2671 \xef\xbd\x98" "12",
		"4155552671 \xef\xbd\x85\xef\xbd\x98\xef\xbd\x94 12", "4155552671 \xd0\xb4\xd0\xbe\xd0\xb1. 12",
		"4155552671 X12", "4155552671 extensi\xc3\xb3n 12", "4155552671 int 12", "4155552671,12",
		"4155552671,,12#", "4155552671;12", "4155552671 - 12#", "4155552671 anexo: 12",
		"415-555-2671 x\xd9\xa1\xd9\xa2", "tel:4155552671;phone-context=+44;ext=12"
	};
	size_t		i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
	{
		OmPhone		out;

		om_phone_parse(forms[i], strlen(forms[i]), "US", &out);
		ok(strcmp(out.e164, "+14155552671") == 0 && strcmp(out.extension, "12") == 0,
		   "an extension is kept: '%s'", forms[i]);
	}
}

/* What stands between a number and its extension, or only looks like one */
static void
test_extension_forms(void)
{
	static const struct
	{
		const char *text;
		const char *extension;
	}			cases[] = {
		{"4155552671 xt 12", "12"}, {"4155552671 extensio\xcc\x81n 12", "12"}, {"4155552671 extension:12", "12"},
		{"4155552671 extensio", ""}, {"4155552671 extensi\xc3\xb3", ""}, {"4155552671 ext.12", "12"},
		{"4155552671 ext", ""}, {"4155552671 e", ""}, {"4155552671 x", ""}, {"4155552671 #", ""},
		{"4155552671 E\xc5\xbf" "12", ""}, {"4155552671 e\xcf\x87t12", ""},
		{"4155552671 \xef\xbd\x98\xef\xbd\x94 12", "12"},
		{"4155552671 \xef\xbd\x85\xef\xbd\x98\xef\xbd\x94\xef\xbd\x8e 12", "12"},
		{"4155552671 \xef\xbd\x85", ""}, {"4155552671 \xef\xbd\x85\xef\xbd\x98", ""},
		{"4155552671 \xef\xbd\x85 12", ""},
		{"4155552671 \xef\xbd\x89\xef\xbd\x8e\xef\xbd\x94 12", "12"},
		{"4155552671 \xef\xbc\x83" "12", "12"}, {"4155552671 ~12", "12"}, {"4155552671 \xef\xbd\x9e" "12", "12"},
		{"4155552671 \xd0\xb4\xd0\xbe 12", ""}, {"4155552671 anex 12", ""},
		{"4155552671 ext\xef\xbc\x8e" "12", "12"}, {"4155552671 ext -12", "12"}, {"4155552671\xc2\xa0x12", "12"},
		{"4155552671\tx12", "12"}, {"4155552671;ext=12#", ""}, {"4155552671;ext=", ""},
		{"4155552671 ext 123456789012345678901", ""}, {"4155552671 x 1234567890", ""}, {"4155552671 ext 1a2", ""},
		{"4155552671;123456789012345", "123456789012345"}, {"4155552671 ; 12#", "12"}, {"4155552671, 12", "12"},
		{"4155552671 -#", ""}, {"4155552671-1234567#", ""}, {"4155552671 x12/x13", "12"}, {"4155552671 x12\\ x13", "12"},
		{"4155552671 x12/", "12"}, {"4155552671 x1 / x2\n4155552671 x3", ""}, {"4155552671\r", ""},
		{"4155552671\f", ""}, {"4155552671 / x2 / x3", ""}, {"4155552671 \xe2\x84\xaa" "12", ""}, {"4155552671 x12/ 3", ""}, {"4155552671;isub=12345", ""}, {"4155552671;isud=12", ""},
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		OmPhone		out;

		om_phone_parse(cases[i].text, strlen(cases[i].text), "US", &out);
		if (!ok(strcmp(out.extension, cases[i].extension) == 0, "extension \"%s\" in \"%s\"", cases[i].extension,
				cases[i].text))
			printf("#   got \"%s\" of %s\n", out.extension, out.e164);
	}
}

/* Control characters, what Unicode calls no character, and what is too long */
static void
test_no_texts(void)
{
	static const char *const texts[] = {
		"415555\x01" "2671", "415555\x7f" "2671", "415555\xc2\x85" "2671", "415555\xef\xb7\x90" "2671",
		"415555\xef\xbf\xbe" "2671", "415555\xf0\x9f\xbf\xbf" "2671", "415555\xc3" "2671", "415555\xed\xa0\x80" "2671",
		"415555\xf4\x90\x80\x80" "2671", "415555\xc0\xb0" "2671", "415555\xe2\x82",
	};
	char		text[400];
	OmPhone		out;
	size_t		read = 0;
	size_t		i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		om_phone_parse(texts[i], strlen(texts[i]), "US", &out);
		read += out.e164[0] != '\0';
	}
	is_int((long long) read, 0, "a number is read in no text that is none");
	memset(text, ' ', sizeof(text));
	memcpy(text + 245, "4155552671", 10);
	om_phone_parse(text, 255, "US", &out);
	is(out.e164, "+14155552671", "blanks around it do not count");
	memset(text, '(', sizeof(text));
	memcpy(text + 245, "4155552671", 10);
	om_phone_parse(text, 255, "US", &out);
	is(out.e164, "", "of other signs there may be so many");
	is(om_phone_type_name((OmPhoneType) 99), "unknown", "what is no type has no name");
}

/* Blanks of all kinds, and what has no shape, come along when a number is copied */
static void
test_copied(void)
{
	static const char *const blanks[] = {
		"\t", "\n", "\r", "\xc2\xa0", "\xe2\x80\x80", "\xe2\x80\x8a", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80",
		"\xc2\xad", "\xe2\x80\x8b", "\xe2\x80\x8f", "\xe2\x80\xaa", "\xe2\x80\xae", "\xe2\x81\xa0", "\xe2\x81\xa9",
		"\xef\xbb\xbf",
	};
	static const char *const others[] = {"\xe2\x81\xb0", "\xe2\x80\xb0", "\xe2\x82\xac", "\xef\xbb\xbe", "\xe2\x81\x90"};
	char		text[64];
	OmPhone		out;
	size_t		i;

	for (i = 0; i < sizeof(blanks) / sizeof(blanks[0]); i++)
	{
		snprintf(text, sizeof(text), "%s+14155552671%s", blanks[i], blanks[i]);
		om_phone_parse(text, strlen(text), NULL, &out);
		ok(strcmp(out.e164, "+14155552671") == 0, "blank %zu around a number does not count", i + 1);
	}
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
	{
		snprintf(text, sizeof(text), "+1415555%s2671", others[i]);
		om_phone_parse(text, strlen(text), NULL, &out);
		ok(out.e164[0] == '\0', "sign %zu is no blank", i + 1);
	}
}

/* RFC 3966: parameters do not choose the country, and nothing but parameters may follow */
static void
test_parameters(void)
{
	static const struct
	{
		const char *text;
		const char *e164;
	}			cases[] = {
		{"tel:+14155552671;foo=1", "+14155552671"}, {"tel:+14155552671;ex=1", "+14155552671"},
		{"tel:+14155552671;exa=1", "+14155552671"}, {"tel:+14155552671;eat=1", "+14155552671"},
		{"tel:+14155552671;abc=1", "+14155552671"}, {"tel:+14155552671;foo=1;bar-baz=2", "+14155552671"},
		{"tel:+14155552671;phone-context=+44", "+14155552671"}, {"tel:+14155552671;EXT=9", "+14155552671"},
		{"tel:+14155552671;foo", ""}, {"tel:+14155552671;=1", ""}, {"tel:+14155552671;f1=1", ""},
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		OmPhone		out;

		om_phone_parse(cases[i].text, strlen(cases[i].text), "US", &out);
		if (!ok(strcmp(out.e164, cases[i].e164) == 0, "\"%s\" is \"%s\"", cases[i].text, cases[i].e164))
			printf("#   got \"%s\"\n", out.e164);
	}
}

/* Words of the keypad, where they are used */
static void
test_vanity_forms(void)
{
	static const struct
	{
		const char *text;
		const char *region;
		const char *e164;
	}			cases[] = {
		{"1-800-FLOWERS", "US", "+18003569377"}, {"800 FLOWERS", "US", "+18003569377"},
		{"+1 800 FLOWERS", "GB", "+18003569377"}, {"800 FLOWERS", "GB", ""}, {"800 FLOWERS", NULL, ""},
		{"+44 800 FLOWERS", "US", ""}, {"80 FLOWERSS", "US", ""}, {"800 FLOWER", "US", ""}, {"800 356 93 AB", "US", ""},
		{"800 FLO\xd9\xa1" "ERS", "US", ""}, {"FLOWERS 800", "US", ""},
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		OmPhone		out;

		om_phone_parse(cases[i].text, strlen(cases[i].text), cases[i].region, &out);
		if (!ok(strcmp(out.e164, cases[i].e164) == 0, "vanity number %zu is \"%s\"", i + 1, cases[i].e164))
			printf("#   got \"%s\"\n", out.e164);
	}
	is(om_phone_kind_name((OmPhoneKind) 99), om_phone_kind_name(OM_PHONE_KIND_UNKNOWN), "what is no kind is not known");
	ok(om_phone_status_name((OmPhoneStatus) 99)[0] != '\0', "what is no status has a name");
}

static void
check_number(const char *raw, const char *region, const char *number_region, const char *type,
			 const char *sentence)
{
	OmPhone		out;

	om_phone_parse(raw, strlen(raw), region, &out);
	if (!ok(strcmp(out.region, number_region) == 0 &&
			strcmp(om_phone_type_name(out.type), type) == 0, "%s: %s", sentence, raw))
		printf("#   got '%s %s', expected '%s %s'\n", out.region, om_phone_type_name(out.type),
			   number_region, type);
}

static void
test_regions(void)
{
	OmPhone		out;

	check_number("+4930901820", "US", "DE", "fixed_line", "a calling code of one region names it");
	check_number("+442079460958", "US", "GB", "fixed_line", "and one of several by the number");
	check_number("+447700900123", "US", "", "unknown", "unless the number is in no range");
	check_number("+441481256789", "US", "GG", "fixed_line", "Guernsey shares a code with Britain");
	check_number("+14155552671", "US", "US", "fixed_line_or_mobile", "the US do not tell types apart");
	check_number("+16135550123", "US", "CA", "fixed_line_or_mobile", "Canada shares their code");
	check_number("+18765550123", "US", "JM", "mobile", "so does Jamaica");
	check_number("+18760550123", "US", "JM", "unknown", "which is known by its area code alone");
	check_number("+15551234567", "US", "", "unknown", "an area code of nobody has no region");
	check_number("+999123456789", "US", "", "unknown", "what is no number has none");
	check_number("+80012345678", "US", "001", "toll_free", "a number of the world is nowhere");
	check_number("+881612345678", "US", "001", "mobile", "nor is a satellite telephone");
	check_number("1-800-356-9377", "US", "US", "toll_free", "a toll-free number");
	check_number("+4915123456789", "US", "DE", "mobile", "a German mobile");
	check_number("+49123456789012", "US", "DE", "unknown", "a code of one region names it always");
	om_phone_parse("+4930901820", 11, "US", &out);
	is_int(out.country_code, 49, "the calling code is given");
	om_phone_parse("+1415", 5, "US", &out);
	is_int(out.country_code, 1, "also of what is too short");
	om_phone_parse("hello", 5, "US", &out);
	is_int(out.country_code, 0, "what is no number has no calling code");
	ok(strlen(om_phone_tables_version()) > 0, "the tables have a version");
}

static void
test_lengths(void)
{
	static char long_text[5000];
	OmPhone		out;

	memset(long_text, '1', sizeof(long_text));
	is(om_phone_status_name(om_phone_parse(long_text, sizeof(long_text), "US", &out)),
	   "not_a_number", "5000 digits are not a number");
	is(om_phone_status_name(om_phone_parse(long_text, 200, "US", &out)),
	   "too_long", "200 digits are too long");
	is(om_phone_status_name(om_phone_parse("+15551234567999", 12, "US", &out)),
	   "possible", "nothing behind the length is read");
	is(om_phone_status_name(om_phone_parse(NULL, 0, "US", &out)),
	   "not_a_number", "no text is not a number");
	is(om_phone_status_name(om_phone_parse("+1555123\0004567", 13, "US", &out)),
	   "not_a_number", "a NUL byte is not in a number");
}

int
main(void)
{
	test_cases();
	test_extensions();
	test_extension_forms();
	test_copied();
	test_parameters();
	test_vanity_forms();
	test_no_texts();
	test_regions();
	test_lengths();
	return done_testing();
}
