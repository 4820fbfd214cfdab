/*
 * account.h
 *		What ingest and consent write on collection_accounts.
 */
#ifndef OM_ACCOUNT_H
#define OM_ACCOUNT_H

#include "postgres.h"

#include "db.h"

/*
 * Copy the consent of addresses to every account that has them (columns of uuid and
 * text).  Locked accounts are passed over and noted likewise.
 */
extern void om_account_copy_consent(OmColumn *organization_ids, OmColumn *addresses,
									TimestampTz now);

/*
 * Do what was passed over, and mend the copies on accounts that were being imported while a consent
 * changed.  Called by the worker within each minute, in a transaction with SPI
 * connected.  A burst is repaired in parts: true when there is more to do at once.
 */
extern bool om_account_repair(TimestampTz now);

#endif							/* OM_ACCOUNT_H */
