/*
 * model_fold.c
 *		What requests add up to, written from the rules and from nothing else.
 *
 * An opt-out stands unless a later opt-in lifts it; at the same instant the opt-out
 * wins.  An opt-in by import or api lifts nothing, one for a number of ours only lifts what was said to
 * that number.  While an opt-out stands the newest that does decides; else the newest opt-in that
 * meant more than one number, or that had something to lift.  A category folds what was said of
 * all, too.  A provider's block stands until a later START by text to the same number, or to another
 * one of the same account at the provider.
 */
#include "model.h"

static bool
counts(const Request *r, int scope, int64_t at, int64_t known_at)
{
	return (r->scope == ALL || r->scope == scope) && r->at <= at && r->recorded <= known_at;
}

bool
model_lifts(const Request *in, const Request *out)
{
	return !in->out && in->at > out->at && in->source != IMPORT && in->source != API &&
		(!in->ours_only || in->ours == out->ours);
}

static bool
unblocks(const Request *in, const Request *block, const Number *numbers)
{
	return !in->out && in->at > block->at && in->source <= PROVIDER && in->ours != NO_NUMBER &&
		(in->ours == block->ours || (numbers[in->ours].account != NO_ACCOUNT &&
									 numbers[in->ours].account == numbers[block->ours].account));
}

bool
model_stands(const Request *requests, int count, int scope, int64_t at, int64_t known_at,
			 const Request *out)
{
	for (int i = 0; i < count; i++)
		if (counts(&requests[i], scope, at, known_at) && model_lifts(&requests[i], out))
			return false;
	return true;
}

State
model_fold(const Request *requests, int count, const Number *numbers, int scope, int64_t at,
		   int64_t known_at)
{
	State		state = {NONE, 0, false};

	for (const Request *r = requests; r < requests + count; r++)
	{
		bool		blocks = r->source == PROVIDER_BLOCK;
		bool		meant = !r->ours_only;
		StateName	name = r->out ? OPTED_OUT : OPTED_IN;

		if (!counts(r, scope, at, known_at))
			continue;
		for (const Request *o = requests; o < requests + count; o++)
			if (counts(o, scope, at, known_at))
			{
				blocks = blocks && !unblocks(o, r, numbers);
				meant = meant || (o->out && o->ours == r->ours && o->at < r->at);
			}
		state.blocked = state.blocked || blocks;
		if (r->out ? !model_stands(requests, count, scope, at, known_at, r) : !meant)
			continue;
		if (name > state.name || (name == state.name && r->at > state.at))
			state.at = r->at, state.name = name;
	}
	return state;
}
