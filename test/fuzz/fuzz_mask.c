/*
 * fuzz_mask.c
 *		Masks of addresses.  Byte 0: the size of the buffer.
 */
#include "mask.h"

#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t		ndigits = 0;
	size_t		shown = 0;
	size_t		out_size;
	size_t		len;
	size_t		i;
	int			email = 0;
	char	   *address;
	char	   *out;

	if (size < 1)
		return 0;
	out_size = 4 + data[0] % (OM_MASK_SIZE - 3);
	data++;
	size--;
	address = exact_copy(data, size);
	out = malloc(out_size);
	MUST(out != NULL);
	memset(out, 'x', out_size);

	len = om_mask_address(address, size, out, out_size);
	MUST(len < out_size && out[len] == '\0' && strlen(out) == len);
	MUST(len >= 3 && strstr(out, "***") != NULL);
	for (i = 0; i < len; i++)
	{
		MUST(out[i] > ' ' && out[i] < 0x7f);
		if (out[i] >= '0' && out[i] <= '9')
			shown++;
	}

	for (i = 0; i < size; i++)
	{
		if (address[i] == '@')
			email = 1;
		if (address[i] >= '0' && address[i] <= '9')
			ndigits++;
	}
	if (!email)
	{
		/* The digits in the middle stay hidden */
		MUST(shown <= 8);
		MUST(ndigits < 11 ? shown * 2 <= ndigits : shown + 3 <= ndigits);
	}
	free(out);
	free(address);
	return 0;
}
