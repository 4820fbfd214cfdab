/*
 * intent_tokens.c
 *		A message as a row of words that are known by their classes.
 */
#include "intent_tokens.h"

#include <string.h>

#include "intent_envelope.h"
#include "letters.h"
#include "utf8.h"

/* Words that carry a phrase, by which a typo in one is still understood.  In order. */
static const char *const cores[] = {
	"alerts", "alone", "anymore", "asking", "bother", "calling", "cancel", "cancelar",
	"communication", "consent", "contact", "contacted", "contacten", "contacter", "contacting",
	"contacto", "dejar", "dejen", "delete", "discontinue", "enviar", "envien", "envoyer", "envoyez",
	"escriban", "escribirme", "forget", "further", "immediately", "interested", "leave", "lista",
	"llamarme", "llamen", "longer", "mandarme", "manden", "mensagem", "mensagens", "mensaje",
	"mensajes", "message", "messages", "messaging", "molestar", "molesten", "notifications",
	"number", "numero", "opting", "permission", "please", "quiero", "quiten", "receive",
	"receiving", "recevoir", "recibir", "refrain", "reminders", "remova", "remove", "removed",
	"revoke", "sending", "system", "texting", "textos", "texts", "unsubscribe"
};

static uint32_t
hash_add(uint32_t hash, char letter)
{
	return (hash * 33) ^ (unsigned char) letter;
}

static uint16_t
find_hashed(uint32_t hash, const char *word, size_t len)
{
	uint32_t	slot = (hash ^ hash >> 15) & om_intent_slot_mask;
	uint16_t	index;

	while ((index = om_intent_slots[slot]) != 0)
	{
		const char *known = om_intent_words[index].text;

		if (known[0] == word[0] && memcmp(known, word, len) == 0 && known[len] == '\0')
			return index;
		slot = (slot + 1) & om_intent_slot_mask;
	}
	return 0;
}

uint16_t
om_intent_word_find(const char *word, size_t len)
{
	uint32_t	hash = 5381;
	size_t		i;

	if (len == 0 || len > OM_INTENT_MAX_WORD)
		return 0;
	for (i = 0; i < len; i++)
		hash = hash_add(hash, word[i]);
	return find_hashed(hash, word, len);
}

bool
om_intent_near(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t		i = 0;

	if (a_len > b_len + 1 || b_len > a_len + 1)
		return false;
	while (i < a_len && i < b_len && a[i] == b[i])
		i++;
	while (a_len > i && b_len > i && a[a_len - 1] == b[b_len - 1])
	{
		a_len--;
		b_len--;
	}
	a_len -= i;
	b_len -= i;
	if (a_len + b_len == 0)
		return false;
	if (a_len <= 1 && b_len <= 1)
		return true;
	return a_len == 2 && b_len == 2 && a[i] == b[i + 1] && a[i + 1] == b[i];
}

/* The letters without what is said by repeating one: "stooop" */
static size_t
squeeze(const char *word, size_t len, size_t keep, char *out)
{
	size_t		i;
	size_t		n = 0;

	for (i = 0; i < len; i++)
	{
		if (n >= keep && out[n - 1] == word[i] && (keep == 1 || out[n - 2] == word[i]))
			continue;
		out[n++] = word[i];
	}
	return n;
}

static char
letter_of_digit(char c)
{
	static const char letters[] = "oizeasgtbg";

	return c >= '0' && c <= '9' ? letters[c - '0'] : c;
}

