/*
 * simulator_message.h
 *		Messages and their events in the words of Telnyx's API v2.
 */
#ifndef OM_SIMULATOR_MESSAGE_H
#define OM_SIMULATOR_MESSAGE_H

#include <stdbool.h>
#include <stdio.h>

#define OM_SIM_LIST_MAX	16

/* The simulator is one account with one messaging profile. */
#define OM_SIM_PROFILE_ID	"aaaaaaaa-0000-4000-8000-000000000001"

/* Any string may be NULL, which is JSON's null; none is owned. */
struct om_sim_message
{
	bool		outbound;
	const char *id;
	const char *from;
	const char *to;
	const char *text;
	const char *type;			/* SMS or MMS */
	const char *status;			/* of the receiver */
	const char *autoresponse;
	const char *webhook_url;
	const char *failover_url;
	const char *received_at;
	const char *sent_at;
	const char *completed_at;
	const char *valid_until;
	const char *cc[OM_SIM_LIST_MAX];
	const char *media[OM_SIM_LIST_MAX];
	int			cc_count;
	int			media_count;
	int			error_code;		/* 0 for none */
};

/* The message object, as in events and in answers. */
extern void om_sim_message_write(FILE *out, const struct om_sim_message *message);

/* The "data" object of an event about it. */
extern void om_sim_event_write(FILE *out, const char *event_type, const char *event_id,
							   const char *occurred_at, const struct om_sim_message *message);

/* {"errors":[...]}; pointer names the field at fault or is NULL. */
extern void om_sim_error_write(FILE *out, int code, const char *pointer);

/* How many parts the text takes; *gsm7 tells the encoding (3GPP TS 23.038). */
extern int	om_sim_message_parts(const char *text, bool *gsm7);

/*
 * What Telnyx answers by itself when the text is nothing but one of its default
 * keywords: STOP, START or HELP; else NULL.
 */
extern const char *om_sim_autoresponse(const char *text);

#endif							/* OM_SIMULATOR_MESSAGE_H */
