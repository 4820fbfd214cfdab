/*
 * intent_envelope.c
 *		What in a message is not its sender's own words.
 *
 * Reactions, because a telephone that cannot show a heart sends the message that it stands
 * on again, and every lawful message says STOP; quoted lines of e-mail, for the same reason;
 * and the lines that mail programs and telephones put below a text.
 */
#include "intent_envelope.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "letters.h"
#include "utf8.h"

/* A reaction is named before its quotation; names are shorter than this */
#define MAX_HEAD		48
/* No line that introduces a quotation is longer */
#define MAX_WROTE		240

/* Folded; the emoji of "Reacted ... to" is a blank.  "to" and the like follow an emoji. */
static const char *const reactions[] = {
	"liked", "loved", "disliked", "laughed at", "emphasized", "emphasised", "questioned",
	"removed a like from", "removed a heart from", "removed a dislike from",
	"removed a laugh from", "removed an exclamation from", "removed a question mark from",
	"removed an exclamation mark from", "removed a reaction from", "removed from",
	"reacted to", "reacted with to", "reacted with a sticker to",
	/* Spanish */
	"le gusto", "me gusta", "me gusto", "le encanto", "me encanta", "me encanto", "no le gusto",
	"no me gusta", "se rio de", "le dio risa", "enfatizo", "exclamo", "exclamo por", "destaco",
	"cuestiono", "pregunto por", "pregunto", "reacciono a", "reacciono con a",
	"ha reaccionado a", "ha reaccionado con a", "quito un me gusta de", "elimino un me gusta de",
	/* French */
	"a aime", "aime", "jaime", "a adore", "adore", "na pas aime", "a ri de", "a rigole a", "a souligne",
	"a insiste sur", "a mis en evidence", "a mis laccent sur", "a mis en doute", "a questionne", "a reagi a", "a reagi avec a",
	"a reagi par a", "a retire un jaime de", "a supprime un jaime de",
	/* Portuguese */
	"curtiu", "gostou de", "amou", "adorou", "nao curtiu", "nao gostou de", "riu de", "deu risada de",
	"enfatizou", "deu enfase a", "questionou", "reagiu a", "reagiu com a", "reagiu com para",
	"removeu uma curtida de", "removeu um curtir de",
	NULL
};
static const char *const after_emoji[] = {"to", "a", "para", "em", "sur", NULL};

/* Lines that a program wrote, not the sender, by how they begin */
static const char *const programs[] = {
	"Sent from my ", "Sent from Mail", "Sent from Yahoo", "Sent from Outlook", "Sent from Proton",
	"Sent via ", "Sent with ", "Get Outlook for ", "Enviado desde mi ", "Enviado do meu ",
	"Enviado desde ", "Enviado a partir ", "Envoy\xc3\xa9 de mon ", "Envoy\xc3\xa9 depuis ",
	"Obtenir Outlook", "Obtener Outlook", "Obter o Outlook", "Download Outlook", NULL
};

/* What comes after such a line is another message */
static const char *const forwards[] = {
	"-----Original", "----- Original", "---------- Forwarded", "----- Forwarded",
	"-----Mensaje original", "-----Message d'origine", "-----Mensagem original",
	"Begin forwarded message:", "________________________________", NULL
};

/* How mail programs announce what they quote: how the line begins and how it ends */
static const char *const wrote_begin[] = {"On ", "El ", "Le ", "Em ", NULL};
static const char *const wrote_end[] = {
	"wrote:", "escribi\xc3\xb3:", "crit :", "crit\xc2\xa0:", "crit:", "escreveu:", NULL
};

static bool
starts_with(const char *text, size_t len, const char *prefix)
{
	size_t		n = strlen(prefix);

	return len >= n && memcmp(text, prefix, n) == 0;
}

static bool
starts_with_any(const char *text, size_t len, const char *const *prefixes)
{
	for (; *prefixes != NULL; prefixes++)
	{
		if (starts_with(text, len, *prefixes))
			return true;
	}
	return false;
}

static bool
is_any(const char *text, const char *const *list)
{
	for (; *list != NULL; list++)
	{
		if (strcmp(text, *list) == 0)
			return true;
	}
	return false;
}

static bool
is_quote(uint32_t code)
{
	return code == '"' || code == 0xab || code == 0xbb || (code >= 0x201c && code <= 0x201f);
}

