/*
 * test_intent.c
 *		What a text message asks of its receiver.
 */
#include "intent.h"

#include <stdlib.h>

#include "intent_words.h"
#include "tap.h"

typedef struct IntentCase
{
	const char *text;
	const char *label;
	const char *rule;
} IntentCase;

static const IntentCase cases[] = {
	/* 47 CFR 64.1200(a)(10) */
	{"stop", "opt_out", "keyword:stop"},
	{"quit", "opt_out", "keyword:quit"},
	{"end", "opt_out", "keyword:end"},
	{"revoke", "opt_out", "keyword:revoke"},
	{"opt out", "opt_out", "keyword:opt out"},
	{"cancel", "opt_out", "keyword:cancel"},
	{"unsubscribe", "opt_out", "keyword:unsubscribe"},

	/* The providers' words */
	{"STOPALL", "opt_out", "keyword:stopall"},
	{"STOP ALL", "opt_out", "keyword:stop all"},
	{"OPTOUT", "opt_out", "keyword:optout"},
	{"OPT-OUT", "opt_out", "keyword:opt out"},
	{"Unsub", "opt_out", "keyword:unsub"},
	{"REMOVE", "opt_out", "keyword:remove"},
	{"START", "opt_in", "keyword:start"},
	{"UNSTOP", "opt_in", "keyword:unstop"},
	{"Subscribe", "opt_in", "keyword:subscribe"},
	{"opt in", "opt_in", "keyword:opt in"},
	{"RESUME", "opt_in", "keyword:resume"},
	{"RESUME ALL", "opt_in", "keyword:resume all"},
	{"HELP", "help", "keyword:help"},
	{"info", "help", "keyword:info"},

	/* Other languages */
	{"PARAR", "opt_out", "keyword:parar"},
	{"Detener", "opt_out", "keyword:detener"},
	{"ALTO", "opt_out", "keyword:alto"},
	{"\xc2\xa1" "Basta!", "opt_out", "keyword:basta"},
	{"cancelar", "opt_out", "keyword:cancelar"},
	{"BAJA", "opt_out", "keyword:baja"},
	{"No m\xc3\xa1s", "opt_out", "keyword:no mas"},
	{"ARR\xc3\x8aT", "opt_out", "keyword:arret"},
	{"Arr\xc3\xaate", "opt_out", "keyword:arrete"},
	{"arr\xc3\xaatez", "opt_out", "keyword:arretez"},
	{"ARRETT", "opt_out", "keyword:arrett"},
	{"SAIR", "opt_out", "keyword:sair"},
	{"Descadastrar", "opt_out", "keyword:descadastrar"},
	{"INICIO", "opt_in", "keyword:inicio"},
	{"In\xc3\xad" "cio", "opt_in", "keyword:inicio"},
	{"AIDE", "help", "keyword:aide"},
	{"Ayuda", "help", "keyword:ayuda"},
	{"AJUDA", "help", "keyword:ajuda"},

	/* Decoration */
	{"  sToP \n", "opt_out", "keyword:stop"},
	{"Stop.", "opt_out", "keyword:stop"},
	{"\"STOP\"", "opt_out", "keyword:stop"},
	{"'STOP'", "opt_out", "keyword:stop"},
	{"Stop ! ! !", "opt_out", "keyword:stop"},
	{"\xc2\xab" "Arr\xc3\xaat\xc2\xbb", "opt_out", "keyword:arret"},
	{"arre\xcc\x82t", "opt_out", "keyword:arret"},
	{"stop \xf0\x9f\x9b\x91", "opt_out", "keyword:stop"},
	{"\xf0\x9f\x99\x8f\xf0\x9f\x8f\xbb STOP\xef\xb8\x8f", "opt_out", "keyword:stop"},
	{"\xef\xbc\xb3\xef\xbc\xb4\xef\xbc\xaf\xef\xbc\xb0", "opt_out", "keyword:stop"},
	{"\xe2\x93\xa2\xe2\x93\xa3\xe2\x93\x9e\xe2\x93\x9f", "opt_out", "keyword:stop"},
	{"\xf0\x9d\x90\x92\xf0\x9d\x90\x93\xf0\x9d\x90\x8e\xf0\x9d\x90\x8f", "opt_out",
	"keyword:stop"},
	{"\xd0\x85\xd0\xa2\xd0\x9e\xd0\xa0", "opt_out", "keyword:stop"},
	{"ST\xe2\x80\x8bOP", "opt_out", "keyword:stop"},
	{"\xef\xbb\xbfSTOP", "opt_out", "keyword:stop"},
	{"S T O P", "opt_out", "keyword:stop"},
	{"s.t.o.p", "opt_out", "keyword:stop"},
	{"\xffSTOP\xfe", "opt_out", "keyword:stop"},
	{"STOP STOP", "opt_out", "keyword:stop"},
	{"stop stop stop!", "opt_out", "keyword:stop"},
	{"Please stop", "opt_out", "keyword:stop"},
	{"Stop. Thank you", "opt_out", "keyword:stop"},
	{"stop now please", "opt_out", "keyword:stop"},
	{"por favor parar, gracias", "opt_out", "keyword:parar"},
	{"Arr\xc3\xaatez s\xe2\x80\x99il vous pla\xc3\xaet", "opt_out", "keyword:arretez"},
	{"Start please", "opt_in", "keyword:start"},
	{"help please", "help", "keyword:help"},
	{"unsubscribe stop", "opt_out", "keyword:unsubscribe"},

	/* Two words that disagree */
	{"start stop", "opt_out", "keyword:stop"},
	{"HELP STOP", "opt_out", "keyword:stop"},
	{"start help", "help", "keyword:help"},
	{"start end", "maybe_opt_out", "contains:end"},

	/* What must not be misread */
	{"End of month works for me", "none", ""},
	{"YES I want you to stop", "maybe_opt_out", "contains:stop"},
	{"START but stop the ads", "maybe_opt_out", "contains:stop"},
	{"STOP 12345", "maybe_opt_out", "contains:stop"},
	{"can I stop by at 5?", "maybe_opt_out", "contains:stop"},
	{"We have got to STOP this bill", "maybe_opt_out", "contains:stop"},
	{"how do I opt-out?", "maybe_opt_out", "contains:opt out"},
	{"I revoke my consent", "maybe_opt_out", "contains:revoke"},
	{"stop \xe4\xb8\x8d\xe8\xa6\x81", "maybe_opt_out", "contains:stop"},
	{"cancel please", "maybe_opt_out", "contains:cancel"},
	{"quit quit", "maybe_opt_out", "contains:quit"},
	{"cancel my appointment", "none", ""},
	{"I quit smoking", "none", ""},
	{"the end is near", "none", ""},
	{"remove the dent", "none", ""},
	{"unstoppable", "none", ""},
	{"bus-stops", "none", ""},
	{"stopped", "none", ""},
	{"don't unstop it", "none", ""},
	{"start working", "none", ""},
	{"how do I start?", "none", ""},
	{"R\xc3\xa9sum\xc3\xa9", "none", ""},
	{"resume please", "none", ""},
	{"help me move", "none", ""},
	{"yes", "none", ""},
	{"YES", "none", ""},
	{"no", "none", ""},
	{"go", "none", ""},
	{"Begin", "none", ""},
	{"continue", "none", ""},
	{"TD", "none", ""},
	{"ok", "none", ""},
	{"thanks", "none", ""},
	{"", "none", ""},
	{" \n\t", "none", ""},
	{"\xf0\x9f\x91\x8d", "none", ""},
	{"\xff\xfe\xfd", "none", ""},
	{"\xe5\x81\x9c\xe6\xad\xa2", "none", ""},
};

