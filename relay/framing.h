/*
 * framing.h
 *		Where a request ends, and which of its headers count; read from any bytes that came as headers.
 */
#ifndef OM_RELAY_FRAMING_H
#define OM_RELAY_FRAMING_H

#include <stdbool.h>
#include <stddef.h>

/* A header as it came; neither is NULL */
typedef struct OmHeader
{
	const char *name;
	const char *value;
} OmHeader;

typedef struct OmHeaders
{
	int			count;
	int			most;			/* so many may have been kept of more that came */
	const OmHeader *list;
} OmHeaders;

typedef enum OmExpectation
{
	OM_EXPECT_NOTHING,
	OM_EXPECT_CONTINUE,			/* the client waits to be asked for the body */
	OM_EXPECT_OTHER				/* it waits for what it will not get */
} OmExpectation;

typedef struct OmFraming
{
	const char *content_length; /* NULL: none */
	const char *signature;		/* NULL: none */
	const char *timestamp;		/* NULL: none */
	bool		body_unread;	/* there may be bytes on the way that belong to it */
} OmFraming;

/* The last header of that name, whatever its case; NULL, and a count of 0, without one */
extern const char *om_header(const OmHeaders *headers, const char *name, int *count);

/*
 * 0, or the status with which the request must be refused: 400, 411, 413 or 431.  content_length is 1 to 7 digits
 * after 0.
 */
extern int	om_framing_check(const OmHeaders *headers, const char *method, OmFraming *out);

extern OmExpectation om_framing_expectation(const OmHeaders *headers);

/*
 * Would the client, and civetweb, keep the connection after an answer with a body?  So that the answer never says
 * what will not happen.
 */
extern bool om_framing_keep_alive(const OmHeaders *headers, const char *method, const char *version);

#endif							/* OM_RELAY_FRAMING_H */
