/*
 * http.h
 *		Many requests at once, from one process, without blocking.
 */
#ifndef OM_HTTP_H
#define OM_HTTP_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* Bytes of an answer; a longer one is not read to its end, and is not complete */
#define OM_HTTP_BODY_LIMIT	65536
#define OM_HTTP_LIST_LIMIT	1048576

/* A request leaves within this time of om_http_post or om_http_get, or never */
#define OM_HTTP_CONNECT_MS	3000

typedef struct OmHttpAnswer
{
	void	   *tag;			/* what om_http_post or om_http_get was given */
	bool		request_left;	/* at least a byte of the request's body may have left this host */
	bool		complete;		/* a whole response was read */
	bool		timed_out;		/* it was not, because its time was over */
	bool		too_long;		/* it was not, because its body is longer than we read */
	int			status;			/* 0 without one */
	int			body_length;
	char	   *body;			/* of the answer, NUL-terminated */
	char		retry_after[64];	/* the header, "" without one */
	char		error[256];		/* libcurl's words when not complete */
} OmHttpAnswer;

/* Once per process */
extern void om_http_start(void);

/*
 * Begin a POST of JSON.  The strings are copied.  From the deadline on its body does not leave any more,
 * and without its body it is no request.  False when there is no memory for it, and then nothing was
 * sent.
 */
extern bool om_http_post(void *tag, const char *url, const char *secret, const char *body,
						 TimestampTz deadline);

/* The same for a GET, whose answer may be as long as a list is */
extern bool om_http_get(void *tag, const char *url, const char *secret);

/* The next that is finished, or NULL; to be freed with om_http_answer_free */
extern OmHttpAnswer *om_http_finished(void);
extern void om_http_answer_free(OmHttpAnswer *answer);

extern int	om_http_in_flight(void);

/*
 * Let the transfers go on until something happens: one of them moved, the latch was
 * set, or timeout_ms are over.  True when the latch was set.  Does not serve interrupts;
 * the caller does.
 */
extern bool om_http_wait(long timeout_ms);

#endif							/* OM_HTTP_H */
