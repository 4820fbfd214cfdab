/*
 * reply.c
 *		An outbox item, if the rules allow one.
 *
 * Automatic replies answer STOP, START and HELP.  The confirmation of a STOP is the one text
 * that may still go to somebody who has just forbidden texts: 47 CFR 64.1200(a)(12)
 * permits it once, and presumes it lawful within five minutes.  So it is queued at most
 * once per STOP, expires five minutes after the STOP was made, and is left out whenever
 * there is doubt.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "compat.h"
#include "ingest.h"
#include "queue.h"

/* What an automatic reply is called in the tables, by the intent it answers */
typedef struct Answer
{
	OmIntentLabel label;
	const char *name;
	const char *kind;
} Answer;

static const Answer triggers[] = {
	{OM_INTENT_OPT_OUT, "opt_out", "opt_out_confirmation"},
	{OM_INTENT_OPT_IN, "opt_in", "opt_in_confirmation"},
	{OM_INTENT_HELP, "help", "help_reply"},
};

/*
 * Used where the organization has no template of its own in the language of the keyword.  A machine may
 * send them back: none that goes to somebody who is not opted out may read as an opt-out.
 */
static const struct
{
	const char *trigger;
	const char *language;
	const char *body;
}			builtin_texts[] = {
	{"opt_out", "en", "{organization}: You are unsubscribed and will get no more texts from us. Reply START to subscribe again."},
	{"opt_out", "es", "{organization}: Se ha dado de baja y no recibira mas mensajes nuestros. Responda START para volver a recibirlos."},
	{"opt_out", "fr", "{organization}: Vous etes desabonne et ne recevrez plus de messages de notre part. Repondez START pour vous reabonner."},
	{"opt_out", "pt", "{organization}: Sua inscricao foi cancelada e nao enviaremos mais mensagens. Responda START para voltar a receber."},
	{"opt_in", "en", "{organization}: You are subscribed again. Message and data rates may apply. Reply HELP for help, STOP to cancel."},
	{"opt_in", "es", "{organization}: Se ha suscrito de nuevo. Pueden aplicarse tarifas. Responda HELP para ayuda, STOP para darse de baja."},
	{"opt_in", "fr", "{organization}: Vous etes de nouveau abonne. Des frais peuvent s'appliquer. Repondez AIDE pour de l'aide, ARRET pour annuler."},
	{"opt_in", "pt", "{organization}: Voce voltou a receber mensagens. Tarifas podem ser cobradas. Responda HELP para ajuda, STOP para cancelar."},
	{"help", "en", "{organization}: You get texts about your account with us. Message and data rates may apply. Reply STOP to unsubscribe."},
	{"help", "es", "{organization}: Recibe mensajes sobre su cuenta con nosotros. Pueden aplicarse tarifas. Responda STOP para darse de baja."},
	{"help", "fr", "{organization}: Vous recevez des messages au sujet de votre compte. Des frais peuvent s'appliquer. Repondez ARRET pour annuler."},
	{"help", "pt", "{organization}: Voce recebe mensagens sobre sua conta conosco. Tarifas podem ser cobradas. Responda STOP para cancelar."},
};

/* One reply that is being made */
typedef struct Reply
{
	OmEvent    *event;
	const Answer *trigger;
	bool		free;			/* no reply to this trigger went out in the last ten minutes */
	bool		provider_blocked;
	char	   *text;
} Reply;

/*
 * The governor: one automatic reply per (organization, address, trigger) in ten minutes.
 * The row is the lock, so that concurrent transactions agree on who answers.  A time that lies ahead is of a clock
 * that was set back, and holds nobody up.
 */
static OmStatement take_windows = {
	"INSERT INTO omnimsg.reply_windows AS r (organization_id, address, trigger, last_at)\n"
	"SELECT w.organization_id, w.address, w.trigger, $4\n"
	"  FROM unnest($1, $2, $3) AS w(organization_id, address, trigger)\n"
	" ORDER BY 1, 2, 3\n"
	"ON CONFLICT (organization_id, address, trigger) DO UPDATE SET last_at = EXCLUDED.last_at\n"
	" WHERE r.last_at NOT BETWEEN EXCLUDED.last_at - interval '10 minutes' AND EXCLUDED.last_at + interval '10 minutes'\n"
	"RETURNING organization_id, address, trigger",
	4, {UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID}, NULL
};

/*
 * The organization's text in the language of the keyword, else its English one; and whether the provider
 * blocks the address.
 */
