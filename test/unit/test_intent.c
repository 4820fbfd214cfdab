/*
 * test_intent.c
 *		What a text message asks of its receiver.
 */
#include "intent.h"

#include <stdlib.h>

#include "intent_rules.h"
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
	{"opt out", "opt_out", "keyword:optout"},
	{"cancel", "opt_out", "keyword:cancel"},
	{"unsubscribe", "opt_out", "keyword:unsubscribe"},

	/* The providers' words */
	{"STOPALL", "opt_out", "keyword:stopall"},
	{"STOP ALL", "opt_out", "keyword:stopall"},
	{"OPTOUT", "opt_out", "keyword:optout"},
	{"OPT-OUT", "opt_out", "keyword:optout"},
	{"Unsub", "opt_out", "keyword:unsub"},
	{"REMOVE", "opt_out", "keyword:remove"},
	{"START", "opt_in", "keyword:start"},
	{"UNSTOP", "opt_in", "keyword:unstop"},
	{"Subscribe", "opt_in", "keyword:subscribe"},
	{"opt in", "opt_in", "keyword:optin"},
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
	{"start end", "opt_out", "keyword:end"},

	/* What must not be misread */
	{"End of month works for me", "none", ""},
	{"YES I want you to stop", "opt_out", "phrase:told-to-stop"},
	{"START but stop the ads", "opt_out", "phrase:stop-messages"},
	{"STOP 12345", "maybe_opt_out", "contains:stop"},
	{"can I stop by at 5?", "none", ""},
	{"We have got to STOP this bill", "none", ""},
	{"how do I opt-out?", "opt_out", "phrase:opt-out"},
	{"I revoke my consent", "opt_out", "phrase:revoke-consent"},
	{"stop \xe4\xb8\x8d\xe8\xa6\x81", "maybe_opt_out", "contains:stop"},
	{"cancel please", "opt_out", "keyword:cancel"},
	{"quit quit", "opt_out", "keyword:quit"},
	{"cancel my appointment", "none", ""},
	{"I quit smoking", "none", ""},
	{"the end is near", "none", ""},
	{"remove the dent", "none", ""},
	{"unstoppable", "none", ""},
	{"bus-stops", "none", ""},
	{"they stopped", "none", ""},
	{"don't unstop it", "none", ""},
	{"hi un subscribe please", "opt_out", "keyword:unsubscribe"},
	{"Yes please send the info", "none", ""},
	{"I unsubscribed by mistake", "none", ""},
	{"don't forget to call me", "none", ""},
	{"tell him to stop calling the house", "none", ""},
	{"stop texting me babe", "maybe_opt_out", "phrase:stop-contact"},
	{"lol stop texting me", "maybe_opt_out", "phrase:stop-contact"},
	{"remove me from the group chat", "maybe_opt_out", "phrase:remove-me"},
	{"no calls please, text is fine", "maybe_opt_out", "phrase:no-more-messages"},
	{"#stop", "opt_out", "keyword:stop"},
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

/* What makes a rule quick to pass over must not make it pass over what it matches */
static void
test_rules(void)
{
	const OmSection *section;
	size_t		rules = 0;
	size_t		bad = 0;

	for (section = om_intent_sections; section->rules != NULL; section++)
	{
		const OmRule *rule;

		for (rule = section->rules; rule->name != NULL; rule++)
		{
			size_t		i;

			rules++;
			if (strchr(rule->name, ':') == NULL)
				bad++;
			for (i = 0; i < OM_RULE_MAX_ELEMENTS; i++)
			{
				const uint16_t *word = rule->elements[i].words;
				uint64_t	bits = 0;

				for (; word != NULL && *word != 0; word++)
				{
					bits |= UINT64_C(1) << (*word & 63);
					if (*word >= om_intent_words_count)
						bad++;
				}
				if (bits != rule->elements[i].bits)
				{
					printf("# %s has bits that are not its words'\n", rule->name);
					bad++;
				}
			}
		}
	}
	ok(rules > 100 && bad == 0, "each of %zu rules names words of the lexicon", rules);
}

/* Does each token that the element matches have one of the classes? */
static bool
needs(const OmElement *element, uint64_t classes)
{
	const uint16_t *word;

	if (element->any != 0 && (element->any & ~classes) == 0)
		return true;
	if (element->words == NULL)
		return false;
	for (word = element->words; *word != 0; word++)
	{
		if ((om_intent_words[*word].classes & classes) == 0)
			return false;
	}
	return true;
}

