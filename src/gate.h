/*
 * gate.h
 *		Whether a message may be sent: every gate, and what each says.
 *
 * Asked by omnimsg_explain_send, which shows all of it, by omnimsg_send, and by the
 * dispatcher in the transaction that marks an item as being sent.  There is no other way to
 * a provider.
 */
#ifndef OM_GATE_H
#define OM_GATE_H

#include "postgres.h"

#include "db.h"

/* In the order in which they are asked */
typedef enum OmGate
{
	OM_GATE_ADDRESS,			/* can it be written to at all */
	OM_GATE_CONSENT,
	OM_GATE_SCOPE,				/* the category of messages */
	OM_GATE_PROVIDER_BLOCK,
	OM_GATE_REVIEW,				/* a message of theirs that may be an opt-out */
	OM_GATE_QUIET_HOURS,
	OM_GATE_FREQUENCY,
	OM_GATE_NUMBER,				/* wrong or reassigned */
	OM_GATE_ORGANIZATION,
	OM_GATE_CONTENT,
	OM_GATE_ARMED,				/* the database itself: it is no copy */
	OM_GATES
} OmGate;

typedef enum OmVerdict
{
	OM_ALLOW,
	OM_HOLD,					/* may be queued, and waits until not_before */
	OM_BLOCK					/* may not be queued */
} OmVerdict;

typedef struct OmGateAnswer
{
	OmVerdict	verdict;
	const char *reason;			/* or NULL: nothing to say */
	TimestampTz not_before;		/* when it will say allow; 0 when that is not known */
} OmGateAnswer;

typedef struct OmSending
{
	const pg_uuid_t *organization_id;
	const char *channel;
	const char *address;		/* canonical */
	const char *kind;			/* as in omnimsg.outbox */
	const char *scope;
	const char *body;			/* or NULL: not asked about */
	const pg_uuid_t *message_id;	/* of one that is queued already, else NULL */
	TimestampTz released_at;	/* when a reviewer let it go, for the reviews until then; 0 when none did */

	OmGateAnswer	answers[OM_GATES];
} OmSending;

/* Fill in the answers, as of a time.  SPI must be connected; organizations must exist. */
extern void om_gates_ask(OmSending **sendings, int count, TimestampTz at);

/*
 * What the answers come to: the first that blocks; else the one that holds longest; else NULL.
 * *gate tells which it is.
 */
extern const OmGateAnswer *om_gates_decision(const OmSending *sending, OmGate *gate);

/* When to ask again about what a gate holds, or blocks and om_gate_passes() */
extern TimestampTz om_gate_ask_again(OmGate gate, const OmGateAnswer *answer, TimestampTz now);

/*
 * Whether a block of the gate ends by itself or by an operator's hand, so that an item which is
 * queued already waits for that instead of being given up.
 */
extern bool om_gate_passes(OmGate gate);

/* "address", "consent" ...; "allow", "hold", "block" */
extern const char *om_gate_name(OmGate gate);
extern const char *om_verdict_name(OmVerdict verdict);

/* Kinds that answer STOP, START and HELP: rule 5 of the design lets them pass most gates */
extern bool om_kind_is_automatic(const char *kind);

#endif							/* OM_GATE_H */
