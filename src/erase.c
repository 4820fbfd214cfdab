/*
 * erase.c
 *		One person's data: taking it out of the database, and giving it out.
 *
 * Erasing replaces the address by its pseudonym and the texts by theirs, wherever they stand; what an audit row names is
 * an id, so the trail stays as it is, and every seal valid.  The requests of the person and what they add up to stay under the
 * pseudonym: erased.c finds them when the address comes back.
 *
 * Sources: Regulation (EU) 2016/679 articles 15 and 17, and 17(3)(b), (e) for what is kept; Cal. Civ. Code 1798.105.
 */
#include "postgres.h"

#include <sodium.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "arguments.h"
#include "audit.h"
#include "compat.h"
#include "consent.h"
#include "core/mask.h"
#include "erased.h"
#include "ingest.h"
#include "view.h"

OM_SQL_FUNCTION(omnimsg_erase_person);
OM_SQL_FUNCTION(omnimsg_export_person);

/* In all statements: $1 the organization, $2 the address, $3 its pseudonym */

/*
 * A page of a provider's list has pseudonyms put in before it is stored: none may be between the two, or it would bring the
 * number back.  The worker passes over an account that is locked, and comes again.  A number of ours may be in the list of an
 * account that it has left.
 */
static OmStatement lock_lists = {
	"SELECT 1 FROM omnimsg.provider_accounts a\n"
	" WHERE EXISTS (SELECT 1 FROM omnimsg.inbound_phone_numbers n\n"
	"                WHERE n.organization_id = $1\n"
	"                  AND (n.provider_account_id = a.id\n"
	"                       OR EXISTS (SELECT 1 FROM omnimsg.provider_optouts p\n"
	"                                   WHERE p.provider_account_id = a.id AND p.our_address = n.phone_number)))\n"
	" ORDER BY a.id FOR NO KEY UPDATE OF a",
	1, {UUIDOID}, NULL
};

static OmStatement find_hold = {
	"SELECT 1 FROM omnimsg.legal_holds h\n"
	" WHERE h.organization_id = $1 AND h.released_at IS NULL AND (h.address IS NULL OR h.address = $2) LIMIT 1",
	2, {UUIDOID, TEXTOID}, NULL
};

static OmStatement find_sending = {
	"SELECT 1 FROM omnimsg.messages m JOIN omnimsg.outbox o ON o.organization_id = m.organization_id AND o.message_id = m.id\n"
	" WHERE m.organization_id = $1 AND m.peer_address = $2 AND m.status IN ('queued', 'sending')\n"
	"   AND o.state IN ('leased', 'sending') LIMIT 1",
	2, {UUIDOID, TEXTOID}, NULL
};

/*
 * Dead letters that name the person: of this organization, or of nobody yet and to one of its numbers.  The digits are
 * looked for, for a plus may be written otherwise.
 */
#define NAMES(number)	"position(convert_to(ltrim(" number ", '+'), 'UTF8') IN e.raw) > 0"
#define DEAD_LETTERS \
	" WHERE e.outcome = 'dead' AND e.raw IS NOT NULL\n" \
	"   AND " NAMES("$2") "\n" \
	"   AND (e.organization_id = $1\n" \
	"        OR coalesce(e.organization_id, '00000000-0000-0000-0000-000000000000') = '00000000-0000-0000-0000-000000000000'\n" \
	"           AND EXISTS (SELECT 1 FROM omnimsg.inbound_phone_numbers n\n" \
	"                        WHERE n.organization_id = $1 AND " NAMES("n.phone_number") "))"

/* Locked, as all that organizations share: of two that erase the same person the second one sees what the first one did */
static OmStatement lock_dead_letters = {
	"SELECT 1 FROM omnimsg.events e\n" DEAD_LETTERS "\n ORDER BY e.provider, e.dedupe_key FOR UPDATE",
	2, {UUIDOID, TEXTOID}, NULL
};

#define RAW_GONE "raw = NULL, raw_sha256 = sha256(e.raw)"

/*
 * A letter that names a number of another organization as well may be an opt-out that is to be applied there.  It stays
 * until that one has erased the person, too, after the letter came.
 */
static OmStatement erase_dead_letters = {
	"UPDATE omnimsg.events e SET " RAW_GONE "\n" DEAD_LETTERS "\n"
	"   AND NOT EXISTS (SELECT 1 FROM omnimsg.inbound_phone_numbers o\n"
	"                    WHERE o.organization_id <> $1 AND o.phone_number <> $2 AND " NAMES("o.phone_number") "\n"
	"                      AND NOT EXISTS (SELECT 1 FROM omnimsg.erasures x\n"
	"                                       WHERE x.address_hash = $3 AND x.organization_id = o.organization_id\n"
	"                                         AND x.returned_at IS NULL AND x.erased_at >= e.received_at))",
	3, {UUIDOID, TEXTOID, TEXTOID}, NULL
};

