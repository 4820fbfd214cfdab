/*
 * simulator_deliver.c
 *		Signed webhooks on their way, with the provider's retries.
 *
 * Telnyx waits 2 s, takes any 2xx for success and anything else for failure, and
 * tries three times.  Whether it signs each attempt anew is not published; here each
 * attempt has a timestamp of its own, since the header is documented as the time
 * the webhook was sent, and so a signature of its own.
 *
 * One thread drives all transfers through a curl multi handle.  What waits lies
 * in a heap ordered by the time it is due.
 */
#include "simulator_deliver.h"

#include <curl/curl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "simulator_json.h"
#include "simulator_util.h"

#define TIMEOUT_MS		2000L
#define IDLE_POLL_MS	1000

struct om_sim_deliverer
{
	struct om_sim_delivery_options options;
	struct om_sim_key wrong_key;
	pthread_t	thread;
	CURLM	   *multi;

	/* only the thread touches these */
	int			active;
	CURL	  **active_easy;

	pthread_mutex_t mutex;		/* guards what follows */
	pthread_cond_t room;
	struct om_sim_delivery **heap;
	int			heap_count;
	int			reserved;		/* deliveries promised room and not yet ended */
	int			failed;
	bool		stopping;
};

void
om_sim_delivery_defaults(struct om_sim_delivery_options *options)
{
	memset(options, 0, sizeof(*options));
	options->attempts = 3;
	options->backoffs[0] = 1000;
	options->backoffs[1] = 5000;
	options->backoff_count = 2;
	options->max_active = 1;
	options->capacity = 1;
}

bool
om_sim_delivery_backoffs(struct om_sim_delivery_options *options, const char *text)
{
	char	   *end;
	long		value;
	int			count = 0;

	for (;;)
	{
		if (count == OM_SIM_BACKOFFS_MAX || *text < '0' || *text > '9')
			return false;
		value = strtol(text, &end, 10);
		if (value > 3600000)
			return false;
		options->backoffs[count++] = (int) value;
		if (*end == '\0')
			break;
		if (*end != ',')
			return false;
		text = end + 1;
	}
	options->backoff_count = count;
	return true;
}

static void
free_delivery(struct om_sim_delivery *delivery)
{
	free(delivery->event_id);
	free(delivery->event_type);
	free(delivery->message_id);
	free(delivery->from);
	free(delivery->to);
	free(delivery->url);
	free(delivery->content);
	free(delivery->attempts);
	free(delivery->body);
	curl_slist_free_all(delivery->headers);
	free(delivery);
}

