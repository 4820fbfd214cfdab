/*
 * version.h
 *		The version of the library, and that it is the one of the SQL objects.
 */
#ifndef OM_VERSION_H
#define OM_VERSION_H

#include "postgres.h"

/* The version of the extension's SQL that this library is made for; default_version of omnimsg.control */
#define OM_VERSION "1.2"

/* The version of the extension in this database, or NULL when it is not there */
extern char *om_installed_version(void);

/* Whether that is ours */
extern bool om_version_matches(void);

/*
 * Raise when it is not.  om_db_run() calls it, so that no statement of ours meets tables that it
 * does not know.  It costs nothing once it has matched.
 */
extern void om_require_version(void);

#endif							/* OM_VERSION_H */
