/*
 * spool_report.h
 *		What is in a spool, for people: beside a relay that uses it, or without one.
 */
#ifndef OM_RELAY_SPOOL_REPORT_H
#define OM_RELAY_SPOOL_REPORT_H

#include <stdbool.h>

/* To standard output; false, with a word on standard error, when the file cannot be read. */
extern bool om_spool_print_status(const char *path);

/* One JSON object a line, oldest first, bodies in base64 */
extern bool om_spool_export(const char *path);

#endif							/* OM_RELAY_SPOOL_REPORT_H */
