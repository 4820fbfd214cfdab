/*
 * tenant.h
 *		Who a session acts for.
 */
#ifndef OM_TENANT_H
#define OM_TENANT_H

#include "postgres.h"

#include "utils/uuid.h"

/* Bytes of the name of a token */
#define OM_TOKEN_NAME_MAX	100

/*
 * The organization that the session acts for: of the token that it logged in with in this transaction, else the one its
 * role is mapped to.  False when there is none.
 */
extern bool om_tenant(pg_uuid_t *organization_id);

/* Act for the organization until the transaction ends; raises if it acts for another one already */
extern void om_tenant_log_in(const pg_uuid_t *organization_id, const char *token);

/* Name of the token that the session logged in with in this transaction; NULL without */
extern const char *om_tenant_token(void);

/*
 * Whether the caller is bound to one organization, else nil; raises when it is and acts for none.  A superuser that has not
 * logged in is not bound, and what the worker does is not either.
 */
extern bool om_tenant_binds(pg_uuid_t *organization_id);

/* Raise unless the caller may act for the organization; whether that exists is not told */
extern void om_tenant_require(const pg_uuid_t *organization_id);

/* The roles that a tenant's people are members of */
#define OM_TENANT_GROUPS	3
extern const char *const om_tenant_groups[OM_TENANT_GROUPS];

/* Whether the session, or the role that it has taken, is one of a tenant's people, and no superuser; in a transaction only */
extern bool om_tenant_is_restricted(void);

#endif							/* OM_TENANT_H */