/*
 * The bytes that prove a request have the number and the text in them.  One delivery to a number that organizations
 * share, or share no more, proves the requests of them all.
 */
#define EVIDENCE \
	"  FROM (SELECT q.provider, q.dedupe_key FROM omnimsg.opt_out_requests q\n" \
	"         WHERE q.organization_id = $1 AND q.channel IN ('sms', 'voice', 'email') AND q.address = $2\n" \
	"        UNION\n" \
	"        SELECT v.provider, v.dedupe_key FROM omnimsg.reviews v WHERE v.organization_id = $1 AND v.address = $2) AS w\n"

static OmStatement lock_evidence = {
	"SELECT 1 FROM omnimsg.events e WHERE e.raw IS NOT NULL AND (e.provider, e.dedupe_key) IN (\n"
	"  SELECT w.provider, w.dedupe_key\n" EVIDENCE ")\n"
	" ORDER BY e.provider, e.dedupe_key FOR UPDATE",
	2, {UUIDOID, TEXTOID}, NULL
};

/*
 * They stay while another organization has a request or a review that they prove; the last one to erase the person takes them
 * along.  Its legal holds need no mention: what it holds it cannot have erased.
 */
static OmStatement erase_evidence = {
	"UPDATE omnimsg.events e SET " RAW_GONE "\n" EVIDENCE
	" WHERE e.provider = w.provider AND e.dedupe_key = w.dedupe_key AND e.raw IS NOT NULL\n"
	"   AND NOT EXISTS (SELECT 1 FROM omnimsg.organizations o JOIN omnimsg.opt_out_requests p ON p.organization_id = o.id\n"
	"                    WHERE o.id <> $1 AND p.channel IN ('sms', 'voice', 'email') AND p.address = $2\n"
	"                      AND p.provider = e.provider AND p.dedupe_key = e.dedupe_key)\n"
	"   AND NOT EXISTS (SELECT 1 FROM omnimsg.reviews r\n"
	"                    WHERE r.organization_id <> $1 AND r.address = $2\n"
	"                      AND r.provider = e.provider AND r.dedupe_key = e.dedupe_key)",
	2, {UUIDOID, TEXTOID}, NULL
};

static OmStatement erase_reviews = {
	"UPDATE omnimsg.reviews v SET matched_text = omnimsg.pseudonym(v.matched_text)\n"
	" WHERE v.organization_id = $1 AND v.address = $2",
	2, {UUIDOID, TEXTOID}, NULL
};

static OmStatement drop_queued = {
	"UPDATE omnimsg.outbox o SET state = 'suppressed', settled_at = $3, last_error = 'the person''s data was erased'\n"
	"  FROM omnimsg.messages m\n"
	" WHERE m.organization_id = $1 AND m.peer_address = $2 AND m.status = 'queued'\n"
	"   AND o.organization_id = $1 AND o.message_id = m.id AND o.state = 'queued'",
	3, {UUIDOID, TEXTOID, TIMESTAMPTZOID}, NULL
};

#define PEER_TO "CASE WHEN m.direction = 'inbound' THEN m.to_number ELSE $3 END"
#define PEER_FROM "CASE WHEN m.direction = 'inbound' THEN $3 ELSE m.from_number END"

static OmStatement erase_messages = {
	"UPDATE omnimsg.messages m\n"
	"   SET from_number = " PEER_FROM ", to_number = " PEER_TO ",\n"
	"       status = CASE m.status WHEN 'queued' THEN 'blocked' ELSE m.status END,\n"
	"       cc = (SELECT array_agg(omnimsg.pseudonym(x)) FROM unnest(m.cc) AS x),\n"
	"       subject = omnimsg.pseudonym(m.subject), message_body = omnimsg.pseudonym(m.message_body), media = NULL,\n"
	"       error_detail = NULL\n"
	" WHERE m.organization_id = $1 AND m.peer_address = $2",
	3, {UUIDOID, TEXTOID, TEXTOID}, NULL
};

/* Group messages of others that the person was in */
static OmStatement erase_copies = {
	"UPDATE omnimsg.messages m SET cc = array_replace(m.cc, $2, $3)\n"
	" WHERE m.organization_id = $1 AND m.cc IS NOT NULL AND $2 = ANY (m.cc)",
	3, {UUIDOID, TEXTOID, TEXTOID}, NULL
};

