/*
 * intent_rules.c
 *		How people ask for it in a sentence: rows of word classes.
 *
 * A rule says how people speak, not what somebody wrote: a class of verbs, what may stand
 * between, a class of objects.  English, Spanish, French and Portuguese share the rules,
 * because they differ less in the order of these words than in the words.  The reasonable
 * person of 47 CFR 64.1200(a)(10) decides between opt_out and maybe_opt_out.
 */
#include "intent_rules.h"

#define W(class)	OM_W_##class
#define ANY			(~UINT64_C(0))

/* One word of a class; with E the last of its clause, with L loosely so, with B the first */
#define T(any)				{(any), 0, 0, 0, NULL}
#define TE(any)				{(any), W(END), 0, 0, NULL}
#define TL(any)				{(any), W(LOOSE), 0, 0, NULL}
#define TB(any)				{(any), W(BEGIN), 0, 0, NULL}
#define TBE(any)			{(any), W(BEGIN) | W(END), 0, 0, NULL}
/* The same after up to n words of the classes in skip */
#define G(n, skip, any)		{(any), 0, (skip), (n), NULL}
#define GE(n, skip, any)	{(any), W(END), (skip), (n), NULL}
#define GL(n, skip, any)	{(any), W(LOOSE), (skip), (n), NULL}
/* One of these words */
#define X(words)			{0, 0, 0, 0, words}
#define XE(words)			{0, W(END), 0, 0, words}
#define XL(words)			{0, W(LOOSE), 0, 0, words}
#define XB(words)			{0, W(BEGIN), 0, 0, words}
#define XBE(words)			{0, W(BEGIN) | W(END), 0, 0, words}
#define GX(n, skip, words)	{0, 0, (skip), (n), words}
#define GXE(n, skip, words) {0, W(END), (skip), (n), words}

#define OUT_	OM_INTENT_OPT_OUT
#define MAYBE	OM_INTENT_MAYBE_OPT_OUT
#define IN_		OM_INTENT_OPT_IN

#define NEGS	(W(NEG) | W(NEGX))
/* "stop", said to somebody */
#define ORDER	(OM_G_NEG | OM_G_SUBJECT)
/* what stands between a verb and "messages" */
#define BETWEEN (W(ADV) | W(DET) | W(ME) | W(YOUR) | W(MORE) | W(SEND) | W(RECEIVE) | W(CONTACTING))
#define ARTICLE (W(ADV) | W(DET) | W(YOUR) | W(MY) | W(MORE))

