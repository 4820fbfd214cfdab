/*
 * intent_words.h
 *		The words of people who want texts to stop, by what they do in a sentence.
 */
#ifndef OM_INTENT_WORDS_H
#define OM_INTENT_WORDS_H

#include <stdint.h>

/* Changes whenever the words, the rules or the way they are matched change */
#define OM_INTENT_WORDS_VERSION "2026-11.2"

/* Classes of words, which intent_words.txt explains */
#define OM_W_BIT(n)		(UINT64_C(1) << (n))
#define OM_W_CLAUSE      OM_W_BIT(0)
#define OM_W_UNSUB       OM_W_BIT(1)
#define OM_W_OPT         OM_W_BIT(2)
#define OM_W_OUT         OM_W_BIT(3)
#define OM_W_STOP        OM_W_BIT(4)
#define OM_W_CANCELV     OM_W_BIT(5)
#define OM_W_REMOVE      OM_W_BIT(6)
#define OM_W_REMOVEME    OM_W_BIT(7)
#define OM_W_LOSE        OM_W_BIT(8)
#define OM_W_REMOVED     OM_W_BIT(9)
#define OM_W_TAKE        OM_W_BIT(10)
#define OM_W_REVOKE      OM_W_BIT(11)
#define OM_W_LEAVE       OM_W_BIT(12)
#define OM_W_ALONE       OM_W_BIT(13)
#define OM_W_LETGO       OM_W_BIT(14)
#define OM_W_TEXTV       OM_W_BIT(15)
#define OM_W_CONTACT     OM_W_BIT(16)
#define OM_W_CONTACTING  OM_W_BIT(17)
#define OM_W_CONTACTED   OM_W_BIT(18)
#define OM_W_SEND        OM_W_BIT(19)
#define OM_W_RECEIVE     OM_W_BIT(20)
#define OM_W_MSG         OM_W_BIT(21)
#define OM_W_STUFF       OM_W_BIT(22)
#define OM_W_ME          OM_W_BIT(23)
#define OM_W_MY          OM_W_BIT(24)
#define OM_W_YOUR        OM_W_BIT(25)
#define OM_W_NUM         OM_W_BIT(26)
#define OM_W_LIST        OM_W_BIT(27)
#define OM_W_SUBJ        OM_W_BIT(28)
#define OM_W_YOU         OM_W_BIT(29)
#define OM_W_OTHER       OM_W_BIT(30)
#define OM_W_AND         OM_W_BIT(31)
#define OM_W_NEG         OM_W_BIT(32)
#define OM_W_NEGX        OM_W_BIT(33)
#define OM_W_MORE        OM_W_BIT(34)
#define OM_W_DET         OM_W_BIT(35)
#define OM_W_ADV         OM_W_BIT(36)
#define OM_W_WANT        OM_W_BIT(37)
#define OM_W_OFF         OM_W_BIT(38)
#define OM_W_CONJ        OM_W_BIT(39)
#define OM_W_AUX         OM_W_BIT(40)
#define OM_W_ASK         OM_W_BIT(41)
#define OM_W_IFW         OM_W_BIT(42)
#define OM_W_SAID        OM_W_BIT(43)
#define OM_W_BUT         OM_W_BIT(44)
#define OM_W_KEEP        OM_W_BIT(45)
#define OM_W_ONLY        OM_W_BIT(46)
#define OM_W_TIME        OM_W_BIT(47)
#define OM_W_WRONG       OM_W_BIT(48)
#define OM_W_PERSON      OM_W_BIT(49)
#define OM_W_INTEREST    OM_W_BIT(50)
#define OM_W_SIGNED      OM_W_BIT(51)
#define OM_W_SPAM        OM_W_BIT(52)
#define OM_W_THREAT      OM_W_BIT(53)
#define OM_W_CONSENT     OM_W_BIT(54)
#define OM_W_ENOUGH      OM_W_BIT(55)
#define OM_W_HOSTILE     OM_W_BIT(56)
#define OM_W_RESUB       OM_W_BIT(57)
#define OM_W_START       OM_W_BIT(58)
#define OM_W_BACK        OM_W_BIT(59)
/* What a token is by its place, set by the tokenizer */
#define OM_W_DIGITS      OM_W_BIT(60)	/* nothing but digits */
#define OM_W_BEGIN       OM_W_BIT(61)	/* first of its clause */
#define OM_W_END         OM_W_BIT(62)	/* last of its clause, politeness set aside */
#define OM_W_LOOSE       OM_W_BIT(63)	/* or before a word that begins something new */

/* What a word is in a message that is nothing but a keyword, and which channel it names */
#define OM_U_KEY		0x001		/* stops */
#define OM_U_KEYIN		0x002		/* starts again */
#define OM_U_KEYHELP	0x004
#define OM_U_FILL		0x008		/* changes nothing */
#define OM_U_FILLPART	0x010		/* changes nothing beside a word that changes nothing */
#define OM_U_SWEAR		0x020
#define OM_U_LAUGH		0x040
#define OM_U_CH_SMS		0x080
#define OM_U_CH_VOICE	0x100
#define OM_U_CH_EMAIL	0x200
#define OM_U_KIN		0x400	/* somebody whom the sender talks about */
#define OM_U_PET		0x800	/* nobody calls a company so */
#define OM_U_SLIP		0x2000	/* it was not meant, if it is about */
#define OM_U_DID		0x4000	/* what the sender did */
#define OM_U_TEAR		0x1000	/* between a refusal and a word of contact: neither is meant */

/* Longer words are in no list */
#define OM_INTENT_MAX_WORD	15

typedef struct OmIntentWord
{
	char		text[OM_INTENT_MAX_WORD + 1];
	uint64_t	classes;
	uint16_t	use;
	char		language[3];	/* "" when several languages have the word */
} OmIntentWord;

/* A hash table with open addressing: slots hold indexes of words, 0 is empty */
extern const OmIntentWord om_intent_words[];
extern const uint16_t om_intent_words_count;
extern const uint16_t om_intent_slots[];
extern const uint32_t om_intent_slot_mask;

#endif							/* OM_INTENT_WORDS_H */
