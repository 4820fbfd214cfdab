/*
 * phone_pattern.h
 *		The two matchers over the generated tables (phone_tables.h).
 */
#ifndef OM_PHONE_PATTERN_H
#define OM_PHONE_PATTERN_H

#include <stddef.h>
#include <stdint.h>

/* Two groups that a program captures, as positions; end 0 for a group that took no part */
typedef struct OmPhoneGroups
{
	uint16_t	start[2];
	uint16_t	end[2];
} OmPhoneGroups;

/*
 * The label that the automaton gives to all len digits ('0' to '9') from state start;
 * 0 when it knows nothing of them.
 */
extern unsigned om_phone_label(unsigned start, const char *digits, size_t len);

/*
 * Match a program at the beginning of the digits, with the choices of a backtracking
 * regular expression.  Returns how many digits match, -1 for no match.
 */
extern int	om_phone_match(unsigned program, const char *digits, size_t len,
						   OmPhoneGroups *groups);

#endif							/* OM_PHONE_PATTERN_H */
