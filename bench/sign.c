/*
 * sign.c
 *		Signs webhooks as Telnyx does: bench_sign KEY-FILE < LINES > LINES
 *
 * A line that comes in is whatever, a tab and a body in hex; one that goes out has the seconds that were signed and the signature in base64
 * in the place of the body, with a tab between them, as COPY takes it.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "simulator_key.h"
#include "simulator_util.h"

int
main(int argc, char **argv)
{
	struct om_sim_key key;
	char	   *line = NULL;
	size_t		size = 0;
	ssize_t		length;

	if (argc != 2)
	{
		fprintf(stderr, "usage: bench_sign KEY-FILE < LINES\n");
		return 2;
	}
	if (sodium_init() < 0)
		om_sim_die("libsodium does not work here");
	om_sim_key_load(argv[1], &key);
	while ((length = getline(&line, &size, stdin)) > 0)
	{
		char	   *hex = strrchr(line, '\t');
		size_t		body_length;
		char	   *body = om_sim_alloc((size_t) length);
		char		timestamp[32];
		unsigned char signature[64];
		char		base64[OM_SIM_SIGNATURE_SIZE];

		if (hex == NULL)
			om_sim_die("a line has no tab");
		*hex++ = '\0';
		if (sodium_hex2bin((unsigned char *) body, (size_t) length, hex, strcspn(hex, "\n"), NULL, &body_length, NULL) != 0)
			om_sim_die("%s is not in hex", line);
		snprintf(timestamp, sizeof(timestamp), "%lld", (long long) time(NULL));
		om_sim_key_sign(&key, timestamp, body, body_length, signature);
		sodium_bin2base64(base64, sizeof(base64), signature, sizeof(signature), sodium_base64_VARIANT_ORIGINAL);
		printf("%s\t%s\t%s\n", line, timestamp, base64);
		free(body);
	}
	free(line);
	return fflush(stdout) == 0 ? 0 : 1;
}
