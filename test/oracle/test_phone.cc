/*
 * test_phone.cc
 *		om_phone_read_number against libphonenumber itself, both with the same metadata.
 *
 * It is linked with tables that are generated from the metadata that the library of the
 * system carries, so that every difference is one of the algorithm.
 */
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>

#include <phonenumbers/phonenumber.pb.h>
#include <phonenumbers/phonenumberutil.h>

#include "inputs.h"

extern "C" {
#include "phone_number.h"
}

using i18n::phonenumbers::PhoneNumber;
using i18n::phonenumbers::PhoneNumberUtil;

static const PhoneNumberUtil &util = *PhoneNumberUtil::GetInstance();
static int	tap_count;
static int	tap_failed;
static int	numbers;			/* texts that libphonenumber makes a number of */

static const char *
type_word(PhoneNumberUtil::PhoneNumberType type)
{
	switch (type)
	{
		case PhoneNumberUtil::FIXED_LINE:
			return "fixed_line";
		case PhoneNumberUtil::MOBILE:
			return "mobile";
		case PhoneNumberUtil::FIXED_LINE_OR_MOBILE:
			return "fixed_line_or_mobile";
		case PhoneNumberUtil::TOLL_FREE:
			return "toll_free";
		case PhoneNumberUtil::PREMIUM_RATE:
			return "premium_rate";
		case PhoneNumberUtil::SHARED_COST:
			return "shared_cost";
		case PhoneNumberUtil::VOIP:
			return "voip";
		case PhoneNumberUtil::PERSONAL_NUMBER:
			return "personal_number";
		case PhoneNumberUtil::PAGER:
			return "pager";
		case PhoneNumberUtil::UAN:
			return "uan";
		case PhoneNumberUtil::VOICEMAIL:
			return "voicemail";
		default:
			return "unknown";
	}
}

static const char *
class_word(PhoneNumberUtil::ValidationResult result)
{
	switch (result)
	{
		case PhoneNumberUtil::IS_POSSIBLE:
			return "possible";
		case PhoneNumberUtil::IS_POSSIBLE_LOCAL_ONLY:
			return "local_only";
		case PhoneNumberUtil::TOO_SHORT:
			return "too_short";
		case PhoneNumberUtil::TOO_LONG:
			return "too_long";
		case PhoneNumberUtil::INVALID_LENGTH:
			return "invalid_length";
		default:
			return "invalid_country_code";
	}
}

static const char *
error_word(PhoneNumberUtil::ErrorType error)
{
	switch (error)
	{
		case PhoneNumberUtil::INVALID_COUNTRY_CODE_ERROR:
			return "invalid_country_code";
		case PhoneNumberUtil::TOO_SHORT_AFTER_IDD:
		case PhoneNumberUtil::TOO_SHORT_NSN:
			return "too_short";
		case PhoneNumberUtil::TOO_LONG_NSN:
			return "too_long";
		default:
			return "not_a_number";
	}
}

/* "E.164 class region type extension", or "- error" */
static std::string
theirs(const Input &input)
{
	PhoneNumber number;
	PhoneNumberUtil::ErrorType error =
		util.Parse(std::string(input.text, input.len), input.region, &number);
	std::string e164;
	std::string region;
	std::string extension = number.extension();

	if (error != PhoneNumberUtil::NO_PARSING_ERROR)
		return std::string("- ") + error_word(error);
	util.Format(number, PhoneNumberUtil::E164, &e164);
	util.GetRegionCodeForNumber(number, &region);
	util.NormalizeDigitsOnly(&extension);
	return e164 + " " + class_word(util.IsPossibleNumberWithReason(number)) + " " +
		(region == "ZZ" ? "" : region) + " " + type_word(util.GetNumberType(number)) + " " +
		extension;
}

static std::string
ours(const Input &input)
{
	OmPhoneText form;
	OmPhoneNumber number;
	OmPhoneStatus status =
		om_phone_read_number(input.text, input.len, input.region, &form, &number);

	if (number.country_code == 0)
		return std::string("- ") + om_phone_status_name(status);
	return "+" + std::to_string(number.country_code) + std::string(number.national, number.len) +
		" " + om_phone_status_name(status) + " " + number.region + " " +
		om_phone_type_name(number.type) + " " + form.extension;
}

