/*
 * test_simulator_json.c
 *		The reader of flat JSON objects of the provider simulator.
 */
#include "simulator_json.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

/* What the member "k" of this text is, "(error)" when the text is refused. */
static const char *
member(const char *text)
{
	static char kept[256];
	struct om_sim_json json;
	const struct om_sim_json_field *field;

	if (!om_sim_json_parse(text, strlen(text), &json))
		snprintf(kept, sizeof(kept), "(error)");
	else if ((field = om_sim_json_field(&json, "k", 0)) == NULL)
		snprintf(kept, sizeof(kept), "(none)");
	else
		snprintf(kept, sizeof(kept), "%s", field->value != NULL ? field->value : "(null)");
	om_sim_json_free(&json);
	return kept;
}

static void
test_values(void)
{
	is(member("{\"k\":\"v\"}"), "v", "a string is read");
	is(member(" { \"k\" : \"v\" } \n"), "v", "blanks are passed over");
	is(member("{}"), "(none)", "an object may be empty");
	is(member("{\"k\":-1.5e+3}"), "-1.5e+3", "a number is kept as it was written");
	is(member("{\"k\":null}"), "(null)", "null has no value");
	is(member("{\"k\":[\"a\",\"b\"]}"), "a", "an array begins with its first element");
	is(member("{\"k\":[]}"), "(none)", "an empty array is no field");
	is(member("{\"x\":{\"k\":[1,{}]},\"k\":\"v\"}"), "v", "what is nested is passed over");
	is(member("{\"k\":\"\\u00e9\\ud83d\\ude80\\n\\/\"}"), "\xc3\xa9\xf0\x9f\x9a\x80\n/",
	   "escapes are decoded");
}

static void
test_refusals(void)
{
	static const char *const bad[] = {
		"", "[]", "{", "{\"k\"}", "{\"k\":}", "{\"k\":\"v\",}", "{\"k\":\"v\"}x", "{k:1}",
		"{\"k\":01}", "{\"k\":1.}", "{\"k\":-}", "{\"k\":+1}", "{\"k\":tru}", "{\"k\":\"v}",
		"{\"k\":\"\\x\"}", "{\"k\":\"\\u12\"}", "{\"k\":\"\\u0000\"}", "{\"k\":\"\\ud800\"}",
		"{\"k\":\"\\ud800\\u0041\"}", "{\"k\":\"\\udc00\"}", "{\"k\":\"a\nb\"}",
		"{\"k\":\"\xff\"}", "{\"k\":\"\xc0\xaf\"}", "{\"k\":\"\xed\xa0\x80\"}",
		"{\"k\":\"\xe2\x82\"}", "{\"k\":1,\"k\":2}", "{\"k\":[1,]}", "{\"k\":{]}",
	};
	char		sentence[100];
	size_t		i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		snprintf(sentence, sizeof(sentence), "malformed text %zu is refused", i);
		is(member(bad[i]), "(error)", sentence);
	}
}

static void
test_bounds(void)
{
	struct om_sim_json json;
	char		text[4096] = "{\"k\":";
	char	   *at;
	int			i;

	memset(text + 5, '[', 2000);
	text[2005] = '\0';
	is(member(text), "(error)", "deep nesting is refused");

	at = text + sprintf(text, "{\"k\":[0");
	for (i = 1; i < OM_SIM_JSON_FIELDS; i++)
		at += sprintf(at, ",%d", i);
	strcpy(at, "]}");
	ok(om_sim_json_parse(text, strlen(text), &json) && json.count == OM_SIM_JSON_FIELDS,
	   "as many fields as there is room for are read");
	is(om_sim_json_field(&json, "k", OM_SIM_JSON_FIELDS - 1)->value, "127",
	   "elements of an array are found by their index");
	om_sim_json_free(&json);
	strcpy(at, ",1]}");
	is(member(text), "(error)", "one field more is refused");
}

/* Every prefix of a good text is refused, and none is read past its end. */
static void
test_prefixes(void)
{
	static const char good[] =
	"{\"a\":\"\\u00e9\xe2\x82\xac\",\"b\":[1,-2e5,{\"c\":[null,true]}],\"d\":false}";
	struct om_sim_json json;
	char	   *exact;
	size_t		len;
	bool		all = true;

	for (len = 0; len < sizeof(good) - 1; len++)
	{
		exact = malloc(len + 1);
		memcpy(exact, good, len);
		exact = realloc(exact, len > 0 ? len : 1);
		all = all && !om_sim_json_parse(exact, len, &json) && json.error != NULL;
		om_sim_json_free(&json);
		free(exact);
	}
	ok(all, "every prefix of an object is refused with a reason");
}

static void
test_writing(void)
{
	char	   *text;
	size_t		len;
	FILE	   *out = open_memstream(&text, &len);

	om_sim_json_write(out, "a\"\\\n\x1f\xc3\xa9");
	om_sim_json_write(out, NULL);
	fclose(out);
	is(text, "\"a\\\"\\\\\\u000a\\u001f\xc3\xa9\"null", "strings are written with their escapes");
	free(text);
}

int
main(void)
{
	test_values();
	test_refusals();
	test_bounds();
	test_prefixes();
	test_writing();
	return done_testing();
}
