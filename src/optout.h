/*
 * optout.h
 *		The provider's own list of opt-outs: what a page of it says.
 */
#ifndef OM_OPTOUT_H
#define OM_OPTOUT_H

#include "postgres.h"

#include "db.h"

/* Entries that are asked for with one request */
#define OM_OPTOUT_PAGE_SIZE	250

typedef struct OmOptout
{
	char	   *our_address;	/* canonical; "" when the provider does not tell */
	char	   *address;		/* canonical */
	char	   *keyword;		/* or NULL */
	TimestampTz created_at;		/* 0 when it cannot be read */
} OmOptout;

typedef struct OmOptoutPage
{
	OmOptout   *entries;
	int			count;
	int			unreadable;		/* entries without an address, which are not among them */
	int			total_pages;
	int			total;			/* entries on all pages */
} OmOptoutPage;

#endif							/* OM_OPTOUT_H */
