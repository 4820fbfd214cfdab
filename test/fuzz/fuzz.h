/*
 * fuzz.h
 *		What every fuzz target uses: an assertion, and input in pieces.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Holds for every input; libFuzzer keeps the one for which it does not */
#define MUST(condition) \
	do { \
		if (!(condition)) \
			abort(); \
	} while (0)

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly size bytes, so that the sanitizer sees one byte read too far */
static inline char *
exact_copy(const uint8_t *data, size_t size)
{
	char	   *copy = malloc(size > 0 ? size : 1);

	MUST(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	return copy;
}

/* True for one input in n, always the same ones: for what takes long */
static inline int
one_in(unsigned int n, const uint8_t *data, size_t size)
{
	uint32_t	hash = 2166136261u;
	size_t		i;

	for (i = 0; i < size; i++)
		hash = (hash ^ data[i]) * 16777619u;
	return (hash >> 8) % n == 0;
}

#endif							/* FUZZ_H */