/* Behind the last closing quotation mark; len when there is none, as in a long message */
static size_t
behind_quotation(const char *text, size_t len, size_t start)
{
	size_t		pos = start;
	size_t		found = len;

	while (pos < len)
	{
		uint32_t	code;

		pos += om_utf8_decode(text + pos, len - pos, &code);
		if (is_quote(code) && code != 0xab && code != 0x201c)
			found = pos;
	}
	return found;
}

size_t
om_envelope_reaction(const char *text, size_t len)
{
	char		head[MAX_HEAD];
	size_t		n = 0;
	size_t		pos = 0;
	bool		emoji = false;	/* before the first letter */
	uint32_t	code = 0;

	/* nothing else begins a quotation mark; most texts have none of these bytes */
	if (len == 0 || (memchr(text, '"', len) == NULL && memchr(text, 0xe2, len) == NULL &&
					 memchr(text, 0xc2, len) == NULL))
		return 0;
	while (pos < len && pos < 4 * MAX_HEAD)
	{
		char		letter;

		pos += om_utf8_decode(text + pos, len - pos, &code);
		if (is_quote(code))
			break;
		letter = om_letter_fold(code);
		if (n == 0 && code >= 0x2190 && code != OM_UTF8_BAD)
			emoji = true;
		if (letter == OM_LETTER_NONE)
			continue;
		if (letter == OM_LETTER_BREAK && (n == 0 || head[n - 1] == ' '))
			continue;
		if (n == MAX_HEAD - 1)
			return 0;
		head[n++] = letter;
	}
	if (n == 0 || !is_quote(code))
		return 0;
	while (n > 0 && head[n - 1] == ' ')
		n--;
	head[n] = '\0';
	if (is_any(head, reactions) || (emoji && is_any(head, after_emoji)))
		return behind_quotation(text, len, pos);
	return 0;
}

static size_t
next_line(const char *text, size_t len, size_t pos)
{
	const char *newline = memchr(text + pos, '\n', len - pos);

	return newline == NULL ? len : (size_t) (newline - text) + 1;
}

/*
 * "On Monday, Acme wrote:", which mail programs may break into two lines.  Returns where
 * the line after it begins, 0 when it is something else.
 */
static size_t
behind_wrote(const char *text, size_t len, size_t pos)
{
	size_t		line;

	if (!starts_with_any(text + pos, len - pos, wrote_begin))
		return 0;
	for (line = 0; line < 2; line++)
	{
		const char *const *end;
		size_t		start = pos;
		size_t		stop;

		pos = next_line(text, len, pos);
		stop = pos;
		if (pos - start > MAX_WROTE)
			return 0;
		while (stop > start && (text[stop - 1] == '\n' || text[stop - 1] == '\r' ||
								text[stop - 1] == ' '))
			stop--;
		for (end = wrote_end; *end != NULL; end++)
		{
			size_t		n = strlen(*end);

			if (stop - start >= n && memcmp(text + stop - n, *end, n) == 0)
				return pos;
		}
	}
	return 0;
}

size_t
om_envelope_line(const char *text, size_t len, size_t pos)
{
	while (pos < len)
	{
		const char *line = text + pos;
		size_t		left = len - pos;
		size_t		behind;

		switch (*line)
		{
			case '>':
				pos = next_line(text, len, pos);
				continue;
			case '-':
				if (starts_with(line, left, "-- \n") || starts_with(line, left, "--\n") ||
					starts_with(line, left, "-- \r\n") || starts_with(line, left, "--\r\n"))
					return len;
				/* FALLTHROUGH */
			case '_':
			case 'B':
				return starts_with_any(line, left, forwards) ? len : pos;
			case 'E':
			case 'L':
			case 'O':
				behind = behind_wrote(text, len, pos);
				/* an answer below what it quotes is read, one above it has ended */
				if (behind != 0)
				{
					while (behind < len && (text[behind] == '\r' || text[behind] == '\n'))
						behind++;
					if (behind >= len || text[behind] != '>')
						return len;
					pos = behind;
					continue;
				}
				break;
			case 'F':
				/* Outlook repeats the head of the message that it quotes */
				if (starts_with(line, left, "From: "))
				{
					size_t		second = next_line(text, len, pos);

					if (starts_with(text + second, len - second, "Sent: ") ||
						starts_with(text + second, len - second, "Date: ") ||
						starts_with(text + second, len - second, "To: "))
						return len;
				}
				return pos;
			default:
				break;
		}
		if ((*line == 'S' || *line == 'G' || *line == 'E' || *line == 'O' || *line == 'D') &&
			starts_with_any(line, left, programs))
		{
			pos = next_line(text, len, pos);
			continue;
		}
		return pos;
	}
	return len;
}
