/*
 * store.h
 *		Deliveries into the database, one call for all of them where that is possible.
 */
#ifndef OM_RELAY_STORE_H
#define OM_RELAY_STORE_H

#include <stdbool.h>

#include "database.h"

/* With this many crashes a delivery is kept without effect and not tried again */
#define OM_STORE_MAX_CRASHES	2

/*
 * Store n deliveries, fresh ones or spooled ones.  stored, sqlstate, crashes and blamed are set.
 * False: the connection must be closed.
 */
extern bool om_store(OmDb *db, OmDbDelivery *deliveries, int n);

/* How often did the server go down with this body, as far as this process knows? */
extern int	om_store_crashes(const uint8_t *body, size_t len);

#endif							/* OM_RELAY_STORE_H */
