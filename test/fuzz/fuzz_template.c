/*
 * fuzz_template.c
 *		Templates, their segments, and time zones.  Byte 0: the trigger.
 */
#include "segment.h"
#include "template.h"
#include "zone.h"

#include "fuzz.h"

static void
check_segments(const char *text, size_t size)
{
	OmSegments	whole = om_segment_count(text, size);
	size_t		single = whole.encoding == OM_ENCODING_GSM7 ? 160 : 70;
	size_t		joined = whole.encoding == OM_ENCODING_GSM7 ? 153 : 67;

	MUST((whole.segments == 0) == (size == 0) && (whole.units == 0) == (size == 0));
	MUST(whole.units <= size * 2);
	if (whole.units <= single)
		MUST(whole.segments == (size > 0));
	else
	{
		/* a pair that moves on leaves one unit free, never two */
		MUST(whole.segments >= (whole.units + joined - 1) / joined);
		MUST(whole.segments <= (whole.units + joined - 2) / (joined - 1));
	}
}

static void
check_template(OmTemplateTrigger trigger, const char *text, size_t size)
{
	OmTemplateFinding finding;
	OmTemplateFault fault = om_template_check(trigger, text, size, &finding);

	MUST(fault == finding.fault && fault >= OM_TEMPLATE_OK && fault <= OM_TEMPLATE_QUESTION);
	MUST(om_template_fault_name(fault) != NULL && om_template_fault_message(fault) != NULL);
	MUST(finding.span_start <= finding.span_end && finding.span_end <= size);
	if (fault == OM_TEMPLATE_OK)
		MUST(finding.span_end == 0);
	else if (fault != OM_TEMPLATE_EMPTY)
		MUST(finding.span_start < finding.span_end);
	if (trigger != OM_TEMPLATE_OPT_OUT)
		MUST(fault < OM_TEMPLATE_URL);
	/* a second web address is none the less one */
	if (fault == OM_TEMPLATE_URL)
	{
		size_t		part = finding.span_end - finding.span_start;
		char	   *copy = malloc(part + 40);

		MUST(copy != NULL);
		memset(copy, ' ', part + 40);
		memcpy(copy, "twenty characters of it", 23);
		memcpy(copy + 30, text + finding.span_start, part);
		fault = om_template_check(trigger, copy, part + 40, &finding);
		MUST(fault == OM_TEMPLATE_URL && finding.span_start == 30);
		free(copy);
	}
}

static void
check_zones(const char *text, size_t size)
{
	const char *zones[OM_ZONE_MAX + 1];
	size_t		count;
	size_t		i;

	memset(zones, 0, sizeof(zones));
	count = om_zone_lookup(text, size, zones, OM_ZONE_MAX, NULL);
	MUST(count <= OM_ZONE_MAX && zones[count] == NULL);
	for (i = 0; i < count; i++)
		MUST(zones[i] != NULL && (i == 0 || strcmp(zones[i - 1], zones[i]) < 0));
	MUST(om_zone_lookup(text, size, NULL, 0, NULL) == count);
	if (count > 0)
		MUST(size >= 8 && size <= 16 && text[0] == '+');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text;

	if (size < 1)
		return 0;
	text = exact_copy(data + 1, size - 1);
	check_segments(text, size - 1);
	check_template((OmTemplateTrigger) (data[0] % 4), text, size - 1);
	check_zones(text, size - 1);
	free(text);
	return 0;
}