static void
test_cases(void)
{
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const IntentCase *c = &cases[i];
		OmIntent	out;
		const char *label;

		label = om_intent_label_name(om_intent_detect(c->text, strlen(c->text), &out));
		if (!ok(strcmp(label, c->label) == 0 && strcmp(out.rule, c->rule) == 0,
				"row %zu is %s %s", i + 1, c->label, c->rule))
			printf("#   '%s' got %s '%s'\n", c->text, label, out.rule);
	}
}

/* Every word of the table, in several dresses */
static void
test_all_words(void)
{
	const OmIntentWord *word;

	for (word = om_intent_words; word->words != NULL; word++)
	{
		char		text[64];
		OmIntent	out;
		OmIntentLabel expected = word->label;
		size_t		i;

		om_intent_detect(word->words, strlen(word->words), &out);
		ok(out.label == expected && strcmp(out.rule, word->keyword_rule) == 0,
		   "'%s' alone is %s", word->words, om_intent_label_name(expected));

		snprintf(text, sizeof(text), " %s!!", word->words);
		for (i = 0; text[i] != '\0'; i++)
		{
			if (text[i] >= 'a' && text[i] <= 'z')
				text[i] = (char) (text[i] - ('a' - 'A'));
		}
		om_intent_detect(text, strlen(text), &out);
		ok(out.label == expected && out.span_start == 1 &&
		   out.span_end == 1 + strlen(word->words),
		   "'%s' is found at its place", text);

		snprintf(text, sizeof(text), "the %s of it", word->words);
		om_intent_detect(text, strlen(text), &out);
		if ((word->flags & OM_INTENT_CONTAINED) != 0)
			expected = OM_INTENT_MAYBE_OPT_OUT;
		else
			expected = OM_INTENT_NONE;
		ok(out.label == expected, "'%s' is %s", text, om_intent_label_name(expected));
	}
}

