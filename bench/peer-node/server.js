// bench/peer-node/server.js: what a careful team would write in Node in place of relay and extension.
//
// A cluster of two processes, each with a pool of connections; node:http with keep-alive; the signature by node:crypto;
// every statement prepared once on a connection and run one by one, in one transaction for each webhook, with the rows that
// omnimsg writes: journal, message, account, audit trail, and for STOP and START the requests and consents for texts and
// for calls, the window of replies, the confirmation and its outbox item.  200 after COMMIT.  Left out, in its favour: partitions, row level
// security, triggers, counters, texts that are not a keyword alone, numbers that are not E.164 already.
//
// Environment: PORT, PUBLIC_KEY (base64 of 32 bytes), PGHOST, PGPORT, PGDATABASE, PGUSER, WORKERS (2), POOL (8);
// tables.sql makes its tables.
'use strict';

const cluster = require('cluster');
const crypto = require('crypto');
const http = require('http');
const { Pool } = require('pg');

const TOLERANCE = 300;
const BODY_MAX = 262144;
const ORIGIN = 1;
const STOP = new Set(['STOP', 'STOPALL', 'UNSUBSCRIBE', 'CANCEL', 'END', 'QUIT']);
const START = new Set(['START', 'UNSTOP']);

const statements = {
	begin: 'BEGIN',
	commit: 'COMMIT',
	rollback: 'ROLLBACK',
	route: `SELECT p.organization_id, p.reply_mode FROM peer.inbound_phone_numbers p
		WHERE p.phone_number = $1 AND p.provider = $2`,
	claim: `INSERT INTO peer.events (provider, dedupe_key, event_type, occurred_at, received_at, organization_id,
			message_id, outcome, key_id, signed_at, signature, raw, attempts)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 'applied', $8, $9, $10, $11, 1)
		ON CONFLICT (provider, dedupe_key) DO NOTHING RETURNING dedupe_key`,
	link: `SELECT c.id, c.campaign_id FROM peer.collection_accounts c
		WHERE c.organization_id = $1 AND (c.primary_phone = $2 OR c.secondary_phone = $2)
		ORDER BY c.primary_phone IS DISTINCT FROM $2, c.last_contact_at DESC NULLS LAST, c.id LIMIT 1`,
	message: `INSERT INTO peer.messages (organization_id, id, account_id, campaign_id, direction, channel, from_number,
			to_number, message_body, status, external_message_id, provider, intent, intent_rule, parts, cost_amount,
			cost_currency, created_at)
		VALUES ($1, $2, $3, $4, 'inbound', 'sms', $5, $6, $7, 'received', $8, $9, $10, $11, $12, $13, $14, $15)`,
	contact: `UPDATE peer.collection_accounts SET last_contact_at = greatest(last_contact_at, $3), updated_at = $4
		WHERE organization_id = $1 AND id = $2`,
	audit: `INSERT INTO peer.audit_logs (organization_id, id, action, resource_type, resource_id, new_value, row_hash,
			actor, origin, xid, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, ${ORIGIN}, pg_current_xact_id(), $9)`,
	lockConsent: `INSERT INTO peer.consents (organization_id, channel, address, scope, changed_at)
		VALUES ($1, $4, $2, 'all', $3) ON CONFLICT (organization_id, channel, address, scope) DO NOTHING`,
	consent: `SELECT c.state, c.decided_at FROM peer.consents c
		WHERE c.organization_id = $1 AND c.channel = $3 AND c.address = $2 AND c.scope = 'all' FOR UPDATE`,
	request: `INSERT INTO peer.opt_out_requests (organization_id, id, channel, address, our_address, our_address_only,
			account_id, request_type, scope, source, rule, matched_text, message_id, provider, dedupe_key, occurred_at,
			created_at)
		VALUES ($1, $2, $14, $3, $4, false, $5, $6, 'all', 'keyword', $7, $8, $9, $10, $11, $12, $13)`,
	decide: `UPDATE peer.consents SET state = $3, decided_at = $4, request_id = $5, changed_at = $6
		WHERE organization_id = $1 AND channel = $7 AND address = $2 AND scope = 'all'`,
	copyConsent: `UPDATE peer.collection_accounts SET sms_consent = $3, updated_at = $4
		WHERE organization_id = $1 AND (primary_phone = $2 OR secondary_phone = $2)`,
	window: `INSERT INTO peer.reply_windows AS r (organization_id, address, trigger, last_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (organization_id, address, trigger) DO UPDATE SET last_at = EXCLUDED.last_at
		WHERE r.last_at <= EXCLUDED.last_at - interval '10 minutes' RETURNING address`,
	text: `SELECT o.name, t.body FROM peer.organizations o
		LEFT JOIN peer.reply_templates t ON t.organization_id = o.id AND t.trigger = $2 AND t.language = 'en' AND t.active
		WHERE o.id = $1`,
	reply: `INSERT INTO peer.messages (organization_id, id, account_id, campaign_id, direction, channel, from_number,
			to_number, message_body, status, provider, in_reply_to, created_at)
		VALUES ($1, $2, $3, $4, 'outbound', 'sms', $5, $6, $7, 'queued', $8, $9, $10)`,
	outbox: `INSERT INTO peer.outbox (organization_id, id, message_id, kind, scope, state, next_attempt_at, expires_at,
			request_id, created_at)
		VALUES ($1, $2, $3, $4, 'all', 'queued', $5, $6, $7, $5)`,
};

