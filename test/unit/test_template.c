/*
 * test_template.c
 *		Is the text of an automatic reply one that may be sent?
 */
#include "template.h"

#include "tap.h"

/* A beginning with which every text is long enough */
#define HEAD	"{organization}: You are unsubscribed. "

/* The fault of a text and the part of it that is wrong: "url:bit.ly/x" */
static const char *
check(OmTemplateTrigger trigger, const char *text)
{
	static char result[4096];
	OmTemplateFinding finding;
	OmTemplateFault fault = om_template_check(trigger, text, strlen(text), &finding);

	snprintf(result, sizeof(result), "%s:%.*s", om_template_fault_name(fault),
			 (int) (finding.span_end - finding.span_start), text + finding.span_start);
	if (fault != finding.fault)
		return "the fault returned is not the one found";
	return result;
}

/* Whatever stands behind HEAD in the confirmation of an opt-out */
static void
finds(const char *tail, const char *expected)
{
	char		text[512];
	const char *got;

	snprintf(text, sizeof(text), "%s%s", HEAD, tail);
	got = check(OM_TEMPLATE_OPT_OUT, text);
	if (!ok(strcmp(got, expected) == 0, "\"%s\" is %s", tail, expected))
		printf("#   got '%s'\n", got);
}

static void
test_all_triggers(void)
{
	static const OmTemplateTrigger triggers[] = {
		OM_TEMPLATE_OPT_OUT, OM_TEMPLATE_OPT_IN, OM_TEMPLATE_HELP, OM_TEMPLATE_OTHER
	};
	char		text[1600];
	size_t		i;

	for (i = 0; i < sizeof(triggers) / sizeof(triggers[0]); i++)
	{
		OmTemplateTrigger t = triggers[i];

		is(check(t, ""), "empty:", "no text is empty");
		is(check(t, " \t\r\n\xc2\xa0"), "empty: \t\r\n\xc2\xa0", "blanks are empty");
		memset(text, 'a', sizeof(text));
		text[1530] = '\0';
		is(check(t, text), "ok:", "ten segments are not too long");
		text[1530] = 'a';
		text[1531] = '\0';
		ok(strncmp(check(t, text), "too_long:aaa", 12) == 0, "eleven are");
		is(check(t, HEAD "{Organization} and more"), "unknown_placeholder:{Organization}",
		   "the placeholder is written in small letters");
		is(check(t, HEAD "{name}, {city}"), "unknown_placeholder:{name}",
		   "there is no other placeholder");
		is(check(t, HEAD "{ organization }"), "unknown_placeholder:{ organization }",
		   "and no blank in it");
		is(check(t, HEAD "{{organization}}"), "unknown_placeholder:{",
		   "a second brace before it is astray");
		is(check(t, HEAD "{organization}}"), "unknown_placeholder:}", "and one behind it");
		is(check(t, HEAD "{organization"), "unknown_placeholder:{", "and one that is not closed");
	}
	is(check(OM_TEMPLATE_OPT_IN, "Shop at shop.example/x? 20% off! OK?"), "ok:",
	   "a confirmation of an opt-in may sell");
	is(check(OM_TEMPLATE_HELP, "www.shop.example"), "ok:", "an answer to HELP may name the web");
	is(check(OM_TEMPLATE_OTHER, "Hi"), "ok:", "and others may be short");
}

static void
test_negations(void)
{
	is(check(OM_TEMPLATE_OPT_OUT, "Bye."), "ok:", "an opt-out may be confirmed in one word");
	is(check(OM_TEMPLATE_OPT_OUT, "You will get no more offers or deals from us."), "ok:",
	   "a confirmation may say which messages have ended");
	is(check(OM_TEMPLATE_OPT_OUT, "You will get no more texts. Big sale today"), "marketing:sale",
	   "but a sentence without a negation sells");
	is(check(OM_TEMPLATE_OPT_OUT, "You are 100% unsubscribed."), "ok:", "a hundred percent is no discount");
	is(check(OM_TEMPLATE_OPT_OUT, "Come back, 100% off"), "price:100% off", "unless something is off");
}