/* A word that is in no list as one that is, when it can be told what was meant */
static uint16_t
guess_word(const char *word, size_t len, bool digits)
{
	char		other[OM_INTENT_MAX_WORD + 1];
	uint16_t	index = 0;
	size_t		n;
	size_t		i;

	if (digits)
	{
		for (i = 0; i < len; i++)
			other[i] = letter_of_digit(word[i]);
		index = om_intent_word_find(other, len);
		return (om_intent_words[index].use & OM_U_KEY) != 0 ? index : 0;
	}
	for (i = 2; i < len; i++)
	{
		if (word[i] == word[i - 1] && word[i] == word[i - 2])
		{
			n = squeeze(word, len, 2, other);
			index = om_intent_word_find(other, n);
			if (index == 0)
			{
				n = squeeze(word, len, 1, other);
				index = om_intent_word_find(other, n);
			}
			return index;
		}
	}
	if (len < 5)
		return 0;
	for (i = 0; i < sizeof(cores) / sizeof(cores[0]); i++)
	{
		size_t		core_len;

		if (cores[i][0] < word[0])
			continue;
		if (cores[i][0] > word[0])
			break;
		core_len = strlen(cores[i]);
		if (core_len > 4 && om_intent_near(word, len, cores[i], core_len))
			return om_intent_word_find(cores[i], core_len);
	}
	return 0;
}

/* What a character between words says about their sentence */
static uint8_t
break_of(uint32_t code, const OmTokenReader *reader)
{
	switch (code)
	{
		case '\n':
		case '\r':
		case '.':
		case '!':
		case '?':
		case ';':
		case ':':
		case 0xa1:				/* Spanish questions and cries begin */
		case 0xbf:
		case 0x2026:
			return OM_BREAK_HARD;
		case ',':
		case '(':
		case ')':
		case '"':
		case '|':
		case '~':
			return OM_BREAK_SOFT;
		case '-':
			/* a dash, not a hyphen */
			return reader->pos < reader->len && reader->pos >= 2 &&
				reader->text[reader->pos] != ' ' && reader->text[reader->pos - 2] != ' ' ?
				0 : OM_BREAK_SOFT;
		case 0xa0:
		case 0x202f:
		case 0x3000:
		case OM_UTF8_BAD:
			return 0;
		case 0x1f602:
		case 0x1f605:
		case 0x1f606:
		case 0x1f639:
		case 0x1f923:
			return OM_BREAK_SOFT;
		default:
			return code < 0x80 || (code >= 0x2000 && code <= 0x2011) ? 0 : OM_BREAK_SOFT;
	}
}

static bool
is_laughing(uint32_t code)
{
	return code == 0x1f602 || code == 0x1f923 || code == 0x1f605 || code == 0x1f606 ||
		code == 0x1f639;
}

void
om_tokens_begin(OmTokenReader *reader, const char *text, size_t len)
{
	reader->text = text;
	reader->len = len;
	reader->pos = om_envelope_reaction(text, len);
	reader->before = OM_BREAK_HARD;
	reader->line_start = true;
	reader->laughing = false;
}

static void
fill_token(OmToken *token, const char *word, size_t len, uint32_t hash, size_t digits)
{
	const OmIntentWord *known;
	uint16_t	index;

	token->word = 0;
	token->typo = false;
	token->mask = 0;
	token->use = 0;
	token->len = len > OM_INTENT_MAX_WORD ? 255 : (uint8_t) len;
	if (digits == len)
	{
		token->mask = OM_W_DIGITS;
		return;
	}
	if (len > OM_INTENT_MAX_WORD)
		return;
	index = find_hashed(hash, word, len);
	if (index == 0)
	{
		index = guess_word(word, len, digits > 0);
		token->typo = index != 0;
	}
	known = &om_intent_words[index];
	token->word = index;
	token->mask = known->classes;
	token->use = known->use;
}

