/*
 * ingest.h
 *		What the steps of ingest hand to each other: deliveries, and the events in them.
 *
 * The way of one delivery, a file each:
 *		event.c		raw bytes -> events; addresses and intent by src/core
 *		route.c		our number -> organizations; a status -> its message
 *		journal.c	claim each event, once
 *		link.c		(organization, address) -> account
 *		reconcile.c	a status that tells that a message was accepted settles its outbox item
 *		message.c	store the message, or move the status of an outbound one
 *		request.c	STOP and START become requests ...
 *		review.c	... what may be a STOP waits for a person ...
 *		consent.c	... and the state they add up to
 *		account.c	last contact and the copy of the consent
 *		reply.c		an outbox item, if the rules allow one
 *		audit.c		one row per effect
 * delivery.c reads the arguments of the functions that take deliveries, ingest.c runs the steps, and deadletter.c
 * keeps deliveries without running them, and runs what did not succeed once more.
 * Each step is one function over the whole batch.  All memory is of the batch's context.
 */
#ifndef OM_INGEST_H
#define OM_INGEST_H

#include "postgres.h"

#include "access/htup.h"
#include "nodes/execnodes.h"

#include "audit.h"
#include "consent.h"
#include "core/intent.h"
#include "core/token.h"
#include "db.h"

/* Limits of what a provider may send; beyond them an event is a dead letter */
#define OM_MAX_ID		255		/* bytes of an id */
#define OM_MAX_ADDRESS	320		/* bytes of an address (RFC 5321: 64 + 1 + 255) */
#define OM_MAX_NESTING	64		/* levels of JSON */
#define OM_MAX_OTHERS	64		/* people in a group message; the rest is cut */
#define OM_MAX_MEDIA	32		/* attachments of a message; the rest is cut */

/* An organization's own keyword in its compared form, with the terminator; longer ones are none */
#define OM_KEYWORD_SIZE	64

/* How far ahead of its signature an event may claim to have happened, in seconds */
#define OM_MAX_AHEAD	300

/* A confirmation later than this is not presumed lawful: 47 CFR 64.1200(a)(12) */
#define OM_CONFIRMATION_SECONDS	300

typedef struct OmDelivery
{
	int			ordinal;		/* from 1, in the order given */
	char	   *provider;
	char	   *body;
	int			length;
	char	   *signature;		/* or NULL */
	char	   *key_id;			/* or NULL */
	char	   *dedupe_key;		/* of one that is in the journal already, else NULL */
	pg_uuid_t  *account_id;		/* the provider account whose list told of it: only for its numbers; or NULL */
	bool		taken;			/* that list says that a webhook of it was answered 2xx */
	char	   *letter_key;		/* of a dead letter that is replayed: under which it is in the journal; else NULL */
	bool		checked;		/* its key need not be looked at: it was, or it did not come by the relay */
	TimestampTz signed_at;		/* 0 when not given */
	TimestampTz received_at;	/* of one that is in the journal already, else 0: now */
	int			attempts;		/* how often it was tried in this transaction */
	char	   *failure;		/* why the last attempt failed, and its SQLSTATE; or NULL */
	char	   *sqlstate;
} OmDelivery;

typedef enum OmEventKind
{
	OM_EVENT_OTHER,				/* of a type that has no effect */
	OM_EVENT_RECEIVED,			/* a message came in */
	OM_EVENT_STATUS,			/* an outbound message moved */
	OM_EVENT_BROKEN				/* could not be understood: reason says why */
} OmEventKind;

typedef enum OmOutcome
{
	OM_APPLIED,
	OM_DUPLICATE,
	OM_IGNORED,
	OM_PENDING,
	OM_DEAD
} OmOutcome;

#define OM_OUTCOMES	(OM_DEAD + 1)

typedef enum OmReplyOutcome
{
	OM_REPLY_NONE,
	OM_REPLY_QUEUED,
	OM_REPLY_PROVIDER,
	OM_REPLY_SUPPRESSED
} OmReplyOutcome;

/* An organization that is reached at the number of an event */
typedef struct OmOwner
{
	pg_uuid_t	organization_id;
	char	   *reply_mode;
	bool		knows;			/* has an account with the person's address (asked on shared numbers only) */
	char	   *keyword_label;	/* when the message is one of its own keywords, else NULL */
	char	   *keyword_language;
} OmOwner;