static bool
rule_needs(const OmRule *rule, uint64_t classes)
{
	size_t		i;

	if (classes == ~UINT64_C(0))
		return true;
	for (i = 0; i < OM_RULE_MAX_ELEMENTS; i++)
	{
		if (needs(&rule->elements[i], classes))
			return true;
	}
	return false;
}

/* A list that is passed over must not have a rule that would have matched */
static void
test_sections(void)
{
	const OmSection *section;
	size_t		bad = 0;

	for (section = om_intent_sections; section->rules != NULL; section++)
	{
		const OmRule *rule;

		for (rule = section->rules; rule->name != NULL; rule++)
		{
			if (rule_needs(rule, section->need) && rule_needs(rule, section->need_too))
				continue;
			printf("# rule %zu of list %zu, %s, can match without what its list needs\n",
				   (size_t) (rule - section->rules) + 1,
				   (size_t) (section - om_intent_sections) + 1, rule->name);
			bad++;
		}
	}
	ok(bad == 0, "no rule stands in a list that is passed over when it matches");
}

/* The hash table finds each word of its own and no other */
static void
test_lexicon(void)
{
	size_t		bad = 0;
	uint16_t	i;

	for (i = 1; i < om_intent_words_count; i++)
	{
		const char *word = om_intent_words[i].text;

		if (om_intent_word_find(word, strlen(word)) != i)
			bad++;
	}
	ok(i > 500 && bad == 0, "each of %d words is found", (int) i - 1);
	ok(om_intent_word_find("qqq", 3) == 0 && om_intent_word_find("", 0) == 0 &&
	   om_intent_word_find("stopstopstopstopstop", 20) == 0, "other words are not found");
}

static void
test_near(void)
{
	ok(om_intent_near("stpo", 4, "stop", 4) && om_intent_near("sotp", 4, "stop", 4),
	   "two swapped letters are near");
	ok(om_intent_near("sop", 3, "stop", 4) && om_intent_near("sttop", 5, "stop", 4) &&
	   om_intent_near("stip", 4, "stop", 4), "one letter missing, added or wrong is near");
	ok(!om_intent_near("stop", 4, "stop", 4) && !om_intent_near("pots", 4, "stop", 4) &&
	   !om_intent_near("st", 2, "stop", 4), "equal words and two errors are not near");
}

static void
test_channels(void)
{
	static const struct
	{
		const char *text;
		const char *channel;
		const char *language;
	}			rows[] = {
		{"STOP", "all", "en"},
		{"stop texting me", "sms", "en"},
		{"no more texts", "sms", "en"},
		{"stop calling me", "voice", "en"},
		{"do not call", "voice", "en"},
		{"stop emailing me", "email", "en"},
		{"stop calling and texting me", "all", "en"},
		{"do not call or text this number", "all", "en"},
		{"stop contacting me", "all", "en"},
		{"remove me from your list", "all", "en"},
		{"dejen de llamarme", "voice", "es"},
		{"ne m\xe2\x80\x99" "envoyez plus de textos", "sms", "fr"},
		{"n\xc3\xa3o me mande mais mensagens", "all", "pt"},
	};
	size_t		i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		OmIntent	out;

		om_intent_detect(rows[i].text, strlen(rows[i].text), &out);
		if (!ok(out.label == OM_INTENT_OPT_OUT && strcmp(out.channel, rows[i].channel) == 0 &&
				strcmp(out.language, rows[i].language) == 0,
				"'%s' is about %s, in %s", rows[i].text, rows[i].channel, rows[i].language))
			printf("#   got %s, %s, %s\n", om_intent_label_name(out.label), out.channel,
				   out.language);
	}
}

