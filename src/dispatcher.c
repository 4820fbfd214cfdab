/*
 * dispatcher.c
 *		The background worker that sends what is in the outbox.
 *
 * claim (commit) -> mark (commit) -> POST -> record (commit).  While requests are under way
 * no transaction is open and no snapshot is held, so vacuum and locks of others
 * do not notice a slow provider.
 *
 * A worker that dies takes the whole server through a restart, so nothing here reads
 * what it does not have to, and an error of one round is logged and the next round begins.
 */
#include "postgres.h"

#include <sodium.h>

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "account.h"
#include "arm.h"
#include "compat.h"
#include "consent.h"
#include "core/backoff.h"
#include "dispatcher.h"
#include "fetch.h"
#include "guc.h"
#include "http.h"
#include "ingest.h"
#include "maintain.h"
#include "outbox.h"
#include "provider_telnyx_send.h"
#include "review.h"
#include "secret.h"
#include "share.h"
#include "shmem.h"
#include "version.h"
#include "worker.h"

#define HOUSEKEEPING_MS	30000	/* what was passed over is done within a minute */
#define ERROR_PAUSE_MS	1000	/* after a round that failed */
#define LEASE_MARGIN_MS	2000	/* nothing is sent in the last seconds of a lease */
#define EVIDENCE_PATIENCE	(10 * USECS_PER_MINUTE) /* with an answer that cannot be recorded */
#define DEFERRED_PAUSE_MS	500 /* before a consent that was locked is tried again */
#define GATHER_MS	20			/* between two rounds at most, while much is under way */

extern PGDLLEXPORT void omnimsg_dispatcher_main(Datum arg);

static MemoryContext item_context;	/* of items that are being sent */
static MemoryContext round_context; /* reset each round */
static OmItem **finished;		/* answered, not recorded yet */
static int	nfinished = 0;
static int	finished_capacity = 0;
static Oid	extension_seen = InvalidOid;	/* one that was dropped and made again is another one */
static bool outdated = false;	/* the extension is there, and not of our version */
static OmArmed armed = OM_ARMED_NEVER;	/* as it was when this round began */
static TimestampTz recover_at = 0;	/* when a lease may have ended without its worker */
static TimestampTz look_at = 0; /* until then the database has nothing to do, unless the latch is set */
static TimestampTz round_at = 0;	/* when the last round began */

void
om_dispatcher_register(void)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "omnimsg");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "omnimsg_dispatcher_main");
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "omnimsg dispatcher");
	snprintf(worker.bgw_type, sizeof(worker.bgw_type), "omnimsg dispatcher");
	RegisterBackgroundWorker(&worker);
}

/* Not while it is half there */
static bool
extension_exists(void)
{
	Oid			tables = get_namespace_oid("omnimsg", true);

	return OidIsValid(get_extension_oid("omnimsg", true)) && OidIsValid(tables) &&
		OidIsValid(get_relname_relid("outbox", tables));
}

/* Say in the log, once, that nothing is sent and why, and that it is over */
static void
tell_if_armed(bool found, const char *reason)
{
	static char told[256] = "";

	if (reason == NULL)
	{
		if (found && *told)
			ereport(LOG, (errmsg("omnimsg dispatcher: database \"%s\" is armed", om_database)));
		*told = '\0';
	}
	else if (strncmp(told, reason, sizeof(told) - 1) != 0)
	{
		strlcpy(told, reason, sizeof(told));
		ereport(WARNING,
				(errmsg("omnimsg dispatcher: nothing is sent from database \"%s\": it is not armed", om_database),
				 errdetail("It is or was %s.", reason),
				 errhint("If no other copy of it sends, call omnimsg_arm().")));
	}
}

/*
 * Is the extension there, and is the database armed?  Runs in a transaction of its own.
 */