static void
test_urls(void)
{
	finds("See http://shop.example/x now", "url:http://shop.example/x");
	finds("See HTTPS://SHOP.EXAMPLE", "url:HTTPS://SHOP.EXAMPLE");
	finds("See www.shop.example.", "url:www.shop.example.");
	finds("See WWW.shop.example", "url:WWW.shop.example");
	finds("shop.example/x", "url:shop.example/x");
	finds("Go to bit.ly/x, please", "url:bit.ly/x,");
	finds("(shop.com)", "url:shop.com)");
	finds("Ask at Shop.COM.", "url:Shop.COM.");
	finds("shop.example:8080", "url:shop.example:8080");
	finds("tiendañandú.example/x", "url:tiendañandú.example/x");
	finds("my-shop.co.uk", "url:my-shop.co.uk");
	finds("b\xe2\x80\x8bit.ly/x", "url:b\xe2\x80\x8bit.ly/x");
	finds("@shop.com", "url:shop.com");
	finds("mail a@b.com or b.com", "url:b.com");
	finds("Write to help@shop.example.", "ok:");
	finds("Write to jane.doe@mail.shop.com, please", "ok:");
	finds("mailto:help@shop.com", "ok:");
	finds("Reply START and/or HELP 24/7, 9 a.m./p.m.", "ok:");
	finds("The U.S. and Inc./LLC. e.g. this", "ok:");
	finds("It costs nothing...com", "ok:");
	finds("You are out.Reply START", "ok:");
	finds("Version 1.2/3", "ok:");
	finds("www is a web", "ok:");
	finds("Ratio a://b", "url:a://b");
	finds("Odd :// thing", "ok:");
	finds("shop.example:a", "ok:");
	finds("shop.example:", "ok:");
	finds("my_shop.com", "url:my_shop.com");
	finds("shop'n.com", "url:n.com");
	finds("shop`n.com", "url:n.com");
	finds("sh\xff" "op.com", "url:op.com");
	finds("a..com/x", "ok:");
	finds("shop.x/y", "ok:");
	finds("shop.com\xe2\x80\x8b now", "url:shop.com\xe2\x80\x8b");
	finds("shop.c0m/x", "ok:");
	finds("shop.averyveryverylongdomainnamethatisnone", "ok:");
	finds("shop.averyveryverylongdomainnamethatisnone/x", "url:shop.averyveryverylongdomainnamethatisnone/x");
	finds("shop.\xe4\xb8\xad\xe5\x9b\xbd/x", "url:shop.\xe4\xb8\xad\xe5\x9b\xbd/x");
	finds("@ shop.com", "url:shop.com");
	finds(" @shop.com", "url:shop.com");
}

static void
test_prices(void)
{
	finds("Only $5", "price:$5");
	finds("Only $ 5.99", "price:$ 5");
	finds("Only 5,99 €", "price:5,99 €");
	finds("£10", "price:£10");
	finds("R$ 10", "price:$ 10");
	finds("Take 20% more", "price:20%");
	finds("Take 20 % more", "price:20 %");
	finds("USD 10", "price:USD 10");
	finds("10USD", "price:10USD");
	finds("10.50 dollars", "price:50 dollars");
	finds("10 Dólares", "price:10 Dólares");
	finds("10 euros", "price:10 euros");
	finds("99 centavos", "price:99 centavos");
	finds("10 reais", "price:10 reais");
	finds("10 off", "price:10 off");
	finds("\xc2\xa5" "10", "price:\xc2\xa5" "10");
	finds("\xef\xbc\x84" "10", "price:\xef\xbc\x84" "10");
	finds("10\xef\xbc\x85", "price:10\xef\xbc\x85");
	finds("\xef\xbf\xa1" "10", "price:\xef\xbf\xa1" "10");
	finds("\xef\xbf\xa5" "10", "price:\xef\xbf\xa5" "10");
	finds("$\t10", "price:$\t10");
	finds("$\xc2\xa0" "10", "price:$\xc2\xa0" "10");
	finds("$\xe2\x80\x89" "10", "price:$\xe2\x80\x89" "10");
	finds("$\xe2\x80\xaf" "10", "price:$\xe2\x80\xaf" "10");
	finds("$\xe3\x80\x80" "10", "price:$\xe3\x80\x80" "10");
	finds("\xc2\xa1" "10 \xc2\xa6", "ok:");
	finds("200% more", "price:200%");
	finds("1000% more", "price:1000%");
	finds("Call 555-0123 or text 262966", "ok:");
	finds("The $ is a sign, 5 a number", "ok:");
	finds("No dollars in 2026", "ok:");
	finds("This word is longer than any that is listed anywhere: donaudampfschifffahrtsgesellschaftskapitaenswitwe 5", "ok:");
}