static void
push(struct om_sim_deliverer *d, struct om_sim_delivery *delivery)
{
	int			at = d->heap_count++;

	while (at > 0 && d->heap[(at - 1) / 2]->due > delivery->due)
	{
		d->heap[at] = d->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	d->heap[at] = delivery;
}

static struct om_sim_delivery *
pop(struct om_sim_deliverer *d)
{
	struct om_sim_delivery *top = d->heap[0];
	struct om_sim_delivery *last = d->heap[--d->heap_count];
	int			at = 0;
	int			child;

	while ((child = 2 * at + 1) < d->heap_count)
	{
		if (child + 1 < d->heap_count && d->heap[child + 1]->due < d->heap[child]->due)
			child++;
		if (d->heap[child]->due >= last->due)
			break;
		d->heap[at] = d->heap[child];
		at = child;
	}
	d->heap[at] = last;
	return top;
}

static size_t
discard(char *data, size_t size, size_t count, void *context)
{
	return size * count;
}

static void
add_header(struct om_sim_delivery *delivery, const char *name, const char *value)
{
	char		line[160];
	struct curl_slist *list;

	snprintf(line, sizeof(line), "%s: %s", name, value);
	list = curl_slist_append(delivery->headers, line);
	if (list == NULL)
		om_sim_die("out of memory");
	delivery->headers = list;
}

/* Build the body and sign it, each time anew. */
static size_t
prepare(struct om_sim_deliverer *d, struct om_sim_delivery *delivery)
{
	unsigned char signature[crypto_sign_BYTES];
	char		encoded[OM_SIM_SIGNATURE_SIZE];
	char		timestamp[24];
	int64_t		seconds = om_sim_now_ms() / 1000 + delivery->timestamp_offset;
	size_t		len;
	FILE	   *out;

	free(delivery->body);
	curl_slist_free_all(delivery->headers);
	delivery->headers = NULL;
	out = om_sim_memory(&delivery->body, &len);
	if (!delivery->is_body)
		fputs("{\"data\":", out);
	fwrite(delivery->content, 1, delivery->content_len, out);
	if (!delivery->is_body)
	{
		fprintf(out, ",\"meta\":{\"attempt\":%d,\"delivered_to\":", delivery->attempt);
		om_sim_json_write(out, delivery->url);
		fputs("}}", out);
	}
	fflush(out);
	snprintf(timestamp, sizeof(timestamp), "%lld", (long long) seconds);
	om_sim_key_sign(delivery->wrong_key ? &d->wrong_key : d->options.key,
					timestamp, delivery->body, len, signature);
	if (delivery->corruption == OM_SIM_CORRUPT_BODY)
		putc('\n', out);
	else if (delivery->corruption == OM_SIM_CORRUPT_SIGNATURE)
		signature[0] ^= 1;
	else if (delivery->corruption == OM_SIM_CORRUPT_TIMESTAMP)
		snprintf(timestamp, sizeof(timestamp), "%lld", (long long) seconds + 1);
	if (fclose(out) != 0)
		om_sim_die("out of memory");
	sodium_bin2base64(encoded, sizeof(encoded), signature, sizeof(signature),
					  sodium_base64_VARIANT_ORIGINAL);
	add_header(delivery, "content-type", "application/json");
	add_header(delivery, "user-agent", "telnyx-webhooks");
	add_header(delivery, "expect", "");
	if (!delivery->omit_signature)
		add_header(delivery, "telnyx-signature-ed25519", encoded);
	if (!delivery->omit_timestamp)
		add_header(delivery, "telnyx-timestamp", timestamp);
	return len;
}

static void
start_attempt(struct om_sim_deliverer *d, struct om_sim_delivery *delivery)
{
	CURL	   *easy = curl_easy_init();
	size_t		len;

	if (easy == NULL)
		om_sim_die("out of memory");
	delivery->attempt++;
	len = prepare(d, delivery);
	curl_easy_setopt(easy, CURLOPT_URL, delivery->url);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_INTERFACE, d->options.source);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
	/* on a reused connection libcurl may repeat a POST without telling */
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, delivery->headers);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) len);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, delivery->body);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, delivery);
	delivery->started = om_sim_monotonic_ms();
	delivery->attempt_at = om_sim_now_ms();
	if (delivery->attempt == 1)
		delivery->began_at = delivery->attempt_at;
	d->active_easy[d->active++] = easy;
	if (curl_multi_add_handle(d->multi, easy) != CURLM_OK)
		om_sim_die("libcurl does not take one more transfer");
}

static void
write_ledger(struct om_sim_deliverer *d, const struct om_sim_delivery *delivery,
			 long http, const char *outcome, const char *error)
{
	struct om_sim_line line;
	FILE	   *out = om_sim_ledger_begin(d->options.ledger, &line, "webhook");
	bool		tampered = delivery->corruption != OM_SIM_INTACT || delivery->wrong_key ||
		delivery->omit_signature || delivery->omit_timestamp;

	if (out == NULL)
		return;
	om_sim_ledger_field(out, "event_id", delivery->event_id);
	om_sim_ledger_field(out, "event_type", delivery->event_type);
	om_sim_ledger_field(out, "message_id", delivery->message_id);
	fprintf(out, ",\"attempt\":%d,\"http\":%ld,\"outcome\":\"%s\",\"error\":",
			delivery->attempt, http, outcome);
	om_sim_json_write(out, error);
	om_sim_ledger_field(out, "from", delivery->from);
	om_sim_ledger_field(out, "to", delivery->to);
	om_sim_ledger_field(out, "url", delivery->url);
	fprintf(out, ",\"tampered\":%s,\"timestamp_offset\":%d", tampered ? "true" : "false",
			delivery->timestamp_offset);
	om_sim_ledger_end(d->options.ledger, &line);
}

static void
abandon(struct om_sim_deliverer *d, struct om_sim_delivery *delivery)
{
	struct om_sim_delivery *next;

	for (; delivery != NULL; delivery = next)
	{
		next = delivery->next;
		write_ledger(d, delivery, 0, "abandoned", NULL);
		free_delivery(delivery);
	}
}

