/*
 * guc.h
 *		The settings, all named omnimsg.something.
 */
#ifndef OM_GUC_H
#define OM_GUC_H

#include "postgres.h"

extern char *om_database;
extern bool om_dispatch;
extern char *om_telnyx_api_base;
extern bool om_allow_loopback;
extern char *om_ca_file;		/* "" for the system's */
extern char *om_secrets_dir;
extern char *om_webhook_url;	/* "" for none */
extern int	om_max_in_flight;
extern int	om_rate_limit;		/* messages per second and organization */
extern int	om_poll_interval;	/* ms */
extern int	om_lease;			/* s */
extern int	om_request_timeout; /* ms */
extern int	om_reconcile_after; /* ms */
extern int	om_optout_pull_interval;	/* s, 0 for never */

extern void om_guc_define(void);

#endif							/* OM_GUC_H */
