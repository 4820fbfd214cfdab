/*
 * test_json_slice.c
 *		Parts of a JSON text as they were written.
 */
#include "json_slice.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

/* A copy without a NUL behind it, so that the sanitizer sees a read past the end */
static char *copied = NULL;

static OmSlice
slice(const char *text)
{
	OmSlice		result;

	free(copied);
	result.len = strlen(text);
	copied = malloc(result.len > 0 ? result.len : 1);
	memcpy(copied, text, result.len);
	result.start = copied;
	return result;
}

static const char *
shown(OmSlice value)
{
	static char text[256];

	snprintf(text, sizeof(text), "%.*s", (int) value.len, value.start);
	return text;
}

static const char *
member(const char *text, const char *name)
{
	OmSlice		value;

	return om_json_member(slice(text), name, &value) ? shown(value) : "none";
}

/* All elements, with a bar behind each */
static const char *
elements(const char *text)
{
	static char all[1024];
	OmSlice		array = slice(text);
	OmSlice		element;
	size_t		at = 0;

	all[0] = '\0';
	while (om_json_element(array, &at, &element))
	{
		strcat(all, shown(element));
		strcat(all, "|");
	}
	return all;
}

static const char *
plain(const char *text)
{
	static char out[8];

	return om_json_plain(slice(text), out, sizeof(out)) ? out : "none";
}

static void
test_members(void)
{
	static const char *const broken[] = {
		"", " ", "{", "[]", "1", "{\"b\"", "{\"b\":", "{\"b\":\"", "{\"b\":\"\\\"", "{\"b\":{", "{\"b\":[1,", "{b:1}",
		"{\"b\" 1}", "{\"b\":1,}", "{\"b\":}", "{\"b\":1;\"a\":2}", "{,\"a\":1}", "{\"b\":\"\\",
	};
	size_t		i;

	is(member("{\"a\":1}", "a"), "1", "a member is found");
	is(member(" { \"b\" : [1, {\"a\":2}] , \"a\" : {\"x\": \"}\"} } ", "a"), "{\"x\": \"}\"}",
	   "behind others, with blanks, and not inside of them");
	is(member("{\"b\":\"\\\"a\\\":1\",\"a\":\"\\\\\"}", "a"), "\"\\\\\"", "quotes in strings end nothing");
	is(member("{\"ab\":1,\"a\":-1.5e3}", "a"), "-1.5e3", "another name is another member");
	is(member("{\"a\":1,\"a\":2}", "a"), "1", "of two the first");
	is(member("{\"\\u0061\":1}", "a"), "none", "a name with escapes is not read");
	is(member("{\"b\":null,\"a\":null}", "a"), "null", "null is a value");
	is(member("{\t\"a\"\r\n:\t1\r}", "a"), "1", "blanks are of four kinds");
	is(member("{\"b\":[\"]\",\"x],\"a\":1}", "a"), "none", "a string without end within another value spoils it");
	is(member("{\"b\":1 ,\t\"a\":2}", "a"), "2", "blanks may stand before a comma");
	is(member("{\"b", "a"), "none", "a name may have no end");
	is(member("{\"b\":1", "a"), "none", "nor the object");
	is(member("{}", "a"), "none", "an empty object has none");
	for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		ok(strcmp(member(broken[i], "a"), "none") == 0, "nothing is found in %s", broken[i]);
}

static void
test_elements(void)
{
	char	   *deep = malloc(200001);

	is(elements("[1, \"two\" ,[3,[4]],{\"five\":[]}]"), "1|\"two\"|[3,[4]]|{\"five\":[]}|", "elements are as they were written");
	is(elements("[]"), "", "an empty array has none");
	is(elements(" [ ] "), "", "with blanks neither");
	is(elements("[1,2"), "1|2|", "what is whole is there although the end is missing");
	is(elements("[1,{\"a\":"), "1|", "and what is not is not");
	is(elements("[1,,2]"), "1|", "nothing between two commas ends it");
	is(elements("{\"a\":1}"), "", "an object has none");
	is(elements("[nonsense, \x01\xff]"), "nonsense|\x01\xff|", "what an element is made of does not matter");
	memset(deep, '[', 100000);
	memset(deep + 100000, ']', 100000);
	deep[200000] = '\0';
	deep[1] = '1';
	deep[2] = ',';
	deep[199997] = '\0';
	ok(strncmp(elements(deep), "1|", 2) == 0, "a hundred thousand levels are no deeper than one");
	free(deep);
}

static void
test_plain(void)
{
	is(plain("\"abc\""), "abc", "a string is read");
	is(plain("42"), "42", "and a number");
	is(plain("\"\""), "", "and nothing");
	is(plain("\"a\\u0062\""), "none", "but no escapes");
	is(plain("\"12345678\""), "none", "nor what is too long");
}

static bool
deeper(const char *text, int levels)
{
	return om_json_nested_deeper(text, strlen(text), levels);
}

static void
test_depth(void)
{
	char		text[256];

	ok(!deeper("", 0) && !deeper("1", 0) && !deeper("\"a\"", 0), "what is no list and no object has no levels");
	ok(deeper("[]", 0) && !deeper("[]", 1), "a list is one level");
	ok(deeper("{\"a\":[{}]}", 2) && !deeper("{\"a\":[{}]}", 3), "lists and objects count alike");
	ok(!deeper("[[1],[2],{\"a\":1},[3]]", 2), "beside each other they count once");
	ok(!deeper("[\"[[[[\", \"\\\"[[[\"]", 1), "within strings they do not count, quotes in them included");
	ok(deeper("[\"\\\\\", [[1]]]", 2), "behind a string that ends with a backslash they do");
	ok(!deeper("[\"\\", 1), "a text may end behind a backslash");
	memset(text, ']', 100);
	memset(text + 100, '[', 100);
	text[200] = '\0';
	ok(deeper(text, 64), "what is closed too often does not make room");
}

int
main(void)
{
	test_members();
	test_elements();
	test_plain();
	test_depth();
	free(copied);
	return done_testing();
}