static bool
look_for_extension(void)
{
	const char *reason = NULL;
	bool		exists;
	bool		found;
	Oid			extension;

	om_worker_begin("omnimsg: look for the extension");
	exists = extension_exists();
	found = exists && om_version_matches();
	if (exists && !found && !outdated)
		ereport(LOG,
				(errmsg("omnimsg dispatcher: the extension in database \"%s\" is of version %s, and the library of version %s; waiting",
						om_database, om_installed_version(), OM_VERSION),
				 errhint("Run ALTER EXTENSION omnimsg UPDATE there.")));
	outdated = exists && !found;
	extension = found ? get_extension_oid("omnimsg", true) : InvalidOid;
	if (extension != extension_seen)
	{
		extension_seen = extension;
		om_maintain_soon();
		if (found)
			ereport(LOG, (errmsg("omnimsg dispatcher: working in database \"%s\"", om_database)));
		else if (!outdated)
			ereport(LOG, (errmsg("omnimsg dispatcher: the extension is gone from database \"%s\"", om_database)));
	}
	armed = OM_ARMED_NEVER;
	if (found)
		armed = om_arm_check(&reason);
	tell_if_armed(found, reason);
	if (found)
		om_worker_tell_role();
	om_worker_end();
	return found;
}

static void
finish_item(OmItem *item)
{
	if (nfinished == finished_capacity)
	{
		/* Without memory for more, both stay as they are */
		int			capacity = Max(finished_capacity * 2, 64);

		finished = finished ? repalloc(finished, sizeof(OmItem *) * capacity) :
			MemoryContextAlloc(TopMemoryContext, sizeof(OmItem *) * capacity);
		finished_capacity = capacity;
	}
	finished[nfinished++] = item;
}

static int64
backoff_of(const OmItem *item)
{
	return om_backoff_ms(item->attempts, randombytes_random());
}

/* It will not be sent now; nothing of it has left */
static void
put_off(OmItem *item, const char *why)
{
	item->result = OM_ANSWER_NOT_SENT;
	item->error_text = MemoryContextStrdup(item->context, why);
	item->retry_ms = backoff_of(item);
	finish_item(item);
}

static void
complain(const OmItem *item, const char *why)
{
	static TimestampTz last = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (now - last < USECS_PER_MINUTE)
		return;
	last = now;
	ereport(WARNING,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("omnimsg dispatcher: messages cannot be sent: %s", why),
			 item->secret_name ?
			 errdetail("The secret is called \"%s\".", item->secret_name) : 0,
			 errhint("They wait until they expire. See last_error in omnimsg.outbox.")));
}

/* Nothing of it may leave from then on: others may soon hold the lease */
static TimestampTz
send_until(const OmItem *item)
{
	return item->leased_until - (int64) LEASE_MARGIN_MS * 1000;
}

static void
send_item(OmItem *item, const char *url)
{
	char		secret[OM_SECRET_SIZE];
	const char *error;
	char	   *body;
	TimestampTz now = GetCurrentTimestamp();

	/* The process may have been stopped since the item was marked; http.c asks once more */
	if (now >= send_until(item) || now >= item->expires_at - (int64) OM_HTTP_CONNECT_MS * 1000)
	{
		put_off(item, "its time was over before it was sent");
		return;
	}
	error = item->secret_name == NULL ? "its number has no provider account with a secret" :
		om_secret_read(item->secret_name, secret);
	if (error != NULL)
	{
		complain(item, error);
		put_off(item, error);
		return;
	}
	body = om_telnyx_body(item->from, item->to, item->text, item->profile, item->webhook_url);
	if (om_http_post(item, url, secret, body, Min(send_until(item), item->expires_at)))
		om_share_begin(&item->organization_id);
	else
		put_off(item, "out of memory");
	sodium_memzero(secret, sizeof(secret));
}

/* What is asked of the provider takes no place from a message */
static int
messages_in_flight(void)
{
	return om_http_in_flight() - om_fetch_in_flight();
}

/* Milliseconds that a claim lasts: always longer than a request may take */
static int64
lease_ms(void)
{
	return Max((int64) om_lease * 1000, (int64) om_request_timeout + 2 * LEASE_MARGIN_MS);
}

/*
 * Claim, mark and begin to send as much as there is room for.  Returns how long to wait
 * before there may be more, in ms.
 */
