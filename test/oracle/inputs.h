/*
 * inputs.h
 *		Phone numbers as nobody should write them, for the comparison with libphonenumber.
 */
#ifndef INPUTS_H
#define INPUTS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct Input
{
	char		region[4];		/* "ZZ" for none */
	char		text[400];
	size_t		len;
} Input;

/* Read the example numbers of test/data/phone_examples.tsv, which inputs are made from */
extern void inputs_init(const char *directory, uint64_t seed);

/* OMNIMSG_SEED, or the time */
extern uint64_t inputs_seed(void);

/* Digits with a plus or without, half of them near to numbers that exist */
extern void input_digits(Input *input);

/* Anything that people, programs and fonts make of a number */
extern void input_messy(Input *input);

#ifdef __cplusplus
}
#endif

#endif							/* INPUTS_H */
