/*
 * metrics.c
 *		Counters of the relay in the Prometheus text format 0.0.4.
 */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "clock.h"
#include "forward.h"
#include "http.h"
#include "metrics.h"
#include "skew.h"
#include "spool.h"

#define COUNT(a)	((int) (sizeof(a) / sizeof((a)[0])))

/* Every status the relay or civetweb answers with; anything else counts as the last. */
static const int statuses[] = {
	200, 400, 401, 404, 405, 408, 411, 413, 417, 429, 431, 503, 505, 500
};

static const double latency_bounds[] = {
	0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 1.8
};

static const int batch_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512};

static const char *const db_error_names[OM_DB_ERRORS] = {
	[OM_DB_CONNECT] = "connect",
	[OM_DB_LOST] = "lost",
	[OM_DB_TIMEOUT] = "timeout",
	[OM_DB_STATEMENT] = "statement",
	[OM_DB_NO_ROW] = "no_row",
};

static atomic_ullong answers[COUNT(statuses)];
static atomic_ullong verified[OM_SIGNATURE_NO_SPACE + 1];
static atomic_ullong db_errors[OM_DB_ERRORS];
static atomic_ullong latency_buckets[COUNT(latency_bounds) + 1];
static atomic_ullong latency_sum_ms;
static atomic_ullong batch_buckets[COUNT(batch_bounds) + 1];
static atomic_ullong batch_sum;
static atomic_long in_flight;

void
om_metrics_answer(int status)
{
	int			i = 0;

	while (i < COUNT(statuses) - 1 && statuses[i] != status)
		i++;
	atomic_fetch_add(&answers[i], 1);
}

void
om_metrics_webhook_begin(void)
{
	atomic_fetch_add(&in_flight, 1);
}

void
om_metrics_webhook_end(int64_t ms)
{
	int			i = 0;

	while (i < COUNT(latency_bounds) && (double) ms > latency_bounds[i] * 1000.0)
		i++;
	atomic_fetch_add(&latency_buckets[i], 1);
	atomic_fetch_add(&latency_sum_ms, (unsigned long long) ms);
	atomic_fetch_sub(&in_flight, 1);
}

long
om_metrics_in_flight(void)
{
	return atomic_load(&in_flight);
}

void
om_metrics_verified(OmSignatureResult result)
{
	atomic_fetch_add(&verified[result], 1);
}

void
om_metrics_batch(int size)
{
	int			i = 0;

	while (i < COUNT(batch_bounds) && size > batch_bounds[i])
		i++;
	atomic_fetch_add(&batch_buckets[i], 1);
	atomic_fetch_add(&batch_sum, (unsigned long long) size);
}

void
om_metrics_db_error(OmDbError what)
{
	atomic_fetch_add(&db_errors[what], 1);
}

const char *
om_metrics_db_error_name(OmDbError what)
{
	return db_error_names[what];
}

typedef struct Page
{
	char	   *text;
	size_t		size;
	size_t		len;
} Page;

static void add(Page *page, const char *format,...) __attribute__((format(printf, 2, 3)));

static void
add(Page *page, const char *format,...)
{
	va_list		args;
	int			n;

	va_start(args, format);
	n = vsnprintf(page->text + page->len, page->size - page->len, format, args);
	va_end(args);
	if (n > 0 && (size_t) n < page->size - page->len)
		page->len += (size_t) n;
}

static void
add_header(Page *page, const char *name, const char *type, const char *help)
{
	add(page, "# HELP omnimsg_relay_%s %s\n# TYPE omnimsg_relay_%s %s\n",
		name, help, name, type);
}

static void
add_gauge(Page *page, const char *name, const char *help, long value)
{
	add_header(page, name, "gauge", help);
	add(page, "omnimsg_relay_%s %ld\n", name, value);
}

static void
add_counter(Page *page, const char *name, const char *help, uint64_t value)
{
	add_header(page, name, "counter", help);
	add(page, "omnimsg_relay_%s %llu\n", name, (unsigned long long) value);
}

/* All are there without a spool, too, so that an alarm never looks at nothing */
static void
add_spool(Page *page)
{
	OmSpoolNumbers spool = om_spool_numbers();
	int64_t		age = spool.oldest_at > 0 ? om_clock_unix_ms() - spool.oldest_at : 0;

	add_gauge(page, "spool_enabled", "Whether there is a spool.", spool.enabled);
	add_gauge(page, "spool_failed", "1 when the spool keeps nothing more until the relay is started again.",
			  spool.failed);
	add_gauge(page, "spool_deliveries", "Deliveries in the spool, answered 200 and not yet in the database.",
			  (long) spool.deliveries);
	add_gauge(page, "spool_bytes", "What they take up.", (long) spool.bytes);
	add_gauge(page, "spool_max_bytes", "What they may take up.", (long) spool.max_bytes);
	add_gauge(page, "spool_oldest_seconds", "Age of the oldest delivery in the spool.",
			  (long) (age > 0 ? age / 1000 : 0));
	add_gauge(page, "spool_damaged", "Deliveries in the spool that are not what was kept, set aside.",
			  (long) spool.damaged);
	add_counter(page, "spool_stored_total", "Deliveries put into the spool.", spool.stored);
	add_counter(page, "spool_replayed_total", "Deliveries that the database has taken from the spool.",
				spool.replayed);
	add_counter(page, "spool_refused_total", "Deliveries that the spool could not keep.", spool.refused);
}