static long
claim_and_send(void)
{
	int			slots = om_max_in_flight - messages_in_flight() - nfinished;
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = 0;
	OmShare    *shares;
	OmItem	  **items = NULL;
	pg_uuid_t	token;
	int			count;
	int			nitems = 0;
	bool		limited = false;
	bool		marked;
	int			claimed = 0;
	char	   *url;

	if (slots <= 0)
		return om_poll_interval;

	om_worker_begin("omnimsg: claim");
	om_db_age_plans();
	shares = om_outbox_due(now, &count, &next);
	if (count > 0)
	{
		MemoryContext before = MemoryContextSwitchTo(round_context);
		OmShare    *kept = palloc(sizeof(OmShare) * count);

		memcpy(kept, shares, sizeof(OmShare) * count);
		shares = kept;
		MemoryContextSwitchTo(before);
		om_uuid7(&token);
		if (om_share_divide(shares, count, slots, now) > 0)
			claimed = om_outbox_claim(shares, count, &token, now, now + lease_ms() * 1000);
	}
	om_worker_end();

	if (claimed > 0)
	{
		recover_at = Min(recover_at, now + lease_ms() * 1000 + 1000);
		url = om_telnyx_url("messages");
		om_worker_begin("omnimsg: mark");
		items = om_outbox_mark(&token, GetCurrentTimestamp(), round_context, &nitems);
		om_worker_end();
		marked = om_commit_is_replicated();

		/* Only from here on do they outlive the round */
		for (int i = 0; i < nitems; i++)
			MemoryContextSetParent(items[i]->context, item_context);
		for (int i = 0; i < nitems; i++)
			if (marked)
				send_item(items[i], url);
			else
				put_off(items[i], "the synchronous standby has not confirmed that it is being sent");
	}
	if (count > 0)
		limited = om_share_return(shares, count, items, nitems, now);

	if (claimed > 0 && !limited)
		return 0;
	if (limited)
		return Max(1000 / om_rate_limit, 20);
	if (next > 0)
		return Max((next - now) / 1000 + 1, 1);
	return om_poll_interval;
}

/* Take the answers that are there */
static void
collect_answers(void)
{
	OmHttpAnswer *http;

	while ((http = om_http_finished()) != NULL)
	{
		OmItem	   *item = http->tag;
		OmTelnyxAnswer answer;
		MemoryContext before;
		int64		retry_after = om_retry_after_ms(http->retry_after, strlen(http->retry_after),
													time(NULL));

		if (om_fetch_is_its_answer(http))
			continue;
		om_share_end(&item->organization_id, http->timed_out);
		before = MemoryContextSwitchTo(item->context);
		om_telnyx_answer(http, &answer);
		item->result = answer.class_;
		item->external_id = answer.message_id;
		item->error_code = answer.error_code;
		item->error_text = answer.error_text;
		item->retry_ms = backoff_of(item);
		if (answer.class_ == OM_ANSWER_REFUSED_FOR_NOW)
			item->retry_ms = Max(item->retry_ms, retry_after);
		MemoryContextSwitchTo(before);
		om_http_answer_free(http);
		finish_item(item);
	}
}

static void
forget_first(int count)
{
	for (int i = 0; i < count; i++)
		MemoryContextDelete(finished[i]->context);
	nfinished -= count;
	memmove(finished, finished + count, sizeof(OmItem *) * nfinished);
}

/*
 * The last attempt to record failed: maybe because of one item.  The first one goes to the
 * end, or is given up when its lease is over, because then nobody may record it any more; but that the
 * provider accepted it is worth more tries.
 */
static void
step_aside(void)
{
	OmItem	   *item = finished[0];

	memmove(finished, finished + 1, sizeof(OmItem *) * (nfinished - 1));
	finished[--nfinished] = item;
	if (GetCurrentTimestamp() < item->leased_until +
		(item->result == OM_ANSWER_ACCEPTED ? EVIDENCE_PATIENCE : 0))
		nfinished++;
	else
	{
		ereport(WARNING,
				(errmsg("omnimsg dispatcher: an answer (%s) could not be recorded before its lease ended",
						om_answer_class_name(item->result))));
		MemoryContextDelete(item->context);
	}
}

