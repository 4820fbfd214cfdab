/*
 * intent_words.c
 *		The words by which people stop and start text messages, and ask for help.
 *
 * The union of the seven words of 47 CFR 64.1200(a)(10) with the default words of
 * Telnyx, Twilio, AWS, Plivo and Sinch, the mandatory words of Canadian short codes, and
 * the usual Spanish, French and Portuguese ones.
 *
 * Left out on purpose, although a provider lists them:
 *	NO (Sinch), YES (Twilio, Plivo, Sinch): answers to any question.  An opt-in that was
 *		none costs a lawsuit; one that was missed, another text.
 *	GO (Plivo), BEGIN, CONTINUE (Sinch): what people write about anything else.
 *	TD (AWS): nobody types it who was not told to; "TD" is a bank and a touchdown.
 */
#include "intent_words.h"

#include <stddef.h>

#define WORD(words, label, flags, language) \
	{words, label, flags, language, "keyword:" words, "contains:" words}

#define OPT_OUT(words, language) \
	WORD(words, OM_INTENT_OPT_OUT, OM_INTENT_CONTAINED, language)

/* Words of everyday talk: "end of month", "cancel my appointment", "quit smoking" */
#define OPT_OUT_ALONE(words, language) \
	WORD(words, OM_INTENT_OPT_OUT, OM_INTENT_ALONE, language)

const OmIntentWord om_intent_words[] = {
	/* 47 CFR 64.1200(a)(10) and the providers */
	OPT_OUT("stop", "en"),
	OPT_OUT("stopall", "en"),
	OPT_OUT("stop all", "en"),
	OPT_OUT("unsubscribe", "en"),
	OPT_OUT("unsub", "en"),
	OPT_OUT("revoke", "en"),
	OPT_OUT("optout", "en"),
	OPT_OUT("opt out", "en"),
	OPT_OUT_ALONE("end", "en"),
	OPT_OUT_ALONE("cancel", "en"),
	OPT_OUT_ALONE("quit", "en"),
	OPT_OUT_ALONE("remove", "en"),	/* AWS */
	/* On no provider's list, but EXIT is subject of court cases since 2025 */
	OPT_OUT_ALONE("exit", "en"),
	OPT_OUT_ALONE("delete", "en"),

	/* Spanish: PARAR and DETENER are Telnyx's examples, the rest is in use */
	OPT_OUT("parar", "es"),
	OPT_OUT("detener", "es"),
	OPT_OUT_ALONE("alto", "es"),
	OPT_OUT_ALONE("basta", "es"),
	OPT_OUT_ALONE("baja", "es"),
	OPT_OUT_ALONE("cancelar", "es"),	/* Portuguese too */
	OPT_OUT_ALONE("no mas", "es"),

	/* French: mandatory for Canadian short codes; ARRETT is Twilio's */
	OPT_OUT("arret", "fr"),
	OPT_OUT("arrete", "fr"),
	OPT_OUT("arretez", "fr"),
	OPT_OUT("arreter", "fr"),
	OPT_OUT("arrett", "fr"),

	/* Portuguese; "sair" is also to go out */
	OPT_OUT_ALONE("sair", "pt"),
	OPT_OUT("descadastrar", "pt"),

	/* Opting in takes one of these words and nothing else */
	WORD("start", OM_INTENT_OPT_IN, 0, "en"),
	WORD("unstop", OM_INTENT_OPT_IN, 0, "en"),
	WORD("subscribe", OM_INTENT_OPT_IN, 0, "en"),
	WORD("optin", OM_INTENT_OPT_IN, 0, "en"),
	WORD("opt in", OM_INTENT_OPT_IN, 0, "en"),
	/* With accents it is a CV, which is what people send to an employer */
	WORD("resume", OM_INTENT_OPT_IN, OM_INTENT_ALONE | OM_INTENT_PLAIN, "en"),
	WORD("resume all", OM_INTENT_OPT_IN, OM_INTENT_PLAIN, "en"),
	WORD("inicio", OM_INTENT_OPT_IN, OM_INTENT_ALONE, "es"),
	WORD("comenzar", OM_INTENT_OPT_IN, OM_INTENT_ALONE, "es"),

	WORD("help", OM_INTENT_HELP, 0, "en"),
	WORD("info", OM_INTENT_HELP, 0, "en"),
	WORD("aide", OM_INTENT_HELP, 0, "fr"),
	WORD("ayuda", OM_INTENT_HELP, 0, "es"),
	WORD("ajuda", OM_INTENT_HELP, 0, "pt"),

	{NULL, OM_INTENT_NONE, 0, NULL, NULL, NULL}
};

/* Politeness, which changes nothing about a keyword */
const char *const om_intent_fillers[] = {
	"please", "pls", "plz", "thanks", "thank you", "thx", "ty", "now", "kindly",
	"por favor", "gracias", "ya",
	"merci", "sil vous plait", "s il vous plait", "svp",
	"obrigado", "obrigada",
	NULL
};