typedef struct OmEvent
{
	OmDelivery *delivery;
	int			part;			/* from 1 within its delivery */
	OmEventKind kind;
	OmOutcome	outcome;
	const char *reason;			/* or NULL */
	char	   *dedupe_key;

	/* event.c: what the provider says */
	char	   *event_type;		/* or NULL */
	char	   *event_id;
	TimestampTz occurred_at;	/* 0 when nothing tells */
	char	   *external_id;	/* the provider's id of the message */
	char	   *from;			/* canonical address, as all addresses here */
	char	   *to;
	bool		from_reachable; /* a phone number that can be answered */
	char	   *others[OM_MAX_OTHERS];	/* further people of a group message */
	int			nothers;
	bool		is_texting;		/* SMS, MMS or RCS: not WhatsApp */
	char	   *subject;
	char	   *text;
	char	   *media;			/* JSON array or NULL */
	char	   *autoresponse;	/* the provider says that it answered; or NULL */
	int			parts;			/* 0 when unknown */
	char	   *cost_amount;	/* a plain decimal, or NULL */
	char	   *cost_currency;
	char	   *status;			/* of a status: our word, or NULL when the provider's is unknown to us */
	char	   *provider_status;
	char	   *error_code;
	char	   *error_text;
	bool		has_token;		/* of a status: it names the attempt that it is of */
	OmToken		token;
	OmIntent	intent;			/* by route.c with the organization's own keywords */

	/* route.c */
	pg_uuid_t	organization_id;
	OmOwner    *owners;			/* all that share the number, the storing one first */
	int			nowners;
	char	   *reply_mode;		/* of the storing one; NULL for 'unassigned' */
	const char *refused;		/* why its key or its list may not speak for the number; or NULL */
	bool		for_first_owner;	/* an opt-in by the storing one's own keyword: nobody else's */

	/* Messages: of a received one ours to be; of a status the one that moves */
	bool		has_message;
	pg_uuid_t	message_id;
	TimestampTz message_created_at; /* of a status */
	TimestampTz message_left_at;	/* of a status: when it was sent, as far as that is known */
	char	   *message_status; /* of a status: before */
	char	   *message_peer;	/* of a status: who the message went to */
	char	   *message_ours;	/* of a status: the number it went from */
	bool		by_token;		/* of a status: the message was found by its token */

	/* reconcile.c: of a status that settled the outbox item of its message: what kind it is, else NULL */
	char	   *settled_kind;

	/* link.c */
	pg_uuid_t  *account_id;		/* or NULL */
	pg_uuid_t  *campaign_id;	/* or NULL */

	/* consent.c: the storing organization's request for texts, or NULL */
	OmRequest  *request;

	/* reply.c */
	OmReplyOutcome reply;
	const char *reply_reason;	/* why none was queued */
} OmEvent;

typedef struct OmBatch
{
	OmDelivery **deliveries;
	int			ndeliveries;
	OmEvent   **events;
	int			nevents;
	TimestampTz now;
	bool		again;			/* the events are in the journal already, pending or dead */
	OmAudit    *audit;
} OmBatch;

/* The steps, in their order */
extern void om_event_read(OmBatch *batch);
extern void om_route(OmBatch *batch);
extern void om_journal_claim(OmBatch *batch);
extern void om_link(OmBatch *batch);
extern void om_reconcile_callbacks(OmBatch *batch);
extern void om_message_store(OmBatch *batch);
extern void om_consent(OmBatch *batch);
extern void om_account_contacted(OmBatch *batch);
extern void om_reply(OmBatch *batch);

/*
 * journal.c: of events that were claimed in this transaction and have had no effect yet: those whose outcome is dead now
 * become dead letters.
 */
extern void om_journal_bury(OmEvent **events, int count);

/*
 * journal.c: of events that were claimed in this transaction: their bytes are not kept after all, though they may be of those
 * that prove a request.
 */
extern void om_journal_forget(OmEvent **events, const bool *proves, int count);