bool
om_tokens_next(OmTokenReader *reader, OmToken *token)
{
	char		word[OM_INTENT_MAX_WORD + 1];
	uint32_t	hash = 5381;
	size_t		n = 0;
	size_t		digits = 0;

	token->plain = true;
	while (reader->pos < reader->len)
	{
		uint32_t	code;
		size_t		start;
		char		letter;

		if (reader->line_start && n == 0)
		{
			reader->line_start = false;
			reader->pos = om_envelope_line(reader->text, reader->len, reader->pos);
			if (reader->pos >= reader->len)
				break;
		}
		start = reader->pos;
		code = (unsigned char) reader->text[start];
		if ((code | 0x20) >= 'a' && (code | 0x20) <= 'z')
		{
			letter = (char) (code | 0x20);
			reader->pos++;
		}
		else if (code == ' ')
		{
			if (n > 0)
				break;
			reader->pos++;
			continue;
		}
		else
		{
			reader->pos += om_utf8_decode(reader->text + start, reader->len - start, &code);
			letter = om_letter_fold(code);
			if (letter == OM_LETTER_NONE)
			{
				/* the elision of French ends a word: m'envoyer */
				if (n == 1 && (code == '\'' || code == 0x2019) && memchr("ldjmnsct", word[0], 8))
					break;
				continue;
			}
			if (letter == OM_LETTER_BREAK)
			{
				uint8_t		kind;

				/* "this #" says number */
				if (code == '#' && n == 0 &&
					(reader->pos == reader->len || strchr(" .,!?;:)\n\r\t", reader->text[reader->pos]) != NULL))
				{
					token->start = start;
					token->end = reader->pos;
					token->before = reader->before;
					reader->before = 0;
					for (; n < 6; n++)
						hash = hash_add(hash, "number"[n]);
					fill_token(token, "number", n, hash, 0);
					return true;
				}
				kind = break_of(code, reader);
				if (n > 0)
				{
					/* read it again as what stands before the next */
					reader->pos = start;
					break;
				}
				if (kind > reader->before)
					reader->before = kind;
				if (code == '\n')
					reader->line_start = true;
				if (code >= 0x1f602)
					reader->laughing |= is_laughing(code);
				continue;
			}
			if (code >= 0x80)
				token->plain = false;
			if (letter >= '0' && letter <= '9')
				digits++;
		}
		if (n == 0)
		{
			token->start = start;
			token->before = reader->before;
			reader->before = 0;
		}
		token->end = reader->pos;
		if (n < OM_INTENT_MAX_WORD)
			word[n] = letter;
		hash = hash_add(hash, letter);
		n++;
	}
	if (n == 0)
		return false;
	fill_token(token, word, n, hash, digits);
	return true;
}

void
om_tokens_place(OmToken *tokens, size_t n, bool last)
{
	const uint64_t fresh = OM_W_CONJ | OM_W_SUBJ | OM_W_MORE | OM_W_IFW | OM_W_ASK |
		OM_W_BUT | OM_W_YOU | OM_W_TIME | OM_W_AUX | OM_W_KEEP | OM_W_NEG | OM_W_NEGX;
	/* "me and ..." goes on with something else, "text and drive" does not */
	const uint64_t object = OM_W_ME | OM_W_NUM | OM_W_MORE;
	const uint16_t polite = OM_U_FILL | OM_U_SWEAR;
	size_t		i;

	for (i = 0; i < n; i++)
	{
		uint64_t	mask = tokens[i].mask & ~(OM_W_BEGIN | OM_W_END | OM_W_LOOSE);

		if (tokens[i].before != 0 ||
			(i > 0 && (tokens[i - 1].mask & OM_W_BEGIN) != 0 &&
			 (tokens[i - 1].use & polite) != 0))
			mask |= OM_W_BEGIN;
		if (i + 1 == n)
			mask |= last ? OM_W_END | OM_W_LOOSE : 0;
		else if (tokens[i + 1].before != 0 || (tokens[i + 1].use & polite) != 0)
			mask |= OM_W_END | OM_W_LOOSE;
		else if (((tokens[i + 1].mask & fresh) != 0 && (tokens[i + 1].mask & OM_W_YOUR) == 0) ||
				 ((tokens[i + 1].mask & OM_W_AND) != 0 && (mask & object) != 0))
			mask |= OM_W_LOOSE;
		tokens[i].mask = mask;
	}
}

size_t
om_token_text(const char *text, const OmToken *token, char *word, size_t size)
{
	size_t		pos = token->start;
	size_t		n = 0;

	while (pos < token->end)
	{
		uint32_t	code;
		char		letter;

		pos += om_utf8_decode(text + pos, token->end - pos, &code);
		letter = om_letter_fold(code);
		if (letter == OM_LETTER_NONE)
			continue;
		if (letter == OM_LETTER_BREAK)
			letter = '#';		/* the only one that is a token */
		if (n + 1 >= size)
			return 0;
		word[n++] = letter;
	}
	if (size > 0)
		word[n] = '\0';
	return n;
}
