/*
 * link.c
 *		(organization, address) -> account.
 *
 * Of several accounts with the address: as primary phone before secondary, then the
 * newest last contact, then the lowest id.  No account is no error: the message is
 * stored without one.  Only looks; nothing is locked here.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "compat.h"
#include "ingest.h"

/* Two looks into two indexes, and one sort of all that they found: most addresses have one account */
static OmStatement find_accounts = {
	"SELECT DISTINCT ON (w.n) w.n, a.id, a.campaign_id\n"
	"  FROM unnest($1, $2) WITH ORDINALITY AS w(organization_id, address, n)\n"
	" CROSS JOIN LATERAL (\n"
	"    SELECT 1 AS place, c.id, c.campaign_id, c.last_contact_at\n"
	"      FROM omnimsg.collection_accounts c\n"
	"     WHERE c.organization_id = w.organization_id AND c.primary_phone = w.address\n"
	"    UNION ALL\n"
	"    SELECT 2, c.id, c.campaign_id, c.last_contact_at\n"
	"      FROM omnimsg.collection_accounts c\n"
	"     WHERE c.organization_id = w.organization_id AND c.secondary_phone = w.address) AS a\n"
	" ORDER BY w.n, a.place, a.last_contact_at DESC NULLS LAST, a.id",
	2, {UUIDARRAYOID, TEXTARRAYOID}, NULL
};

void
om_link(OmBatch *batch)
{
	OmColumn   *organizations = om_column(UUIDOID, batch->nevents);
	OmColumn   *addresses = om_column(TEXTOID, batch->nevents);
	OmEvent   **asked = palloc(sizeof(OmEvent *) * Max(batch->nevents, 1));
	uint64		rows;

	for (int i = 0; i < batch->nevents; i++)
	{
		OmEvent    *event = batch->events[i];

		if (event->kind != OM_EVENT_RECEIVED || event->outcome != OM_APPLIED)
			continue;
		asked[addresses->count] = event;
		om_column_add_uuid(organizations, &event->organization_id);
		om_column_add_text(addresses, event->from);
	}
	if (addresses->count == 0)
		return;

	rows = om_db_run_generic(&find_accounts, (Datum[]) {om_column_array(organizations),
							 om_column_array(addresses)});
	for (uint64 row = 0; row < rows; row++)
	{
		OmEvent    *event = asked[om_field_int(row, 1) - 1];

		event->account_id = om_field_uuid(row, 2);
		event->campaign_id = om_field_uuid(row, 3);
	}
}

void
om_link_address(const pg_uuid_t *organization_id, const char *address,
				pg_uuid_t **account_id, pg_uuid_t **campaign_id)
{
	OmColumn   *organizations = om_column(UUIDOID, 1);
	OmColumn   *addresses = om_column(TEXTOID, 1);

	om_column_add_uuid(organizations, organization_id);
	om_column_add_text(addresses, address);
	*account_id = *campaign_id = NULL;
	if (om_db_run_generic(&find_accounts, (Datum[]) {om_column_array(organizations),
				  om_column_array(addresses)}) > 0)
	{
		*account_id = om_field_uuid(0, 2);
		*campaign_id = om_field_uuid(0, 3);
	}
}