static OmStatement find_texts = {
	"SELECT w.n, o.name, t.body, t.language = w.language, coalesce(c.provider_blocked, false)\n"
	"  FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS w(organization_id, address, trigger, language, n)\n"
	"  JOIN omnimsg.organizations o ON o.id = w.organization_id\n"
	"  LEFT JOIN LATERAL (\n"
	"    SELECT s.provider_blocked FROM omnimsg.consents s\n"
	"     WHERE s.organization_id = w.organization_id AND s.channel = 'sms'\n"
	"       AND s.address = w.address AND s.scope = 'all' OFFSET 0) c ON true\n"
	"  LEFT JOIN LATERAL (\n"
	"    SELECT r.body, r.language FROM omnimsg.reply_templates r\n"
	"     WHERE r.organization_id = w.organization_id AND r.trigger = w.trigger AND r.active\n"
	"       AND r.language IN (w.language, 'en')\n"
	"     ORDER BY r.language = w.language DESC LIMIT 1) t ON true",
	4, {UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID}, NULL
};

static const Answer *
trigger_of(const OmEvent *event)
{
	if (event->kind == OM_EVENT_RECEIVED && event->outcome == OM_APPLIED)
		for (int i = 0; i < (int) lengthof(triggers); i++)
			if (event->intent.label == triggers[i].label)
				return &triggers[i];
	return NULL;
}

/* Why this event gets no reply of ours, as far as the event itself tells; NULL when it may */
static const char *
refusal(const OmEvent *event, TimestampTz now)
{
	if (event->nothers > 0)
		return "group message";
	if (!event->is_texting || !event->from_reachable || event->to == NULL)
		return "sender cannot be answered by text";
	if (strcmp(event->reply_mode, "off") == 0)
		return "replies are off for the number";
	if (event->occurred_at + OM_CONFIRMATION_SECONDS * USECS_PER_SEC <= now)
		return "too late";
	/* By a database whose commits are lost, as those that a standby did not have; it may have answered */
	if (event->delivery->taken)
		return "was taken before";
	if (event->intent.label == OM_INTENT_OPT_OUT && event->request == NULL)
		return "it does not forbid texts";
	if (event->request != NULL)
	{
		if (event->request->deferred)
			return "somebody else is changing the consent";
		if (event->request->provider_blocked)
			return "blocked by the provider";
		if (!event->request->decides)
			return "no longer decides the consent";
		if (event->intent.label == OM_INTENT_OPT_OUT && event->request->was_opted_out)
			return "was opted out before";
	}
	return NULL;
}

/* No reply of ours: the audit says why, because somebody will ask */
static void
suppress(OmBatch *batch, OmEvent *event, const Answer *trigger, OmReplyOutcome outcome,
		 const char *reason)
{
	event->reply = outcome;
	event->reply_reason = reason;
	om_audit_add(batch->audit, &event->organization_id, "AUTO_REPLY_SUPPRESSED", "message",
				 &event->message_id, NULL,
				 om_audit_json("kind", trigger->kind, "reason", reason, NULL));
}

/* The events that may be answered; the others get their outcome here */
static int
select_replies(OmBatch *batch, Reply *replies)
{
	int			count = 0;

	for (int i = 0; i < batch->nevents; i++)
	{
		OmEvent    *event = batch->events[i];
		const Answer *trigger = trigger_of(event);
		const char *reason;

		if (trigger == NULL || event->reply_mode == NULL)
			continue;			/* nothing to answer, or nobody owns the number */
		if (event->autoresponse != NULL || strcmp(event->reply_mode, "provider") == 0)
		{
			suppress(batch, event, trigger, OM_REPLY_PROVIDER, "the provider answers");
			continue;
		}
		reason = refusal(event, batch->now);
		if (reason != NULL)
		{
			suppress(batch, event, trigger, OM_REPLY_SUPPRESSED, reason);
			continue;
		}
		replies[count].event = event;
		replies[count].trigger = trigger;
		replies[count].free = false;
		count++;
	}
	return count;
}

static bool
same_window(const Reply *left, const Reply *right)
{
	return left->trigger == right->trigger &&
		memcmp(&left->event->organization_id, &right->event->organization_id, sizeof(pg_uuid_t)) == 0 &&
		strcmp(left->event->from, right->event->from) == 0;
}

static char *
fill_in(const char *body, const char *organization)
{
	StringInfoData text;
	const char *hole;

	initStringInfo(&text);
	while ((hole = strstr(body, "{organization}")) != NULL)
	{
		appendBinaryStringInfo(&text, body, hole - body);
		appendStringInfoString(&text, organization);
		body = hole + strlen("{organization}");
	}
	appendStringInfoString(&text, body);
	return text.data;
}

static const char *
builtin_text(const char *trigger, const char *language)
{
	const char *english = NULL;

	for (int i = 0; i < (int) lengthof(builtin_texts); i++)
		if (strcmp(builtin_texts[i].trigger, trigger) == 0)
		{
			if (strcmp(builtin_texts[i].language, language) == 0)
				return builtin_texts[i].body;
			if (strcmp(builtin_texts[i].language, "en") == 0)
				english = builtin_texts[i].body;
		}
	return english;
}

