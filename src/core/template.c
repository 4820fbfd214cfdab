/*
 * template.c
 *		Is the text of an automatic reply one that may be sent?
 */
#include "template.h"

#include <stdbool.h>
#include <string.h>

#include "letters.h"
#include "segment.h"
#include "template_words.h"
#include "utf8.h"

/* Telnyx: at most ten parts; a text of its own for STOP has at least 20 characters */
#define SEGMENTS_MAX	10

static const char placeholder[] = "{organization}";

typedef struct Span
{
	size_t		start;
	size_t		end;
} Span;

typedef struct Word
{
	char		text[OM_TEMPLATE_WORD_LETTERS + 1]; /* folded; empty when it is longer than any listed */
	bool		is_number;
	Span		span;
} Word;

static bool
is_blank(uint32_t code)
{
	return code == ' ' || (code >= '\t' && code <= '\r') || code == 0xa0 ||
		(code >= 0x2000 && code <= 0x200b) || code == 0x202f || code == 0x3000;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_listed(const char *const *list, const char *word)
{
	for (; *list != NULL; list++)
		if (strcmp(*list, word) == 0)
			return true;
	return false;
}

static bool
starts_with(const char *text, size_t len, const char *start)
{
	return len >= strlen(start) && memcmp(text, start, strlen(start)) == 0;
}

/* Where the run of characters that are not blank ends */
static size_t
end_of_run(const char *text, size_t len, size_t at)
{
	while (at < len)
	{
		uint32_t	code;
		size_t		size = om_utf8_decode(text + at, len - at, &code);

		if (is_blank(code))
			break;
		at += size;
	}
	return at;
}

static bool
is_empty(const char *text, size_t len)
{
	size_t		at = 0;

	while (at < len)
	{
		uint32_t	code;

		at += om_utf8_decode(text + at, len - at, &code);
		if (!is_blank(code))
			return false;
	}
	return true;
}

static bool
find_placeholder(const char *text, size_t len, Span *span)
{
	size_t		at;

	for (at = 0; at < len; at++)
	{
		if (starts_with(text + at, len - at, placeholder))
			at += strlen(placeholder) - 1;
		else if (text[at] == '{' || text[at] == '}')
		{
			span->start = at;
			span->end = at + 1;
			if (text[at] == '{')
				for (at++; at < len && text[at] != '{'; at++)
					if (text[at] == '}')
					{
						span->end = at + 1;
						break;
					}
			return true;
		}
	}
	return false;
}

/* ---- web addresses ---- */

/* What is known of a run of the characters that host names consist of */
typedef struct Host
{
	size_t		labels;			/* complete ones, each followed by a dot */
	size_t		label_len;		/* of the last one */
	bool		gap;			/* an empty one was among them */
	bool		www;			/* the first one is that */
	bool		letters;		/* the last one has nothing else */
	char		last[OM_TEMPLATE_WORD_LETTERS + 1];
} Host;

static void
host_add(Host *host, char letter)
{
	if (letter == '.')
	{
		host->gap = host->gap || host->label_len == 0;
		if (host->labels++ == 0)
			host->www = host->label_len == 3 && strcmp(host->last, "www") == 0;
		host->label_len = 0;
		host->letters = true;
		return;
	}
	if (letter != OM_LETTER_OTHER && (letter < 'a' || letter > 'z'))
		host->letters = false;
	if (host->label_len < OM_TEMPLATE_WORD_LETTERS)
	{
		host->last[host->label_len] = letter;
		host->last[host->label_len + 1] = '\0';
	}
	host->label_len++;
}

/* The character as host names have it; OM_LETTER_BREAK for those that they never have */
static char
host_letter(uint32_t code)
{
	if (code == '.' || code == '-' || code == '_')
		return (char) code;
	if (code == OM_UTF8_BAD || code == '\'' || code == '`')
		return OM_LETTER_BREAK;
	return om_letter_fold(code);
}

/* Is this run an address, with what follows it? */
static bool
is_address(const Host *host, const char *rest, size_t len)
{
	bool		path = len > 0 && (rest[0] == '/' || (rest[0] == ':' && len > 1 && is_digit(rest[1])));

	if (host->label_len > 0 && starts_with(rest, len, "://"))
		return true;
	if (host->labels == 0 || host->gap || host->label_len == 0)
		return false;
	if (host->www)
		return true;
	if (!host->letters || host->label_len < 2)
		return false;
	return path || (host->label_len <= OM_TEMPLATE_WORD_LETTERS &&
					is_listed(om_template_domains, host->last));
}

static bool
find_url(const char *text, size_t len, Span *span)
{
	size_t		at = 0;

	while (at < len)
	{
		Host		host = {.letters = true};
		size_t		start = at;
		bool		dot = false;
		bool		mail;
		uint32_t	code;

		while (at < len)
		{
			size_t		size = om_utf8_decode(text + at, len - at, &code);
			char		letter = host_letter(code);

			if (letter == OM_LETTER_BREAK)
				break;
			/* a dot counts when something follows: the one at the end is the sentence's */
			if (dot && letter != OM_LETTER_NONE)
			{
				host_add(&host, '.');
				dot = false;
			}
			if (letter == '.')
				dot = true;
			else if (letter != OM_LETTER_NONE)
				host_add(&host, letter);
			at += size;
		}
		/* on either side of an @ it is an e-mail address, which is fine */
		mail = (start > 1 && text[start - 1] == '@' && (unsigned char) text[start - 2] > ' ') ||
			(at < len && text[at] == '@');
		if (!mail && is_address(&host, text + at, dot ? 0 : len - at))
		{
			span->start = start;
			span->end = end_of_run(text, len, at);
			return true;
		}
		if (at < len)
			at += om_utf8_decode(text + at, len - at, &code);
	}
	return false;
}

/* ---- words ---- */

/*
 * Read the word at or after *at; letters and digits are never of one word, nor is what is on
 * either side of an apostrophe ("d'offres").
 */
static bool
next_word(const char *text, size_t len, size_t *at, Word *word)
{
	size_t		letters = 0;

	while (*at < len)
	{
		uint32_t	code;
		size_t		size = om_utf8_decode(text + *at, len - *at, &code);
		char		letter = code == '\'' || code == 0x2019 ? OM_LETTER_BREAK : om_letter_fold(code);

		if (letter == OM_LETTER_BREAK || (letters > 0 && letter != OM_LETTER_NONE &&
										  is_digit(letter) != word->is_number))
		{
			if (letters > 0)
				break;
		}
		else if (letter != OM_LETTER_NONE)
		{
			if (letters == 0)
			{
				word->span.start = *at;
				word->is_number = is_digit(letter);
			}
			if (letters < OM_TEMPLATE_WORD_LETTERS)
				word->text[letters] = letter;
			letters++;
			word->span.end = *at + size;
		}
		*at += size;
	}
	word->text[letters <= OM_TEMPLATE_WORD_LETTERS ? letters : 0] = '\0';
	return letters > 0;
}

static bool
is_price_sign(uint32_t code)
{
	return code == '$' || code == '%' || (code >= 0xa2 && code <= 0xa5) ||
		(code >= 0x20a0 && code <= 0x20cf) || code == 0xff04 || code == 0xff05 ||
		code == 0xffe1 || code == 0xffe5;
}

/* A sign with a number on either side, with or without blanks between */
static bool
find_price_sign(const char *text, size_t len, Span *span)
{
	size_t		number_start = 0;
	size_t		sign_start = 0;
	bool		number = false;
	bool		sign = false;
	size_t		at = 0;

	while (at < len)
	{
		uint32_t	code;
		size_t		size = om_utf8_decode(text + at, len - at, &code);
		bool		digit = code < 0x80 && is_digit((char) code);

		/* "100% unsubscribed" is no discount; "100% off" is found by its words */
		if (code == '%' && number && at - number_start == 3 &&
			starts_with(text + number_start, 3, "100"))
			number = false;
		if ((digit && sign) || (is_price_sign(code) && number))
		{
			span->start = sign ? sign_start : number_start;
			for (at += size; at < len && is_digit(text[at]);)
				at++;
			span->end = at;
			return true;
		}
		if (digit)
		{
			number_start = number ? number_start : at;
			number = true;
		}
		else if (is_price_sign(code))
		{
			sign_start = at;
			sign = true;
		}
		else if (!is_blank(code) && code != '.' && code != ',')
			number = sign = false;
		at += size;
	}
	return false;
}

/* A number beside the word for a currency */
static bool
find_price_words(const char *text, size_t len, Span *span)
{
	Word		last = {.text = ""};
	Word		word;
	size_t		at = 0;

	while (next_word(text, len, &at, &word))
	{
		if (word.is_number ? is_listed(om_template_currencies, last.text) :
			last.is_number && is_listed(om_template_currencies, word.text))
		{
			span->start = last.span.start;
			span->end = word.span.end;
			return true;
		}
		last = word;
	}
	return false;
}

static bool
ends_sentence(const char *text, size_t from, size_t to)
{
	for (; from < to; from++)
		if (text[from] == '.' || text[from] == '!' || text[from] == '?' || text[from] == ';')
			return true;
	return false;
}

/* A confirmation may say what there will be no more of: "no more offers from us" */
static bool
find_marketing(const char *text, size_t len, Span *span)
{
	Word		words[OM_TEMPLATE_PHRASE_WORDS];
	bool		negated = false;
	int			count = 0;
	size_t		at = 0;
	size_t		before = 0;
	int			i;

	for (;;)
	{
		char		phrase[OM_TEMPLATE_PHRASE_WORDS * (OM_TEMPLATE_WORD_LETTERS + 1)];
		char	   *end = phrase;

		if (count == OM_TEMPLATE_PHRASE_WORDS)
		{
			memmove(words, words + 1, sizeof(words[0]) * (OM_TEMPLATE_PHRASE_WORDS - 1));
			count--;
		}
		if (!next_word(text, len, &at, &words[count]))
			return false;
		negated = (negated && !ends_sentence(text, before, words[count].span.start)) ||
			is_listed(om_template_negations, words[count].text);
		before = words[count].span.end;
		count++;

		/* each of the phrases that end with this word */
		for (i = 0; i < count; i++)
		{
			size_t		letters = strlen(words[i].text);

			if (i > 0)
				*end++ = ' ';
			memcpy(end, words[i].text, letters);
			end += letters;
		}
		*end = '\0';
		for (i = 0, end = phrase; i < count; i++)
		{
			if (!negated && is_listed(om_template_marketing, end))
			{
				span->start = words[i].span.start;
				span->end = words[count - 1].span.end;
				return true;
			}
			end += strlen(words[i].text) + 1;
		}
	}
}

/* A second question; several marks in a row are of one */
static bool
find_question(const char *text, size_t len, Span *span)
{
	int			questions = 0;
	bool		inside = false;
	size_t		at = 0;

	while (at < len)
	{
		uint32_t	code;
		size_t		size = om_utf8_decode(text + at, len - at, &code);
		bool		mark = code == '?' || code == 0xff1f;

		if (mark && !inside && ++questions == 2)
		{
			span->start = at;
			span->end = at + size;
			return true;
		}
		inside = mark || (inside && code == '!');
		at += size;
	}
	return false;
}

static OmTemplateFault
find_fault(OmTemplateTrigger trigger, const char *text, size_t len, Span *span)
{
	if (is_empty(text, len))
		return OM_TEMPLATE_EMPTY;
	if (om_segment_count(text, len).segments > SEGMENTS_MAX)
		return OM_TEMPLATE_TOO_LONG;
	if (find_placeholder(text, len, span))
		return OM_TEMPLATE_UNKNOWN_PLACEHOLDER;
	if (trigger != OM_TEMPLATE_OPT_OUT)
		return OM_TEMPLATE_OK;
	if (find_url(text, len, span))
		return OM_TEMPLATE_URL;
	if (find_price_sign(text, len, span) || find_price_words(text, len, span))
		return OM_TEMPLATE_PRICE;
	if (find_marketing(text, len, span))
		return OM_TEMPLATE_MARKETING;
	if (find_question(text, len, span))
		return OM_TEMPLATE_QUESTION;
	return OM_TEMPLATE_OK;
}

OmTemplateFault
om_template_check(OmTemplateTrigger trigger, const char *text, size_t len,
				  OmTemplateFinding *out)
{
	Span		span = {0, len};	/* what is about the whole text leaves it so */

	out->fault = find_fault(trigger, text, len, &span);
	out->span_start = span.start;
	out->span_end = out->fault == OM_TEMPLATE_OK ? 0 : span.end;
	return out->fault;
}

static const struct
{
	const char *name;
	const char *message;
}			faults[] = {
	[OM_TEMPLATE_OK] = {"ok", "nothing is wrong with the text"},
	[OM_TEMPLATE_EMPTY] = {"empty", "a reply must not be empty"},
	[OM_TEMPLATE_TOO_LONG] = {"too_long", "a reply must not take more than 10 segments"},
	[OM_TEMPLATE_UNKNOWN_PLACEHOLDER] = {"unknown_placeholder",
	"{organization} is the only placeholder, and braces are for nothing else"},
	[OM_TEMPLATE_URL] = {"url", "an opt-out confirmation must not contain a web address"},
	[OM_TEMPLATE_PRICE] = {"price", "an opt-out confirmation must not name a price or a discount"},
	[OM_TEMPLATE_MARKETING] = {"marketing", "an opt-out confirmation must not contain marketing"},
	[OM_TEMPLATE_QUESTION] = {"question",
	"an opt-out confirmation must not ask more than one question"},
};

const char *
om_template_fault_name(OmTemplateFault fault)
{
	return faults[fault].name;
}

const char *
om_template_fault_message(OmTemplateFault fault)
{
	return faults[fault].message;
}
