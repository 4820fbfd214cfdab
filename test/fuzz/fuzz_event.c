/*
 * fuzz_event.c
 *		A whole webhook: its bytes become one event, whatever they are, and what is made of it later can rely on its limits.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "fuzz.h"
#include "ingest.h"
#include "json.h"
#include "pg_shim.h"

/* 2026-11-28, as the server counts */
#define NOW		(INT64CONST(849139200) * USECS_PER_SEC)

static void
ignore_scalar(void *arg, const char *path, int index, const char *value, bool is_string, bool is_null)
{
	MUST(path != NULL && index >= -1 && (value == NULL) == is_null);
	MUST(is_string || is_null || *value != '\0');
	(*(int *) arg)++;
}

static bool
is_utf8(const char *text)
{
	int			length = (int) strlen(text);

	return pg_encoding_verifymbstr(PG_UTF8, text, length) == length;
}

/* What goes into a column of text */
static void
check_text(const char *text, size_t limit)
{
	MUST(text == NULL || (is_utf8(text) && strlen(text) <= limit));
}

static void
check_address(const char *address, bool reachable)
{
	bool		again;

	check_text(address, OM_MAX_ADDRESS);
	MUST(address == NULL || *address != '\0');
	if (reachable)
		MUST(address != NULL && address[0] == '+' && strspn(address + 1, "0123456789") == strlen(address) - 1 &&
			 strlen(address) <= 16);
	/* a canonical address is its own canonical address */
	if (address != NULL)
		MUST(strcmp(om_canonical_address(address, &again), address) == 0 && (again || !reachable));
}

static void
check_received(const OmEvent *event, size_t size)
{
	int			scalars = 0;

	MUST(event->from != NULL && event->nothers >= 0 && event->nothers <= OM_MAX_OTHERS);
	check_address(event->from, event->from_reachable);
	check_address(event->to, false);
	for (int i = 0; i < event->nothers; i++)
		check_address(event->others[i], false);
	check_text(event->text, size);
	check_text(event->subject, size);
	check_text(event->autoresponse, size);
	/* an escaped one takes up to six bytes and stood in as many; the names of the members are ours */
	check_text(event->media, size * 6 + OM_MAX_MEDIA * 64 + 2);
	if (event->media != NULL)
	{
		MUST(om_json_read(event->media, (int) strlen(event->media), ignore_scalar, &scalars) == NULL);
		MUST(scalars >= 1 && scalars <= OM_MAX_MEDIA * 4);
	}
	MUST(event->intent.span_start <= event->intent.span_end);
	MUST(event->intent.span_end <= (event->text ? strlen(event->text) : 0));
	MUST((event->intent.label == OM_INTENT_NONE) == (event->intent.rule[0] == '\0'));
}

static void
check_status(const OmEvent *event, size_t size)
{
	static const char *const words[] = {"sent", "delivered", "failed", "blocked", "expired"};
	size_t		i;

	MUST(event->external_id != NULL && *event->external_id != '\0');
	check_address(event->from, event->from_reachable);
	check_address(event->to, false);
	check_text(event->provider_status, size);
	check_text(event->error_code, size);
	check_text(event->error_text, size + 2);
	for (i = 0; event->status != NULL && i < lengthof(words) && strcmp(event->status, words[i]) != 0; i++)
		;
	MUST(i < lengthof(words));
	MUST(event->intent.label == OM_INTENT_NONE);
}

static void
check_event(const OmEvent *event, size_t size)
{
	const OmDelivery *delivery = event->delivery;
	TimestampTz signed_at = delivery->signed_at ? delivery->signed_at : NOW;

	MUST(event->part == 1);
	MUST(event->dedupe_key != NULL && *event->dedupe_key != '\0');
	check_text(event->dedupe_key, OM_MAX_ID + strlen("received:"));
	check_text(event->event_type, OM_MAX_ID);
	check_text(event->event_id, OM_MAX_ID);
	check_text(event->external_id, OM_MAX_ID);
	MUST(event->occurred_at != 0 && event->occurred_at <= signed_at + OM_MAX_AHEAD * USECS_PER_SEC);
	MUST(event->parts >= 0 && event->parts <= 9999);
	MUST(event->cost_amount == NULL || strspn(event->cost_amount, "-.0123456789") == strlen(event->cost_amount));
	MUST(event->cost_currency == NULL || event->cost_amount != NULL);
	check_text(event->cost_currency, size);
	switch (event->kind)
	{
		case OM_EVENT_BROKEN:
			MUST(event->outcome == OM_DEAD && event->reason != NULL);
			break;
		case OM_EVENT_OTHER:
			MUST(event->outcome == OM_IGNORED && event->reason != NULL && event->event_type != NULL);
			break;
		case OM_EVENT_RECEIVED:
			MUST(event->outcome == OM_APPLIED && event->reason == NULL);
			check_received(event, size);
			break;
		case OM_EVENT_STATUS:
			MUST(event->outcome == OM_APPLIED && event->reason == NULL);
			check_status(event, size);
			break;
	}
}

static OmEvent *
read_event(OmDelivery *delivery)
{
	OmDelivery **deliveries = palloc(sizeof(OmDelivery *));
	OmBatch		batch = {.ndeliveries = 1, .now = NOW};

	deliveries[0] = delivery;
	batch.deliveries = deliveries;
	om_event_read(&batch);
	MUST(batch.nevents == 1);
	return batch.events[0];
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char provider[] = "telnyx";
	static char known[] = "received:known";
	OmDelivery	delivery = {.ordinal = 1, .provider = provider};
	OmEvent    *event;

	delivery.signed_at = one_in(5, data, size) ? 0 : NOW - USECS_PER_SEC;
	delivery.dedupe_key = one_in(7, data, size) ? known : NULL;
	delivery.length = (int) size;
	delivery.body = exact_copy(data, size);
	event = read_event(&delivery);
	check_event(event, size);
	if (one_in(16, data, size))
	{
		OmEvent    *again = read_event(&delivery);

		MUST(again->kind == event->kind && strcmp(again->dedupe_key, event->dedupe_key) == 0);
	}
	free(delivery.body);
	pg_shim_reset();
	return 0;
}
