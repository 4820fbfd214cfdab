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

#include "intent_names.h"

#define W(class)	OM_W_##class
#define ANY			(~UINT64_C(0))

/* Words, by their indexes in the lexicon; the bits say at a glance that none is there */
#define BIT(word)		(UINT64_C(1) << (OM_N_##word & 63))
#define N1(a) \
	BIT(a), \
	(const uint16_t[]) {OM_N_##a, 0}
#define N2(a, b) \
	BIT(a) | BIT(b), \
	(const uint16_t[]) {OM_N_##a, OM_N_##b, 0}
#define N3(a, b, c) \
	BIT(a) | BIT(b) | BIT(c), \
	(const uint16_t[]) {OM_N_##a, OM_N_##b, OM_N_##c, 0}
#define N4(a, b, c, d) \
	BIT(a) | BIT(b) | BIT(c) | BIT(d), \
	(const uint16_t[]) {OM_N_##a, OM_N_##b, OM_N_##c, OM_N_##d, 0}
#define N5(a, b, c, d, e) \
	BIT(a) | BIT(b) | BIT(c) | BIT(d) | BIT(e), \
	(const uint16_t[]) {OM_N_##a, OM_N_##b, OM_N_##c, OM_N_##d, OM_N_##e, 0}
#define N6(a, b, c, d, e, f) \
	BIT(a) | BIT(b) | BIT(c) | BIT(d) | BIT(e) | BIT(f), \
	(const uint16_t[]) {OM_N_##a, OM_N_##b, OM_N_##c, OM_N_##d, OM_N_##e, OM_N_##f, 0}
#define N7(a, b, c, d, e, f, g) \
	BIT(a) | BIT(b) | BIT(c) | BIT(d) | BIT(e) | BIT(f) | BIT(g), \
	(const uint16_t[]) {OM_N_##a, OM_N_##b, OM_N_##c, OM_N_##d, OM_N_##e, OM_N_##f, OM_N_##g, 0}
#define N8(a, b, c, d, e, f, g, h) \
	BIT(a) | BIT(b) | BIT(c) | BIT(d) | BIT(e) | BIT(f) | BIT(g) | BIT(h), \
	(const uint16_t[]) {OM_N_##a, OM_N_##b, OM_N_##c, OM_N_##d, OM_N_##e, OM_N_##f, OM_N_##g, OM_N_##h, 0}
#define N9(a, b, c, d, e, f, g, h, i) \
	BIT(a) | BIT(b) | BIT(c) | BIT(d) | BIT(e) | BIT(f) | BIT(g) | BIT(h) | BIT(i), \
	(const uint16_t[]) {OM_N_##a, OM_N_##b, OM_N_##c, OM_N_##d, OM_N_##e, OM_N_##f, OM_N_##g, OM_N_##h, OM_N_##i, 0}
#define N10(a, b, c, d, e, f, g, h, i, j) \
	BIT(a) | BIT(b) | BIT(c) | BIT(d) | BIT(e) | BIT(f) | BIT(g) | BIT(h) | BIT(i) | BIT(j), \
	(const uint16_t[]) {OM_N_##a, OM_N_##b, OM_N_##c, OM_N_##d, OM_N_##e, OM_N_##f, OM_N_##g, OM_N_##h, OM_N_##i, OM_N_##j, 0}
#define N11(a, b, c, d, e, f, g, h, i, j, k) \
	BIT(a) | BIT(b) | BIT(c) | BIT(d) | BIT(e) | BIT(f) | BIT(g) | BIT(h) | BIT(i) | BIT(j) | BIT(k), \
	(const uint16_t[]) {OM_N_##a, OM_N_##b, OM_N_##c, OM_N_##d, OM_N_##e, OM_N_##f, OM_N_##g, OM_N_##h, OM_N_##i, OM_N_##j, OM_N_##k, 0}
#define N12(a, b, c, d, e, f, g, h, i, j, k, l) \
	BIT(a) | BIT(b) | BIT(c) | BIT(d) | BIT(e) | BIT(f) | BIT(g) | BIT(h) | BIT(i) | BIT(j) | BIT(k) | BIT(l), \
	(const uint16_t[]) {OM_N_##a, OM_N_##b, OM_N_##c, OM_N_##d, OM_N_##e, OM_N_##f, OM_N_##g, OM_N_##h, OM_N_##i, OM_N_##j, OM_N_##k, OM_N_##l, 0}

/* One word of a class; with E the last of its clause, with L loosely so, with B the first */
#define T(any)				{(any), 0, 0, 0, 0, NULL}
#define TE(any)				{(any), W(END), 0, 0, 0, NULL}
#define TL(any)				{(any), W(LOOSE), 0, 0, 0, NULL}
#define TB(any)				{(any), W(BEGIN), 0, 0, 0, NULL}
#define TBE(any)			{(any), W(BEGIN) | W(END), 0, 0, 0, NULL}
/* The same after up to n words of the classes in skip */
#define G(n, skip, any)		{(any), 0, (skip), (n), 0, NULL}
#define GE(n, skip, any)	{(any), W(END), (skip), (n), 0, NULL}
#define GL(n, skip, any)	{(any), W(LOOSE), (skip), (n), 0, NULL}
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
/* what turns a match of the net off */
#define NET		(OM_G_NEG | OM_G_SUBJECT | OM_G_ASKED | OM_G_HAVE | OM_G_LAUGH | OM_G_CHAT)
/* what stands between a verb and "messages" */
#define BETWEEN (W(ADV) | W(MY) | W(DET) | W(ME) | W(YOUR) | W(MORE) | W(SEND) | W(RECEIVE) | W(CONTACTING))
#define ARTICLE (W(ADV) | W(DET) | W(YOUR) | W(MY) | W(MORE))

/*
 * The lists below are by the words without which none of their rules can match: a message
 * that has none of them passes over the list.  Among the rules of a label the order says
 * only which name wins.
 */

/* Words of ending: stop doing it, and keywords as a clause of a longer message */
static const OmRule stop_rules[] = {
	{"phrase:stop-contact", OUT_, ORDER | OM_G_OTHER | OM_G_TIME | OM_G_CHAT,
	{T(W(STOP)), GL(6, W(ADV) | W(DET) | W(ME) | W(CONTACTING) | W(AND), W(CONTACTING))}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_TIME,
	{T(W(STOP)), G(6, W(ADV) | W(DET) | W(CONTACTING) | W(AND), W(CONTACTING)),
	GL(2, W(OUT) | W(ADV), W(ME))}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_TIME,
	{T(W(STOP)), G(4, W(ADV), W(CONTACTING)), {0, W(LOOSE), W(ME), 1, N2(out, up)}}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_TIME,
	{T(W(STOP)), {0, 0, 0, 0, N3(asking, annoying, begging)}, {0, 0, W(ME), 1, N4(to, about, for, if)}}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_TIME, {T(W(STOP)), X(N1(annoying)), TL(W(ME))}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_TIME,
	{T(W(STOP)), X(N2(trying, attempting)), X(N1(to)), T(W(CONTACT) | W(SEND)), GL(2, W(MY) | W(OUT) | W(ADV), W(ME) | W(NUM))}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_TIME,
	{T(W(STOP)), G(4, W(ADV), W(CONTACTING)), GL(4, W(MY) | W(DET) | W(ADV) | W(YOUR) | W(NUM), W(NUM))}},
	{"phrase:stop-contact", OUT_, ORDER, {T(W(STOP)), G(2, W(ADV), W(CONTACTING)), XE(N1(it))}},
	{"phrase:stop-messages", OUT_, ORDER | OM_G_OTHER | OM_G_TIME,
	{T(W(STOP)), G(6, BETWEEN, W(MSG))}},
	{"phrase:stop-sending", OUT_, ORDER,
	{T(W(STOP)), G(3, W(ADV), W(SEND)), TL(W(ME))}},
	{"phrase:stop-sending", OUT_, ORDER,
	{T(W(STOP)), GE(3, W(ADV), W(SEND))}},
	{"phrase:stop-sending", OUT_, ORDER,
	{T(W(STOP)), G(3, W(ADV) | W(ME), W(SEND)), GL(4, BETWEEN | W(HOSTILE), W(STUFF))}},
	{"phrase:stop-sending", OUT_, ORDER,
	{T(W(STOP)), G(3, W(ADV) | W(ME), W(RECEIVE)), {0, W(LOOSE), ARTICLE, 3, N3(these, those, them)}}},
	{"phrase:how-to-stop", OUT_, OM_G_LAUGH, {XB(N2(how, como)), X(N1(to)), TE(W(STOP))}},
	{"phrase:stop-this", OUT_, ORDER | OM_G_LAUGH,
	{T(W(STOP)), XE(N7(this, these, them, esto, ca, cela, isso))}},
	{"phrase:stop-this", OUT_, ORDER | OM_G_LAUGH,
	{T(W(STOP)), X(N3(this, these, your)), GXE(1, W(ADV), N9(service, program, campaign, nonsense, crap, shit, bullshit, harassment, bs))}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_TIME,
	{T(W(LETGO)), X(N1(de)), G(2, W(ME) | W(ADV), W(CONTACTING))}},
	{"phrase:stop-sending", OUT_, ORDER | OM_G_TIME,
	{T(W(LETGO)), X(N1(de)), G(2, W(ME) | W(ADV), W(SEND) | W(RECEIVE)), GL(3, W(DET) | W(MORE) | W(ME), W(MSG) | W(STUFF))}},
	{"phrase:messages-to-stop", OUT_, ORDER,
	{T(W(MSG) | W(MY)), GX(1, W(MSG), N1(to)), GL(1, W(ADV), W(STOP))}},
	{"phrase:messages-to-stop", OUT_, ORDER,
	{X(N2(make, get)), G(3, W(ADV) | W(DET), W(MSG) | W(STUFF)), GE(2, W(ADV), W(STOP))}},
	{"phrase:told-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH | OM_G_ASKED,
	{T(W(SAID) | W(WANT)), G(3, W(ADV), W(YOU)), GE(4, W(ADV) | W(YOU) | W(OTHER), W(STOP))}},
	{"phrase:told-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH | OM_G_ASKED,
	{X(N6(said, asked, asking, saying, replied, requested)), GE(2, W(ADV), W(CLAUSE))}},
	{"phrase:told-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH | OM_G_ASKED,
	{X(N3(asked, told, begged)), T(W(YOU)), GX(5, ANY, N1(to)), GE(1, W(ADV), W(STOP))}},
	{"phrase:told-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH | OM_G_ASKED,
	{X(N7(replied, texted, sent, typed, wrote, answered, responded)), T(W(CLAUSE))}},
	{"phrase:told-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH | OM_G_ASKED,
	{T(W(YOU)), G(1, W(ADV), W(SAID)), X(N1(to)), GE(1, W(ADV), W(STOP))}},
	{"phrase:told-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH,
	{X(N4(can, could, will, would)), T(W(YOU)), GE(2, W(ADV), W(STOP))}},
	{"phrase:told-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH, {X(N3(mean, means, meant)), TE(W(CLAUSE))}},
	{"phrase:messages-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH | OM_G_CHAT,
	{T(W(MSG) | W(CONTACTING)), GX(2, ANY, N6(need, needs, must, has, have, gotta)), GX(2, ANY, N4(stop, end, cease, quit)), {0, W(END), 0, 0, 0, NULL}}},
	{"phrase:messages-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH | OM_G_CHAT,
	{T(W(MSG) | W(CONTACTING)), GX(2, ANY, N6(need, needs, must, has, have, gotta)), GXE(2, ANY, N4(stop, end, cease, quit))}},
	{"phrase:stop-messages", OUT_, OM_G_NEG | OM_G_SUBJECT | OM_G_CHAT,
	{X(N2(put, bring)), GX(2, ANY, N3(stop, end, halt)), X(N1(to)), GL(4, ARTICLE, W(MSG) | W(CONTACTING) | W(STUFF))}},
	{"phrase:stop-messages", OUT_, ORDER | OM_G_LAUGH, {T(W(STOP)), X(N1(con)), G(3, ARTICLE, W(MSG))}},
	{"phrase:stop-sending", OUT_, ORDER | OM_G_LAUGH | OM_G_CHAT, {T(W(STOP)), G(1, W(ADV), W(SEND)), T(W(ME)), {0, W(END), ANY, 1, 0, NULL}}},
	{"phrase:stop-this", OUT_, OM_G_LAUGH | OM_G_SHORT, {XB(N6(end, disable, silence, mute, terminate, halt)), XE(N3(this, these, them))}},
	{"phrase:stop-this", OUT_, OM_G_LAUGH | OM_G_SHORT | OM_G_SUBJECT, {X(N3(end, disable, terminate)), X(N2(this, your)), XE(N5(nonsense, crap, bs, shit, harassment))}},
	{"phrase:stop-this", OUT_, OM_G_LAUGH | OM_G_SHORT | OM_G_SUBJECT, {X(N5(can, could, please, pls, plz)), GX(1, ANY, N4(end, disable, silence, mute)), XE(N3(this, these, them))}},
	{"phrase:told-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH | OM_G_ASKED | OM_G_CHAT,
	{X(N9(said, say, saying, replied, texted, sent, typed, wrote, reply)), GL(1, W(ADV), W(CLAUSE))}},
	{"phrase:told-to-stop", OUT_, OM_G_LAUGH, {X(N3(part, meaning, my)), GX(1, W(OFF), N1(stop)), T(W(NEGX) | W(NEG) | W(YOU))}},
	{"phrase:told-to-stop", OUT_, OM_G_LAUGH, {X(N2(part, my)), GX(1, W(OFF), N1(stop)), X(N5(request, requests, message, text, reply))}},
	{"phrase:told-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH,
	{T(W(YOU)), X(N7(can, may, should, must, better, gotta, need)), GX(1, ANY, N2(stop, quit)), TE(W(STOP) | W(MSG) | W(CONTACTING))}},
	{"phrase:told-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH,
	{T(W(YOU)), X(N7(can, may, should, must, better, gotta, need)), GXE(1, W(ADV) | W(DET), N2(stop, quit))}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_CHAT,
	{T(W(STOP)), G(2, W(ADV), W(CONTACTING)), X(N2(my, our)), X(N12(job, work, house, home, family, phone, cell, office, workplace, employer, inbox, line))}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_CHAT,
	{T(W(STOP)), G(2, W(ADV), W(CONTACTING)), X(N2(my, our)), X(N12(mother, mama, parents, wife, husband, son, daughter, kids, relatives, neighbors, references, grandmother))}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_LAUGH | OM_G_TIME | OM_G_CHAT,
	{T(W(STOP)), G(3, W(ADV), W(CONTACTING)), T(W(ME)), G(4, ARTICLE, W(MSG) | W(STUFF) | W(MORE) | W(SPAM))}},
	{"phrase:stop-sending", OUT_, ORDER | OM_G_LAUGH | OM_G_CHAT,
	{T(W(STOP)), G(3, W(ADV), W(SEND)), GX(4, ARTICLE | W(ME) | W(HOSTILE), N12(these, those, this, dis, stuff, shit, crap, garbage, junk, nonsense, bs, anything))}},
	{"phrase:stop-messages", OUT_, ORDER | OM_G_LAUGH | OM_G_CHAT,
	{T(W(STOP)), GX(6, ANY, N2(with, w)), G(3, ARTICLE, W(MSG))}},
	{"phrase:want-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH,
	{T(W(WANT)), X(N3(this, these, them)), GX(1, W(MSG), N1(to)), GE(1, W(ADV), W(STOP))}},
	{"clause:stop", OUT_, OM_G_LAUGH | OM_G_ASKED, {TBE(W(CLAUSE))}},
	{"clause:stop", OUT_, OM_G_LAUGH, {TB(W(CLAUSE)), T(W(SUBJ) | W(NEGX) | W(WRONG) | W(YOU))}},
	{"clause:stop", OUT_, OM_G_LAUGH, {TB(W(CLAUSE)), X(N5(this, not, my, wrong, that)), X(N6(is, isnt, interested, number, phone, not))}},
	{"clause:stop", OUT_, OM_G_LAUGH, {TB(W(CLAUSE)), X(N1(or)), G(8, ANY, W(THREAT))}},
	{"clause:stop", OUT_, OM_G_LAUGH, {X(N2(wrong, numero)), T(W(PERSON) | W(WRONG)), GE(2, W(ADV), W(CLAUSE))}},
	{"clause:stop", OUT_, OM_G_LAUGH, {T(W(SPAM) | W(INTEREST)), TE(W(CLAUSE))}},
	{"clause:stop", OUT_, OM_G_LAUGH | OM_G_SUBJECT,
	{X(N4(please, pls, plz, just)), GE(1, W(ADV), W(CLAUSE))}},
	{"clause:stop", OUT_, OM_G_LAUGH, {XB(N1(no)), TBE(W(CLAUSE))}},
	{"clause:stop", OUT_, OM_G_LAUGH, {XB(N1(no)), TE(W(CLAUSE))}},
	{"clause:stop", OUT_, OM_G_LAUGH | OM_G_SUBJECT, {X(N1(so)), TE(W(CLAUSE))}},
	{"clause:remove", OUT_, 0, {XBE(N2(discontinue, disable))}},
	{"clause:quit", OUT_, OM_G_LAUGH, {XBE(N1(quit))}},
	{"clause:discontinue", OUT_, OM_G_SUBJECT | OM_G_NEG,
	{X(N3(discontinue, cease, terminate)), GXE(2, ARTICLE | W(LIST), N5(service, services, subscription, program, correspondence))}},
	{"phrase:cancel-messages", OUT_, ORDER | OM_G_CHAT, {T(W(CANCELV)), G(2, W(MY), W(ME) | W(NUM)), X(N4(from, off, out, on)), G(4, ARTICLE, W(MSG) | W(LIST))}},
	{"phrase:cancel-messages", OUT_, ORDER | OM_G_CHAT, {T(W(CANCELV)), G(4, ARTICLE, W(MSG)), GX(1, ANY, N3(to, on, for)), G(2, W(MY), W(NUM) | W(ME))}},
	{"phrase:cancel-messages", OUT_, ORDER, {T(W(CANCELV)), GX(1, W(MY), N4(suscripcion, inscricao, abonnement, subscription)), G(3, W(OFF) | W(DET) | W(ADV), W(MSG))}},
	{"phrase:cease-and-desist", OUT_, OM_G_NEG, {X(N1(cease)), GX(1, W(AND), N1(desist))}},
	{"phrase:cancel-messages", OUT_, ORDER | OM_G_THE | OM_G_TIME,
	{T(W(CANCELV)), GL(5, ARTICLE | W(OFF) | W(MSG) | W(ME), W(MSG))}},
	{"phrase:cancel-messages", OUT_, ORDER | OM_G_TIME,
	{T(W(CANCELV)), G(5, ARTICLE | W(OFF) | W(RECEIVE) | W(ME), W(MSG)), GX(2, W(MSG) | W(LIST), N6(service, subscription, thread, program, list, chat))}},
	{"phrase:cancel-messages", OUT_, ORDER | OM_G_THE | OM_G_TIME,
	{T(W(CANCELV)), G(2, ARTICLE, W(RECEIVE)), GL(3, ARTICLE | W(OFF), W(MSG))}},
	{"phrase:cancel-messages", OUT_, OM_G_NEG, {X(N3(turn, shut, switch)), X(N2(these, them)), XE(N1(off))}},
	{"clause:cease", OUT_, OM_G_SUBJECT | OM_G_NEG, {X(N5(please, pls, plz, just, kindly)), XE(N2(cease, discontinue))}},
	{"clause:cease", OUT_, 0, {XBE(N1(cease))}},
	{"phrase:stop-this", OUT_, OM_G_LAUGH | OM_G_SHORT, {T(W(BEGIN)), X(N1(end)), X(N3(this, these, all)), TE(W(STUFF) | W(MSG))}},
	{"phrase:stop-this", OUT_, OM_G_LAUGH | OM_G_SHORT | OM_G_SUBJECT, {X(N4(please, pls, plz, kindly)), X(N3(end, disable, terminate)), XE(N2(this, these))}},
	{"phrase:stop-this", OUT_, OM_G_LAUGH | OM_G_SHORT, {X(N4(can, could, would, will)), T(W(YOU)), X(N4(end, disable, silence, mute)), XE(N3(this, these, them))}},
	{"clause:stop", OUT_, OM_G_LAUGH, {TB(W(CLAUSE)), TE(W(MORE))}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_TIME,
	{T(W(STOP)), GX(2, W(ADV), N10(texting, messaging, contacting, emailing, spamming, harassing, bothering, txting, textin, msging)), X(N2(me, us))}},

	{NULL, OM_INTENT_NONE, 0, {{0, 0, 0, 0, 0, NULL}}}
};

/* Words of taking away: off the list, out of the system, consent withdrawn, alone */
static const OmRule remove_rules[] = {
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), X(N3(entre, entrem, entrar)), GX(2, ANY, N1(contato))}},
	{"phrase:not-wanted", OUT_, OM_G_ASKED,
	{T(NEGS), G(4, W(ADV) | W(MORE), W(WANT)), G(5, W(ADV) | W(DET) | W(YOUR) | W(TAKE) | W(MORE), W(LIST))}},
	{"phrase:remove-me", OUT_, ORDER | OM_G_OF, {T(W(REMOVE)), GL(2, W(ADV), W(ME))}},
	{"phrase:remove-me", OUT_, ORDER, {TL(W(REMOVEME))}},
	{"phrase:remove-me", OUT_, ORDER,
	{T(W(REMOVEME)), G(3, ARTICLE | W(OFF), W(LIST) | W(MSG) | W(OFF))}},
	{"phrase:remove-me", OUT_, ORDER,
	{T(W(REMOVE) | W(TAKE)), GX(1, W(ADV), N6(it, him, her, them, this, that)), T(W(OFF)), G(1, W(OFF), W(YOUR)), G(4, ARTICLE | W(CONTACTING) | W(MSG), W(LIST))}},
	{"phrase:remove-me", OUT_, OM_G_NEG, {X(N3(please, pls, plz)), X(N1(removed)), T(W(ME)), T(W(OFF)), G(4, ARTICLE | W(MSG), W(LIST))}},
	{"phrase:remove-number", OUT_, ORDER, {X(N4(throw, toss, chuck, trash)), G(3, ARTICLE, W(NUM)), XL(N2(away, out))}},
	{"phrase:do-not-call-list", OUT_, OM_G_NEG,
	{X(N7(put, add, place, mark, list, get, flag)), G(4, ARTICLE | W(ME), W(ME) | W(NUM)), GX(5, ANY, N2(dnc, dncl))}},
	{"phrase:unsubscribe", OUT_, OM_G_OF | OM_G_CHAT, {TB(W(SUBJ)), GX(3, W(ADV) | W(AUX) | W(NEG), N1(unsubscribed))}},
	{"phrase:remove-me", OUT_, ORDER,
	{T(W(REMOVE)), T(W(ME)), T(W(OFF)), GXE(1, W(ADV), N8(this, that, here, ahi, aqui, daqui, these, it))}},
	{"phrase:remove-me", OUT_, ORDER,
	{T(W(ME)), TL(W(REMOVE) | W(UNSUB))}},
	{"phrase:remove-me", OUT_, ORDER,
	{T(W(ME)), T(W(REMOVE)), T(W(OFF)), G(2, ARTICLE, W(LIST))}},
	{"phrase:remove-number", OUT_, ORDER | OM_G_OF, {T(W(REMOVE) | W(LOSE)), GL(5, W(ADV) | W(DET) | W(MY) | W(NUM) | W(AND) | W(TEXTV), W(NUM))}},
	{"phrase:remove-me", OUT_, ORDER, {X(N2(remove, delete)), GE(2, W(DET), W(MSG))}},
	{"phrase:off-the-list", OUT_, OM_G_NEG, {T(W(WANT)), X(N1(sair)), X(N5(da, do, dessa, desse, dos)), GL(1, ANY, W(LIST))}},
	{"phrase:be-removed", OUT_, OM_G_NEG | OM_G_OF,
	{T(W(WANT) | W(SAID) | W(AUX) | W(NUM)), GX(6, W(ADV) | W(SUBJ) | W(MY) | W(NUM) | W(ME) | W(WANT), N4(be, get, getting, have)),
	GX(2, W(ADV) | W(ME) | W(MY) | W(NUM), N9(removed, unsubscribed, deleted, eliminado, removido, removida, retire, supprime, desabonne))}},
	{"phrase:be-removed", OUT_, OM_G_NEG | OM_G_OF,
	{T(W(WANT) | W(SAID) | W(AUX) | W(NUM)), GX(6, W(ADV) | W(SUBJ) | W(MY) | W(NUM) | W(ME) | W(WANT), N4(be, get, getting, have)), G(2, W(ADV), W(REMOVED)),
	T(W(OFF)), G(6, ARTICLE | W(OFF) | W(MSG), W(LIST) | W(MSG) | W(STUFF))}},
	{"phrase:be-removed", OUT_, OM_G_NEG | OM_G_OF | OM_G_ASKED,
	{T(W(WANT) | W(SAID)), G(4, W(MY) | W(ADV) | W(DET), W(ME) | W(NUM)), GX(1, W(ADV), N3(removed, deleted, unsubscribed))}},
	{"phrase:be-removed", OUT_, OM_G_NEG | OM_G_OF,
	{T(W(WANT) | W(SAID)), G(4, W(MY) | W(ADV) | W(DET), W(ME) | W(NUM)), X(N2(taken, removed)), XE(N1(off))}},
	{"phrase:be-removed", OUT_, OM_G_NEG,
	{T(W(WANT) | W(SAID) | W(AUX)), GX(5, W(ADV) | W(SUBJ), N3(be, get, getting)), X(N1(taken)), XE(N1(off))}},
	{"phrase:unsubscribe", OUT_, OM_G_NEG | OM_G_OF | OM_G_LAUGH, {T(W(UNSUB))}},
	{"phrase:opt-out", OUT_, OM_G_NEG | OM_G_OF, {T(W(OPT)), G(3, W(ME) | W(MY) | W(NUM) | W(ADV), W(OUT))}},
	{"phrase:leave-me-alone", OUT_, ORDER | OM_G_LAUGH | OM_G_TIME,
	{T(W(LEAVE)), X(N6(me, us, my, moi, nous, nos)), G(4, ANY, W(ALONE))}},
	{"phrase:leave-me-alone", OUT_, ORDER | OM_G_LAUGH | OM_G_TIME,
	{T(W(LEAVE) | W(ME)), GX(1, W(LEAVE), N3(en, em, in)), T(W(ALONE))}},
	{"phrase:leave-me-alone", OUT_, ORDER | OM_G_LAUGH | OM_G_TIME, {T(W(LEAVE)), X(N5(tranquila, tranquilo, tranquille, sola, solo))}},
	{"phrase:revoke-consent", OUT_, OM_G_NEG,
	{T(W(REVOKE)), GL(4, ARTICLE | ANY, W(CONSENT))}},
	{"phrase:revoke-consent", OUT_, OM_G_NEG, {T(W(REVOKE)), G(3, ARTICLE, W(CONSENT))}},
	{"phrase:revoke-consent", OUT_, OM_G_NEG, {T(W(CONSENT)), GX(2, W(AUX), N3(revoked, withdrawn, rescinded))}},
	{"phrase:no-consent", OUT_, OM_G_ASKED,
	{T(NEGS), G(5, ARTICLE | W(AUX) | W(YOU) | W(RECEIVE) | W(SAID), W(CONSENT)),
	G(6, ANY, W(CONTACT) | W(MSG) | W(SEND) | W(CONTACTED) | W(NUM))}},
	{"phrase:leave-me-alone", OUT_, OM_G_NEG | OM_G_CHAT, {T(W(SAID) | W(WANT)), GX(3, ANY, N1(left)), XE(N1(alone))}},
	{"phrase:leave-me-alone", OUT_, OM_G_LAUGH, {XB(N3(lachez, lache, foutez)), XE(N2(moi, nous))}},
	{"phrase:dar-de-baja", OUT_, OM_G_NEG, {X(N12(dar, darme, darnos, denme, deme, dame, doy, damos, den, de, me, dando)), X(N1(de)), X(N1(baja)), GL(3, ARTICLE, W(NUM))}},
	{"phrase:told-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH | OM_G_CHAT,
	{X(N5(asked, told, requested, begged, asking)), GX(4, ANY, N1(to)), GX(2, ANY, N3(remove, delete, unsubscribe)), G(2, W(MY), W(ME) | W(NUM))}},
	{"clause:remove", OUT_, OM_G_SUBJECT | OM_G_NEG, {X(N5(please, pls, plz, just, kindly)), XE(N4(remove, delete, unsub, optout))}},
	{"clause:remove", OUT_, 0, {XBE(N6(remove, delete, optout, unsub, exit, revoke))}},
	{"phrase:not-wanted", OUT_, OM_G_NEG | OM_G_CHAT, {X(N3(decline, refuse, reject)), GL(6, ANY, W(MSG) | W(CONTACTED))}},
	{"phrase:dar-de-baja", OUT_, OM_G_NEG, {T(W(ME)), X(N3(doy, damos, den)), X(N1(de)), XE(N1(baja))}},
	{"phrase:off-the-list", OUT_, OM_G_NEG | OM_G_LAUGH, {X(N4(como, faco, fazer, hago)), GX(3, ANY, N4(sair, salir, salirme, salgo)), GXE(3, ANY, N9(disso, daqui, dessa, desse, lista, grupo, esto, aqui, mensajes))}},
	{"phrase:be-removed", OUT_, OM_G_NEG, {T(W(SAID) | W(WANT)), GX(2, W(DET) | W(MY), N1(removal)), GX(4, ANY, N6(list, lists, database, system, texts, messages))}},
	{"phrase:dar-de-baja", OUT_, OM_G_NEG, {X(N6(darme, denme, deme, dame, darnos, dar)), X(N1(de)), XE(N1(baja))}},
	{"phrase:dar-de-baja", OUT_, OM_G_NEG, {X(N6(darme, denme, deme, dame, darnos, dar)), X(N1(de)), X(N1(baja)), X(N2(de, del)), G(2, W(DET) | W(YOUR), W(LIST) | W(MSG))}},
	{"phrase:leave-me-alone", OUT_, ORDER | OM_G_LAUGH | OM_G_TIME, {T(W(LEAVE)), X(N2(me, us)), XL(N1(be))}},
	{"phrase:be-removed", OUT_, OM_G_NEG | OM_G_OF, {X(N1(to)), X(N2(be, get)), G(1, W(ADV), W(REMOVED)), T(W(OFF)), G(5, ARTICLE | W(MSG), W(LIST) | W(MSG))}},
	{"phrase:unsubscribe", OUT_, OM_G_OF | OM_G_CHAT, {X(N1(thought)), T(W(SUBJ)), GX(3, W(ADV) | W(AUX) | W(NEG), N1(unsubscribed))}},

	{NULL, OM_INTENT_NONE, 0, {{0, 0, 0, 0, 0, NULL}}}
};

/* Words of anger and threat, and those who are contacted */
static const OmRule signal_rules[] = {
	{"phrase:do-not-contact", OUT_, OM_G_HAVE, {X(N1(not)), GX(1, W(ADV) | W(DET), N1(be)), G(2, W(ADV), W(CONTACTED))}},
	{"phrase:do-not-contact", OUT_, OM_G_HAVE, {X(N1(not)), X(N1(to)), X(N1(be)), G(2, W(ADV), W(CONTACTED))}},
	{"phrase:contact-again", OUT_, OM_G_CROSS | OM_G_HAVE,
	{X(N6(one, another, any, next, further, more)), G(2, W(MORE) | W(DET), W(MSG)), GX(6, ANY, N9(i, im, ill, will, goes, going, gets, we, you)), G(6, ANY, W(THREAT))}},
	{"phrase:contact-again", OUT_, OM_G_CROSS,
	{X(N1(one)), X(N1(more)), G(3, ANY, W(MSG) | W(STUFF)), G(8, ANY, W(THREAT))}},
	{"phrase:contact-again", OUT_, OM_G_CROSS,
	{T(W(CONTACT) | W(CONTACTING)), G(1, W(DET), W(ME) | W(NUM)), G(2, ANY, W(MORE)), G(8, ANY, W(THREAT))}},
	{"phrase:contact-again", OUT_, OM_G_CROSS,
	{T(W(RECEIVE)), X(N2(one, another)), G(2, ANY, W(MSG)), G(6, ANY, W(THREAT))}},
	{"phrase:contact-again", OUT_, OM_G_CROSS,
	{T(W(THREAT)), G(3, W(YOU) | W(ADV), W(IFW)), T(W(YOU)), T(W(CONTACT)), T(W(ME))}},
	{"phrase:not-wanted", OUT_, OM_G_OTHER | OM_G_ASKED | OM_G_TIME,
	{T(NEGS), G(3, W(ADV) | W(MORE), W(WANT)), G(5, W(ADV) | W(MORE) | W(DET) | W(RECEIVE),
	W(CONTACTED))}},
	{"phrase:not-wanted", OUT_, OM_G_OTHER | OM_G_ASKED,
	{T(W(WANT)), G(3, W(ADV), W(NEG)), G(3, W(ADV) | W(MORE), W(CONTACTED))}},
	{"phrase:not-wanted", OUT_, OM_G_OTHER | OM_G_ASKED,
	{T(W(NEG)), G(2, W(MORE) | W(ADV), W(INTEREST)), GX(1, ANY, N3(in, receiving, getting)), G(6, BETWEEN, W(MSG))}},
	{"phrase:had-enough", OUT_, OM_G_NEG | OM_G_CHAT, {X(N1(enough)), X(N2(of, with)), G(1, W(DET) | W(ADV), W(YOUR) | W(STUFF) | W(DET)), GL(3, ARTICLE, W(MSG))}},
	{"phrase:had-enough", OUT_, OM_G_NEG | OM_G_CHAT,
	{X(N3(sick, tired, fed)), GX(3, ANY, N2(of, with)), T(W(RECEIVE)), G(4, ANY, W(MSG))}},
	{"phrase:had-enough", OUT_, OM_G_CHAT, {X(N1(estuvo)), GX(2, ANY, N1(de)), G(3, ARTICLE, W(MSG))}},
	{"phrase:had-enough", OUT_, OM_G_NEG | OM_G_ASKED | OM_G_CHAT,
	{X(N12(sick, tired, done, fed, over, harto, harta, hartos, cansado, cansada, farto, cansei)), GX(4, ANY, N3(your, ur, yall)), GL(5, ARTICLE | W(RECEIVE) | W(SEND) | W(CONTACTING), W(MSG))}},
	{"phrase:had-enough", OUT_, OM_G_NEG | OM_G_ASKED | OM_G_CHAT,
	{X(N12(sick, tired, done, fed, over, harto, harta, hartos, cansado, cansada, farto, cansei)), GX(4, ANY, N6(these, this, those, daily, getting, receiving)), GX(5, ARTICLE | W(RECEIVE) | W(SEND) | W(CONTACTING), N9(texts, messages, msgs, text, txts, sms, alerts, notifications, mensajes))}},
	{"phrase:had-enough", OUT_, OM_G_NEG | OM_G_ASKED | OM_G_CHAT,
	{X(N8(harto, harta, hartos, cansado, cansada, farto, cansei, marre)), X(N1(de)), G(2, ARTICLE | W(RECEIVE), W(YOUR) | W(DET)), GL(3, ARTICLE | W(RECEIVE), W(MSG))}},
	{"phrase:had-enough", OUT_, OM_G_NEG | OM_G_ASKED | OM_G_CHAT,
	{X(N4(sick, tired, done, fed)), GX(4, ANY, N2(of, with)), G(1, W(DET), W(YOU)), G(3, W(ADV), W(CONTACTING)), T(W(ME))}},
	{"phrase:no-more-messages", OUT_, OM_G_TIME,
	{XB(N5(enough, chega, basta, alto, assez)), G(3, W(ADV) | W(DET) | W(YOUR), W(MSG))}},
	{"phrase:unsubscribe", OUT_, OM_G_NEG | OM_G_OF, {X(N3(un, de, dis)), X(N3(subscribe, enroll, register))}},
	{"phrase:off-the-list", OUT_, OM_G_NEG | OM_G_CHAT, {X(N1(asked)), XL(N2(off, out))}},
	{"phrase:want-to-stop", OUT_, OM_G_NEG | OM_G_LAUGH | OM_G_CHAT,
	{T(W(WANT) | W(RECEIVE)), G(4, ARTICLE, W(MSG) | W(STUFF)), GXE(1, ANY, N3(stopped, ended, discontinued))}},
	{"phrase:not-wanted", OUT_, OM_G_ASKED | OM_G_CHAT,
	{T(W(WANT)), X(N1(nothing)), GX(2, ANY, N1(with)), GL(5, ANY, W(MSG) | W(LIST) | W(YOU) | W(YOUR))}},
	{"phrase:had-enough", OUT_, OM_G_NEG | OM_G_ASKED | OM_G_CHAT, {X(N1(done)), G(2, W(ADV), W(CONTACTING)), T(W(ME) | W(NUM))}},

	{NULL, OM_INTENT_NONE, 0, {{0, 0, 0, 0, 0, NULL}}}
};

/* A negation and a word of contact: do not do it */
static const OmRule do_not_rules[] = {
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME | OM_G_HAVE,
	{T(W(NEG)), G(3, W(ADV) | W(MORE), W(CONTACT)), GL(5, W(CONTACT) | W(AND) | W(DET), W(TEXTV))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(5, W(ADV) | W(CONTACT) | W(AND) | W(MORE), W(CONTACT)), GL(2, W(OUT) | W(ADV), W(ME))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(5, W(ADV) | W(CONTACT) | W(AND), W(CONTACT)), GL(4, W(MY) | W(DET) | W(ADV) | W(NUM), W(NUM))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(4, W(ADV) | W(CONTACT) | W(AND), W(CONTACT)), G(2, W(OUT) | W(ADV), W(MORE))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(2, W(ADV) | W(MORE), W(ME)), GL(2, W(ADV), W(CONTACT) | W(CONTACTING))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), GX(1, W(ME), N3(vuelvan, vuelva, vuelvas)), X(N1(a)), T(W(CONTACTING) | W(SEND) | W(CONTACT))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME | OM_G_OBJECT,
	{T(W(NEG)), G(4, W(ADV) | W(MORE), W(CONTACT)), T(W(AND)), T(W(TEXTV)), T(W(ME))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), GX(2, W(ADV), N1(use)), G(2, W(MY) | W(DET), W(NUM))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_TIME,
	{T(W(NEG)), T(W(WANT)), X(N1(que)), T(W(ME)), T(W(CONTACT) | W(SEND))}},
	{"phrase:do-not-contact", OUT_, OM_G_HAVE | OM_G_TIME, {X(N2(no, not)), GE(1, W(MORE), W(CONTACTING))}},
	{"phrase:do-not-send", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME | OM_G_OTHER | OM_G_THE,
	{T(W(NEG)), G(4, W(ADV) | W(ME) | W(MORE), W(SEND)), G(6, BETWEEN | W(MSG), W(MSG))}},
	{"phrase:do-not-send", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(3, W(ADV), W(SEND)), T(W(ME)), X(N7(anything, anymore, more, stuff, shit, any, these))}},
	{"phrase:do-not-send", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(1, W(ADV), W(ME)), TL(W(SEND))}},
	{"phrase:no-consent", OUT_, 0,
	{T(NEGS), X(N4(allowed, permitted, authorized, welcome)), X(N1(to)), G(2, W(ADV), W(CONTACT) | W(SEND)), G(3, ARTICLE, W(ME) | W(NUM) | W(MSG))}},
	{"phrase:do-not-contact", OUT_, OM_G_CHAT,
	{T(W(NEG)), X(N1(waste)), GX(4, ANY, N1(time)), G(3, W(ADV) | W(WANT), W(CONTACTING) | W(SEND))}},
	{"phrase:do-not-send", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), T(W(ME)), G(2, W(ADV), W(SEND)), GL(2, W(DET) | W(MORE), W(STUFF) | W(MSG))}},
	{"phrase:do-not-send", OUT_, OM_G_SUBJECT, {XB(N1(dont)), TE(W(SEND))}},
	{"phrase:do-not-send", OUT_, OM_G_SUBJECT, {XB(N1(do)), X(N1(not)), TE(W(SEND))}},
	{"phrase:do-not-send", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(1, W(ADV), W(ME)), T(W(SEND)), GL(1, W(MORE), W(MORE) | W(STUFF))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME | OM_G_CHAT,
	{T(W(NEG)), G(4, W(ADV) | W(MORE), W(CONTACT)), GX(1, W(ME), N4(me, us, moi, up)), G(3, W(DET) | W(NEG) | W(OUT) | W(OFF), W(MORE))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(2, W(ADV) | W(KEEP), W(CONTACTING)), GL(2, W(MY) | W(DET), W(ME) | W(NUM))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(1, W(ADV), W(KEEP)), G(2, W(ADV) | W(DET), W(CONTACT) | W(CONTACTING) | W(SEND)), G(3, ARTICLE, W(ME) | W(NUM) | W(MSG))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED,
	{T(W(NEG)), X(N2(hit, bother)), G(1, W(MY), W(ME) | W(MY)), X(N7(up, line, phone, cell, family, inbox, house))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME | OM_G_CHAT,
	{T(W(NEG)), G(1, W(ADV), W(CONTACT)), X(N2(my, our)), X(N12(job, work, house, home, family, phone, cell, office, workplace, mama, wife, mother))}},
	{"phrase:do-not-contact", OUT_, OM_G_CHAT,
	{X(N1(no)), X(N2(need, reason)), GX(4, ANY, N3(to, for, in)), GL(4, W(ADV) | W(KEEP) | W(YOU), W(CONTACTING)), GL(1, 0, W(ME) | W(MORE) | W(END))}},
	{"phrase:do-not-contact", OUT_, OM_G_CHAT,
	{X(N1(no)), X(N2(need, reason)), GX(4, ANY, N2(to, for)), G(4, W(ADV) | W(KEEP) | W(YOU), W(CONTACTING)), T(W(ME))}},
	{"phrase:do-not-send", OUT_, OM_G_CHAT,
	{X(N1(no)), X(N2(need, reason)), GX(4, ANY, N2(to, for)), G(4, W(ADV) | W(KEEP) | W(YOU), W(SEND)), G(4, ARTICLE | W(ME), W(MSG))}},
	{"phrase:do-not-send", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(3, W(ADV) | W(KEEP), W(SEND)), {0, W(LOOSE), ARTICLE | W(ME), 3, N7(these, those, nothing, anything, stuff, shit, rien)}}},
	{"phrase:do-not-send", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(3, W(ADV) | W(KEEP) | W(ME), W(SEND)), GX(2, W(DET) | W(ME), N5(anything, stuff, nothing, nada, rien)), GX(1, ANY, N5(else, more, here, again, to))}},
	{"phrase:do-not-send", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(3, W(ADV) | W(ME), W(SEND)), T(W(MORE)), X(N4(nada, rien, nothing, anything))}},
	{"phrase:do-not-send", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(3, W(ADV) | W(ME), W(SEND)), GE(1, W(NEG) | W(DET), W(MORE))}},
	{"phrase:not-wanted", OUT_, OM_G_OTHER | OM_G_ASKED,
	{T(W(WANT)), G(3, W(ADV), W(NEG)), G(4, W(ADV) | W(MORE), W(RECEIVE)), G(6, BETWEEN, W(MSG))}},
	{"phrase:not-wanted", OUT_, OM_G_OTHER | OM_G_ASKED | OM_G_CHAT,
	{T(W(NEG)), T(W(MORE)), X(N8(recevoir, recibir, receber, receive, receiving, recieve, recieving, want)), GL(4, ARTICLE | W(ME), W(MSG))}},
	{"phrase:do-not-call-list", OUT_, OM_G_NEG,
	{X(N5(mark, list, flag, put, set)), G(4, ARTICLE | W(ME), W(ME) | W(NUM)), GX(2, ANY, N1(not)), T(W(CONTACT))}},
	{"phrase:do-not-call-list", OUT_, OM_G_NEG,
	{X(N3(put, add, place)), G(4, ARTICLE | W(ME), W(ME) | W(NUM)), G(6, ARTICLE | W(AUX) | W(NUM), W(NEG)), T(W(CONTACT)), GX(1, ANY, N3(list, registry, lists))}},
	{"phrase:not-wanted", OUT_, OM_G_CROSS | OM_G_CHAT, {T(W(MSG)), GX(4, ANY, N3(dont, not, never)), T(W(WANT)), XE(N5(them, these, those, any, it))}},

	{NULL, OM_INTENT_NONE, 0, {{0, 0, 0, 0, 0, NULL}}}
};

/* A word of contact */
static const OmRule contact_rules[] = {
	{"phrase:had-enough", OUT_, OM_G_NEG | OM_G_CHAT, {XB(N2(im, good)), X(N2(on, good)), GX(1, ANY, N3(on, without, with)), G(3, ARTICLE, W(MSG))}},
	{"phrase:stop-messages", OUT_, OM_G_NEG | OM_G_SUBJECT,
	{X(N4(quit, stop, knock, cut)), X(N2(it, that)), GX(1, W(OFF), N2(with, w)), G(3, BETWEEN, W(MSG))}},
	{"phrase:stop-contact", OUT_, ORDER | OM_G_LAUGH, {XB(N3(quite, kwit, kit)), T(W(CONTACTING)), TL(W(ME))}},
	{"phrase:do-not-contact", OUT_, 0,
	{X(N4(rather, prefer, appreciate, wish)), G(3, W(ADV) | W(IFW) | W(STUFF), W(YOU)), GX(2, W(ADV) | W(AUX), N7(not, didnt, dont, stop, stopped, wouldnt, quit)),
	G(2, W(ADV) | W(SEND), W(CONTACT) | W(CONTACTING) | W(MSG))}},
	{"phrase:do-not-contact", OUT_, 0, {X(N1(refrain)), X(N1(from)), G(2, W(ADV), W(CONTACTING) | W(SEND))}},
	{"phrase:no-more-messages", OUT_, OM_G_HAVE | OM_G_TIME | OM_G_OTHER,
	{X(N4(no, not, nao, any)), T(W(MORE)), GL(5, W(ADV) | W(DET) | W(YOUR) | W(OFF) | W(MSG) | W(AND), W(MSG) | W(CONTACTING))}},
	{"phrase:no-more-messages", OUT_, OM_G_HAVE | OM_G_TIME,
	{XB(N2(no, zero)), GE(3, W(DET) | W(MSG) | W(AND), W(MSG))}},
	{"phrase:not-wanted", OUT_, OM_G_ASKED,
	{X(N2(veux, veut)), X(N1(plus)), G(2, ARTICLE | W(RECEIVE), W(YOUR) | W(DET)), GL(2, ARTICLE, W(MSG))}},
	{"phrase:had-enough", OUT_, OM_G_NEG | OM_G_CHAT, {X(N1(had)), X(N2(it, enough)), GX(3, ANY, N2(with, of)), G(4, ARTICLE, W(MSG) | W(CONTACTING))}},
	{"phrase:not-wanted", OUT_, OM_G_ASKED, {T(W(MSG)), T(W(AUX) | W(NEGX)), GXE(1, W(NEG), N4(unwanted, unwelcome, wanted, welcome))}},
	{"phrase:no-more-messages", OUT_, 0, {X(N1(plus)), X(N2(aucun, aucune)), T(W(MSG))}},
	{"phrase:no-more-messages", OUT_, OM_G_TIME, {XB(N1(plus)), X(N1(de)), GL(1, W(YOUR), W(MSG))}},
	{"phrase:remove-number", OUT_, ORDER, {X(N4(yank, wipe, clear, take)), G(3, ARTICLE, W(NUM)), TL(W(OFF))}},
	{"phrase:remove-number", OUT_, ORDER, {X(N1(take)), X(N1(down)), GL(3, ARTICLE, W(NUM))}},
	{"phrase:remove-number", OUT_, ORDER, {X(N2(yank, wipe)), GE(3, ARTICLE, W(NUM))}},
	{"phrase:remove-number", OUT_, ORDER, {X(N1(get)), X(N1(rid)), X(N1(of)), GL(3, ARTICLE, W(NUM))}},
	{"phrase:remove-number", OUT_, ORDER,
	{T(W(REMOVE) | W(TAKE)), G(4, ARTICLE | W(NUM), W(NUM)), GXE(1, ANY, N4(off, from, ahi, out))}},
	{"phrase:get-out", OUT_, OM_G_NEG | OM_G_SUBJECT, {XB(N2(get, stay)), X(N2(out, off)), GX(1, W(OFF), N1(my)), TE(W(NUM))}},
	{"phrase:do-not-contact", OUT_, 0,
	{X(N7(great, nice, love, like, grateful, better, kind)), G(3, W(ADV) | W(IFW) | W(STUFF), W(YOU)), GX(2, W(ADV) | W(AUX), N9(not, didnt, dont, stop, stopped, wouldnt, quit, never, left)),
	G(2, W(ADV) | W(SEND), W(CONTACT) | W(CONTACTING) | W(MSG))}},

	{NULL, OM_INTENT_NONE, 0, {{0, 0, 0, 0, 0, NULL}}}
};

/* A negation: not wanted */
static const OmRule not_rules[] = {
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME | OM_G_HAVE,
	{X(N3(dont, not, never)), GL(4, W(ADV) | W(MORE), W(TEXTV))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME | OM_G_OBJECT,
	{T(W(NEG)), G(4, W(ADV) | W(MORE), W(TEXTV)), T(W(ME))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_TIME,
	{T(W(NEG)), G(3, W(ADV), W(TEXTV)), XE(N1(it))}},
	{"phrase:do-not-contact", OUT_, OM_G_SUBJECT | OM_G_ASKED | OM_G_LAUGH, {T(W(NEG)), T(W(TEXTV)), XE(N1(back))}},
	{"phrase:off-the-list", OUT_, OM_G_SUBJECT | OM_G_ASKED,
	{T(W(NEG)), GX(1, W(ADV), N8(include, involve, add, put, copy, keep, have, count)), GX(2, W(MY), N6(me, us, my, number, name, phone)), GX(3, ANY, N4(in, on, for, to)), G(4, ARTICLE, W(MSG) | W(LIST))}},
	{"phrase:not-wanted", OUT_, OM_G_OTHER | OM_G_ASKED | OM_G_TIME,
	{T(NEGS), G(4, W(ADV) | W(MORE), W(WANT)), GL(7, BETWEEN | W(MSG) | W(YOU), W(MSG) | W(CONTACTED))}},
	{"phrase:not-wanted", OUT_, OM_G_ASKED,
	{T(NEGS), G(4, W(ADV) | W(MORE), W(WANT)), G(2, W(ADV), W(RECEIVE)), {0, W(LOOSE), ARTICLE, 3, N9(these, those, them, anymore, anything, esto, isso, nada, rien)}}},
	{"phrase:not-wanted", OUT_, OM_G_ASKED,
	{T(NEGS), G(4, W(ADV) | W(MORE), W(WANT)), GX(1, W(ADV), N3(these, them, those)), T(W(MORE))}},
	{"phrase:not-wanted", OUT_, OM_G_ASKED,
	{X(N1(no)), X(N1(longer)), T(W(WANT)), GXE(1, W(ADV), N4(these, them, those, this))}},
	{"phrase:not-wanted", OUT_, OM_G_ASKED,
	{T(NEGS), G(4, W(ADV) | W(MORE), W(WANT)), GX(2, W(ADV) | W(MORE), N1(hear)), GX(2, W(MORE) | W(ADV), N1(from)), T(W(YOU) | W(YOUR))}},
	{"phrase:not-wanted", OUT_, OM_G_ASKED,
	{T(W(WANT)), G(3, W(ADV), W(NEG)), G(4, W(ADV) | W(MORE), W(RECEIVE)), {0, W(LOOSE), 0, 0, N4(these, those, them, anything)}}},
	{"phrase:not-wanted", OUT_, OM_G_CHAT,
	{X(N3(way, how, to)), GX(2, ANY, N1(not)), X(N4(get, receive, getting, receiving)), GL(4, ARTICLE, W(MSG) | W(STUFF))}},
	{"phrase:not-wanted", OUT_, OM_G_ASKED | OM_G_CHAT, {T(NEGS), T(W(WANT)), X(N1(any)), X(N1(part)), GX(3, ANY, N2(this, these))}},
	{"phrase:not-wanted", OUT_, OM_G_ASKED, {T(NEGS), T(W(WANT)), GX(3, ANY, N2(nada, rien)), G(1, W(OFF), W(YOU))}},
	{"phrase:no-more-messages", OUT_, OM_G_HAVE, {XB(N1(no)), X(N1(more)), GX(2, W(OFF) | W(DET), N4(these, those, this, dis)), {0, W(END), 0, 0, 0, NULL}}},
	{"phrase:no-more-messages", OUT_, OM_G_HAVE, {XB(N1(no)), X(N1(more)), GXE(2, W(OFF) | W(DET), N4(these, those, this, dis))}},
	{"phrase:not-wanted", OUT_, OM_G_ASKED | OM_G_CHAT,
	{T(W(WANT)), X(N1(no)), GX(2, ANY, N1(part)), GL(5, ANY, W(MSG) | W(LIST) | W(YOU))}},
	{"phrase:not-wanted", OUT_, OM_G_CHAT, {X(N3(so, make, want)), GX(4, ANY, N3(dont, not, never)), X(N3(get, receive, see)), {0, W(LOOSE), ARTICLE, 2, N3(these, those, them)}}},

	{NULL, OM_INTENT_NONE, 0, {{0, 0, 0, 0, 0, NULL}}}
};

/* Off and out */
static const OmRule off_rules[] = {
	{"phrase:remove-me", OUT_, ORDER,
	{T(W(REMOVE) | W(TAKE)), G(4, W(ADV) | W(DET) | W(MY), W(ME) | W(NUM)), G(5, W(ADV) | W(ME) | W(NUM) | W(DET) | W(MY) | W(AND), W(OFF)),
	G(6, ARTICLE | W(OFF) | W(MSG) | W(NUM) | W(CONTACTING), W(LIST) | W(MSG))}},
	{"phrase:remove-me", OUT_, ORDER | OM_G_LAUGH,
	{T(W(REMOVE) | W(TAKE)), G(1, W(ADV), W(OFF)), G(6, ARTICLE | W(OFF) | W(MSG) | W(NUM) | W(CONTACTING), W(LIST) | W(MSG))}},
	{"phrase:remove-me", OUT_, ORDER,
	{T(W(TAKE)), T(W(ME)), GX(1, W(ADV), N2(off, out)), GXE(2, W(OFF) | W(DET), N5(this, that, these, those, it))}},
	{"phrase:remove-me", OUT_, OM_G_NEG | OM_G_SUBJECT, {X(N3(sign, opt, cut)), T(W(ME)), XE(N2(off, out))}},
	{"phrase:remove-me", OUT_, ORDER, {X(N2(take, taking)), G(1, W(ADV), W(ME)), XE(N1(off))}},
	{"phrase:remove-me", OUT_, ORDER,
	{T(W(AUX) | W(YOU)), GX(2, ANY, N1(take)), T(W(ME)), XE(N1(off))}},
	{"phrase:off-the-list", OUT_, OM_G_NEG | OM_G_ASKED,
	{T(W(WANT)), G(3, W(ADV), W(OFF)), G(4, ARTICLE | W(OFF) | W(MSG), W(LIST) | W(MSG))}},
	{"phrase:off-the-list", OUT_, OM_G_NEG, {T(W(WANT)), GXE(1, W(ADV), N2(out, off))}},
	{"phrase:be-removed", OUT_, OM_G_NEG | OM_G_OF, {X(N1(sure)), X(N3(im, i, am)), GX(1, W(AUX), N3(removed, unsubscribed, off))}},
	{"phrase:get-out", OUT_, OM_G_NEG | OM_G_SUBJECT, {X(N3(get, stay, keep)), X(N2(out, off)), GX(1, W(OFF), N1(my)), X(N5(phone, inbox, dms, cell, line))}},

	{NULL, OM_INTENT_NONE, 0, {{0, 0, 0, 0, 0, NULL}}}
};

/* Opting in: only when nothing of it is negated, asked or threatened */
static const OmRule again_rules[] = {
	{"phrase:resubscribe", IN_, 0, {TL(W(RESUB))}},
	{"phrase:resubscribe", IN_, 0, {T(W(RESUB)), T(W(ME))}},
	{"phrase:resubscribe", IN_, 0, {X(N1(re)), XL(N1(subscribe))}},
	{"phrase:opt-in", IN_, 0, {T(W(OPT)), G(2, W(ME) | W(BACK), W(ME)), GX(1, W(BACK), N1(in))}},
	{"phrase:opt-in", IN_, 0, {T(W(OPT)), X(N1(back)), X(N1(in))}},
	{"phrase:sign-me-up", IN_, 0, {X(N2(sign, signed)), T(W(ME)), T(W(BACK)), X(N1(up))}},
	{"phrase:sign-me-up", IN_, 0, {X(N2(put, add)), T(W(ME)), XE(N1(back))}},
	{"phrase:sign-me-up", IN_, 0, {X(N2(put, add)), T(W(ME)), X(N1(back)), GX(1, ANY, N2(on, to)), G(3, ARTICLE | W(MSG), W(LIST))}},
	{"phrase:start-again", IN_, 0,
	{T(W(START)), G(2, W(ADV), W(SEND) | W(CONTACTING) | W(RECEIVE)), G(4, ARTICLE | W(ME) | W(MSG), W(BACK))}},
	{"phrase:start-again", IN_, 0, {X(N2(resume, restart)), GL(3, ARTICLE | W(SEND), W(MSG))}},
	{"phrase:start-again", IN_, 0,
	{T(W(YOU)), X(N1(can)), GX(2, W(START) | W(ADV), N4(text, texting, message, messaging)), T(W(ME)), T(W(BACK))}},
	{"phrase:start-again", IN_, 0,
	{T(W(WANT)), G(3, W(ADV) | W(BACK), W(RECEIVE)), G(3, ARTICLE, W(MSG)), T(W(BACK))}},
	{"phrase:start-again", IN_, 0,
	{T(W(WANT)), G(2, W(ADV), W(BACK)), G(2, W(ADV), W(RECEIVE)), G(3, ARTICLE, W(MSG))}},
	{"phrase:start-again", IN_, 0, {T(W(BACK)), X(N1(a)), T(W(SEND)), G(2, ARTICLE, W(MSG))}},
	{"phrase:start-again", IN_, 0, {X(N1(turn)), G(4, ARTICLE | W(MSG), W(MSG)), X(N1(back)), X(N1(on))}},
	{"phrase:start-again", IN_, 0, {T(W(WANT)), XE(N2(suscribirme, reabonner))}},
	{"phrase:start-again", IN_, 0, {X(N1(suscribirme)), X(N1(de)), XE(N1(nuevo))}},

	{NULL, OM_INTENT_NONE, 0, {{0, 0, 0, 0, 0, NULL}}}
};

/* For a person to read: the same lists */
static const OmRule maybe_signal_rules[] = {
	{"clause:stop-last", MAYBE, OM_G_LAUGH, {XB(N1(omg)), TE(W(CLAUSE))}},
	{"clause:stop-last", MAYBE, ORDER | OM_G_LAUGH | OM_G_ASKED, {X(N2(and, english)), TE(W(CLAUSE))}},
	{"maybe:stop-it", MAYBE, ORDER | OM_G_LAUGH | OM_G_SHORT, {T(W(STOP)), XE(N2(it, that))}},
	{"maybe:stop-it", MAYBE, ORDER | OM_G_LAUGH | OM_G_SHORT, {TB(W(STOP)), X(N1(being)), T(W(HOSTILE))}},
	{"maybe:cancel-account", MAYBE, OM_G_NEG | OM_G_SUBJECT,
	{XB(N3(cancel, end, stop)), GXE(2, ARTICLE, N6(subscription, membership, account, suscripcion, abonnement, assinatura))}},
	{"maybe:end-it", MAYBE, OM_G_SHORT | OM_G_LAUGH, {XB(N6(end, cancel, disable, silence, mute, terminate)), XE(N2(it, this))}},
	{"contains:stop", MAYBE, ORDER | OM_G_OTHER, {T(W(STOP)), G(8, ANY, W(MSG))}},
	{"contains:stop", MAYBE, ORDER | OM_G_ASKED | OM_G_HAVE,
	{T((W(MSG) & ~W(TEXTV)) | W(CONTACTING)), G(6, ANY, W(CLAUSE))}},
	{"contains:stop", MAYBE, 0, {TB(W(CLAUSE)), TE(W(DIGITS))}},
	{"maybe:stop-it", MAYBE, OM_G_NEG | OM_G_LAUGH | OM_G_SHORT,
	{XB(N3(this, these, it)), X(N6(need, needs, must, has, have, gotta)), GXE(2, ANY, N3(stop, end, cease))}},
	{"clause:remove-it", MAYBE, OM_G_CHAT, {X(N4(please, pls, plz, kindly)), X(N2(remove, delete)), XE(N2(it, this))}},
	{"maybe:removed-already", MAYBE, 0,
	{T(W(AUX)), GXE(4, W(ADV) | W(SUBJ) | W(YOU) | W(AUX) | W(MORE), N2(removed, unsubscribed))}},
	{"maybe:removed-already", MAYBE, 0, {X(N1(did)), T(W(YOU)), X(N1(remove)), TL(W(ME))}},
	{"maybe:why", MAYBE, OM_G_CHAT, {X(N1(why)), GX(4, ANY, N1(on)), G(2, ARTICLE, W(LIST))}},
	{"contains:remove", MAYBE, ORDER, {T(W(REMOVE) | W(REMOVED)), G(4, ANY, W(LIST))}},
	{"contains:remove", MAYBE, ORDER | OM_G_HAVE, {T(W(REMOVED)), T(W(OFF)), G(3, ARTICLE, W(LIST))}},
	{"contains:consent", MAYBE, OM_G_ASKED, {T(NEGS), G(5, ANY, W(CONSENT))}},
	{"maybe:leave-out", MAYBE, OM_G_LAUGH, {T(W(LEAVE)), T(W(ME)), X(N1(out)), GXE(2, ANY, N3(this, it, these))}},
	{"maybe:wrong-number", MAYBE, OM_G_OURS, {T(W(WRONG)), G(2, W(DET), W(PERSON))}},
	{"maybe:wrong-number", MAYBE, OM_G_OURS, {T(W(PERSON)), TL(W(WRONG))}},
	{"maybe:not-interested", MAYBE, OM_G_ASKED,
	{T(NEGS), GL(4, W(ADV) | W(MORE) | W(DET) | W(ME) | W(AUX) | W(SUBJ) | W(SAID), W(INTEREST))}},
	{"maybe:not-interested", MAYBE, OM_G_ASKED, {X(N3(pas, nao, no)), GE(2, W(ME) | W(AUX), W(INTEREST))}},
	{"maybe:never-signed-up", MAYBE, OM_G_NEG | OM_G_ASKED,
	{T(NEGS), GX(2, W(ADV), N2(ask, asked)), X(N1(for)), GE(1, W(DET), W(STUFF) | W(MSG))}},
	{"maybe:spam", MAYBE, OM_G_NEG | OM_G_HAVE | OM_G_ASKED | OM_G_SHORT, {T(W(STUFF) | W(YOU) | W(SUBJ)), GL(2, W(AUX) | W(DET), W(SPAM))}},
	{"maybe:spam", MAYBE, 0, {TBE(W(SPAM))}},
	{"maybe:hostile", MAYBE, OM_G_LAUGH, {T(W(HOSTILE)), XE(N6(you, off, u, yourself, me, it))}},
	{"maybe:hostile", MAYBE, OM_G_LAUGH, {TBE(W(HOSTILE))}},
	{"maybe:hostile", MAYBE, OM_G_LAUGH, {XB(N2(so, very)), TE(W(HOSTILE))}},
	{"maybe:hostile", MAYBE, OM_G_LAUGH | OM_G_SHORT, {T(W(STUFF) | W(YOU)), GE(3, W(ADV) | W(AUX) | W(OTHER), W(HOSTILE))}},
	{"maybe:hostile", MAYBE, OM_G_LAUGH | OM_G_SHORT, {X(N5(service, company, texts, messages, people)), GE(1, W(AUX), W(HOSTILE))}},
	{"maybe:too-many", MAYBE, 0, {X(N2(less, fewer)), GE(1, ANY, W(MSG))}},
	{"maybe:too-many", MAYBE, 0, {X(N3(sick, tired, done)), GX(1, ANY, N2(of, with)), G(2, ARTICLE | W(RECEIVE), W(MSG))}},
	{"maybe:enough", MAYBE, OM_G_LAUGH, {XBE(N4(enough, basta, assez, chega))}},
	{"maybe:legal", MAYBE, OM_G_NEG, {T(W(SUBJ)), G(6, W(AUX) | W(ADV), W(CONTACTING) | W(CONTACT)), G(2, ARTICLE, W(THREAT))}},
	{"maybe:legal", MAYBE, 0, {X(N2(reporting, report)), XL(N2(you, u))}},
	{"maybe:legal", MAYBE, OM_G_NEG, {X(N2(reporting, report)), X(N2(this, your)), T(W(NUM))}},
	{"maybe:spam", MAYBE, OM_G_SHORT, {X(N2(nice, good)), X(N1(try)), TE(W(SPAM))}},
	{"maybe:spam", MAYBE, OM_G_SHORT, {T(W(SPAM)), XE(N1(much))}},
	{"maybe:spam", MAYBE, 0, {TB(W(SPAM)), XE(N1(much))}},
	{"maybe:hostile", MAYBE, OM_G_LAUGH, {XBE(N2(bug, piss)), XE(N1(off))}},
	{"maybe:deceased", MAYBE, 0, {X(N1(passed)), X(N1(away))}},
	{"maybe:deceased", MAYBE, 0, {T(W(SUBJ)), X(N1(died))}},
	{"maybe:deceased", MAYBE, 0, {X(N6(deceased, fallecio, murio, decede, faleceu, morreu))}},
	{"maybe:legal", MAYBE, OM_G_SHORT, {X(N1(this)), X(N1(is)), XE(N2(illegal, harassment))}},
	{"maybe:legal", MAYBE, 0, {XB(N3(reported, reporting, blocked)), XE(N6(junk, spam, scam, you, this, it)), {0, W(END), 0, 0, 0, NULL}}},
	{"maybe:legal", MAYBE, 0, {XB(N3(reported, reporting, blocked)), GXE(1, W(ADV) | W(DET), N7(junk, spam, scam, you, this, it, number))}},
	{"maybe:contact-again", MAYBE, OM_G_CHAT | OM_G_CROSS, {X(N1(again)), T(W(AND)), G(4, ANY, W(THREAT))}},
	{"maybe:not-interested", MAYBE, OM_G_ASKED, {X(N1(no)), T(W(ME)), X(N1(interesa))}},

	{NULL, OM_INTENT_NONE, 0, {{0, 0, 0, 0, 0, NULL}}}
};

static const OmRule maybe_do_not_rules[] = {
	{"maybe:not-this-person", MAYBE, 0, {X(N1(this)), GX(1, W(AUX), N2(not, isnt)), GX(2, ANY, N3(phone, number, cell))}},
	{"maybe:no-messages-then", MAYBE, OM_G_HAVE,
	{XB(N1(no)), G(2, W(DET) | W(MSG), W(MSG)), GX(1, W(CONJ), N12(before, after, during, until, weekends, weekend, sundays, sunday, saturday, night, nights, past))}},
	{"maybe:do-not-call-list", MAYBE, 0, {X(N1(not)), T(W(CONTACT)), X(N3(list, registry, lists))}},
	{"maybe:not-this-person", MAYBE, 0, {T(NEGS), X(N1(my)), TE(W(NUM))}},
	{"maybe:not-this-person", MAYBE, 0, {X(N2(no, not)), X(N1(longer)), GL(3, ANY, W(NUM))}},
	{"maybe:not-this-person", MAYBE, 0, {T(NEGS), X(N4(have, has, use, own)), X(N1(this)), TL(W(NUM))}},
	{"maybe:not-this-person", MAYBE, 0, {X(N1(no)), X(N1(es)), X(N1(mi)), TE(W(NUM))}},
	{"contains:contact", MAYBE, OM_G_SUBJECT | OM_G_ASKED | OM_G_LAUGH, {T(W(NEG)), X(N1(contact)), X(N3(her, him, them))}},

	{NULL, OM_INTENT_NONE, 0, {{0, 0, 0, 0, 0, NULL}}}
};

static const OmRule maybe_contact_rules[] = {
	{"maybe:not-this-person", MAYBE, 0, {X(N2(nobody, noone)), X(N1(by)), X(N2(that, this)), X(N1(name))}},
	{"maybe:too-many", MAYBE, 0, {X(N1(too)), X(N1(many)), T(W(MSG))}},
	{"maybe:too-many", MAYBE, 0, {T(W(CONTACT)), GX(1, W(ME), N2(less, too)), X(N2(often, much))}},
	{"maybe:other-channel", MAYBE, OM_G_ASKED, {XB(N1(only)), GL(0, 0, W(CONTACT)), T(W(ME))}},
	{"maybe:other-channel", MAYBE, OM_G_ASKED, {X(N1(only)), T(W(CONTACT)), GX(1, ANY, N8(before, after, during, between, when, on, by, from))}},
	{"maybe:other-channel", MAYBE, OM_G_ASKED, {X(N1(only)), T(W(CONTACT)), T(W(ME))}},
	{"maybe:other-channel", MAYBE, OM_G_ASKED, {T(W(CONTACT)), GX(1, W(ME), N1(instead))}},
	{"maybe:other-channel", MAYBE, OM_G_ASKED, {T(W(CONTACT)), X(N1(only))}},
	{"maybe:other-channel", MAYBE, 0, {X(N1(prefer)), GE(1, ANY, W(MSG))}},
	{"maybe:other-channel", MAYBE, 0, {X(N1(only)), T(W(WANT)), G(3, ANY, W(MSG))}},
	{"maybe:not-this-person", MAYBE, 0, {T(W(CONTACT)), X(N2(someone, somebody)), X(N1(else))}},
	{"maybe:too-many", MAYBE, 0, {T(W(MSG)), GXE(4, ANY, N2(plenty, enough))}},
	{"maybe:contact-again", MAYBE, OM_G_CHAT, {T(W(CONTACT)), T(W(ME)), X(N1(again)), T(W(AND))}},
	{"maybe:not-this-person", MAYBE, 0, {T(NEGS | W(MORE)), X(N5(have, has, use, own, longer)), GX(1, ANY, N1(this)), G(1, W(NUM), W(NUM)), GL(0, 0, W(MORE) | W(END))}},
	{"maybe:too-many", MAYBE, OM_G_CHAT, {T(W(YOU)), T(W(CONTACT)), GX(3, ANY, N3(much, often, lot))}},
	{"maybe:why", MAYBE, OM_G_LAUGH | OM_G_CHAT, {X(N1(why)), G(3, ANY, W(YOU)), GX(2, ANY, N3(keep, still, constantly)), G(2, W(ADV), W(CONTACTING) | W(SEND)), T(W(ME))}},
	{"maybe:other-channel", MAYBE, OM_G_ASKED, {X(N3(please, pls, plz)), X(N1(only)), T(W(CONTACT))}},
	{"maybe:spam", MAYBE, OM_G_NEG | OM_G_ASKED, {T(W(YOU)), GX(2, W(AUX) | W(ADV), N5(harassing, spamming, bothering, bugging, stalking)), T(W(ME))}},

	{NULL, OM_INTENT_NONE, 0, {{0, 0, 0, 0, 0, NULL}}}
};

static const OmRule maybe_not_rules[] = {
	{"maybe:never-signed-up", MAYBE, OM_G_NEG | OM_G_ASKED,
	{T(NEGS), GX(3, W(ADV) | W(AUX), N10(signed, sign, subscribed, subscribe, registered, register, enrolled, requested, consent, consented)), GX(2, ANY, N5(for, to, up, these, this))}},
	{"maybe:not-this-person", MAYBE, OM_G_NAME, {X(N2(this, es)), GX(1, W(AUX), N3(not, isnt, no)), {0, W(LOOSE), 0, 0, 0, NULL}}},
	{"maybe:not-this-person", MAYBE, OM_G_HAVE, {X(N1(no)), GXE(2, ANY, N1(here))}},
	{"maybe:not-this-person", MAYBE, 0, {T(NEGS), X(N1(know)), GX(3, ANY, N1(named))}},
	{"maybe:not-this-person", MAYBE, OM_G_NAME, {T(NEGS), X(N1(know)), X(N3(who, anyone, any)), {0, W(LOOSE), 0, 0, 0, NULL}}},
	{"maybe:not-this-person", MAYBE, 0, {X(N1(no)), X(N4(conozco, conheco, conhece, connais)), G(2, ANY, W(PERSON))}},
	{"maybe:not-this-person", MAYBE, 0, {T(NEGS), X(N1(who)), T(W(YOU))}},
	{"maybe:never-signed-up", MAYBE, 0, {X(N1(never)), X(N1(heard)), X(N1(of)), T(W(YOU))}},
	{"maybe:not-this-person", MAYBE, OM_G_NAME, {X(N2(im, am)), X(N1(not)), {0, W(LOOSE), 0, 0, 0, NULL}}},
	{"maybe:not-this-person", MAYBE, OM_G_LAUGH, {X(N1(est)), X(N1(pas)), XE(N1(moi))}},
	{"maybe:not-this-person", MAYBE, 0, {T(W(NEG)), X(N4(conozco, conheco, conhece, connais)), G(2, ANY, W(PERSON))}},
	{"maybe:no-customer", MAYBE, OM_G_ASKED, {T(NEGS), X(N2(have, has)), GX(2, ANY, N2(account, business)), GX(1, ANY, N1(with)), T(W(YOU) | W(YOUR))}},
	{"maybe:no-customer", MAYBE, OM_G_ASKED, {T(NEGS), GX(1, ANY, N1(business)), X(N1(with)), T(W(YOU) | W(YOUR))}},
	{"maybe:no-customer", MAYBE, OM_G_ASKED, {X(N2(didnt, never)), X(N2(order, ordered)), XE(N2(anything, this))}},
	{"maybe:not-wanted", MAYBE, OM_G_SHORT | OM_G_LAUGH, {XB(N4(dont, no, never, not)), TE(W(WANT))}},
	{"maybe:not-wanted", MAYBE, OM_G_SHORT | OM_G_LAUGH, {X(N4(dont, no, never, not)), T(W(WANT)), XE(N3(this, these, them))}},
	{"maybe:not-this-person", MAYBE, OM_G_NAME | OM_G_CROSS, {X(N2(im, am)), X(N1(not)), GX(1, ANY, N3(mr, mrs, ms)), {0, W(LOOSE), 0, 0, 0, NULL}}},
	{"maybe:not-this-person", MAYBE, OM_G_NAME, {XB(N3(no, nao, pas)), X(N3(soy, sou, suis)), {0, W(LOOSE), ANY, 1, 0, NULL}}},
	{"maybe:not-interested", MAYBE, OM_G_ASKED, {X(N1(no)), XL(N1(interest))}},
	{"maybe:not-interested", MAYBE, OM_G_ASKED, {T(NEGS), X(N1(interest)), X(N2(in, en))}},
	{"contains:contact", MAYBE, OM_G_SUBJECT | OM_G_ASKED,
	{T(W(NEG)), G(4, W(ADV) | W(YOU) | W(WANT) | W(DET), W(CONTACTING) | W(CONTACTED)), T(W(ME))}},
	{"maybe:not-wanted", MAYBE, OM_G_SHORT | OM_G_LAUGH, {X(N2(dont, not)), T(W(WANT)), XL(N1(it))}},
	{"maybe:enough", MAYBE, OM_G_LAUGH, {XB(N1(no)), XE(N1(more))}},

	{NULL, OM_INTENT_NONE, 0, {{0, 0, 0, 0, 0, NULL}}}
};

static const OmRule maybe_other_rules[] = {
	{"maybe:hostile", MAYBE, OM_G_LAUGH, {XB(N7(go, get, shut, eat, kiss, back, knock)), GXE(1, ANY, N7(away, lost, up, shit, ass, off, hell))}},
	{"maybe:removed-already", MAYBE, 0, {X(N1(did)), T(W(YOU)), X(N2(remove, take)), T(W(ME)), {0, W(LOOSE), ANY, 4, N5(off, list, me, texts, system)}}},
	{"maybe:why", MAYBE, OM_G_LAUGH | OM_G_CHAT, {X(N1(why)), X(N2(am, are)), T(W(YOU) | W(SUBJ)), G(3, W(ADV), W(CONTACTING) | W(RECEIVE) | W(SEND)), GL(3, ARTICLE, W(ME) | W(MSG) | W(STUFF) | W(NUM))}},
	{"maybe:why", MAYBE, OM_G_LAUGH | OM_G_CHAT, {X(N1(why)), GX(3, ANY, N2(i, we)), GX(2, ANY, N3(keep, still, constantly)), X(N3(getting, receiving, get)), GL(3, ARTICLE, W(MSG) | W(STUFF))}},

	{NULL, OM_INTENT_NONE, 0, {{0, 0, 0, 0, 0, NULL}}}
};

/*
 * The net below all: a word of ending or refusal and one of contact in the same clause, of
 * which nothing says that it is about somebody else or what the sender does himself
 */
static const OmRule net_rules[] = {
	{"contains:no-contact", MAYBE, NET,
	{X(N8(dont, never, dnt, donot, nunca, jamas, ne, nao)), G(4, ANY, W(CONTACT) | W(CONTACTING) | W(SEND) | W(MSG))}},
	{"contains:no-contact", MAYBE, NET,
	{X(N1(do)), X(N1(not)), G(5, ANY, W(CONTACT) | W(CONTACTING) | W(SEND) | W(MSG))}},
	{"contains:no-contact", MAYBE, NET,
	{XB(N3(no, not, pas)), G(2, ANY, W(CONTACTING) | W(CONTACTED) | W(MSG) | W(SEND))}},
	{"contains:not-wanted", MAYBE, (NET & ~OM_G_SUBJECT),
	{T(NEGS), G(2, W(ADV) | W(MORE), W(WANT) | W(CONSENT)), G(6, ANY, W(CONTACTING) | W(CONTACTED) | W(MSG))}},
	{"contains:stop", MAYBE, NET, {T(W(STOP)), G(6, ANY, W(MSG) | W(CONTACTING) | W(SEND))}},
	{"contains:stop", MAYBE, NET, {T(W(STOP)), GX(6, ANY, N3(number, phone, cell))}},
	{"contains:stop", MAYBE, NET, {T(W(CANCELV)), G(4, ANY, W(MSG))}},
	{"contains:stop", MAYBE, NET, {T(W(MSG)), G(5, ANY, W(STOP))}},
	{"contains:stop", MAYBE, NET, {T(W(LETGO)), X(N1(de)), G(3, ANY, W(CONTACTING) | W(SEND) | W(MSG))}},
	{"contains:remove", MAYBE, NET, {T(W(REMOVE)), G(3, ANY, W(NUM) | W(LIST))}},
	{"contains:remove", MAYBE, NET, {T(W(LOSE)), G(3, ANY, W(NUM))}},
	{"contains:remove", MAYBE, NET, {T(W(TAKE)), T(W(ME) | W(NUM)), GXE(1, ANY, N2(off, out))}},
	{"contains:remove", MAYBE, NET, {T(W(TAKE)), G(3, ANY, W(ME) | W(NUM)), T(W(OFF)), G(4, ANY, W(LIST) | W(MSG))}},
	{"contains:leave", MAYBE, NET, {T(W(LEAVE)), GL(2, ANY, W(ALONE))}},
	{"contains:enough", MAYBE, NET,
	{X(N12(enough, sick, tired, done, fed, over, harto, harta, basta, marre, chega, farto)), G(5, ANY, W(MSG) | W(CONTACTING))}},
	{"contains:threat", MAYBE, NET, {T(W(MSG) | W(CONTACTING)), G(6, ANY, W(THREAT))}},
	{"contains:threat", MAYBE, NET, {T(W(THREAT)), G(2, W(YOUR) | W(DET) | W(MY), W(NUM) | W(YOU))}},

	{NULL, OM_INTENT_NONE, 0, {{0, 0, 0, 0, 0, NULL}}}
};

#define ENDING	(W(STOP) | W(CLAUSE) | W(LETGO) | W(CANCELV))
#define TAKING	(W(REMOVE) | W(REMOVEME) | W(LOSE) | W(REMOVED) | W(UNSUB) | W(OPT) | W(REVOKE) | \
	W(LIST) | W(CONSENT) | W(LEAVE) | W(ALONE) | W(RESUB))
#define ANGER	(W(WRONG) | W(INTEREST) | W(SIGNED) | W(SPAM) | W(HOSTILE) | W(ENOUGH) | W(THREAT) | \
	W(CONTACTED))
#define REACH	(W(CONTACT) | W(CONTACTING) | W(MSG) | W(SEND) | W(NUM))

/* A message without a word of these classes is none of the section's */
const OmSection om_intent_sections[] = {
	{stop_rules, ENDING, ANY},
	{remove_rules, TAKING, ANY},
	{signal_rules, ANGER, ANY},
	{do_not_rules, NEGS, REACH},
	{contact_rules, REACH, ANY},
	{not_rules, NEGS, ANY},
	{off_rules, W(OFF) | W(REMOVED), W(TAKE) | W(WANT) | W(REMOVE) | W(OPT) | W(SAID)},
	{again_rules, W(RESUB) | W(OPT) | W(START) | W(BACK) | W(SIGNED), ANY},
	{maybe_signal_rules, ENDING | TAKING | ANGER, ANY},
	{maybe_do_not_rules, NEGS, REACH},
	{maybe_contact_rules, REACH, ANY},
	{maybe_not_rules, NEGS, ANY},
	{maybe_other_rules, ANY, ANY},
	{net_rules, NEGS | ENDING | TAKING | ANGER | W(TAKE) | W(MORE),
	REACH | W(CONTACTED) | W(LIST) | W(ALONE) | W(OFF) | W(THREAT)},
	{NULL, 0, 0}
};
