/*
 * wipe.c
 *		Memory that is overwritten before it is freed, for libraries that are given a key.
 *
 * libcurl writes the header with the API key into buffers of its own and frees them when the request is gone.
 * What is freed stays readable, in core dumps and to whatever is allocated next.
 */
#include "postgres.h"

#include <malloc.h>
#include <sodium.h>

#include "wipe.h"

void
om_wipe_free(void *block)
{
	if (block == NULL)
		return;
	sodium_memzero(block, malloc_usable_size(block));
	free(block);
}

void *
om_wipe_realloc(void *block, size_t size)
{
	size_t		had;
	void	   *larger;

	if (block == NULL)
		return malloc(size);
	had = malloc_usable_size(block);
	if (size <= had && size >= had / 2)
		return block;
	larger = malloc(Max(size, 1));
	if (larger == NULL)
		return NULL;
	memcpy(larger, block, Min(had, size));
	om_wipe_free(block);
	return larger;
}
