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
		const char *prefix = label == OM_INTENT_MAYBE_OPT_OUT ? "contains:" : "keyword:";

		MUST(out.span_start < out.span_end);
		MUST(strncmp(out.rule, prefix, strlen(prefix)) == 0);
		MUST(strcmp(out.channel, "all") == 0);
		MUST(strcmp(name, "none") != 0);

		/* What decided alone decides the same when it stands alone */
		om_intent_detect(text + out.span_start, out.span_end - out.span_start, &again);
		if (label == OM_INTENT_MAYBE_OPT_OUT)
			MUST(again.label == OM_INTENT_OPT_OUT);
		else
			MUST(again.label == label && strcmp(again.rule, out.rule) == 0);
	}
	free(text);
	return 0;
}