static void
print_text(const Input &input)
{
	for (size_t i = 0; i < input.len; i++)
	{
		unsigned char c = (unsigned char) input.text[i];

		if (c < 0x20 || c == 0x7f || c == '\\')
			printf("\\x%02x", c);
		else
			putchar(c);
	}
}

/*
 * When a text behind a superfluous plus is no number either, libphonenumber's versions do not
 * agree whether it is too short or has no calling code.
 */
static std::string
without_reason(const std::string &result)
{
	return result == "- too_short" || result == "- invalid_country_code" ? "-" : result;
}

/* Compare; report the first differences */
static void
compare(const Input &input, int *differences)
{
	std::string expected = theirs(input);
	std::string got = ours(input);

	numbers += expected[0] == '+';
	if (without_reason(got) == without_reason(expected))
		return;
	if (++*differences <= 20)
	{
		printf("# %s '", input.region);
		print_text(input);
		printf("'\n#   got '%s', expected '%s'\n", got.c_str(), expected.c_str());
	}
}

static void
ok(bool passed, const std::string &sentence)
{
	tap_count++;
	tap_failed += !passed;
	printf("%s %d - %s\n", passed ? "ok" : "not ok", tap_count, sentence.c_str());
	fflush(stdout);
}

static void
test_generated(const char *what, int count, int allowed, void (*generate) (Input *))
{
	int			differences = 0;

	numbers = 0;
	for (int i = 0; i < count; i++)
	{
		Input		input;

		generate(&input);
		compare(input, &differences);
	}
	printf("# %d of %d %s are numbers\n", numbers, count, what);
	ok(differences <= allowed, "of " + std::to_string(count) + " " + what + " at most " +
	   std::to_string(allowed) + " are read differently (" + std::to_string(differences) + ")");
}

static void
set_text(Input *input, const std::string &text)
{
	input->len = text.copy(input->text, sizeof(input->text) - 1);
	input->text[input->len] = '\0';
}

static void
test_examples()
{
	static const PhoneNumberUtil::PhoneNumberFormat formats[] = {
		PhoneNumberUtil::E164, PhoneNumberUtil::INTERNATIONAL, PhoneNumberUtil::RFC3966,
		PhoneNumberUtil::NATIONAL
	};
	std::set<std::string> regions;
	int			differences = 0;
	int			count = 0;

	util.GetSupportedRegions(&regions);
	for (const std::string &region : regions)
	{
		for (int type = 0; type <= PhoneNumberUtil::VOICEMAIL; type++)
		{
			PhoneNumber number;
			Input		input;
			std::string text;

			if (!util.GetExampleNumberForType(region, (PhoneNumberUtil::PhoneNumberType) type,
											  &number))
				continue;
			snprintf(input.region, sizeof(input.region), "%s", region.c_str());
			for (auto format : formats)
			{
				util.Format(number, format, &text);
				set_text(&input, text);
				compare(input, &differences);
				count++;
			}
			text.clear();
			util.GetNationalSignificantNumber(number, &text);
			set_text(&input, text);
			compare(input, &differences);
			count++;
		}
	}
	ok(differences == 0 && count > 5000, "all " + std::to_string(count) +
	   " forms of example numbers are read alike (" + std::to_string(differences) + " differ)");
}

/* test_phone DIRECTORY_OF_DATA [COUNT_OF_DIGIT_STRINGS [COUNT_OF_MESSY_STRINGS]] */
int
main(int argc, char **argv)
{
	uint64_t	seed = inputs_seed();
	int			digits = argc > 2 ? atoi(argv[2]) : 1000000;
	int			messy = argc > 3 ? atoi(argv[3]) : 100000;

	printf("# seed %llu\n", (unsigned long long) seed);
	inputs_init(argc > 1 ? argv[1] : "test/data", seed);
	test_examples();
	test_generated("digit strings", digits, 0, input_digits);
	test_generated("messy strings", messy, messy / 10000, input_messy);
	printf("1..%d\n", tap_count);
	return tap_failed == 0 ? 0 : 1;
}
