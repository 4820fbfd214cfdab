/*
 * statement.h
 *		What a statement says of people, and what others see of it.
 */
#ifndef OM_STATEMENT_H
#define OM_STATEMENT_H

#include "postgres.h"

/* Fewer digits are no phone number of anybody */
#define OM_NUMBER_DIGITS	7

/* Where the first literal begins that can hold a number or a word; NULL in a statement of parameters only */
extern const char *om_statement_literal(const char *statement);

/* Whether a statement, or what is told of one, names something of ours */
extern bool om_statement_names_us(const char *statement);

/* Show others the statement up to its first literal */
extern void om_statement_show_less(void);

/* A function of ours runs in the statement, whatever its text says: less of it is shown from here on */
extern void om_statement_calls_us(void);

/* Whether one has run in this statement */
extern bool om_statement_called_us(void);

/* Whether the session is one of a tenant's people, as was seen when its last statement began */
extern bool om_statement_is_tenants(void);

/* Once per process, or in the postmaster for all */
extern void om_statement_start(void);

#endif							/* OM_STATEMENT_H */
