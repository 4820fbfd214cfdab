/*
 * fuzz_intent.c
 *		What a text message asks of its receiver.
 */
#include "intent.h"

#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = exact_copy(data, size);
	OmIntent	out;
	OmIntent	again;
	OmIntentLabel label = om_intent_detect(text, size, &out);
	const char *name = om_intent_label_name(label);
	char		key[64];
	char		same[64];
	size_t		len;

	MUST(label == out.label);
	MUST(out.span_start <= out.span_end && out.span_end <= size);
	MUST(out.confidence >= 0 && out.confidence <= 1);
	MUST(strlen(out.language) == 2);
	if (label == OM_INTENT_NONE)
	{
		MUST(strcmp(name, "none") == 0 && out.rule[0] == '\0');
		MUST(out.span_end == 0 && out.confidence == 0 && out.channel[0] == '\0');
	}
	else
	{
		MUST(out.span_start < out.span_end);
		MUST(strchr(out.rule, ':') != NULL);
		MUST(strcmp(out.channel, "all") == 0 || strcmp(out.channel, "sms") == 0 ||
			 strcmp(out.channel, "voice") == 0 || strcmp(out.channel, "email") == 0);
		MUST(strcmp(name, "none") != 0);
		if (label != OM_INTENT_MAYBE_OPT_OUT)
			MUST(out.confidence > 0.5);
	}

	/* The same text is read the same way */
	if (one_in(32, data, size))
	{
		MUST(om_intent_detect(text, size, &again) == label);
		MUST(again.rule == out.rule && again.span_start == out.span_start);
	}

	/* An organization's keyword is found under the form that it was stored in */
	len = om_intent_keyword(text, size, key, sizeof(key));
	MUST(len < sizeof(key) && strlen(key) == len);
	if (len > 0 && strchr(key, '?') == NULL)
	{
		size_t		small = om_intent_keyword(text, size, same, len);

		MUST(small == 0 && same[0] == '\0');
		MUST(om_intent_keyword(text, size, same, len + 1) == len && strcmp(key, same) == 0);
	}
	free(text);
	return 0;
}