static void
find_reply_texts(Reply *replies, int count)
{
	OmColumn   *organization_ids = om_column(UUIDOID, count);
	OmColumn   *addresses = om_column(TEXTOID, count);
	OmColumn   *names = om_column(TEXTOID, count);
	OmColumn   *languages = om_column(TEXTOID, count);
	uint64		rows;

	for (int i = 0; i < count; i++)
	{
		om_column_add_uuid(organization_ids, &replies[i].event->organization_id);
		om_column_add_text(addresses, replies[i].event->from);
		om_column_add_text(names, replies[i].trigger->name);
		om_column_add_text(languages, replies[i].event->intent.language);
	}
	rows = om_db_run_generic(&find_texts, (Datum[]) {om_column_array(organization_ids),
					 om_column_array(addresses), om_column_array(names),
					 om_column_array(languages)});
	for (uint64 row = 0; row < rows; row++)
	{
		Reply	   *reply = &replies[om_field_int(row, 1) - 1];
		char	   *body = om_field_text(row, 3);
		bool		in_language = om_field_bool(row, 4);

		if (body == NULL || (!in_language &&
							 builtin_text(reply->trigger->name, reply->event->intent.language) !=
							 builtin_text(reply->trigger->name, "en")))
			body = unconstify(char *, builtin_text(reply->trigger->name,
												   reply->event->intent.language));
		reply->text = fill_in(body, om_field_text(row, 2));
		reply->provider_blocked = om_field_bool(row, 5);
	}
}

/* Rule of ten minutes; of several in one batch the first gets the window */
static void
take_reply_windows(Reply *replies, int count, TimestampTz now)
{
	OmColumn   *organization_ids = om_column(UUIDOID, count);
	OmColumn   *addresses = om_column(TEXTOID, count);
	OmColumn   *names = om_column(TEXTOID, count);
	uint64		rows;

	for (int i = 0; i < count; i++)
	{
		bool		first = !replies[i].provider_blocked;

		for (int j = 0; j < i && first; j++)
			first = !same_window(&replies[j], &replies[i]);
		if (!first)
			continue;
		om_column_add_uuid(organization_ids, &replies[i].event->organization_id);
		om_column_add_text(addresses, replies[i].event->from);
		om_column_add_text(names, replies[i].trigger->name);
	}
	if (names->count == 0)
		return;

	rows = om_db_run(&take_windows, (Datum[]) {om_column_array(organization_ids),
					 om_column_array(addresses), om_column_array(names),
					 TimestampTzGetDatum(now)});
	for (uint64 row = 0; row < rows; row++)
	{
		pg_uuid_t  *organization_id = om_field_uuid(row, 1);
		char	   *address = om_field_text(row, 2);
		char	   *name = om_field_text(row, 3);

		for (int i = 0; i < count; i++)
			if (memcmp(organization_id, &replies[i].event->organization_id, sizeof(pg_uuid_t)) == 0 &&
				strcmp(address, replies[i].event->from) == 0 &&
				strcmp(name, replies[i].trigger->name) == 0)
			{
				replies[i].free = !replies[i].provider_blocked;
				break;
			}
	}
}

static void
queue_replies(OmBatch *batch, Reply *replies, int count)
{
	OmQueued   *items = palloc0(sizeof(OmQueued) * count);
	int			queued = 0;

	for (int i = 0; i < count; i++)
	{
		OmEvent    *event = replies[i].event;
		OmQueued   *item = &items[queued];

		if (replies[i].provider_blocked)
			suppress(batch, event, replies[i].trigger, OM_REPLY_SUPPRESSED, "blocked by the provider");
		else if (!replies[i].free)
			suppress(batch, event, replies[i].trigger, OM_REPLY_SUPPRESSED,
					 "one such reply in ten minutes");
		if (!replies[i].free)
			continue;

		queued++;
		item->organization_id = event->organization_id;
		om_uuid7(&item->message_id);
		item->account_id = event->account_id;
		item->campaign_id = event->campaign_id;
		item->from = event->to;
		item->to = event->from;
		item->body = replies[i].text;
		item->provider = event->delivery->provider;
		item->in_reply_to = &event->message_id;
		item->kind = replies[i].trigger->kind;
		item->scope = "all";
		item->next_attempt_at = batch->now;
		/* The provider's clock may be ahead of ours; five minutes from receipt are the limit */
		item->expires_at = Min(event->occurred_at, batch->now) +
			OM_CONFIRMATION_SECONDS * USECS_PER_SEC;
		item->request_id = event->request ? &event->request->id : NULL;

		event->reply = OM_REPLY_QUEUED;
		om_audit_add(batch->audit, &event->organization_id, "AUTO_REPLY_QUEUED", "message",
					 &item->message_id, NULL,
					 om_audit_json("kind", replies[i].trigger->kind, NULL));
	}
	om_queue(items, queued, batch->now);
}

void
om_reply(OmBatch *batch)
{
	Reply	   *replies = palloc0(sizeof(Reply) * Max(batch->nevents, 1));
	int			count = select_replies(batch, replies);

	if (count == 0)
		return;
	find_reply_texts(replies, count);
	take_reply_windows(replies, count, batch->now);
	queue_replies(batch, replies, count);
}
