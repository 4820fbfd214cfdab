/*
 * simulator_optout.h
 *		Who opted out at the simulated provider, and the pages in which it tells.
 */
#ifndef OM_SIMULATOR_OPTOUT_H
#define OM_SIMULATOR_OPTOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OM_SIM_OPTOUT_ADDRESS	40
#define OM_SIM_OPTOUT_KEYWORD	64
#define OM_SIM_OPTOUT_PAGE_MAX	250

/* As Telnyx names them: from is the sending number, which the person answered; to is the person. */
struct om_sim_optout
{
	char		from[OM_SIM_OPTOUT_ADDRESS];	/* "" when it is not known */
	char		to[OM_SIM_OPTOUT_ADDRESS];
	char		keyword[OM_SIM_OPTOUT_KEYWORD]; /* "" for none */
	int64_t		created_at;		/* milliseconds since the Unix epoch */
};

/* What a GET asks for */
struct om_sim_optout_query
{
	char		profile[OM_SIM_OPTOUT_ADDRESS]; /* "" for any, as from */
	char		from[OM_SIM_OPTOUT_ADDRESS];
	int64_t		since;			/* microseconds, both inclusive */
	int64_t		until;
	int			page;			/* from 1 */
	int			size;
};

struct om_sim_optouts;

extern struct om_sim_optouts *om_sim_optouts_create(void);
extern void om_sim_optouts_free(struct om_sim_optouts *optouts);

/*
 * An opt-out from a number that has one of the person is the one there is.  False when the
 * list is full.
 */
extern bool om_sim_optouts_add(struct om_sim_optouts *optouts, const struct om_sim_optout *optout);

/* The person wrote START: every opt-out is lifted, from whatever number. */
extern void om_sim_optouts_remove(struct om_sim_optouts *optouts, const char *to);
extern bool om_sim_optouts_has(struct om_sim_optouts *optouts, const char *to);
extern void om_sim_optouts_clear(struct om_sim_optouts *optouts);

/*
 * Read the query string of a GET ("filter%5Bfrom%5D=%2B1555...&page[size]=20"; NULL is none),
 * false with a reason for people when it has anything that is not known or does not fit.
 */
extern bool om_sim_optout_query_parse(const char *text, struct om_sim_optout_query *query,
									  char *error, size_t error_size);

/*
 * Put the page that query asks for, newest first, into out, which has room for the size of a
 * page; its profile does not matter here.  Returns how many there are, and counts those of all
 * pages in *total.
 */
extern int	om_sim_optouts_page(struct om_sim_optouts *optouts,
								const struct om_sim_optout_query *query,
								struct om_sim_optout *out, int *total);

#endif							/* OM_SIMULATOR_OPTOUT_H */
