/*
 * load_webhook.c
 *		Unique webhooks, signed before the clock starts.
 *
 * Of each only what differs is kept: who sends it, what it says and its signature.  The rest is in a few templates,
 * written by the simulator's own code, with holes; ids are computed from the seed.  So hundreds of
 * thousands fit into memory, and sending one costs a copy.
 */
#define _GNU_SOURCE				/* memmem */

#include "load_webhook.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "simulator_message.h"
#include "simulator_util.h"

#define HOLES_MAX		12
#define NUMBER_SIZE		12		/* "+1" and ten digits */
#define TIME_SIZE		29
#define UUID_SIZE		36
#define STAMP_SIZE		10
#define SIGNATURE_SIZE	88

/* A START is of whom this many STOPs before sent STOP */
#define START_BEHIND	16

enum hole_kind
{
	EVENT,
	MESSAGE,
	FROM,
	TO,
	TIME,
	STAMP,
	SIGNATURE
};

/* What stands in a hole of a template, of the length of what goes there */
static const char *const marks[] = {
	[EVENT] = "eeeeeeee-eeee-eeee-eeee-eeeeeeeeeeee",
	[MESSAGE] = "mmmmmmmm-mmmm-mmmm-mmmm-mmmmmmmmmmmm",
	[FROM] = "+1ffffffffff",
	[TO] = "+1tttttttttt",
	[TIME] = "zzzz-zz-zzTzz:zz:zz.zzz+00:00",
	[STAMP] = "ssssssssss",
	[SIGNATURE] = "gggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggg",
};

struct hole
{
	enum hole_kind kind;
	size_t		at;
};

struct template
{
	char	   *request;
	size_t		len;
	size_t		body;			/* where it begins */
	struct hole holes[HOLES_MAX];
	int			hole_count;
};

struct webhook
{
	unsigned char signature[crypto_sign_BYTES];
	uint32_t	sender;
	uint8_t		template;
};

/* STOP and START first, as in enum om_load_kind; the others are what people write */
static const char *const texts[] = {
	"STOP", "START",
	"Yes, Tuesday at 10 works for me, see you then",
	"Can you move it to next week please? I have to work that day",
	"Thanks!",
	"How much is it without the insurance? And do I have to bring the letter from the last time?",
	"I paid it on Friday already, please look again. The confirmation number is in the e-mail that I sent",
	"ok",
};

#define TEXTS		(sizeof(texts) / sizeof(texts[0]))
#define FIRST_CHAT	2

static struct om_load_plan plan;
static struct template templates[TEXTS];
static struct webhook *webhooks;

