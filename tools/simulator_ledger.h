/*
 * simulator_ledger.h
 *		The durable record of everything the simulator sent and was sent.
 */
#ifndef OM_SIMULATOR_LEDGER_H
#define OM_SIMULATOR_LEDGER_H

#include <stdio.h>

struct om_sim_ledger;

/* Open for appending; NULL for no path.  Ends the program when it cannot. */
extern struct om_sim_ledger *om_sim_ledger_open(const char *path);
extern void om_sim_ledger_close(struct om_sim_ledger *ledger);

/*
 * Begin a line {"at":...,"kind":kind; the caller adds members, each with its
 * comma before it, and ends it, which closes the object and writes it.  A flush
 * returns when all that was written before is on disk.  The ledger may be NULL;
 * then begin returns NULL and the others do nothing.
 */
struct om_sim_line
{
	FILE	   *out;
	char	   *text;
	size_t		len;
};

extern FILE *om_sim_ledger_begin(struct om_sim_ledger *ledger, struct om_sim_line *line,
								 const char *kind);
extern void om_sim_ledger_end(struct om_sim_ledger *ledger, struct om_sim_line *line);
extern void om_sim_ledger_flush(struct om_sim_ledger *ledger);

/* A member of the line: a string, or null */
extern void om_sim_ledger_field(FILE *out, const char *name, const char *value);

#endif							/* OM_SIMULATOR_LEDGER_H */