/* The form under which an organization's own keyword is looked up */
static void
test_keyword(void)
{
	static const struct
	{
		const char *text;
		const char *key;
	}			rows[] = {
		{"MENU", "menu"},
		{"  Pay  Bill!! ", "pay bill"},
		{"please PAY now, thanks", "pay"},
		{"M\xc3\xa9nu \xf0\x9f\x98\x80", "menu"},
		{"pay-bill\n\nSent from my iPhone", "pay bill"},
		{"JOIN 2026", "join 2026"},
		{"Liked \xe2\x80\x9cReply MENU\xe2\x80\x9d", ""},
		{"thank you", ""},
		{"", ""},
		{"\xe8\x8f\x9c\xe5\x8d\x95", "??"},
	};
	char		key[32];
	size_t		i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		size_t		len = om_intent_keyword(rows[i].text, strlen(rows[i].text), key, sizeof(key));

		is(key, rows[i].key, "an organization's keyword has one form");
		ok(len == strlen(key), "and its length is returned");
	}
	ok(om_intent_keyword("pay", 3, key, 4) == 3 && om_intent_keyword("pay", 3, key, 3) == 0 &&
	   key[0] == '\0', "a keyword that does not fit is none");
	ok(om_intent_keyword("pay bill", 8, key, 4) == 0 && om_intent_keyword("pay bill", 8, key, 9) == 8,
	   "nor is one whose second word does not");
	ok(om_intent_keyword(NULL, 0, key, sizeof(key)) == 0 && om_intent_keyword("pay", 3, key, 0) == 0,
	   "no text and no room are no keyword");
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
	ok(out.confidence == 0.9, "a sentence is less certain than a keyword");
	ok(out.span_start == 6 && out.span_end == 22, "the span is the phrase in the sentence");
	om_intent_detect("wrong number", 12, &out);
	ok(out.confidence == 0.5, "what a person should read is half certain");
	om_intent_detect("hello", 5, &out);
	ok(out.confidence == 0 && out.span_start == 0 && out.span_end == 0 &&
	   strcmp(out.channel, "") == 0 && strcmp(out.language, "en") == 0,
	   "nothing found has no span, channel or confidence");
	is(om_intent_label_name(om_intent_detect(NULL, 0, &out)), "none", "no text is nothing");
	is(om_intent_label_name(om_intent_detect("stopping", 4, &out)), "opt_out",
	   "nothing behind the length is read");
	is(om_intent_label_name((OmIntentLabel) 99), "none", "what is no label is none");
	ok(strlen(om_intent_version()) > 0, "the word list has a version");
}

/* A keyword in other shapes, and beside what is no letter */
static void
test_shapes(void)
{
	static const char *const stops[] = {
		"\xef\xbc\xb3\xef\xbc\xb4\xef\xbc\xaf\xef\xbc\xb0", "\xf0\x9d\x90\x92\xf0\x9d\x90\x93\xf0\x9d\x90\x8e\xf0\x9d\x90\x8f",
		"st\xe1\xbb\x8dp", "`stop`", "'stop'", "stop \xf0\x9f\x98\x85", "stop\xf0\x9f\x98\x86", "stop \xf0\x9f\x98\xb9",
		"stop \xf0\x9f\xa4\xa3", "-stop-", "- stop", "stop -", "stop\xe3\x80\x80", "stop\xe2\x80\xaf", "stop\xff", "|stop|", "~stop~",
		"(stop)", "stop\xe2\x80\xa2", "stop\xe2\x80\x93", "\"stop\"",
	};
	char		key[64];
	size_t		i;

	for (i = 0; i < sizeof(stops) / sizeof(stops[0]); i++)
	{
		OmIntent	out;

		om_intent_detect(stops[i], strlen(stops[i]), &out);
		ok(out.label == OM_INTENT_OPT_OUT || out.label == OM_INTENT_MAYBE_OPT_OUT, "shape %zu of stop is one", i + 1);
	}
	om_intent_keyword("\xef\xbc\x91\xf0\x9d\x9f\x90\xf0\x9d\x9f\x9b", 11, key, sizeof(key));
	is(key, "123", "digits in other shapes are digits");
	is_int((long long) om_intent_keyword("stop", 4, key, 0), 0, "without room nothing is written");
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
	for (i = 0; i + 6 <= size; i += 6)
		memcpy(text + i, "we go ", 6);
	memset(text + i, ' ', size - i);
	memcpy(text + size - 30, " .  Please stop texting me now", 30);
	om_intent_detect(text, size, &out);
	ok(out.label == OM_INTENT_OPT_OUT && out.span_end == size - 4,
	   "a sentence at the end of a megabyte is found");
	for (i = 0; i < 400; i++)
	{
		memset(text, ' ', 2600);
		memset(text, 'b', i);
		memcpy(text + i + 1, "please remove me from your list", 31);
		memcpy(text + 2500, "thank you for it", 16);
		om_intent_detect(text, 2600, &out);
		if (out.label != OM_INTENT_OPT_OUT)
			break;
	}
	ok(i == 400, "wherever the sentence stands");
	for (i = 0; i + 5 <= size; i += 5)
		memcpy(text + i, "stop ", 5);
	is(om_intent_label_name(om_intent_detect(text, size, &out)), "none",
	   "a megabyte of repeats is no text of a person");
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
	test_rules();
	test_sections();
	test_lexicon();
	test_near();
	test_channels();
	test_keyword();
	test_details();
	test_shapes();
	test_long();
	return done_testing();
}