static OmStatement erase_requests = {
	"UPDATE omnimsg.opt_out_requests q\n"
	"   SET matched_text = omnimsg.pseudonym(q.matched_text), note = omnimsg.pseudonym(q.note)\n"
	" WHERE q.organization_id = $1 AND q.channel IN ('sms', 'voice', 'email') AND q.address = $2",
	2, {UUIDOID, TEXTOID}, NULL
};

static OmStatement erase_repairs = {
	"UPDATE omnimsg.consent_repairs r SET address = $3 WHERE r.organization_id = $1 AND r.address = $2",
	3, {UUIDOID, TEXTOID, TEXTOID}, NULL
};

static OmStatement erase_flags = {
	"UPDATE omnimsg.address_flags f SET note = omnimsg.pseudonym(f.note) WHERE f.organization_id = $1 AND f.address = $2",
	2, {UUIDOID, TEXTOID}, NULL
};

/* An account that has no address left has nobody's name either */
static OmStatement erase_accounts = {
	"UPDATE omnimsg.collection_accounts a\n"
	"   SET primary_phone = nullif(a.primary_phone, $2), secondary_phone = nullif(a.secondary_phone, $2),\n"
	"       email = nullif(a.email, $2),\n"
	"       name = CASE WHEN coalesce(nullif(a.primary_phone, $2), nullif(a.secondary_phone, $2), nullif(a.email, $2))\n"
	"                        IS NOT NULL THEN a.name END\n"
	" WHERE a.organization_id = $1 AND (a.primary_phone = $2 OR a.secondary_phone = $2 OR a.email = $2)",
	2, {UUIDOID, TEXTOID}, NULL
};

/* Those that have ended; one that has not keeps all */
static OmStatement erase_holds = {
	"UPDATE omnimsg.legal_holds h SET address = $3, reason = omnimsg.pseudonym(h.reason)\n"
	" WHERE h.organization_id = $1 AND h.address = $2",
	3, {UUIDOID, TEXTOID, TEXTOID}, NULL
};

static OmStatement forget_windows = {
	"DELETE FROM omnimsg.reply_windows r WHERE r.organization_id = $1 AND r.address = $2",
	2, {UUIDOID, TEXTOID}, NULL
};

/* The mirror belongs to an account that may serve others, whose lists the next pull translates as well */
static OmStatement erase_optouts = {
	"WITH gone AS (\n"
	"  DELETE FROM omnimsg.provider_optouts p WHERE p.address = $2\n"
	"     AND (p.our_address IN (SELECT n.phone_number FROM omnimsg.inbound_phone_numbers n WHERE n.organization_id = $1)\n"
	"          OR p.our_address = '' AND p.provider_account_id IN (\n"
	"               SELECT n.provider_account_id FROM omnimsg.inbound_phone_numbers n WHERE n.organization_id = $1))\n"
	"  RETURNING p.*)\n"
	"INSERT INTO omnimsg.provider_optouts (provider_account_id, our_address, address, keyword, created_at, seen_at)\n"
	"SELECT g.provider_account_id, g.our_address, $3, g.keyword, g.created_at, g.seen_at FROM gone g\n"
	"ON CONFLICT (provider_account_id, our_address, address) DO NOTHING",
	3, {UUIDOID, TEXTOID, TEXTOID}, NULL
};

static OmStatement write_certificate = {
	"INSERT INTO omnimsg.erasures (organization_id, id, address_hash, key_id, erased_by, erased_at, counts)\n"
	"VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb)",
	7, {UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID}, NULL
};