const OmRule om_intent_rules[] = {
	/* ---- stop doing it ---- */
	{"phrase:stop-contact", OUT_, ORDER | OM_G_OTHER | OM_G_TIME,
	{T(W(STOP)), GL(6, W(ADV) | W(DET) | W(ME) | W(CONTACTING) | W(AND), W(CONTACTING))}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_TIME,
	{T(W(STOP)), G(6, W(ADV) | W(DET) | W(CONTACTING) | W(AND), W(CONTACTING)),
	GL(2, W(OUT) | W(ADV), W(ME))}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_TIME,
	{T(W(STOP)), G(4, W(ADV), W(CONTACTING)), {0, W(LOOSE), W(ME), 1, "out|up"}}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_TIME,
	{T(W(STOP)), X("asking|annoying|begging"), T(W(ME)), X("to|about|for|if")}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_TIME, {T(W(STOP)), X("annoying"), TL(W(ME))}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_TIME,
	{T(W(STOP)), X("trying|attempting"), X("to"), T(W(CONTACT) | W(SEND)), GL(2, W(MY) | W(OUT) | W(ADV), W(ME) | W(NUM))}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_TIME,
	{T(W(STOP)), G(4, W(ADV), W(CONTACTING)), GL(3, W(MY) | W(DET) | W(ADV) | W(YOUR), W(NUM))}},
	{"phrase:stop-messages", OUT_, ORDER | OM_G_OTHER | OM_G_TIME,
	{T(W(STOP)), G(6, BETWEEN, W(MSG))}},
	{"phrase:stop-sending", OUT_, ORDER,
	{T(W(STOP)), G(3, W(ADV), W(SEND)), TL(W(ME))}},
	{"phrase:stop-sending", OUT_, ORDER,
	{T(W(STOP)), GE(3, W(ADV), W(SEND))}},
	{"phrase:stop-sending", OUT_, ORDER,
	{T(W(STOP)), G(3, W(ADV) | W(ME), W(SEND)), GL(4, BETWEEN | W(HOSTILE), W(STUFF))}},
	{"phrase:stop-sending", OUT_, ORDER,
	{T(W(STOP)), G(3, W(ADV) | W(ME), W(RECEIVE)), {0, W(LOOSE), ARTICLE, 3, "these|those|them"}}},
	{"phrase:stop-this", OUT_, ORDER | OM_G_LAUGH,
	{T(W(STOP)), XE("this|these|them|esto|ca|cela|isso")}},
	{"phrase:stop-this", OUT_, ORDER | OM_G_LAUGH,
	{T(W(STOP)), X("this|these|your"), GXE(1, W(ADV), "service|program|campaign|nonsense|crap|shit|bullshit|harassment|bs")}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_TIME,
	{T(W(LETGO)), X("de"), G(2, W(ME) | W(ADV), W(CONTACTING))}},
	{"phrase:stop-sending", OUT_, ORDER | OM_G_TIME,
	{T(W(LETGO)), X("de"), G(2, W(ME) | W(ADV), W(SEND)), GL(3, W(DET) | W(MORE) | W(ME), W(MSG) | W(STUFF))}},
	{"phrase:messages-to-stop", OUT_, ORDER,
	{T(W(MSG) | W(MY)), GX(1, W(MSG), "to"), GL(1, W(ADV), W(STOP))}},
	{"phrase:messages-to-stop", OUT_, ORDER,
	{X("make|get"), G(3, W(ADV) | W(DET), W(MSG) | W(STUFF)), GE(2, W(ADV), W(STOP))}},
	{"phrase:told-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH | OM_G_ASKED,
	{T(W(SAID) | W(WANT)), G(3, W(ADV), W(YOU)), GE(4, W(ADV) | W(YOU) | W(OTHER), W(STOP))}},
	{"phrase:told-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH | OM_G_ASKED,
	{X("said|asked|asking|saying|replied|requested"), GE(2, W(ADV), W(CLAUSE))}},
	{"phrase:told-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH | OM_G_ASKED,
	{X("asked|told|begged"), T(W(YOU)), GX(5, ANY, "to"), GE(1, W(ADV), W(STOP))}},
	{"phrase:told-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH | OM_G_ASKED,
	{X("replied|texted|sent|typed|wrote|answered|responded"), T(W(CLAUSE))}},
	{"phrase:told-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH | OM_G_ASKED,
	{T(W(YOU)), G(1, W(ADV), W(SAID)), X("to"), GE(1, W(ADV), W(STOP))}},
	{"phrase:told-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH,
	{X("can|could|will|would"), T(W(YOU)), GE(2, W(ADV), W(STOP))}},
	{"phrase:want-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH,
	{T(W(WANT)), X("this|these|them"), GX(1, W(MSG), "to"), GE(1, W(ADV), W(STOP))}},

	/* ---- a keyword as a clause of a longer message ---- */
	{"clause:stop", OUT_, OM_G_LAUGH | OM_G_ASKED, {TBE(W(CLAUSE))}},
	{"clause:stop", OUT_, OM_G_LAUGH, {TB(W(CLAUSE)), T(W(SUBJ) | W(NEGX) | W(WRONG) | W(YOU))}},
	{"clause:stop", OUT_, OM_G_LAUGH, {TB(W(CLAUSE)), X("this|not|my|wrong|that"), X("is|isnt|interested|number|phone|not")}},
	{"clause:stop", OUT_, OM_G_LAUGH, {X("wrong|numero"), T(W(PERSON) | W(WRONG)), GE(2, W(ADV), W(CLAUSE))}},
	{"clause:stop", OUT_, OM_G_LAUGH, {T(W(SPAM) | W(INTEREST)), TE(W(CLAUSE))}},
	{"clause:stop", OUT_, OM_G_LAUGH | OM_G_SUBJECT,
	{X("please|pls|plz|just"), GE(1, W(ADV), W(CLAUSE))}},
	{"clause:remove", OUT_, 0, {XBE("remove|delete|optout|unsub|cease|exit|revoke")}},

	/* ---- do not do it ---- */
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME | OM_G_HAVE,
	{T(W(NEG)), GL(4, W(ADV) | W(MORE), W(TEXTV))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME | OM_G_HAVE,
	{T(W(NEG)), G(3, W(ADV) | W(MORE), W(CONTACT)), GL(5, W(CONTACT) | W(AND) | W(DET), W(TEXTV))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(5, W(ADV) | W(CONTACT) | W(AND) | W(MORE), W(CONTACT)), GL(2, W(OUT) | W(ADV), W(ME))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(5, W(ADV) | W(CONTACT) | W(AND), W(CONTACT)), GL(3, W(MY) | W(DET) | W(ADV), W(NUM))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(4, W(ADV) | W(CONTACT) | W(AND), W(CONTACT)), G(2, W(OUT) | W(ADV), W(MORE))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(2, W(ADV), W(ME)), GL(2, W(ADV), W(CONTACT))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), X("entre|entrem|entrar"), GX(2, ANY, "contato")}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), X("vuelvan|vuelva|vuelvas"), X("a"), T(W(CONTACTING) | W(SEND) | W(CONTACT))}},
	{"phrase:do-not-contact", OUT_, OM_G_HAVE | OM_G_TIME, {X("no|not"), GE(1, W(MORE), W(CONTACTING))}},
	{"phrase:do-not-contact", OUT_, 0, {X("refrain"), X("from"), G(2, W(ADV), W(CONTACTING) | W(SEND))}},
	{"phrase:do-not-send", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME | OM_G_OTHER,
	{T(W(NEG)), G(4, W(ADV) | W(ME) | W(MORE), W(SEND)), GL(6, BETWEEN | W(MSG), W(MSG))}},
	{"phrase:do-not-send", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(3, W(ADV), W(SEND)), T(W(ME)), XL("anything|anymore|more|stuff|shit|this|these")}},
	{"phrase:do-not-send", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(1, W(ADV), W(ME)), TL(W(SEND))}},
	{"phrase:do-not-send", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(1, W(ADV), W(ME)), T(W(SEND)), GL(1, W(MORE), W(MORE) | W(STUFF))}},
	{"phrase:contact-again", OUT_, OM_G_CROSS,
	{T(W(CONTACT) | W(CONTACTING)), G(1, W(DET), W(ME) | W(NUM)), G(2, ANY, W(MORE)), G(8, ANY, W(THREAT))}},
	{"phrase:contact-again", OUT_, OM_G_CROSS,
	{T(W(THREAT)), G(3, W(YOU) | W(ADV), W(IFW)), T(W(YOU)), T(W(CONTACT)), T(W(ME))}},

	/* ---- not wanted ---- */
	{"phrase:not-wanted", OUT_, OM_G_OTHER | OM_G_ASKED | OM_G_TIME,
	{T(NEGS), G(4, W(ADV) | W(MORE), W(WANT)), GL(7, BETWEEN | W(MSG) | W(YOU), W(MSG) | W(CONTACTED))}},
	{"phrase:not-wanted", OUT_, OM_G_OTHER | OM_G_ASKED | OM_G_TIME,
	{T(NEGS), G(3, W(ADV) | W(MORE), W(WANT)), G(5, W(ADV) | W(MORE) | W(DET) | W(RECEIVE),
	W(CONTACTED))}},
	{"phrase:not-wanted", OUT_, OM_G_ASKED,
	{T(NEGS), G(4, W(ADV) | W(MORE), W(WANT)), G(2, W(ADV), W(RECEIVE)), {0, W(LOOSE), ARTICLE, 3, "these|those|them|anymore|esto|isso"}}},
	{"phrase:not-wanted", OUT_, OM_G_ASKED,
	{T(NEGS), G(4, W(ADV) | W(MORE), W(WANT)), GX(1, W(ADV), "these|them|those"), T(W(MORE))}},
	{"phrase:not-wanted", OUT_, OM_G_ASKED,
	{X("no"), X("longer"), T(W(WANT)), GXE(1, W(ADV), "these|them|those|this")}},
	{"phrase:not-wanted", OUT_, OM_G_ASKED,
	{T(NEGS), G(4, W(ADV) | W(MORE), W(WANT)), G(5, W(ADV) | W(DET) | W(YOUR) | W(TAKE) | W(MORE), W(LIST))}},
	{"phrase:not-wanted", OUT_, OM_G_ASKED,
	{T(NEGS), G(4, W(ADV) | W(MORE), W(WANT)), GX(2, W(ADV) | W(MORE), "hear"), GX(2, W(MORE) | W(ADV), "from"), T(W(YOU) | W(YOUR))}},
	{"phrase:not-wanted", OUT_, OM_G_OTHER | OM_G_ASKED,
	{T(W(WANT)), G(3, W(ADV), W(NEG)), G(4, W(ADV) | W(MORE), W(RECEIVE)), G(6, BETWEEN, W(MSG))}},
	{"phrase:not-wanted", OUT_, OM_G_OTHER | OM_G_ASKED,
	{T(W(WANT)), G(3, W(ADV), W(NEG)), G(3, W(ADV) | W(MORE), W(CONTACTED))}},
	{"phrase:not-wanted", OUT_, OM_G_OTHER | OM_G_ASKED,
	{T(W(NEG)), G(2, W(MORE) | W(ADV), W(INTEREST)), GX(1, ANY, "in|receiving|getting"), G(6, BETWEEN, W(MSG))}},
	{"phrase:no-more-messages", OUT_, OM_G_HAVE | OM_G_TIME | OM_G_OTHER,
	{X("no|not|nao|any"), T(W(MORE)), GL(5, W(ADV) | W(DET) | W(YOUR) | W(OFF) | W(MSG) | W(AND), W(MSG) | W(CONTACTING))}},
	{"phrase:no-more-messages", OUT_, OM_G_HAVE | OM_G_TIME,
	{XB("no|zero"), GE(3, W(DET) | W(MSG) | W(AND), W(MSG))}},
	{"phrase:no-more-messages", OUT_, OM_G_TIME, {XB("plus"), X("de"), GL(1, W(YOUR), W(MSG))}},
	{"phrase:no-more-messages", OUT_, 0,
	{XB("enough|chega|basta|alto|assez"), G(3, W(ADV) | W(DET) | W(YOUR), W(MSG))}},

	/* ---- off the list ---- */
	{"phrase:remove-me", OUT_, ORDER | OM_G_OF, {T(W(REMOVE)), GL(2, W(ADV), W(ME))}},
	{"phrase:remove-me", OUT_, ORDER, {TL(W(REMOVEME))}},
	{"phrase:remove-me", OUT_, ORDER,
	{T(W(REMOVE) | W(TAKE) | W(REMOVEME)), G(5, W(ADV) | W(ME) | W(NUM) | W(DET) | W(MY) | W(AND), W(OFF)),
	G(6, ARTICLE | W(OFF) | W(MSG) | W(NUM) | W(CONTACTING), W(LIST) | W(MSG))}},
	{"phrase:remove-me", OUT_, ORDER,
	{T(W(REMOVE)), T(W(ME)), T(W(OFF)), GXE(1, W(ADV), "this|that|here|ahi|aqui|daqui|these|it")}},
	{"phrase:remove-me", OUT_, ORDER,
	{T(W(ME)), TL(W(REMOVE) | W(UNSUB))}},
	{"phrase:remove-me", OUT_, ORDER,
	{T(W(ME)), T(W(REMOVE)), T(W(OFF)), G(2, ARTICLE, W(LIST))}},
	{"phrase:remove-number", OUT_, ORDER | OM_G_OF, {T(W(REMOVE) | W(LOSE)), GL(4, ARTICLE | W(NUM), W(NUM))}},
	{"phrase:remove-number", OUT_, ORDER,
	{T(W(REMOVE) | W(TAKE)), G(4, ARTICLE | W(NUM), W(NUM)), GXE(1, ANY, "off|from|ahi|out")}},
	{"phrase:remove-me", OUT_, ORDER, {XB("take|get|taking"), G(1, W(ADV), W(ME)), XE("off")}},
	{"phrase:remove-me", OUT_, ORDER,
	{T(W(AUX) | W(YOU)), GX(2, ANY, "take"), T(W(ME)), XE("off")}},
	{"phrase:remove-me", OUT_, ORDER, {X("remove|delete"), GE(2, W(DET), W(MSG))}},
	{"phrase:off-the-list", OUT_, OM_G_NEG | OM_G_ASKED,
	{T(W(WANT)), G(3, W(ADV), W(OFF)), G(4, ARTICLE | W(OFF) | W(MSG), W(LIST) | W(MSG))}},
	{"phrase:off-the-list", OUT_, OM_G_NEG, {T(W(WANT)), GXE(1, W(ADV), "out|off")}},
	{"phrase:off-the-list", OUT_, OM_G_NEG, {T(W(WANT)), X("sair"), X("da|do|dessa|desse|dos"), GL(1, ANY, W(LIST))}},
	{"phrase:be-removed", OUT_, OM_G_NEG | OM_G_OF,
	{T(W(WANT) | W(SAID) | W(AUX) | W(NUM)), GX(6, W(ADV) | W(SUBJ) | W(MY) | W(NUM) | W(ME) | W(WANT), "be|get|getting|have"),
	GX(2, W(ADV) | W(ME) | W(MY) | W(NUM), "removed|unsubscribed|deleted|eliminado|removido|removida|retire|supprime|desabonne")}},
	{"phrase:be-removed", OUT_, OM_G_NEG | OM_G_OF,
	{T(W(WANT) | W(SAID) | W(AUX) | W(NUM)), GX(6, W(ADV) | W(SUBJ) | W(MY) | W(NUM) | W(ME) | W(WANT), "be|get|getting|have"), G(2, W(ADV), W(REMOVED)),
	T(W(OFF)), G(6, ARTICLE | W(OFF) | W(MSG), W(LIST) | W(MSG) | W(STUFF))}},
	{"phrase:do-not-call-list", OUT_, OM_G_NEG,
	{X("put|add|place"), G(4, ARTICLE | W(ME), W(ME) | W(NUM)), G(6, ARTICLE | W(AUX) | W(NUM), W(NEG)), T(W(CONTACT)), GX(1, ANY, "list|registry|lists")}},
	{"phrase:unsubscribe", OUT_, OM_G_NEG | OM_G_OF, {T(W(UNSUB))}},
	{"phrase:opt-out", OUT_, OM_G_NEG | OM_G_OF, {T(W(OPT)), G(3, W(ME) | W(MY) | W(NUM) | W(ADV), W(OUT))}},
	{"phrase:dar-de-baja", OUT_, OM_G_NEG, {X("darme|denme|deme|dame|darnos|dar"), X("de"), XE("baja")}},
	{"phrase:dar-de-baja", OUT_, OM_G_NEG, {X("darme|denme|deme|dame|darnos|dar"), X("de"), X("baja"), X("de|del"), G(2, W(DET) | W(YOUR), W(LIST) | W(MSG))}},

	/* ---- leave me alone, consent, and turning it off ---- */
	{"phrase:leave-me-alone", OUT_, ORDER | OM_G_LAUGH,
	{T(W(LEAVE)), X("me|us|my|moi|nous|nos"), G(4, ANY, W(ALONE))}},
	{"phrase:leave-me-alone", OUT_, ORDER | OM_G_LAUGH,
	{T(W(LEAVE) | W(ME)), GX(1, W(LEAVE), "en|em|in"), T(W(ALONE))}},
	{"phrase:revoke-consent", OUT_, OM_G_NEG,
	{T(W(REVOKE)), GL(4, ARTICLE | ANY, W(CONSENT))}},
	{"phrase:revoke-consent", OUT_, OM_G_NEG, {T(W(REVOKE)), G(3, ARTICLE, W(CONSENT))}},
	{"phrase:no-consent", OUT_, OM_G_ASKED,
	{T(NEGS), G(5, ARTICLE | W(AUX) | W(YOU) | W(RECEIVE), W(CONSENT)),
	G(5, ARTICLE | W(RECEIVE) | W(YOU) | W(ME), W(CONTACT) | W(MSG) | W(SEND) | W(CONTACTED))}},
	{"phrase:cease-and-desist", OUT_, OM_G_NEG, {X("cease"), GX(1, W(AND), "desist")}},
	{"phrase:cancel-messages", OUT_, ORDER,
	{T(W(CANCELV)), GL(5, ARTICLE | W(OFF) | W(MSG) | W(ME), W(MSG))}},

	/* ---- opting in: only when nothing of it is negated, asked or threatened ---- */
	{"phrase:resubscribe", IN_, 0, {TL(W(RESUB))}},
	{"phrase:resubscribe", IN_, 0, {T(W(RESUB)), T(W(ME))}},
	{"phrase:resubscribe", IN_, 0, {X("re"), XL("subscribe")}},
	{"phrase:opt-in", IN_, 0, {T(W(OPT)), G(2, W(ME) | W(BACK), W(ME)), GX(1, W(BACK), "in")}},
	{"phrase:sign-me-up", IN_, 0, {X("sign|signed"), T(W(ME)), T(W(BACK)), X("up")}},
	{"phrase:sign-me-up", IN_, 0, {X("put|add"), T(W(ME)), XE("back")}},
	{"phrase:sign-me-up", IN_, 0, {X("put|add"), T(W(ME)), X("back"), GX(1, ANY, "on|to"), G(2, ARTICLE, W(LIST))}},
	{"phrase:start-again", IN_, 0,
	{T(W(START)), G(2, W(ADV), W(SEND) | W(CONTACTING) | W(RECEIVE)), G(4, ARTICLE | W(ME) | W(MSG), W(BACK))}},
	{"phrase:start-again", IN_, 0, {X("resume|restart"), GL(3, ARTICLE | W(SEND), W(MSG))}},
	{"phrase:start-again", IN_, 0,
	{T(W(YOU)), X("can"), GX(2, W(START) | W(ADV), "text|texting|message|messaging"), T(W(ME)), T(W(BACK))}},
	{"phrase:start-again", IN_, 0,
	{T(W(WANT)), G(3, W(ADV) | W(BACK), W(RECEIVE)), G(3, ARTICLE, W(MSG)), T(W(BACK))}},
	{"phrase:start-again", IN_, 0,
	{T(W(WANT)), G(2, W(ADV), W(BACK)), G(2, W(ADV), W(RECEIVE)), G(3, ARTICLE, W(MSG))}},
	{"phrase:start-again", IN_, 0, {T(W(BACK)), X("a"), T(W(SEND)), G(2, ARTICLE, W(MSG))}},
	{"phrase:start-again", IN_, 0, {X("turn"), G(4, ARTICLE | W(MSG), W(MSG)), X("back"), X("on")}},
	{"phrase:start-again", IN_, 0, {T(W(WANT)), XE("suscribirme|reabonner")}},
	{"phrase:start-again", IN_, 0, {X("suscribirme"), X("de"), XE("nuevo")}},

	/* ---- for a person to read ---- */
	{"maybe:wrong-number", MAYBE, OM_G_OURS, {T(W(WRONG)), G(2, W(DET), W(PERSON))}},
	{"maybe:wrong-number", MAYBE, OM_G_OURS, {T(W(PERSON)), TL(W(WRONG))}},
	{"maybe:not-interested", MAYBE, OM_G_ASKED,
	{T(NEGS), GL(4, W(ADV) | W(MORE) | W(DET) | W(ME) | W(AUX) | W(SUBJ) | W(SAID), W(INTEREST))}},
	{"maybe:not-interested", MAYBE, OM_G_ASKED, {X("pas|nao|no"), GE(2, W(ME) | W(AUX), W(INTEREST))}},
	{"maybe:never-signed-up", MAYBE, OM_G_NEG | OM_G_ASKED,
	{T(NEGS), GX(3, W(ADV) | W(AUX), "signed|sign|subscribed|subscribe|registered|register|enrolled|requested|consent|consented"), GX(2, ANY, "for|to|up|these|this")}},
	{"maybe:never-signed-up", MAYBE, OM_G_NEG | OM_G_ASKED,
	{T(NEGS), GX(2, W(ADV), "ask|asked"), X("for"), GE(1, W(DET), W(STUFF) | W(MSG))}},
	{"maybe:spam", MAYBE, OM_G_NEG | OM_G_ASKED | OM_G_SHORT, {T(W(STUFF) | W(YOU) | W(SUBJ)), GL(2, W(AUX) | W(DET), W(SPAM))}},
	{"maybe:spam", MAYBE, 0, {TBE(W(SPAM))}},
	{"maybe:not-this-person", MAYBE, OM_G_NAME, {X("this|es"), GX(1, W(AUX), "not|isnt|no"), {0, W(LOOSE), 0, 0, NULL}}},
	{"maybe:not-this-person", MAYBE, 0, {X("this"), GX(1, W(AUX), "not|isnt"), GX(2, ANY, "phone|number|cell")}},
	{"maybe:not-this-person", MAYBE, OM_G_HAVE, {X("no"), GXE(2, ANY, "here")}},
	{"maybe:not-this-person", MAYBE, 0, {T(NEGS), X("know"), GX(3, ANY, "named")}},
	{"maybe:not-this-person", MAYBE, OM_G_NAME, {T(NEGS), X("know"), X("who|anyone|any"), {0, W(LOOSE), 0, 0, NULL}}},
	{"maybe:not-this-person", MAYBE, 0, {X("no"), X("conozco|conheco|conhece|connais"), G(2, ANY, W(PERSON))}},
	{"maybe:deceased", MAYBE, 0, {X("passed"), X("away")}},
	{"maybe:deceased", MAYBE, 0, {T(W(SUBJ)), X("died")}},
	{"maybe:deceased", MAYBE, 0, {X("deceased|fallecio|murio|decede|faleceu|morreu")}},
	{"maybe:hostile", MAYBE, OM_G_LAUGH, {T(W(HOSTILE)), XE("you|off|u|yourself|me|it")}},
	{"maybe:hostile", MAYBE, OM_G_LAUGH, {TBE(W(HOSTILE))}},
	{"maybe:hostile", MAYBE, OM_G_LAUGH, {XB("so|very"), TE(W(HOSTILE))}},
	{"maybe:hostile", MAYBE, OM_G_LAUGH | OM_G_SHORT, {T(W(STUFF) | W(YOU)), GE(3, W(ADV) | W(AUX) | W(OTHER), W(HOSTILE))}},
	{"maybe:hostile", MAYBE, OM_G_LAUGH | OM_G_SHORT, {X("service|company|texts|messages|people"), GE(1, W(AUX), W(HOSTILE))}},
	{"maybe:hostile", MAYBE, OM_G_LAUGH, {XB("go|get|shut|eat|kiss|back|knock"), GXE(1, ANY, "away|lost|up|shit|ass|off|hell")}},
	{"maybe:too-many", MAYBE, 0, {X("too"), X("many"), T(W(MSG))}},
	{"maybe:too-many", MAYBE, 0, {X("less|fewer"), GE(1, ANY, W(MSG))}},
	{"maybe:too-many", MAYBE, 0, {T(W(CONTACT)), GX(1, W(ME), "less|too"), X("often|much")}},
	{"maybe:too-many", MAYBE, 0, {X("sick|tired|done"), GX(1, ANY, "of|with"), G(2, ARTICLE | W(RECEIVE), W(MSG))}},
	{"maybe:no-messages-then", MAYBE, OM_G_HAVE,
	{XB("no"), G(2, W(DET) | W(MSG), W(MSG)), X("on|before|after|during|until|at|past")}},
	{"maybe:other-channel", MAYBE, OM_G_ASKED, {XB("only"), GL(0, 0, W(CONTACT)), T(W(ME))}},
	{"maybe:other-channel", MAYBE, OM_G_ASKED, {X("only"), T(W(CONTACT)), T(W(ME))}},
	{"maybe:other-channel", MAYBE, OM_G_ASKED, {T(W(CONTACT)), GX(1, W(ME), "instead")}},
	{"maybe:other-channel", MAYBE, OM_G_ASKED, {T(W(CONTACT)), X("only")}},
	{"maybe:other-channel", MAYBE, 0, {X("prefer"), GE(1, ANY, W(MSG))}},
	{"maybe:other-channel", MAYBE, 0, {X("only"), T(W(WANT)), G(3, ANY, W(MSG))}},
	{"maybe:stop-it", MAYBE, ORDER | OM_G_LAUGH | OM_G_SHORT, {T(W(STOP)), XE("it|that")}},
	{"maybe:stop-it", MAYBE, ORDER | OM_G_LAUGH | OM_G_SHORT, {TB(W(STOP)), X("being"), T(W(HOSTILE))}},
	{"maybe:enough", MAYBE, OM_G_LAUGH, {XBE("enough|basta|assez|chega")}},
	{"maybe:removed-already", MAYBE, 0,
	{T(W(AUX)), GXE(4, W(ADV) | W(SUBJ) | W(YOU) | W(AUX) | W(MORE), "removed|unsubscribed")}},
	{"maybe:removed-already", MAYBE, 0, {X("did"), T(W(YOU)), X("remove"), T(W(ME))}},
	{"maybe:legal", MAYBE, OM_G_SHORT, {X("this"), X("is"), XE("illegal|harassment")}},
	{"maybe:legal", MAYBE, OM_G_NEG, {T(W(SUBJ)), G(6, W(AUX) | W(ADV), W(CONTACTING) | W(CONTACT)), G(2, ARTICLE, W(THREAT))}},
	{"maybe:legal", MAYBE, 0, {X("reporting"), GX(1, ANY, "you|this|u")}},
	{"maybe:do-not-call-list", MAYBE, 0, {X("not"), T(W(CONTACT)), X("list|registry|lists")}},
	{"maybe:cancel-account", MAYBE, OM_G_NEG | OM_G_SUBJECT,
	{XB("cancel|end|stop"), GXE(2, ARTICLE, "subscription|membership|account|suscripcion|abonnement|assinatura")}},
	{"contains:stop", MAYBE, 0, {TB(W(CLAUSE)), TE(W(DIGITS))}},

	{NULL, OM_INTENT_NONE, 0, {{0, 0, 0, 0, NULL}}}
};
