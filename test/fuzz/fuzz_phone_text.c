/*
 * fuzz_phone_text.c
 *		The written form of a number, and the number in it as libphonenumber reads it.  Byte 0 chooses the region.
 */
#include "phone_number.h"

#include "fuzz.h"

static void
check_digits(const char *digits, size_t len)
{
	size_t		i;

	for (i = 0; i < len; i++)
		MUST(digits[i] >= '0' && digits[i] <= '9');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const regions[] = {"US", "GB", "DE", NULL, "AR", "IT", "BR", "RU"};
	OmPhoneText form;
	OmPhoneText again;
	OmPhoneNumber number;
	OmPhoneStatus status;
	char	   *raw;

	if (size < 1)
		return 0;
	raw = exact_copy(data + 1, size - 1);
	if (om_phone_text_read(raw, size - 1, &form))
	{
		MUST(form.start <= form.end && form.end <= form.text_len && form.text_len <= OM_PHONE_MAX_TEXT);
		MUST(form.len >= 1 && form.len <= form.text_len && form.letters <= form.text_len);
		check_digits(form.digits, form.len);
		MUST(strlen(form.extension) <= OM_PHONE_MAX_EXTENSION);
		check_digits(form.extension, strlen(form.extension));
		/* the same each time, whatever was in memory before */
		memset(&again, 0x5a, sizeof(again));
		MUST(om_phone_text_read(raw, size - 1, &again));
		MUST(again.len == form.len && memcmp(again.digits, form.digits, form.len) == 0);
		MUST(strcmp(again.extension, form.extension) == 0 && again.plus == form.plus);
	}
	memset(&number, 0x5a, sizeof(number));
	status = om_phone_read_number(raw, size - 1, regions[data[0] % 8], &form, &number);
	MUST(om_phone_status_name(status)[0] != '\0');
	if (number.country_code != 0)
	{
		MUST(number.country_code >= 1 && number.country_code <= 999);
		MUST(number.len >= 2 && number.len <= OM_PHONE_MAX_NATIONAL);
		check_digits(number.national, number.len);
	}
	free(raw);
	return 0;
}
