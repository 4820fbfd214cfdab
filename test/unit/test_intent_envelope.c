/*
 * test_intent_envelope.c
 *		What programs wrap around a text: signatures, quotations, reactions.  None of it is what the sender said.
 */
#include "intent.h"

#include "tap.h"

static const char *
label_of(const char *text)
{
	OmIntent	out;

	return om_intent_label_name(om_intent_detect(text, strlen(text), &out));
}

/* Above what another wrote, one's own word counts */
static void
test_quoted_below(void)
{
	static const char *const quotations[] = {
		"-- \nJane\nStart Street 5", "--\nJane", "-- \r\nJane", "--\r\nJane\r\nhelp",
		"-----Original Message-----\nhelp", "----- Original message\nhelp", "----- Forwarded message\nhelp",
		"---------- Forwarded message\nhelp", "Begin forwarded message:\nhelp",
		"________________________________\nFrom: Acme\nhelp",
		"From: Acme\nSent: Monday\nhelp", "From: Acme\nDate: Monday\nhelp", "From: Acme\nTo: Jane\nhelp",
		"On Monday, Acme wrote:\nhelp", "On Monday, Acme wrote:\r\n\r\nhelp", "On Monday at ten\nAcme wrote:\nhelp",
		"On Monday, Acme wrote:", "On Monday, Acme wrote: \n> help",
		"> help\n> me", "Sent from my phone", "Get Outlook for phones", "Enviado desde mi casa",
		"Envoy\xc3\xa9 de mon appareil", "Download Outlook",
	};
	char		text[256];
	size_t		i;

	for (i = 0; i < sizeof(quotations) / sizeof(quotations[0]); i++)
	{
		snprintf(text, sizeof(text), "STOP\n%s", quotations[i]);
		ok(strcmp(label_of(text), "opt_out") == 0, "STOP above quotation %zu is the whole text", i + 1);
	}
}

/* Lines that only begin as those do belong to the sender */
static void
test_not_quoted(void)
{
	static const char *const texts[] = {
		"-stop", "--stop", "Begin at once: stop texting me", "From: home\nplease stop texting me",
		"On the whole: please stop texting me", "On Monday I said\nplease stop texting me\nand you did not",
		"Get lost, stop texting me", "Original plan: please stop texting me", "Sent too many, please stop texting me",
		"Last time: stop texting me", "El martes\nplease stop texting me", "Do not text me",
		"_stop_",
	};
	size_t		i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!ok(strcmp(label_of(texts[i]), "none") != 0, "line %zu of a person is read", i + 1))
			printf("#   '%s'\n", texts[i]);
	is(label_of("From: me\n"), "none", "one that says nothing says nothing");
	is(label_of("> START\nSTOP"), "opt_out", "below what is quoted one's own word counts");
	is(label_of("On Monday, Acme wrote:\n> Reply START\n\nSTOP"), "opt_out", "with its head, too");
	is(label_of("On Monday, Acme wrote:\n> Reply STOP to end"), "none", "what is quoted is not said");
	is(label_of("-- \nstop"), "none", "nor is what stands in a signature");
}

static void
test_reactions(void)
{
	is(label_of("Liked \xe2\x80\x9cReply STOP to end\xe2\x80\x9d"), "none", "a liked STOP is none");
	is(label_of("Liked \"Reply STOP to end\""), "none", "in plain quotation marks neither");
	is(label_of("Liked \xe2\x80\x9cReply STOP to end"), "none", "nor when its end was cut off");
	is(label_of("\xf0\x9f\x91\x8d to \xe2\x80\x9cSTOP\xe2\x80\x9d"), "none", "nor with a picture");
	is(label_of("\xf0\x9f\x91\x8d  - to  \xe2\x80\x9cSTOP\xe2\x80\x9d"), "none", "however it is spaced");
	is(label_of("to \xe2\x80\x9cSTOP\xe2\x80\x9d"), "opt_out", "without one it is no reaction");
	is(label_of("Liked \xe2\x80\x9cOK\xe2\x80\x9d STOP"), "opt_out", "what follows it is said");
	is(label_of("\xe2\x80\x9cSTOP\xe2\x80\x9d"), "opt_out", "a STOP in quotation marks is one");
	is(label_of("\xc2\xabSTOP\xc2\xbb"), "opt_out", "in others, too");
	is(label_of("I am telling you for the third time now that this has to end at once \"please stop texting me\""), "opt_out",
	   "so many words are no reaction");
}

int
main(void)
{
	test_quoted_below();
	test_not_quoted();
	test_reactions();
	return done_testing();
}
