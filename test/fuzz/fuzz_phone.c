/*
 * fuzz_phone.c
 *		Phone numbers.  Byte 0 chooses the region.
 */
#include "phone.h"

#include "fuzz.h"

static void
check_e164(const OmPhone *phone)
{
	size_t		len = strlen(phone->e164);
	size_t		i;

	MUST(len >= (phone->status == OM_PHONE_VALID ? 6 : 8) && len <= 16 && phone->e164[0] == '+' && phone->e164[1] != '0');
	for (i = 1; i < len; i++)
		MUST(phone->e164[i] >= '0' && phone->e164[i] <= '9');
	MUST(phone->country_code >= 1 && phone->country_code <= 999);
	if (phone->country_code == 1)
		MUST(len == 12);
	MUST(strlen(phone->extension) < sizeof(phone->extension));
	for (i = 0; phone->extension[i] != '\0'; i++)
		MUST(phone->extension[i] >= '0' && phone->extension[i] <= '9');
	MUST(strlen(phone->region) < sizeof(phone->region));
	if (phone->status == OM_PHONE_VALID)
		MUST(phone->type != OM_PHONE_TYPE_UNKNOWN && phone->region[0] != '\0');
	else
		MUST(phone->type == OM_PHONE_TYPE_UNKNOWN);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const regions[] = {
		"US", "GB", "au", "JM", NULL, "", "ZZ", "??", "AR", "BR", "MX", "DE", "IT", "RU", "KR", "SM",
		"CN", "AG", "CR", "NA"
	};
	const size_t count = sizeof(regions) / sizeof(regions[0]);
	const char *region;
	OmPhone		phone;
	OmPhone		again;
	char	   *raw;

	if (size < 1)
		return 0;
	region = regions[data[0] % count];
	raw = exact_copy(data + 1, size - 1);
	om_phone_parse(raw, size - 1, region, &phone);
	MUST((phone.status <= OM_PHONE_POSSIBLE) == (phone.kind == OM_PHONE_KIND_E164));
	MUST((phone.status <= OM_PHONE_POSSIBLE) == (phone.e164[0] != '\0'));
	MUST(om_phone_kind_name(phone.kind)[0] != '\0');
	MUST(om_phone_status_name(phone.status)[0] != '\0');
	MUST(om_phone_type_name(phone.type)[0] != '\0');

	if (phone.e164[0] != '\0')
	{
		check_e164(&phone);

		/* E.164 means the same number everywhere */
		om_phone_parse(phone.e164, strlen(phone.e164), regions[(data[0] + 1) % count], &again);
		MUST(again.status == phone.status && again.type == phone.type);
		MUST(strcmp(again.e164, phone.e164) == 0);
		MUST(strcmp(again.region, phone.region) == 0);
		MUST(again.country_code == phone.country_code);
	}
	else
		MUST(phone.extension[0] == '\0');
	free(raw);
	return 0;
}