/* Record what is finished, in one transaction; after a failure one at a time */
static void
record_finished(void)
{
	static bool failing = false;
	OmColumn   *sent_ids;
	int			count;
	int			failed = 0;
	int			unknown = 0;

	if (failing && nfinished > 0)
		step_aside();
	if (nfinished == 0)
		return;
	count = failing ? 1 : nfinished;
	failing = true;				/* unless it comes back */
	om_worker_begin("omnimsg: record");
	om_outbox_record(finished, count, GetCurrentTimestamp());
	om_worker_end();
	failing = false;

	sent_ids = om_column(TEXTOID, count);
	for (int i = 0; i < count; i++)
	{
		OmAnswerClass result = finished[i]->result;

		if (!finished[i]->recorded && !finished[i]->known)
			ereport(WARNING,
					(errmsg("omnimsg dispatcher: the lease of an item ended before its answer (%s) was recorded",
							om_answer_class_name(result))));
		if (result == OM_ANSWER_ACCEPTED)
			om_column_add_text(sent_ids, finished[i]->external_id);
		failed += result == OM_ANSWER_REFUSED;
		unknown += result == OM_ANSWER_UNKNOWN;
	}
	forget_first(count);
	om_shmem_worker_counted(sent_ids->count, failed, unknown);

	/* The provider may have told more of them before their ids were known here */
	if (sent_ids->count > 0)
	{
		om_worker_begin("omnimsg: apply what waited");
		om_ingest_pending_of(sent_ids);
		om_worker_end();
	}
}

/*
 * A STOP that could not be folded when it came is folded before anything is claimed.
 * Returns how long to wait before there may be more of it to do, in ms.
 */
static long
fold_deferred(TimestampTz now)
{
	int			left;

	om_worker_begin("omnimsg: fold deferred consents");
	left = om_consent_fold_deferred(now);
	om_worker_end();
	return left > 0 ? DEFERRED_PAUSE_MS : om_poll_interval;
}

/*
 * What dead workers held, soon after their leases end.  Our own end so as well when we were stopped for
 * long.  Returns how long that is for the next of them, in ms.
 */
static long
recover(TimestampTz now)
{
	TimestampTz next;

	if (now >= recover_at || recover_at - now > (int64) HOUSEKEEPING_MS * 1000)
	{
		om_worker_begin("omnimsg: recover");
		om_outbox_recover(now, &next);
		om_worker_end();
		recover_at = now + (int64) HOUSEKEEPING_MS * 1000;
		if (next > 0)
			recover_at = Min(recover_at, next + 1000);
	}
	return Max(TimestampDifferenceMilliseconds(now, recover_at), 1);
}

/* Of a database that is armed: close what is over, and apply what a lost round left behind */
static void
keep_house(TimestampTz now, bool set_back)
{
	static TimestampTz looked_at_all = 0;
	bool		all;

	om_worker_begin("omnimsg: expire");
	om_outbox_expire(now, set_back);
	om_worker_end();
	om_worker_begin("omnimsg: close overdue reviews");
	om_review_expire(now);
	om_worker_end();

	/* Of the last minutes each time, all of it once an hour */
	all = now < looked_at_all || now - looked_at_all > USECS_PER_HOUR;
	om_worker_begin("omnimsg: apply what waited");
	om_ingest_pending_since(all ? now - USECS_PER_DAY : now - 10 * USECS_PER_MINUTE);
	om_worker_end();
	if (all)
		looked_at_all = now;
	om_share_forget(now);
}

/*
 * What brings the database itself in order goes on while it is not armed, as after a promotion: webhooks come
 * in, and who says STOP to a locked consent must not wait for a person.  But not in what may be a dump
 * that is being restored: its tables come one by one, and must not find rows of ours.  Returns as
 * fold_deferred().
 */
static long
repair(TimestampTz now, TimestampTz *housekept_at)
{
	static bool more = false;
	bool		set_back = now < *housekept_at || *housekept_at == 0;	/* a new worker does not know */
	bool		due = set_back || now - *housekept_at >= (int64) HOUSEKEEPING_MS * 1000;
	long		wait;

	if (due)
	{
		*housekept_at = now;
		if (armed == OM_ARMED)
			keep_house(now, set_back);
	}
	if (due || more)
	{
		more = false;			/* unless it comes back */
		om_worker_begin("omnimsg: repair accounts");
		more = om_account_repair(now);
		om_worker_end();
	}
	wait = fold_deferred(now);
	return more ? 0 : wait;
}

/*
 * A round costs nearly the same for one message as for ten.  While requests are under way the next one waits for company,
 * a millisecond for each of them: when few are, nobody waits long, and what was just begun is written before the database is
 * asked again.  Returns how long still, in ms.
 */