static void
report(const struct om_sim_delivery *delivery, long http, const char *error, bool done,
	   bool last)
{
	printf("%s attempt %d http %ld %lld ms%s%s%s\n", delivery->event_id, delivery->attempt,
		   http, (long long) (om_sim_monotonic_ms() - delivery->started),
		   error != NULL ? " (" : "", error != NULL ? error : "", error != NULL ? ")" : "");
	if (done)
		printf("%s delivered\n", delivery->event_id);
	else if (last)
		printf("%s not delivered after %d attempt%s\n", delivery->event_id,
			   delivery->attempt, delivery->attempt == 1 ? "" : "s");
	fflush(stdout);
}

/* Keep how the attempt ended, in the words of the provider's list. */
static void
note_attempt(struct om_sim_delivery *delivery, long http, bool done)
{
	char	   *earlier = delivery->attempts;
	char		started_at[OM_SIM_TIME_SIZE];
	char		finished_at[OM_SIM_TIME_SIZE];
	size_t		len;
	FILE	   *out = om_sim_memory(&delivery->attempts, &len);

	om_sim_format_time(delivery->attempt_at, started_at);
	om_sim_format_time(om_sim_now_ms(), finished_at);
	fprintf(out, "{\"status\":\"%s\",\"started_at\":\"%s\",\"finished_at\":\"%s\",\"errors\":[],"
			"\"http\":{\"request\":{\"url\":", done ? "delivered" : "failed", started_at, finished_at);
	om_sim_json_write(out, delivery->url);
	putc('}', out);
	if (http > 0)
		fprintf(out, ",\"response\":{\"status\":%ld}", http);
	fprintf(out, "}}%s%s", earlier != NULL ? "," : "", earlier != NULL ? earlier : "");
	if (fclose(out) != 0)
		om_sim_die("out of memory");
	free(earlier);
}

static void
tell_end(struct om_sim_deliverer *d, const struct om_sim_delivery *delivery, bool delivered)
{
	struct om_sim_webhook webhook = {.delivered = delivered};
	size_t		len;
	FILE	   *out = om_sim_memory(&webhook.attempts, &len);

	fprintf(out, "[%s]", delivery->attempts);
	if (fclose(out) != 0)
		om_sim_die("out of memory");
	out = om_sim_memory(&webhook.webhook, &len);
	fwrite(delivery->content, 1, delivery->content_len, out);
	if (fclose(out) != 0)
		om_sim_die("out of memory");
	webhook.started_at = delivery->began_at;
	webhook.finished_at = om_sim_now_ms();
	webhook.event_type = delivery->event_type != NULL ? om_sim_strdup(delivery->event_type) : NULL;
	d->options.ended(d->options.context, &webhook);
}

/* An attempt ended: let the next of the chain begin, and retry or be done. */
static void
end_attempt(struct om_sim_deliverer *d, CURL *easy, CURLcode result)
{
	struct om_sim_delivery *delivery;
	const char *error = result == CURLE_OK ? NULL : curl_easy_strerror(result);
	long		http = 0;
	bool		done;
	bool		last;
	int			backoff;
	int			i;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &delivery);
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &http);
	curl_multi_remove_handle(d->multi, easy);
	curl_easy_cleanup(easy);
	for (i = 0; d->active_easy[i] != easy; i++)
		;
	d->active_easy[i] = d->active_easy[--d->active];

	done = result == CURLE_OK && http >= 200 && http <= 299;
	last = !done && delivery->attempt >= d->options.attempts;
	write_ledger(d, delivery, http, done ? "delivered" : last ? "gave_up" : "failed", error);
	if (d->options.report)
		report(delivery, http, error, done, last);
	if (d->options.ended != NULL)
		note_attempt(delivery, http, done);
	if (d->options.ended != NULL && (done || last))
		tell_end(d, delivery, done);

	pthread_mutex_lock(&d->mutex);
	if (delivery->next != NULL)
		push(d, delivery->next);
	delivery->next = NULL;
	if (done || last)
	{
		d->reserved--;
		d->failed += last ? 1 : 0;
		pthread_cond_broadcast(&d->room);
	}
	else
	{
		i = delivery->attempt - 1;
		if (i >= d->options.backoff_count)
			i = d->options.backoff_count - 1;
		backoff = d->options.backoffs[i];
		delivery->due = om_sim_monotonic_ms() + backoff;
		push(d, delivery);
	}
	pthread_mutex_unlock(&d->mutex);
	if (done || last)
		free_delivery(delivery);
}

