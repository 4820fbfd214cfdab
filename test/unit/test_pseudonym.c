/*
 * test_pseudonym.c
 *		What stands in the place of what was erased.
 */
#include "pseudonym.h"

#include <sodium.h>

#include "tap.h"

#define SECRET	"0123456789abcdef0123456789abcdef"
#define PERSON	"+15552001001"

static unsigned char key[OM_PSEUDONYM_KEY_BYTES];

static const char *
of(const char *value)
{
	static char out[4][OM_PSEUDONYM_SIZE];
	static int	n = 0;

	n = (n + 1) % 4;
	om_pseudonym(key, value, strlen(value), out[n]);
	return out[n];
}

static void
test_keys(void)
{
	unsigned char other[OM_PSEUDONYM_KEY_BYTES];
	char		pseudonym[OM_PSEUDONYM_SIZE];

	ok(om_pseudonym_key(SECRET, strlen(SECRET), key), "a secret of 32 bytes makes a key");
	ok(!om_pseudonym_key(SECRET, strlen(SECRET) - 1, other), "one of 31 makes none");
	ok(sodium_is_zero(other, sizeof(other)), "and leaves nothing that could be taken for one");
	ok(om_pseudonym_key("0123456789abcdef0123456789abcdeg", 32, other), "another secret");
	om_pseudonym(other, PERSON, strlen(PERSON), pseudonym);
	ok(strcmp(pseudonym, of(PERSON)) != 0, "gives another pseudonym");
}

static void
test_pseudonyms(void)
{
	const char *pseudonym = of(PERSON);

	is_int(strlen(pseudonym), OM_PSEUDONYM_SIZE - 1, "a pseudonym fills its room");
	is(of(PERSON), pseudonym, "the same person has the same one");
	ok(strcmp(of("+15552001002"), pseudonym) != 0, "the next has another");
	ok(strcmp(of(""), pseudonym) != 0, "an empty value has one, too");
	ok(strstr(pseudonym, "5552001001") == NULL, "nothing of the number is in it");
	ok(om_is_pseudonym(pseudonym, strlen(pseudonym)), "it is known for what it is");
	ok(om_is_pseudonym(of(pseudonym), strlen(pseudonym)), "and so is that of another pseudonym");
}

static void
test_others(void)
{
	ok(!om_is_pseudonym(PERSON, strlen(PERSON)), "a number is no pseudonym");
	ok(!om_is_pseudonym("", 0), "nor is nothing");
	ok(!om_is_pseudonym("erased:0123456789abcdef0123456789abcde", 38), "nor one that is a digit short");
	ok(!om_is_pseudonym("erased:0123456789abcdef0123456789abcdeG", 39), "nor one with another letter");
	ok(!om_is_pseudonym("erased:0123456789abcdef0123456789abcde\0", 39), "nor one that ends early");
	ok(!om_is_pseudonym("Erased:0123456789abcdef0123456789abcdef", 39), "nor one that begins otherwise");
}

int
main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_keys();
	test_pseudonyms();
	test_others();
	return done_testing();
}
