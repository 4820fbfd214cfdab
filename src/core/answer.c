/*
 * answer.c
 *		What a provider's answer to one POST means for the message.
 *
 * A text that is sent twice costs money and, after a STOP, breaks the law; a text
 * that is not sent at all is at worst late.  So every doubt ends as UNKNOWN.
 */
#include "answer.h"

#include <string.h>

/*
 * Errors with which Telnyx says "not now": its rate limits, the daily caps of
 * carriers and a full queue (Telnyx, "Messaging error codes"; 10011 is its
 * general rate limit).
 */
static const char *const deferring_codes[] = {
	"10011", "40002", "40005", "40011", "40014", "40016", "40017", "40018",
	"40318"
};

static bool
code_is_deferring(const char *code)
{
	size_t		i;

	for (i = 0; i < sizeof(deferring_codes) / sizeof(deferring_codes[0]); i++)
	{
		if (strcmp(code, deferring_codes[i]) == 0)
			return true;
	}
	return false;
}

static char
ascii_lower(char c)
{
	return (c >= 'A' && c <= 'Z') ? (char) (c + ('a' - 'A')) : c;
}

static bool
is_letter(char c)
{
	c = ascii_lower(c);
	return c >= 'a' && c <= 'z';
}

/* Does text hold word, which is in lower case, as a word of its own? */
static bool
has_word(const char *text, const char *word)
{
	size_t		len = strlen(word);
	const char *start;

	for (start = text; *start != '\0'; start++)
	{
		size_t		i = 0;

		if (start > text && is_letter(start[-1]))
			continue;
		while (i < len && ascii_lower(start[i]) == word[i])
			i++;
		if (i == len && !is_letter(start[i]))
			return true;
	}
	return false;
}

bool
om_answer_is_stop_block(const char *error_code, const char *error_text)
{
	if (error_code == NULL || error_text == NULL)
		return false;
	if (strcmp(error_code, "40300") != 0 && strcmp(error_code, "40301") != 0)
		return false;
	return has_word(error_text, "stop");
}

OmAnswerClass
om_answer_classify(const OmAnswer *answer)
{
	int			status = answer->http_status;
	const char *code = answer->error_code != NULL ? answer->error_code : "";

	if (!answer->request_left)
		return OM_ANSWER_NOT_SENT;
	if (!answer->complete)
		return OM_ANSWER_UNKNOWN;

	/* An id together with errors is a contradiction, so it is UNKNOWN */
	if (status >= 200 && status <= 299)
		return answer->has_message_id && !answer->has_errors ?
			OM_ANSWER_ACCEPTED : OM_ANSWER_UNKNOWN;

	if (status >= 400 && status <= 499)
	{
		/* The code decides before the status: no page gives the status of 40300 */
		if (om_answer_is_stop_block(code, answer->error_text))
			return OM_ANSWER_BLOCKED;

		if (status == 429 || code_is_deferring(code))
			return OM_ANSWER_REFUSED_FOR_NOW;
		return OM_ANSWER_REFUSED;
	}

	/* Without the API's own error body a 503 may come from a proxy on the way back */
	if (status == 503 && answer->has_errors)
		return OM_ANSWER_REFUSED_FOR_NOW;
	return OM_ANSWER_UNKNOWN;
}

const char *
om_answer_class_name(OmAnswerClass class_)
{
	switch (class_)
	{
		case OM_ANSWER_NOT_SENT:
			return "not_sent";
		case OM_ANSWER_REFUSED_FOR_NOW:
			return "refused_for_now";
		case OM_ANSWER_REFUSED:
			return "refused";
		case OM_ANSWER_BLOCKED:
			return "blocked";
		case OM_ANSWER_ACCEPTED:
			return "accepted";
		case OM_ANSWER_UNKNOWN:
			break;
	}
	return "unknown";
}
