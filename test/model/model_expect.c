/*
 * model_expect.c
 *		Which requests an operation must leave on record, by the rules.
 */
#include "model.h"

#include <string.h>

/* One request more; the caller holds the lock of a sequence that several sessions work on */
Request *
expect_request(Sequence *s, Request request)
{
	if (s->nrequests == MAX_REQUESTS)
		check_fail(s, "a sequence makes more requests than the model has room for");
	if (request.at_most == 0)
		request.at_most = request.at;
	s->requests[s->nrequests] = request;
	return &s->requests[s->nrequests++];
}

/*
 * STOP counts for every organization that has the number, for texts and for calls.  START to a number
 * that several have lifts only what was said to it, as it always does for calls.  A text that may be a
 * STOP waits for a person in each of them.
 */
void
expect_text(Sequence *s, const Event *event, const int *owners, int nowners)
{
	static const int unowned[] = {NOBODY};

	if (nowners == 0)
	{
		owners = unowned;
		nowners = 1;
	}
	for (int o = 0; o < nowners; o++)
	{
		if (event->kind == MAYBE && s->nreviews < MAX_REVIEWS)
			s->reviews[s->nreviews++] = (Review) {event - s->events, owners[o], -1};
		if (event->kind != STOP && event->kind != START)
			continue;
		for (Channel channel = SMS; channel <= VOICE; channel++)
			expect_request(s, (Request) {
				.organization = owners[o], .channel = channel, .address = event->address,
				.ours = event->number, .out = event->kind == STOP, .scope = ALL,
				.ours_only = event->kind == START && (channel == VOICE || nowners > 1),
				.source = event->text[0] == '\0' ? PROVIDER : KEYWORD, .at = event->at
			});
	}
}

/* A block is one request, however often the provider tells of it, at the time of the message */
void
expect_block(Sequence *s, Message *message)
{
	if (!message->block_expected)
		expect_request(s, (Request) {
			.organization = message->organization, .channel = SMS, .address = message->address,
			.ours = message->number, .out = true, .scope = ALL, .source = PROVIDER_BLOCK,
			.at = message->at
		});
	message->block_expected = true;
}

/* An import that says what the last import of the address said is none */
void
expect_import(Sequence *s, int organization, Channel channel, int address, bool out,
			  int64_t at, int64_t at_most)
{
	const Request *last = NULL;

	for (const Request *r = s->requests; r < s->requests + s->nrequests; r++)
		if (r->organization == organization && r->channel == channel && r->address == address &&
			r->scope == ALL && r->source == IMPORT && (last == NULL || r->at >= last->at))
			last = r;
	if (last == NULL || last->out != out)
		expect_request(s, (Request) {
			.organization = organization, .channel = channel, .address = address, .ours = NO_NUMBER,
			.out = out, .scope = ALL, .source = IMPORT, .at = at, .at_most = at_most
		});
}

/* A review that ends as an opt-out is one from when the message was written */
void
expect_review(Sequence *s, Review *review, int decision)
{
	const Event *event = &s->events[review->event];

	if (decision == 0 && review->decision < 0)
		for (Channel channel = SMS; channel <= VOICE; channel++)
			expect_request(s, (Request) {
				.organization = review->organization, .channel = channel, .address = event->address,
				.ours = event->number, .out = true, .scope = ALL, .source = FREE_TEXT,
				.at = event->at
			});
	review->decision = decision;
}

int
select_requests(const Sequence *s, int organization, Channel channel, int address,
				Request *selected)
{
	int			count = 0;

	for (const Request *r = s->requests; r < s->requests + s->nrequests; r++)
		if (r->organization == organization && r->channel == channel && r->address == address)
			selected[count++] = *r;
	return count;
}

static bool
is_known_to(const Sequence *s, const Request *request, int organization)
{
	for (const Request *r = s->requests; r < s->requests + s->nrequests; r++)
		if (r->organization == organization && r->channel == request->channel &&
			r->address == request->address && r->ours == request->ours && r->out == request->out &&
			r->scope == request->scope && r->source == request->source && r->at == request->at)
			return true;
	return false;
}

/*
 * The opt-outs that a number brings from one organization to another, all or those that stand, but for what
 * one of those given has; returns how many requests.
 */
static int
bring(Sequence *s, int number, int from, int to, bool all, const int *known_to, int nknown)
{
	static _Thread_local Request brought[MAX_REQUESTS];
	static _Thread_local Request others[MAX_REQUESTS];
	int			count = 0;

	for (const Request *r = s->requests; r < s->requests + s->nrequests; r++)
	{
		bool		known = is_known_to(s, r, to);
		int			n;

		for (int k = 0; k < nknown; k++)
			known = known || is_known_to(s, r, known_to[k]);
		if (r->organization != from || r->ours != number || known)
			continue;
		n = select_requests(s, from, r->channel, r->address, others);
		if (r->out && (all || model_stands(others, n, r->scope, FOREVER, FOREVER, r)))
			brought[count++] = *r;
	}
	for (int i = 0; i < count; i++)
	{
		brought[i].organization = to;
		expect_request(s, brought[i]);
	}
	return count;
}

/*
 * A number of nobody's brings all opt-outs that were said to it, and the reviews; one of other organizations
 * brings the opt-outs that stand and were made through it, and of nobody's time those that they have not got.
 */
int
expect_assign(Sequence *s, int number, int to)
{
	Number	   *n = &s->numbers[number];
	int			count = 0;

	for (int from = NOBODY + 1; from < ORGANIZATIONS; from++)
		for (int o = 0; o < n->nowners; o++)
			if (n->owners[o] == from && from != to)
				count += bring(s, number, from, to, false, NULL, 0);
	count += bring(s, number, NOBODY, to, true, n->owners, n->nowners);
	for (Review *v = s->reviews; v < s->reviews + s->nreviews; v++)
		if (v->organization == NOBODY && s->events[v->event].number == number)
			v->organization = to;
	n->owners[0] = to;
	n->nowners = 1;
	return count;
}