static OmStatement export_person = {
	"WITH account AS (\n"
	"  SELECT a.* FROM omnimsg.collection_accounts a\n"
	"   WHERE a.organization_id = $1 AND (a.primary_phone = $2 OR a.secondary_phone = $2 OR a.email = $2)),\n"
	"message AS (\n"
	"  SELECT m.* FROM omnimsg.messages m WHERE m.organization_id = $1 AND m.peer_address = $2),\n"
	"request AS (\n"
	"  SELECT q.* FROM omnimsg.opt_out_requests q\n"
	"   WHERE q.organization_id = $1 AND q.channel IN ('sms', 'voice', 'email') AND q.address = $2),\n"
	"review AS (\n"
	"  SELECT v.* FROM omnimsg.reviews v WHERE v.organization_id = $1 AND v.address = $2),\n"
	"flag AS (\n"
	"  SELECT f.* FROM omnimsg.address_flags f WHERE f.organization_id = $1 AND f.address = $2),\n"
	"resource AS (\n"
	"  SELECT id FROM message UNION SELECT id FROM request UNION SELECT id FROM review UNION SELECT id FROM flag\n"
	"  UNION SELECT id FROM account)\n"
	"SELECT jsonb_build_object(\n"
	"  'organization_id', $1, 'address', $2, 'exported_at', $3,\n"
	"  'accounts', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.id), '[]') FROM account x),\n"
	"  'messages', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.created_at, x.id), '[]') FROM message x),\n"
	"  'requests', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.occurred_at, x.id), '[]') FROM request x),\n"
	"  'consents', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.channel, x.scope), '[]') FROM omnimsg.consents x\n"
	"                WHERE x.organization_id = $1 AND x.channel IN ('sms', 'voice', 'email') AND x.address = $2),\n"
	"  'reviews', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.occurred_at, x.id), '[]') FROM review x),\n"
	"  'flags', (SELECT coalesce(jsonb_agg(to_jsonb(x)), '[]') FROM flag x),\n"
	"  'audit', (SELECT coalesce(jsonb_agg(jsonb_build_object('at', l.created_at, 'action', l.action, 'actor', l.actor,\n"
	"                     'resource_type', l.resource_type, 'resource_id', l.resource_id, 'value', l.new_value)\n"
	"                     ORDER BY l.created_at, l.id), '[]')\n"
	"              FROM omnimsg.audit_logs l\n"
	"             WHERE l.organization_id = $1 AND l.resource_id IN (SELECT r.id FROM resource r)))::text,\n"
	"  ARRAY(SELECT m.id FROM message m ORDER BY m.created_at, m.id)",
	3, {UUIDOID, TEXTOID, TIMESTAMPTZOID}, NULL
};

/* The canonical address of whom the call is about, whatever the channel */
static char *
address_argument(FunctionCallInfo fcinfo, const pg_uuid_t *organization_id)
{
	char	   *address = om_arg_text(fcinfo, 1, "address");

	return om_address_for(address, strchr(address, '@') ? "email" : "sms", om_organization_region(organization_id));
}

/* Returns how many dead letters name the person, which are locked */
static uint64
refuse_held(const pg_uuid_t *organization_id, const char *address, bool dead_letters)
{
	Datum		values[2] = {UUIDPGetDatum(organization_id), CStringGetTextDatum(address)};
	char		masked[OM_MASK_SIZE];
	uint64		dead;

	om_mask_address(address, strlen(address), masked, sizeof(masked));
	if (om_db_run(&find_hold, values) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a legal hold keeps the data of \"%s\"", masked),
				 errhint("When it may go, end the hold with omnimsg_release_hold(); see omnimsg.legal_holds.")));
	if (om_db_run(&find_sending, values) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("a message to \"%s\" is just being sent", masked),
				 errhint("Try again in a minute.")));
	dead = om_db_run(&lock_dead_letters, values);
	if (dead > 0 && !dead_letters)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg(UINT64_FORMAT " dead letter(s) name \"%s\"", dead, masked),
				 errdetail("One of them may be an opt-out that could not be applied, and would be lost."),
				 errhint("Replay them, see omnimsg.dead_letters; or erase them as well, with dead_letters => true.")));
	return dead;
}

/* Lock the consents under both names, so that no request of the person is recorded meanwhile */
static void
lock_person(const pg_uuid_t *organization_id, const char *address, const char *name, TimestampTz now)
{
	static const char *const channels[] = {"email", "sms", "voice"};
	OmColumn   *organization_ids = om_column(UUIDOID, 6);
	OmColumn   *channel = om_column(TEXTOID, 6);
	OmColumn   *addresses = om_column(TEXTOID, 6);

	for (int i = 0; i < 6; i++)
	{
		om_column_add_uuid(organization_ids, organization_id);
		om_column_add_text(channel, channels[i / 2]);
		om_column_add_text(addresses, i % 2 ? name : address);
	}
	om_consent_lock(organization_ids, channel, addresses, now);
}

/*
 * omnimsg_erase_person(organization_id uuid, address text, dead_letters boolean = false) returns uuid
 *
 * The id of the certificate, in omnimsg.erasures.
 */
