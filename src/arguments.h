/*
 * arguments.h
 *		Reading the arguments of the functions that people call, and saying what is wrong with them.
 */
#ifndef OM_ARGUMENTS_H
#define OM_ARGUMENTS_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/uuid.h"

/* "sms", "email", "voice", NULL */
extern const char *const om_channels[];

/*
 * Arguments by number from 0.  Each raises for NULL, naming the argument; om_arg_word raises
 * with the list of the words, which ends with NULL, when it is none of them.
 */
extern pg_uuid_t *om_arg_uuid(FunctionCallInfo fcinfo, int number, const char *name);
extern char *om_arg_text(FunctionCallInfo fcinfo, int number, const char *name);
extern char *om_arg_word(FunctionCallInfo fcinfo, int number, const char *name,
						 const char *const *words);

/* The organization that the caller acts for, or any if it is bound to none; raises for another one */
extern pg_uuid_t *om_arg_organization(FunctionCallInfo fcinfo, int number);

/* A time that is neither NULL nor infinite */
extern TimestampTz om_arg_time(FunctionCallInfo fcinfo, int number, const char *name);

/* "all" or a category of 1 to 255 bytes */
extern char *om_arg_scope(FunctionCallInfo fcinfo, int number);

/*
 * Raise when there is an "@" in a value, or seven digits with nothing between them that is a letter.  For what a caller says of himself
 * and what goes to the audit trail, from which no address can be erased.
 */
extern void om_arg_refuse_address(const char *value, const char *name);

/* default_region of an organization; raises when it does not exist.  SPI must be connected. */
extern char *om_organization_region(const pg_uuid_t *organization_id);

/*
 * The address in the form that consent is keyed by: E.164, a short code, or an e-mail address
 * in lower case; region is what national numbers are read in.  Raises when it cannot be an
 * address of the channel.
 */
extern char *om_address_for(const char *raw, const char *channel, const char *region);

#endif							/* OM_ARGUMENTS_H */