/* journal.c: whether its bytes are kept, and then its row is, for ever where it was applied */
extern bool om_journal_keeps_raw(const OmEvent *event);

/*
 * route.c: keep ingest from looking up who owns one of our numbers, until the transaction ends.  Waits for
 * the ingests that have done so.
 */
extern void om_number_lock(const char *number);

/* link.c: the account of one address by the same rule, and its campaign; NULL when there is none */
extern void om_link_address(const pg_uuid_t *organization_id, const char *address,
							pg_uuid_t **account_id, pg_uuid_t **campaign_id);

/* request.c: the rule that read a message with the version of the lexicon; and the words that decided, or NULL */
extern char *om_request_rule(const OmEvent *event);
extern char *om_request_matched_text(const OmEvent *event);

/* event.c: whether an opt-out is for the channel */
extern bool om_request_is_for(const OmEvent *event, const char *channel);

/* event.c: a new event of a delivery, at the end of the batch */
extern OmEvent *om_event_new(OmBatch *batch, OmDelivery *delivery);

/* event.c: SHA-256 of the body in hex: the key of what has no other */
extern char *om_body_hash(const OmDelivery *delivery);

/*
 * event.c: the canonical form of an address: E.164 where it is a phone number (*reachable), else as it
 * was written, without blanks around it.  No region is assumed: a provider writes international
 * numbers, and what is none must not be made into one.  NULL for nothing but blanks.
 */
extern char *om_canonical_address(const char *raw, bool *reachable);

/* provider_telnyx_event.c: the events of one delivery */
extern void om_telnyx_read(OmBatch *batch, OmDelivery *delivery);

/* provider_telnyx_event.c: a time as Telnyx writes it; 0 for NULL and for what is none */
extern TimestampTz om_telnyx_time(const char *text);

/*
 * delivery.c: the arguments of a function as deliveries.  The first takes provider, body, signature, signed_at
 * and key_id; the second arrays of these and a sixth one of texts, side by side and all of the same length, of
 * which the first two must not be NULL, and returns how many deliveries that are.
 */
extern void om_delivery_argument(FunctionCallInfo fcinfo, OmDelivery *delivery);
extern int	om_delivery_arrays(FunctionCallInfo fcinfo, const char *sixth_name,
							   OmDelivery **deliveries, char ***sixth);

/*
 * ingest.c: what every function does first that writes the journal: READ COMMITTED is asked for, the commit made
 * durable, the set that is returned set up, and SPI connected.
 */
extern void om_ingest_begin(FunctionCallInfo fcinfo);

/*
 * ingest.c: run the steps over a batch in a subtransaction.  NULL when they succeeded; else the error, which
 * has been rolled back and is the fault of the content: om_ingest_failed notes it in the delivery and logs it.
 * All other errors are raised.
 */
extern ErrorData *om_ingest_try(OmBatch *batch);

/* ingest.c: would this error come again however often the same bytes are tried? */
extern bool om_ingest_is_of_content(int sqlstate);
extern void om_ingest_failed(OmDelivery *delivery, const ErrorData *error);

/* ingest.c: one row of omnimsg.ingest_result per event */
extern HeapTuple om_ingest_result(const OmEvent *event, TupleDesc desc);
extern void om_ingest_put_results(const OmBatch *batch, ReturnSetInfo *out);
extern const char *om_outcome_name(OmOutcome outcome);

/* ingest.c: for qsort: events in the order in which their deliveries were given */
extern int	om_compare_ordinals(const void *a, const void *b);

/*
 * ingest.c: what did not come as a webhook, through the same steps.  Called by the worker, in a READ COMMITTED
 * transaction with SPI connected.  Adds to counts, by outcome.
 */
extern void om_ingest_fetched(OmDelivery *deliveries, int count, int counts[OM_OUTCOMES]);

/*
 * ingest.c: apply the status events that waited for messages which are there now.  Called
 * by the worker, in a READ COMMITTED transaction with SPI connected: after it recorded
 * ids, for these (a column of text), and now and then for what was received since a time.  At most 1000
 * events; returns how many were applied.
 */
extern int	om_ingest_pending_of(OmColumn *external_ids);
extern int	om_ingest_pending_since(TimestampTz since);

#endif							/* OM_INGEST_H */
