/*
 * omnimsg.c
 *		The module: settings, shared memory and the worker are set up here.
 *
 * Words used throughout:
 *	delivery	one POST of a provider
 *	event		what it tells; a delivery may tell several
 *	request		one opt-out or opt-in, kept for ever
 *	consent		what the requests of an address add up to
 *	outbox item	a message that is to be sent
 *	lease		a worker's time-limited claim on an item
 *	dead letter	an event that was kept but could not be applied
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "dispatcher.h"
#include "guc.h"
#include "logged.h"
#include "shmem.h"
#include "statement.h"
#include "withheld.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	/* pg_upgrade must not find a worker that sends */
	if (IsBinaryUpgrade)
		return;

	om_guc_define();
	om_logged_start();
	om_statement_start();
	om_withheld_start();

	/* Without preloading the functions work all the same; nothing is sent */
	if (!process_shared_preload_libraries_in_progress)
		return;
	om_shmem_request();
	om_dispatcher_register();
}
