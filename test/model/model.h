/*
 * model.h
 *		What the files of the model of consent share.
 *
 * The model says what omnimsg must have on record after any operations, from the rules alone: it knows
 * neither the code of the extension nor its SQL.  model_fold.c adds requests up to a state,
 * model_expect.c says which requests an operation makes, model_drive.c does the operations to a
 * server, model_check.c compares, and model.c makes up sequences of them.
 */
#ifndef MODEL_H
#define MODEL_H

#include <libpq-fe.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Organizations are numbered; number 0 is nobody's, the nil UUID */
#define NOBODY			0
#define ORGANIZATIONS	5

/* Numbers of ours: those that all sequences share never change hands, the last two do */
#define SHARED_NUMBERS	6
#define NUMBERS			(SHARED_NUMBERS + 2)
#define NO_NUMBER		(-1)
#define NO_ACCOUNT		(-1)

/* People: three phones and one e-mail address */
#define PHONES			3
#define EMAIL_ADDRESS	PHONES
#define ADDRESSES		(PHONES + 1)

#define MAX_REQUESTS	1500
#define MAX_EVENTS		160
#define MAX_MESSAGES	40
#define MAX_REVIEWS		200
#define MAX_CUSTOMERS	40
#define LOG_SIZE		65536

#define FOREVER			INT64_MAX
#define SECOND			INT64_C(1000000)

typedef enum Channel
{
	SMS, VOICE, EMAIL, CHANNELS
} Channel;

typedef enum Source
{
	KEYWORD, FREE_TEXT, PROVIDER, PROVIDER_BLOCK, AGENT, MAIL, WEB, IMPORT, API, SOURCES
} Source;

/* The scope that all others fold too, and two categories */
enum
{
	ALL, OFFERS, NEWS, SCOPES
};

/* Times are microseconds of the Unix epoch */
typedef struct Request
{
	int			organization;
	Channel		channel;
	int			address;
	int			ours;			/* number of ours, or NO_NUMBER */
	bool		ours_only;		/* lifts only what was said to the same number of ours */
	bool		out;
	int			scope;
	Source		source;
	int64_t		at;
	int64_t		at_most;		/* of an import, which happens when it is made: not after this */

	/* Read back from the server */
	bool		found;
	int64_t		recorded;
	char		id[40];
} Request;

typedef struct Number
{
	char		e164[20];
	int			account;		/* at the provider, or NO_ACCOUNT; goes along when the number does */
	int			owners[ORGANIZATIONS];
	int			nowners;
} Number;

typedef enum StateName
{
	NONE, OPTED_IN, OPTED_OUT
} StateName;

typedef struct State
{
	StateName	name;
	int64_t		at;				/* when the request that decides was made */
	bool		blocked;		/* the provider blocks the address */
} State;

typedef enum EventKind
{
	STOP, START, MAYBE, HELP, HELLO, DELIVERED, FAILED, BLOCKED, EVENT_KINDS
} EventKind;

/* What a provider tells, perhaps more than once */
typedef struct Event
{
	EventKind	kind;
	int			serial;
	int			address;
	int			number;
	int			message;		/* of ours, for the kinds that tell of one */
	const char *text;
	const char *autoresponse;	/* what the provider says that it did itself, or NULL */
	int64_t		written_at;		/* as the payload says */
	int64_t		signed_at;
	int64_t		at;				/* what counts: never far after the signature */

	int			delivered;		/* how often it was given to the server */
	int			applied;		/* how often the server said that it was news; must become 1 */
	bool		expected;		/* what it makes is among the requests expected */
	int			organization;	/* that the server said it belongs to */
	char		id[40];			/* of the message that it became */
} Event;

/* A message of ours that the provider may refuse */
typedef struct Message
{
	int			organization;
	int			number;
	int			address;
	int64_t		at;
	bool		block_expected;
} Message;

typedef struct Review
{
	int			event;
	int			organization;
	int			decision;		/* index of its word, or -1 */
} Review;

/* An account of an organization */
typedef struct Customer
{
	int			organization;
	char		id[40];
	bool		gone;
} Customer;

