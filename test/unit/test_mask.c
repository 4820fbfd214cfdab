/*
 * test_mask.c
 *		Addresses for people who need to recognise one but may not read it.
 */
#include "mask.h"

#include "tap.h"

static void
check(const char *address, const char *expected, const char *sentence)
{
	char		out[OM_MASK_SIZE];
	size_t		len = om_mask_address(address, strlen(address), out, sizeof(out));

	is(out, expected, sentence);
	if (len != strlen(out))
		ok(false, "the returned length is that of the mask");
}

static void
test_numbers(void)
{
	check("+15551234567", "+1555***4567", "a number shows its first and last four digits");
	check("15551234567", "1555***4567", "a number without a plus is masked likewise");
	check("+1 (555) 123-4567", "+1555***4567", "punctuation does not matter");
	check("+442079460958", "+4420***0958", "a longer number is masked likewise");
	check("5551234567", "55***67", "ten digits show four");
	check("123456789", "12***89", "nine digits show four");
	check("262966", "26***", "a short code shows its first two digits");
	check("5551234", "55***", "seven digits show two");
	check("1234", "12***", "four digits show two");
	check("911", "***", "three digits show nothing");
	check("", "***", "nothing shows nothing");
	check("MyShop", "***", "a sender of letters shows nothing");
	check("\n\033[31m", "***", "control characters never show");
	check("\xff\xfe", "***", "bytes that are no text show nothing");
}

static void
test_emails(void)
{
	check("jane.doe@example.com", "j***@example.com", "an e-mail address shows one letter");
	check("j@example.com", "***@example.com", "a name of one letter does not show");
	check("15551234567@example.com", "1***@example.com", "a number as a name is hidden");
	check("a@+15551234567", "1555***4567", "a number as a domain is a number");
	check("jane@exa\nmple.com", "j***@exa?mple.com", "a line break cannot get into a log");
	check("@example.com", "***", "nothing before the sign is no e-mail address");
	check("jane@", "***", "nothing after the sign is no e-mail address");
	check("a@b@c", "***", "two signs are no e-mail address");
}

static void
test_space(void)
{
	char		out[8];

	is_int((long long) om_mask_address("+15551234567", 12, out, 4), 3,
		   "four bytes have room for three stars");
	is(out, "***", "a number that does not fit is only stars");
	om_mask_address("jane.doe@example.com", 20, out, 4);
	is(out, "***", "an e-mail address in four bytes is only stars");
	om_mask_address("jane.doe@example.com", 20, out, sizeof(out));
	is(out, "j***@ex", "a domain is cut to what fits");
	om_mask_address("+15551234567", 12, out, sizeof(out));
	is(out, "***", "a number is never cut in the middle");
}

int
main(void)
{
	test_numbers();
	test_emails();
	test_space();
	return done_testing();
}