static long
gather(TimestampTz now)
{
	TimestampTz until = round_at + Min(messages_in_flight(), GATHER_MS) * 1000;

	return now < round_at || now >= until ? 0 : TimestampDifferenceMilliseconds(now, until);
}

/* One round; returns how long to wait, in ms, unless something happens */
static long
work(TimestampTz *housekept_at, bool was_woken)
{
	static bool woken = false;	/* since the last round */
	TimestampTz now = GetCurrentTimestamp();
	long		wait;
	long		wait_to_fetch;

	/* Answers first: they are the only thing here that could get lost */
	collect_answers();

	/* A socket that moved is no reason to ask the database; a clock that was set back is one */
	woken |= was_woken;
	if (!woken && nfinished == 0 && !om_fetch_has_answer() && now < look_at && look_at - now <= (int64) om_poll_interval * 1000)
		return TimestampDifferenceMilliseconds(now, look_at);
	wait = gather(now);
	if (wait > 0)
		return wait;
	round_at = now;
	look_at = 0;
	if (!look_for_extension())
	{
		om_shmem_worker_state(outdated ? OM_WORKER_OUTDATED : OM_WORKER_NO_EXTENSION, messages_in_flight());
		return om_poll_interval;
	}
	record_finished();
	wait = armed == OM_ARMED_NEVER ? om_poll_interval : repair(now, housekept_at);
	if (armed == OM_ARMED)
	{
		long		wait_to_recover = recover(now);

		wait = Min(wait, wait_to_recover);
	}
	if (om_dispatch && armed == OM_ARMED)
	{
		long		wait_to_send = claim_and_send();

		wait = Min(wait, wait_to_send);
	}
	if (armed == OM_ARMED)
	{
		long		wait_to_maintain = om_maintain(now, om_http_in_flight() > 0);

		wait = Min(wait, wait_to_maintain);
		wait = Min(wait, om_seal_audit(now));
	}
	wait_to_fetch = om_fetch_work(now, woken, om_dispatch && armed == OM_ARMED, round_context, item_context);
	woken = false;
	wait = Min(wait, wait_to_fetch);
	om_shmem_worker_state(armed != OM_ARMED ? OM_WORKER_NOT_ARMED : !om_dispatch ? OM_WORKER_OFF :
						  messages_in_flight() > 0 ? OM_WORKER_SENDING : OM_WORKER_IDLE,
						  messages_in_flight());
	wait = nfinished > 0 ? 0 : Min(wait, Min(om_poll_interval, HOUSEKEEPING_MS));
	look_at = now + wait * 1000;
	return wait;
}

/* work(), with errors logged and rolled back, and a pause after them that no wake-up ends */
static long
work_safely(TimestampTz *housekept_at, bool woken)
{
	static TimestampTz paused_until = 0;
	volatile long wait = ERROR_PAUSE_MS;

	PG_TRY();
	{
		/* In here, because pg_cancel_backend() must not end the worker and its requests */
		CHECK_FOR_INTERRUPTS();
		wait = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), paused_until);
		if (wait <= 0 || wait > ERROR_PAUSE_MS)
			wait = work(housekept_at, woken);
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		EmitErrorReport();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(round_context);
		FlushErrorState();
		debug_query_string = NULL;
		pgstat_report_activity(STATE_IDLE, NULL);
		paused_until = GetCurrentTimestamp() + ERROR_PAUSE_MS * 1000;
		look_at = 0;
		wait = ERROR_PAUSE_MS;
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	return wait;
}

static void
set_up(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(om_database, NULL, 0);

	om_worker_configure();

	if (sodium_init() < 0)
		ereport(FATAL,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not initialize libsodium")));
	item_context = AllocSetContextCreate(TopMemoryContext, "omnimsg items", ALLOCSET_DEFAULT_SIZES);
	round_context = AllocSetContextCreate(TopMemoryContext, "omnimsg round", ALLOCSET_DEFAULT_SIZES);
	om_share_start();
	om_http_start();
	om_shmem_worker_started();
}

void
omnimsg_dispatcher_main(Datum arg)
{
	TimestampTz housekept_at = 0;
	bool		woken = true;

	set_up();
	for (;;)
	{
		long		wait;

		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		MemoryContextReset(round_context);
		MemoryContextSwitchTo(round_context);
		wait = work_safely(&housekept_at, woken);
		woken = om_http_wait(wait);
	}
}