typedef struct Sequence
{
	long		index;
	uint64_t	seed;
	bool		joint;			/* several sessions work on its addresses at once */
	pthread_mutex_t lock;		/* for all below while they do */
	int64_t		base;			/* the time around which most of it happened */
	char		addresses[ADDRESSES][48];
	Number		numbers[NUMBERS];
	Request		requests[MAX_REQUESTS];
	int			nrequests;
	Event		events[MAX_EVENTS];
	int			nevents;
	Message		messages[MAX_MESSAGES];
	int			nmessages;
	Review		reviews[MAX_REVIEWS];
	int			nreviews;
	Customer	customers[MAX_CUSTOMERS];
	int			ncustomers;
	char		log[LOG_SIZE];
	int			nlog;
} Sequence;

/* What was done and compared; a run that never did one of them proves nothing about it */
typedef enum Tally
{
	T_SEQUENCES, T_JOINT, T_EVENTS, T_DUPLICATES, T_BATCHES, T_RECORDED, T_INSERTED, T_MOVED, T_MERGED,
	T_BLOCKS, T_REVIEWS, T_ASSIGNED, T_RACES, T_REQUESTS, T_STATES, T_INSTANTS, T_WAITED, TALLIES
} Tally;

typedef struct Session
{
	int			number;
	PGconn	   *conn;
	uint64_t	random;
	long		tally[TALLIES];
	/* events that are to be delivered together */
	int			batch[MAX_EVENTS];
	int			nbatch;
} Session;

extern const char *const channel_names[CHANNELS];
extern const char *const source_names[SOURCES];
extern const char *const scope_names[SCOPES];
extern const char *const decision_names[3];
extern const char *const organization_ids[ORGANIZATIONS];

/* model_fold.c: the rules of section 5 of the design, over the requests of one address */
extern bool model_lifts(const Request *in, const Request *out);
extern bool model_stands(const Request *requests, int count, int scope, int64_t at,
						 int64_t known_at, const Request *out);
extern State model_fold(const Request *requests, int count, const Number *numbers, int scope,
						int64_t at, int64_t known_at);

/* model_expect.c: the requests that operations make */
extern Request *expect_request(Sequence *s, Request request);
extern void expect_text(Sequence *s, const Event *event, const int *owners, int nowners);
extern void expect_block(Sequence *s, Message *message);
extern void expect_import(Sequence *s, int organization, Channel channel, int address, bool out,
						  int64_t at, int64_t at_most);
extern void expect_review(Sequence *s, Review *review, int decision);
extern int	expect_assign(Sequence *s, int number, int to);
extern int	select_requests(const Sequence *s, int organization, Channel channel, int address,
							Request *selected);

/* model_drive.c: the operations on a server */
extern void drive_connect(Session *session, const char *conninfo);
extern void drive_fixture(Session *session);
extern void drive_clean(Session *session);
extern void drive_begin(Session *session, Sequence *s);
extern int	drive_event(Session *session, Sequence *s, EventKind kind, int address, int number,
						int message, int64_t at);
extern void drive_queue(Session *session, Sequence *s, int event);
extern void drive_flush(Session *session, Sequence *s);
extern void drive_record(Session *session, Sequence *s, Request request);
extern int	drive_message(Session *session, Sequence *s, int organization, int number, int address,
						  int64_t at);
extern void drive_insert(Session *session, Sequence *s, int organization, int phone, int second,
						 bool email, int sms_consent, int email_consent);
extern void drive_move(Session *session, Sequence *s, int customer, int phone);
extern void drive_merge(Session *session, Sequence *s, int kept, int gone);
extern void drive_review(Session *session, Sequence *s, int review, int decision);
extern int	drive_assign(Session *session, Sequence *s, int number, int to);
extern PGresult *drive_query(Session *session, Sequence *s, const char *name, int nparams,
							 const char *const *params);
extern void drive_format_time(int64_t at, char *out, size_t size);

/* model_check.c */
extern void check_sequence(Session *session, Sequence *s, int instants);
extern void check_fail(Sequence *s, const char *format,...) __attribute__((format(printf, 2, 3), noreturn));
extern void sequence_log(Sequence *s, const char *format,...) __attribute__((format(printf, 2, 3)));

/* model.c */
extern uint64_t session_random(Session *session, uint64_t below);
extern int64_t clock_now(void);

#endif							/* MODEL_H */