static void
test_details(void)
{
	OmIntent	out;
	const char *text = "YES I want you to STOP\xe2\x80\xa6 now";

	om_intent_detect("arr\xc3\xaat", 6, &out);
	is(out.language, "fr", "the language of the word is given");
	is(out.channel, "all", "a keyword is about every channel");
	ok(out.confidence == 0.99, "a keyword is as good as certain");
	ok(out.span_start == 0 && out.span_end == 6, "the span counts bytes");
	om_intent_detect(text, strlen(text), &out);
	ok(out.confidence == 0.5, "a word in a sentence is half certain");
	ok(out.span_start == 18 && out.span_end == 22, "the span is the word in the sentence");
	om_intent_detect("hello", 5, &out);
	ok(out.confidence == 0 && out.span_start == 0 && out.span_end == 0 &&
	   strcmp(out.channel, "") == 0 && strcmp(out.language, "en") == 0,
	   "nothing found has no span, channel or confidence");
	is(om_intent_label_name(om_intent_detect(NULL, 0, &out)), "none", "no text is nothing");
	is(om_intent_label_name(om_intent_detect("stopping", 4, &out)), "opt_out",
	   "nothing behind the length is read");
	ok(strlen(om_intent_version()) > 0, "the word list has a version");
}

static void
test_long(void)
{
	const size_t size = 1024 * 1024;
	char	   *text = malloc(size);
	OmIntent	out;
	size_t		i;

	if (text == NULL)
		abort();
	memset(text, 'a', size);
	is(om_intent_label_name(om_intent_detect(text, size, &out)), "none",
	   "a word of a megabyte is nothing");
	memcpy(text + size - 5, " STOP", 5);
	om_intent_detect(text, size, &out);
	ok(out.label == OM_INTENT_MAYBE_OPT_OUT && out.span_end == size,
	   "a word at the end of a megabyte is found");
	for (i = 0; i + 5 <= size; i += 5)
		memcpy(text + i, "stop ", 5);
	is(om_intent_label_name(om_intent_detect(text, size, &out)), "maybe_opt_out",
	   "a megabyte of repeats is for a person");
	for (i = 0; i + 4 <= size; i += 4)
		memcpy(text + i, "opt ", 4);
	is(om_intent_label_name(om_intent_detect(text, size, &out)), "none",
	   "a megabyte of beginnings is nothing");
	is(om_intent_label_name(om_intent_detect("stop stop stop stop stop stop stop stop "
											 "stop stop stop stop stop stop stop stop",
											 79, &out)), "opt_out",
	   "sixteen repeats are a keyword");
	free(text);
}

int
main(void)
{
	test_cases();
	test_all_words();
	test_details();
	test_long();
	return done_testing();
}