Datum
omnimsg_erase_person(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *organization_id = om_arg_organization(fcinfo, 0);
	bool		dead_letters = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	TimestampTz now = GetCurrentTimestamp();
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));
	OmErasureKey key;
	char		key_id[OM_ERASURE_KEY_ID_SIZE];
	char	   *address;
	char	   *name;
	OmAudit    *audit;
	Datum		values[4];
	uint64		letters;
	uint64		dead = 0;
	uint64		proofs;
	uint64		evidence;
	uint64		messages;
	uint64		requests;
	uint64		accounts;
	char	   *counts;

	/* an older snapshot would not show what another organization, that we have waited for, has erased */
	if (XactIsoLevel != XACT_READ_COMMITTED)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("omnimsg_erase_person needs transaction isolation level READ COMMITTED")));
	om_erasure_key_read(&key);
	if (key.error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the key of erasures cannot be read: %s", key.error),
				 errhint("Put at least 32 random characters into the file \"%s\" in omnimsg.secrets_dir, with mode 0600, and keep a copy apart from the backups of the database.",
						 OM_ERASURE_SECRET)));
	memcpy(key_id, key.id, sizeof(key_id));

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	address = address_argument(fcinfo, organization_id);
	name = om_erased_name(&key, address);
	sodium_memzero(&key, sizeof(key));
	values[0] = UUIDPGetDatum(organization_id);
	om_db_run(&lock_lists, values);
	letters = refuse_held(organization_id, address, dead_letters);

	values[1] = CStringGetTextDatum(address);
	values[2] = CStringGetTextDatum(name);
	if (letters > 0)
		dead = om_db_run(&erase_dead_letters, values);
	proofs = om_db_run(&lock_evidence, values);
	evidence = om_db_run(&erase_evidence, values);
	om_db_run(&erase_reviews, values);
	values[2] = TimestampTzGetDatum(now);
	om_db_run(&drop_queued, values);

	values[2] = CStringGetTextDatum(name);
	messages = om_db_run(&erase_messages, values);
	messages += om_db_run(&erase_copies, values);
	lock_person(organization_id, address, name, now);
	requests = om_db_run(&erase_requests, values);
	om_db_run(&erase_flags, values);
	om_db_run(&erase_repairs, values);
	om_erased_rename(organization_id, address, name, now);
	accounts = om_db_run(&erase_accounts, values);
	om_db_run(&erase_holds, values);
	om_db_run(&forget_windows, values);
	om_db_run(&erase_optouts, values);

	om_uuid7(id);
	counts = psprintf("{\"messages\": " UINT64_FORMAT ", \"requests\": " UINT64_FORMAT ", \"accounts\": " UINT64_FORMAT
					  ", \"evidence\": " UINT64_FORMAT ", \"dead_letters\": " UINT64_FORMAT ", \"kept_for_others\": " UINT64_FORMAT "}",
					  messages, requests, accounts, evidence, dead, (proofs - evidence) + (letters - dead));
	om_db_run(&write_certificate, (Datum[]) {UUIDPGetDatum(organization_id), UUIDPGetDatum(id),
			  CStringGetTextDatum(name), CStringGetTextDatum(key_id), CStringGetTextDatum(om_audit_role()),
			  TimestampTzGetDatum(now), CStringGetTextDatum(counts)});
	audit = om_audit_begin(now, om_audit_role());
	om_audit_add(audit, organization_id, "PERSON_ERASED", "erasure", id, NULL,
				 DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(counts))));
	om_audit_write(audit);
	SPI_finish();
	PG_RETURN_UUID_P(id);
}

/*
 * omnimsg_export_person(organization_id uuid, address text) returns jsonb
 */
Datum
omnimsg_export_person(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *organization_id = om_arg_organization(fcinfo, 0);
	TimestampTz now = GetCurrentTimestamp();
	MemoryContext context = CurrentMemoryContext;
	OmErasureKey key;
	char	   *name = NULL;
	char	   *address;
	char	   *json;
	Datum	   *message_ids;
	int			count;
	bool		isnull;
	OmAudit    *audit;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	address = address_argument(fcinfo, organization_id);
	om_db_run(&export_person, (Datum[]) {UUIDPGetDatum(organization_id), CStringGetTextDatum(address),
			  TimestampTzGetDatum(now)});
	json = om_field_text(0, 1);
	deconstruct_array(DatumGetArrayTypePCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull)),
					  UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, &message_ids, NULL, &count);

	/* The trail says whose data it was to whoever has the key, and to nobody else */
	om_erasure_key_read(&key);
	if (key.error == NULL)
		name = om_erased_name(&key, address);
	sodium_memzero(&key, sizeof(key));
	audit = om_audit_begin(now, om_audit_role());
	om_audit_add(audit, organization_id, "PERSON_EXPORTED", "person", NULL, NULL,
				 om_audit_json("address_hash", name, NULL));
	om_audit_write(audit);
	om_view_note(organization_id, message_ids, count, true);
	json = MemoryContextStrdup(context, json);
	SPI_finish();
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
}