/* Start what is due; returns how long to wait for the next, -1 to stop. */
static int
start_due(struct om_sim_deliverer *d)
{
	struct om_sim_delivery *delivery;
	int64_t		now = om_sim_monotonic_ms();
	int64_t		wait = IDLE_POLL_MS;

	pthread_mutex_lock(&d->mutex);
	while (!d->stopping && d->active < d->options.max_active && d->heap_count > 0 &&
		   d->heap[0]->due <= now)
	{
		delivery = pop(d);
		pthread_mutex_unlock(&d->mutex);
		start_attempt(d, delivery);
		pthread_mutex_lock(&d->mutex);
	}
	if (d->active < d->options.max_active && d->heap_count > 0 && d->heap[0]->due - now < wait)
		wait = d->heap[0]->due > now ? d->heap[0]->due - now : 0;
	if (d->stopping)
		wait = -1;
	pthread_mutex_unlock(&d->mutex);
	return (int) wait;
}

static void *
run(void *arg)
{
	struct om_sim_deliverer *d = arg;
	struct om_sim_delivery *delivery;
	CURLMsg    *message;
	int			wait;
	int			running;
	int			left;
	bool		ended;

	while ((wait = start_due(d)) >= 0)
	{
		curl_multi_perform(d->multi, &running);
		ended = false;
		while ((message = curl_multi_info_read(d->multi, &left)) != NULL)
			if (message->msg == CURLMSG_DONE)
			{
				end_attempt(d, message->easy_handle, message->data.result);
				ended = true;
			}
		if (ended)
			om_sim_ledger_flush(d->options.ledger);
		else
			curl_multi_poll(d->multi, NULL, 0, wait, NULL);
	}
	while (d->active > 0)
	{
		CURL	   *easy = d->active_easy[--d->active];

		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &delivery);
		curl_multi_remove_handle(d->multi, easy);
		curl_easy_cleanup(easy);
		abandon(d, delivery);
	}
	pthread_mutex_lock(&d->mutex);
	while (d->heap_count > 0)
		abandon(d, pop(d));
	pthread_mutex_unlock(&d->mutex);
	om_sim_ledger_flush(d->options.ledger);
	return NULL;
}

struct om_sim_deliverer *
om_sim_deliverer_start(const struct om_sim_delivery_options *options)
{
	struct om_sim_deliverer *d = om_sim_alloc(sizeof(*d));

	d->options = *options;
	d->heap = om_sim_alloc(sizeof(*d->heap) * (size_t) options->capacity);
	d->active_easy = om_sim_alloc(sizeof(*d->active_easy) * (size_t) options->max_active);
	om_sim_key_random(&d->wrong_key);
	pthread_mutex_init(&d->mutex, NULL);
	pthread_cond_init(&d->room, NULL);
	if (curl_global_init(CURL_GLOBAL_ALL) != 0 || (d->multi = curl_multi_init()) == NULL)
		om_sim_die("cannot start libcurl");
	if (pthread_create(&d->thread, NULL, run, d) != 0)
		om_sim_die("cannot start a thread");
	return d;
}

bool
om_sim_deliverer_reserve(struct om_sim_deliverer *d, int count, bool wait)
{
	bool		granted;

	pthread_mutex_lock(&d->mutex);
	while (wait && d->reserved + count > d->options.capacity)
		pthread_cond_wait(&d->room, &d->mutex);
	granted = d->reserved + count <= d->options.capacity;
	if (granted)
		d->reserved += count;
	pthread_mutex_unlock(&d->mutex);
	return granted;
}

void
om_sim_deliverer_add(struct om_sim_deliverer *d, struct om_sim_delivery *delivery)
{
	pthread_mutex_lock(&d->mutex);
	push(d, delivery);
	pthread_mutex_unlock(&d->mutex);
	curl_multi_wakeup(d->multi);
}

int
om_sim_deliverer_drain(struct om_sim_deliverer *d)
{
	int			failed;

	pthread_mutex_lock(&d->mutex);
	while (d->reserved > 0)
		pthread_cond_wait(&d->room, &d->mutex);
	failed = d->failed;
	pthread_mutex_unlock(&d->mutex);
	return failed;
}

void
om_sim_deliverer_stop(struct om_sim_deliverer *d)
{
	pthread_mutex_lock(&d->mutex);
	d->stopping = true;
	pthread_mutex_unlock(&d->mutex);
	curl_multi_wakeup(d->multi);
	pthread_join(d->thread, NULL);
	curl_multi_cleanup(d->multi);
	pthread_mutex_destroy(&d->mutex);
	pthread_cond_destroy(&d->room);
	free(d->heap);
	free(d->active_easy);
	free(d);
}