/* A peer whose clock nobody has seen yet has no line. */
static void
add_skew(Page *page)
{
	int64_t		offset;

	add_header(page, "clock_skew_seconds", "gauge", "This host's clock minus the peer's.");
	if (om_skew_provider_get(&offset))
		add(page, "omnimsg_relay_clock_skew_seconds{peer=\"provider\"} %.3f\n", (double) offset / 1000.0);
	if (om_skew_database_get(&offset))
		add(page, "omnimsg_relay_clock_skew_seconds{peer=\"database\"} %.3f\n", (double) offset / 1000.0);
}

/* The lines of the buckets; returns the count over all of them. */
static unsigned long long
add_buckets(Page *page, const char *name, atomic_ullong *buckets, int n,
			const double *bounds, const int *int_bounds)
{
	unsigned long long total = 0;
	double		bound;
	int			i;

	for (i = 0; i < n; i++)
	{
		total += atomic_load(&buckets[i]);
		/* cppcheck-suppress nullPointer ; each caller gives one of the two */
		bound = bounds != NULL ? bounds[i] : (double) int_bounds[i];
		add(page, "omnimsg_relay_%s_bucket{le=\"%g\"} %llu\n", name, bound, total);
	}
	total += atomic_load(&buckets[n]);
	add(page, "omnimsg_relay_%s_bucket{le=\"+Inf\"} %llu\n", name, total);
	return total;
}

size_t
om_metrics_render(char *out, size_t out_size)
{
	Page		page = {out, out_size, 0};
	unsigned long long total;
	unsigned long long sum;
	int			i;

	out[0] = '\0';

	add_header(&page, "requests_total", "counter",
			   "Answers by status code, without health probes and scrapes.");
	for (i = 0; i < COUNT(statuses); i++)
		add(&page, "omnimsg_relay_requests_total{code=\"%d\"} %llu\n",
			statuses[i], atomic_load(&answers[i]));

	add_header(&page, "verifications_total", "counter",
			   "Signature checks of deliveries by result.");
	for (i = 0; i <= OM_SIGNATURE_NO_SPACE; i++)
	{
		if (i != OM_SIGNATURE_BAD_KEY)
			add(&page, "omnimsg_relay_verifications_total{result=\"%s\"} %llu\n",
				om_signature_result_name((OmSignatureResult) i), atomic_load(&verified[i]));
	}

	add_header(&page, "request_duration_seconds", "histogram",
			   "Time from the headers of a webhook to its answer.");
	sum = atomic_load(&latency_sum_ms);
	total = add_buckets(&page, "request_duration_seconds", latency_buckets,
						COUNT(latency_bounds), latency_bounds, NULL);
	add(&page, "omnimsg_relay_request_duration_seconds_sum %.3f\n", (double) sum / 1000.0);
	add(&page, "omnimsg_relay_request_duration_seconds_count %llu\n", total);

	add_header(&page, "batch_size", "histogram",
			   "Deliveries per call of the database.");
	sum = atomic_load(&batch_sum);
	total = add_buckets(&page, "batch_size", batch_buckets, COUNT(batch_bounds),
						NULL, batch_bounds);
	add(&page, "omnimsg_relay_batch_size_sum %llu\n", sum);
	add(&page, "omnimsg_relay_batch_size_count %llu\n", total);

	add_header(&page, "batches_total", "counter", "Calls of the database.");
	add(&page, "omnimsg_relay_batches_total %llu\n", total);

	add_header(&page, "database_errors_total", "counter",
			   "Failures of the database by kind.");
	for (i = 0; i < OM_DB_ERRORS; i++)
		add(&page, "omnimsg_relay_database_errors_total{kind=\"%s\"} %llu\n",
			db_error_names[i], atomic_load(&db_errors[i]));

	add_gauge(&page, "queue_depth", "Deliveries that wait for a database connection.",
			  om_forward_queue_depth());
	add_gauge(&page, "database_connections", "Database connections that are up.",
			  om_forward_connections());
	add_gauge(&page, "in_flight", "Webhooks that are being answered.",
			  om_metrics_in_flight());
	add_gauge(&page, "http_connections", "HTTP connections that hold a thread.",
			  om_http_connections());
	add_spool(&page);
	add_skew(&page);
	return page.len;
}