/* splitmix64: any number of independent values out of one seed */
static uint64_t
value_of(uint64_t stream, uint64_t index)
{
	uint64_t	z = plan.seed + stream * UINT64_C(0xD1B54A32D192ED03) + index * UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static void
find_holes(struct template *t)
{
	size_t		kind;

	for (kind = 0; kind < sizeof(marks) / sizeof(marks[0]); kind++)
	{
		size_t		size = strlen(marks[kind]);
		char	   *found = t->request;

		while ((found = memmem(found, t->len - (size_t) (found - t->request), marks[kind], size)) != NULL)
		{
			if (t->hole_count == HOLES_MAX)
				om_sim_die("a webhook has more places to fill in than expected");
			t->holes[t->hole_count++] = (struct hole) {(enum hole_kind) kind, (size_t) (found - t->request)};
			found += size;
		}
	}
}

static void
make_template(struct template *t, const char *text)
{
	struct om_sim_message message = {
		.id = marks[MESSAGE], .from = marks[FROM], .to = marks[TO], .text = text, .type = "SMS",
		.status = "webhook_delivered", .received_at = marks[TIME]
	};
	char	   *body;
	size_t		len;
	FILE	   *out = om_sim_memory(&body, &len);

	fputs("{\"data\":", out);
	om_sim_event_write(out, "message.received", marks[EVENT], marks[TIME], &message);
	fprintf(out, ",\"meta\":{\"attempt\":1,\"delivered_to\":\"http://%s%s\"}}", plan.host, plan.path);
	if (fclose(out) != 0)
		om_sim_die("out of memory");

	out = om_sim_memory(&t->request, &t->len);
	fprintf(out, "POST %s HTTP/1.1\r\nhost: %s\r\naccept: */*\r\ncontent-type: application/json\r\n"
			"user-agent: telnyx-webhooks\r\ntelnyx-signature-ed25519: %s\r\ntelnyx-timestamp: %s\r\n"
			"content-length: %zu\r\n\r\n", plan.path, plan.host, marks[SIGNATURE], marks[STAMP], len);
	fflush(out);
	t->body = t->len;
	fwrite(body, 1, len, out);
	if (fclose(out) != 0 || t->len > OM_LOAD_REQUEST_MAX)
		om_sim_die("a webhook is too long");
	free(body);
	find_holes(t);
}

static int64_t
time_of(int index)
{
	return plan.start_ms + (plan.rate > 0 ? (int64_t) (index * 1000.0 / plan.rate) : 0);
}

static void
write_digits(char *out, int64_t number, int digits)
{
	while (digits-- > 0)
	{
		out[digits] = (char) ('0' + number % 10);
		number /= 10;
	}
}

static void
write_uuid(char *out, uint64_t stream, int index)
{
	static const char hex[] = "0123456789abcdef";
	uint64_t	half = value_of(stream, 2 * (uint64_t) index);
	int			i;

	for (i = 0; i < UUID_SIZE; i++)
	{
		if (i == 18)
			half = value_of(stream, 2 * (uint64_t) index + 1);
		if (i == 8 || i == 13 || i == 18 || i == 23)
			out[i] = '-';
		else
		{
			out[i] = hex[half & 15];
			half >>= 4;
		}
	}
	out[14] = '4';
	out[19] = 'a';
}

static void
fill_hole(char *out, const struct hole *hole, int index)
{
	const struct webhook *webhook = &webhooks[index];
	char		text[OM_SIM_TIME_SIZE > OM_SIM_SIGNATURE_SIZE ? OM_SIM_TIME_SIZE : OM_SIM_SIGNATURE_SIZE];

	out += hole->at;
	switch (hole->kind)
	{
		case EVENT:
			write_uuid(out, 1, index);
			break;
		case MESSAGE:
			write_uuid(out, 2, index);
			break;
		case FROM:
			write_digits(out + 1, plan.first_sender + webhook->sender, NUMBER_SIZE - 1);
			break;
		case TO:
			write_digits(out + 1, plan.first_number + webhook->sender % plan.numbers, NUMBER_SIZE - 1);
			break;
		case TIME:
			om_sim_format_time(time_of(index), text);
			memcpy(out, text, TIME_SIZE);
			break;
		case STAMP:
			write_digits(out, time_of(index) / 1000, STAMP_SIZE);
			break;
		case SIGNATURE:
			sodium_bin2base64(text, OM_SIM_SIGNATURE_SIZE, webhook->signature, sizeof(webhook->signature),
							  sodium_base64_VARIANT_ORIGINAL);
			memcpy(out, text, SIGNATURE_SIZE);
			break;
	}
}

size_t
om_load_request(int index, char *out)
{
	const struct template *t = &templates[webhooks[index].template];
	int			i;

	memcpy(out, t->request, t->len);
	for (i = 0; i < t->hole_count; i++)
		fill_hole(out, &t->holes[i], index);
	return t->len;
}

enum om_load_kind
om_load_kind(int index)
{
	switch (webhooks[index].template)
	{
		case 0:
			return OM_LOAD_STOP;
		case 1:
			return OM_LOAD_START;
		default:
			return OM_LOAD_MESSAGE;
	}
}

/* Who sends what: every second of those with a keyword is a START, of somebody who has sent a STOP. */
static void
choose(int index, int *keywords)
{
	struct webhook *webhook = &webhooks[index];
	int			stop = *keywords / 2;
	uint64_t	chance = value_of(3, (uint64_t) index);

	if ((double) (chance >> 11) / (double) (UINT64_C(1) << 53) >= plan.share)
	{
		webhook->template = (uint8_t) (FIRST_CHAT + value_of(4, (uint64_t) index) % (TEXTS - FIRST_CHAT));
		webhook->sender = (uint32_t) (value_of(5, (uint64_t) index) % (uint64_t) plan.senders);
		return;
	}
	webhook->template = (uint8_t) (*keywords % 2);
	if (webhook->template == 1 && stop >= START_BEHIND)
		stop -= START_BEHIND;
	webhook->sender = (uint32_t) (value_of(6, (uint64_t) stop) % (uint64_t) plan.senders);
	(*keywords)++;
}

void
om_load_make(const struct om_load_plan *wanted)
{
	char		request[OM_LOAD_REQUEST_MAX];
	char		timestamp[24];
	int			keywords = 0;
	size_t		i;
	int			n;

	plan = *wanted;
	for (i = 0; i < TEXTS; i++)
		make_template(&templates[i], texts[i]);
	webhooks = om_sim_alloc((size_t) plan.count * sizeof(*webhooks));
	for (n = 0; n < plan.count; n++)
	{
		size_t		len;
		size_t		body;

		choose(n, &keywords);
		body = templates[webhooks[n].template].body;
		len = om_load_request(n, request);
		snprintf(timestamp, sizeof(timestamp), "%" PRId64, time_of(n) / 1000);
		om_sim_key_sign(plan.key, timestamp, request + body, len - body, webhooks[n].signature);
	}
}

static int64_t
cpu_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return used.tv_sec * INT64_C(1000000000) + used.tv_nsec;
}

double
om_load_verify_us(void)
{
	char		request[OM_LOAD_REQUEST_MAX];
	unsigned char message[OM_LOAD_REQUEST_MAX];
	unsigned char public_key[crypto_sign_PUBLICKEYBYTES];
	int64_t		used = 0;
	int			n;

	crypto_sign_ed25519_sk_to_pk(public_key, plan.key->secret);
	for (n = 0; n < plan.count; n++)
	{
		size_t		body = templates[webhooks[n].template].body;
		size_t		len = om_load_request(n, request) - body;
		int64_t		begin;

		write_digits((char *) message, time_of(n) / 1000, STAMP_SIZE);
		message[STAMP_SIZE] = '|';
		memcpy(message + STAMP_SIZE + 1, request + body, len);
		begin = cpu_ns();
		if (crypto_sign_verify_detached(webhooks[n].signature, message, STAMP_SIZE + 1 + len, public_key) != 0)
			om_sim_die("a signature of its own is wrong");
		used += cpu_ns() - begin;
	}
	return (double) used / 1000 / plan.count;
}