const key = crypto.createPublicKey({
	key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(process.env.PUBLIC_KEY, 'base64')]),
	format: 'der',
	type: 'spki',
});
const keyId = crypto.createHash('sha256').update(Buffer.from(process.env.PUBLIC_KEY, 'base64')).digest('hex');

function uuid7(now)
{
	const time = now.toString(16).padStart(12, '0');
	const random = crypto.randomUUID();

	return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15)}`;
}

function isSigned(headers, body)
{
	const stamp = headers['telnyx-timestamp'] || '';
	const signature = Buffer.from(headers['telnyx-signature-ed25519'] || '', 'base64');

	return /^[0-9]+$/.test(stamp) && Math.abs(Date.now() / 1000 - stamp) <= TOLERANCE && signature.length === 64 &&
		crypto.verify(null, Buffer.concat([Buffer.from(`${stamp}|`), body]), key, signature);
}

// one statement, prepared on this connection the first time
function run(client, name, values)
{
	return client.query({ name, text: statements[name], values });
}

function audit(client, w, action, type, id, value)
{
	const json = JSON.stringify(value);
	const row = uuid7(w.ms);
	const hash = crypto.createHash('sha256').update(`${w.organization}|${row}|${action}|${type}|${id}|${json}`).digest();

	return run(client, 'audit', [w.organization, row, action, type, id, json, hash, 'provider:telnyx', w.now]);
}

async function confirm(client, w)
{
	const trigger = w.intent;
	const kind = `${trigger}_confirmation`;

	if (w.replyMode !== 'auto' || w.payload.autoresponse_type || w.payload.cc.length > 0 || !w.changed)
		return;
	if ((await run(client, 'window', [w.organization, w.from, trigger, w.now])).rowCount === 0)
		return;
	const { name, body } = (await run(client, 'text', [w.organization, trigger])).rows[0];
	const text = body || `${name}: ${trigger === 'opt_out' ?
		'You are unsubscribed and will get no more texts from us. Reply START to subscribe again.' :
		'You are subscribed again. Reply STOP to unsubscribe.'}`;
	const id = uuid7(w.ms);

	await run(client, 'reply', [w.organization, id, w.account, w.campaign, w.to, w.from, text, 'telnyx', w.id, w.now]);
	await run(client, 'outbox', [w.organization, uuid7(w.ms), id, kind, w.now, new Date(w.ms + 300000), w.request]);
	await audit(client, w, 'AUTO_REPLY_QUEUED', 'message', id, { kind });
}

// of one channel: the request that is decided by now, and whether that changed the state
async function changeChannel(client, w, channel)
{
	await run(client, 'lockConsent', [w.organization, w.from, w.now, channel]);
	const before = (await run(client, 'consent', [w.organization, w.from, channel])).rows[0];
	const state = w.intent === 'opt_out' ? 'opted_out' : 'opted_in';
	const request = uuid7(w.ms);

	await run(client, 'request', [w.organization, request, w.from, w.to, w.account, w.intent, 'keyword', w.text, w.id,
		'telnyx', w.dedupeKey, w.occurredAt, w.now, channel]);
	const wins = before.decided_at === null || before.decided_at < w.occurredAt ||
		(state === 'opted_out' && before.decided_at.getTime() === w.occurredAt.getTime());
	if (wins)
		await run(client, 'decide', [w.organization, w.from, state, w.occurredAt, request, w.now, channel]);
	if (wins && channel === 'sms')
		await run(client, 'copyConsent', [w.organization, w.from, state === 'opted_in', w.now]);
	await audit(client, w, w.intent === 'opt_out' ? 'OPT_OUT_REQUESTED' : 'OPT_IN_CONFIRMED', 'opt_out_request', request,
		{ channel, source: 'keyword' });
	return { request, changed: wins && before.state !== state };
}

// who says STOP by text means calls as well
async function changeConsent(client, w)
{
	Object.assign(w, await changeChannel(client, w, 'sms'));
	await changeChannel(client, w, 'voice');
	await confirm(client, w);
}

function read(headers, body)
{
	const { data } = JSON.parse(body.toString('utf8'));
	const payload = data.payload;
	const now = new Date();
	const word = (payload.text || '').trim().toUpperCase();

	return {
		payload,
		now,
		ms: now.getTime(),
		id: uuid7(now.getTime()),
		type: data.event_type,
		dedupeKey: `received:${payload.id}`,
		occurredAt: new Date(payload.received_at),
		signedAt: new Date(headers['telnyx-timestamp'] * 1000),
		signature: headers['telnyx-signature-ed25519'],
		from: payload.from.phone_number,
		to: payload.to[0].phone_number,
		text: payload.text,
		intent: STOP.has(word) ? 'opt_out' : START.has(word) ? 'opt_in' : 'none',
	};
}

async function store(client, headers, body)
{
	const w = read(headers, body);
	const evidence = w.intent !== 'none';

	await run(client, 'begin');
	const owner = (await run(client, 'route', [w.to, 'telnyx'])).rows[0];
	w.organization = owner.organization_id;
	w.replyMode = owner.reply_mode;
	const claimed = await run(client, 'claim', ['telnyx', w.dedupeKey, w.type, w.occurredAt, w.now, w.organization, w.id,
		keyId, w.signedAt, evidence ? w.signature : null, evidence ? body : null]);
	if (claimed.rowCount > 0)
	{
		const account = (await run(client, 'link', [w.organization, w.from])).rows[0];

		w.account = account ? account.id : null;
		w.campaign = account ? account.campaign_id : null;
		await run(client, 'message', [w.organization, w.id, w.account, w.campaign, w.from, w.to, w.text, w.payload.id, 'telnyx',
			w.intent, evidence ? 'keyword' : null, w.payload.parts, w.payload.cost.amount, w.payload.cost.currency, w.now]);
		await audit(client, w, 'MESSAGE_RECEIVED', 'message', w.id,
			{ intent: w.intent, linked: account ? 'yes' : 'no', channel: 'sms' });
		if (evidence)
			await changeConsent(client, w);
		if (account)
			await run(client, 'contact', [w.organization, w.account, w.occurredAt, w.now]);
	}
	await run(client, 'commit');
}

async function receive(pool, request, response)
{
	const parts = [];
	let size = 0;
	let status = 200;

	for await (const part of request)
	{
		parts.push(part);
		size += part.length;
		if (size > BODY_MAX)
			return answer(response, 413);
	}
	const body = Buffer.concat(parts, size);
	if (!isSigned(request.headers, body))
		return answer(response, 401);
	const client = await pool.connect();
	try
	{
		await store(client, request.headers, body);
		client.release();
	}
	catch (error)
	{
		status = 503;
		await run(client, 'rollback').then(() => client.release(), () => client.release(true));
		console.error(error.message);
	}
	return answer(response, status);
}

function answer(response, status)
{
	const body = `{"status":${status}}\n`;

	response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': body.length });
	response.end(body);
}

function serve()
{
	// connections stay, with what they have prepared, however long nothing comes
	const pool = new Pool({ max: Number(process.env.POOL || 8), idleTimeoutMillis: 0 });
	const server = http.createServer((request, response) =>
	{
		if (request.method === 'POST' && request.url === '/webhooks/telnyx')
			receive(pool, request, response).catch(() => answer(response, 503));
		else
			answer(response, request.url === '/healthz' ? 200 : 404);
	});

	server.keepAliveTimeout = 60000;
	server.listen(Number(process.env.PORT), '127.0.0.1');
}

if (cluster.isPrimary)
{
	for (let n = 0; n < Number(process.env.WORKERS || 2); n++)
		cluster.fork();
	process.on('SIGTERM', () => process.exit(0));
}
else
	serve();