static void
test_marketing(void)
{
	finds("A SALE is on", "marketing:SALE");
	finds("Special offers!", "marketing:offers");
	finds("Get a free   gift", "marketing:free   gift");
	finds("Save up to the limit", "marketing:Save up to");
	finds("4sale", "marketing:sale");
	finds("Gran descuento", "marketing:descuento");
	finds("Cupón", "marketing:Cupón");
	finds("Plus d'offres", "marketing:offres");
	finds("Plus d’offres", "marketing:offres");
	finds("Achetez", "marketing:Achetez");
	finds("Promoção", "marketing:Promoção");
	finds("Cupom", "marketing:Cupom");
	finds("Feel free. No gift.", "ok:");
	finds("No more marketing or promotional messages.", "ok:");
	finds("Wholesale dealership", "ok:");
	finds("Votre solde ne change pas", "ok:");
}

static void
test_questions(void)
{
	finds("Did you mean all messages? Reply ALL.", "ok:");
	finds("Really?? Reply ALL.", "ok:");
	finds("Really?!? Reply ALL.", "ok:");
	finds("¿Todos los mensajes? Responda ALL.", "ok:");
	finds("All messages? Or some? Reply.", "question:?");
	finds("All messages? Or some？", "question:？");
}

static void
test_words(void)
{
	int			fault;

	for (fault = OM_TEMPLATE_OK; fault <= OM_TEMPLATE_QUESTION; fault++)
	{
		const char *name = om_template_fault_name(fault);
		const char *message = om_template_fault_message(fault);

		ok(name != NULL && strspn(name, "abcdefghijklmnopqrstuvwxyz_") == strlen(name) &&
		   message != NULL && strlen(message) > 10 && message[strlen(message) - 1] != '.',
		   "fault %d has a word and part of a sentence", fault);
	}
	is(om_template_fault_message(OM_TEMPLATE_URL),
	   "an opt-out confirmation must not contain a web address", "it says what must not be");
}

static void
test_order(void)
{
	is(check(OM_TEMPLATE_OPT_OUT, "{x} bit.ly/x"), "unknown_placeholder:{x}",
	   "of several faults the first in the list is told");
	is(check(OM_TEMPLATE_OPT_OUT, HEAD "A sale? For $5? At bit.ly/x"), "url:bit.ly/x",
	   "wherever in the text it is");
}

/* {"opt_out", "en", "text"}, as the file that has them writes it */
static bool
read_builtin(const char *line, char trigger[32], char text[1024])
{
	char		language[8];
	int			n = 0;
	size_t		len;

	if (sscanf(line, " {\"%31[a-z_]\", \"%7[a-z]\", \"%n", trigger, language, &n) != 2 || n == 0)
		return false;
	len = strcspn(line + n, "\"");
	snprintf(text, 1024, "%.*s", (int) len, line + n);
	return line[n + len] == '"';
}

static void
test_builtin_texts(void)
{
	FILE	   *file = fopen("src/reply.c", "r");
	char		line[2048];
	char		trigger[32];
	char		text[1024];
	int			count = 0;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (read_builtin(line, trigger, text))
		{
			OmTemplateTrigger t = strcmp(trigger, "opt_out") == 0 ? OM_TEMPLATE_OPT_OUT :
				strcmp(trigger, "opt_in") == 0 ? OM_TEMPLATE_OPT_IN : OM_TEMPLATE_HELP;

			count++;
			if (!ok(strcmp(check(t, text), "ok:") == 0, "the built-in %s \"%.40s...\" is fine",
					trigger, text))
				printf("#   got '%s'\n", check(t, text));
			/* nothing in it sells, whatever it answers */
			if (strcmp(trigger, "opt_out") != 0 &&
				!ok(strcmp(check(OM_TEMPLATE_OPT_OUT, text), "ok:") == 0, "and sells nothing"))
				printf("#   got '%s'\n", check(OM_TEMPLATE_OPT_OUT, text));
		}
	if (file != NULL)
		fclose(file);
	ok(count >= 12, "src/reply.c has three texts in four languages (%d)", count);
}

int
main(void)
{
	test_all_triggers();
	test_negations();
	test_urls();
	test_prices();
	test_marketing();
	test_questions();
	test_words();
	test_order();
	test_builtin_texts();
	return done_testing();
}
