/*
 * phone_lines.c
 *		Prints generated phone numbers and what om_phone_read_number makes of them with the
 *		tables that are shipped, for test/oracle/phone-npm.js to compare.
 *
 * A line is: digits or messy, region, the text in hexadecimal, then "-" or E.164, class of
 * the length, region, type and extension, separated by tabs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "inputs.h"
#include "phone_number.h"

static void
print_line(const char *what, const Input *input)
{
	OmPhoneText form;
	OmPhoneNumber number;
	OmPhoneStatus status = om_phone_read_number(input->text, input->len, input->region, &form,
												&number);

	printf("%s\t%s\t", what, input->region);
	for (size_t i = 0; i < input->len; i++)
		printf("%02x", (unsigned char) input->text[i]);
	if (number.country_code == 0)
		printf("\t-\n");
	else
		printf("\t+%d%.*s\t%s\t%s\t%s\t%s\n", number.country_code, (int) number.len,
			   number.national, om_phone_status_name(status), number.region,
			   om_phone_type_name(number.type), form.extension);
}

/* phone_lines DIRECTORY_OF_DATA DIGIT_STRINGS MESSY_STRINGS */
int
main(int argc, char **argv)
{
	uint64_t	seed = inputs_seed();
	Input		input;

	if (argc != 4)
		return 2;
	fprintf(stderr, "seed %" PRIu64 "\n", seed);
	inputs_init(argv[1], seed);
	for (int i = atoi(argv[2]); i > 0; i--)
	{
		input_digits(&input);
		print_line("digits", &input);
	}
	for (int i = atoi(argv[3]); i > 0; i--)
	{
		input_messy(&input);
		print_line("messy", &input);
	}
	return 0;
}
