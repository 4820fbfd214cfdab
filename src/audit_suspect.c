/*
 * audit_suspect.c
 *		Rows of the audit trail that are not what their seal says: which of them are missing, were added, were edited,
 *		or have changed places.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "audit_verify.h"
#include "compat.h"

/* So many rows that are not what they were are looked at for whether they were swapped; it takes the square of that */
#define MAX_SWAPPED		200

static OmStatement find_rows = {
	"SELECT " ROW_COLUMNS "\n"
	"  FROM omnimsg.audit_logs l WHERE l.organization_id = $1 AND l.id = ANY ($2)",
	2, {UUIDOID, UUIDARRAYOID}, NULL
};

bool
om_audit_is_after(const Place *place, const Place *other)
{
	return place->number > other->number || (place->number == other->number && place->index > other->index);
}

static int
compare_rows(const void *a, const void *b)
{
	return memcmp(&((const Row *) a)->id, &((const Row *) b)->id, UUID_LEN);
}

static Suspect *
suspect(Verify *verify, List **list, const unsigned char *id, int index, const unsigned char *expected)
{
	MemoryContext before = MemoryContextSwitchTo(verify->of_organization);
	Suspect    *found = palloc0(sizeof(Suspect));

	memcpy(&found->id, id, UUID_LEN);
	found->place.number = verify->seal ? verify->seal->number : 0;
	found->place.index = index;
	if (expected != NULL)
		memcpy(found->expected, expected, OM_MANIFEST_HASH);
	*list = lappend(*list, found);
	MemoryContextSwitchTo(before);
	return found;
}

/* The rows of a seal are not those that it was made of: which are they? */
void
om_audit_compare(Verify *verify)
{
	const OmSeal *seal = verify->seal;
	int			count = seal->manifest_length / OM_MANIFEST_ROW;
	int			differences = 0;

	qsort(verify->rows, verify->nrows, sizeof(Row), compare_rows);
	for (int i = 0; i < count; i++)
	{
		const unsigned char *entry = (const unsigned char *) seal->manifest + (size_t) i * OM_MANIFEST_ROW;
		Row			wanted = {0};
		Row		   *row;

		memcpy(&wanted.id, entry, UUID_LEN);
		row = verify->nrows == 0 ? NULL :
			bsearch(&wanted, verify->rows, verify->nrows, sizeof(Row), compare_rows);
		if (row == NULL)
			suspect(verify, &verify->missing, entry, i, entry + UUID_LEN);
		else
		{
			Place		place = {seal->number, i};

			row->listed = true;
			if (om_audit_is_after(&place, &verify->last))
				verify->last = place;
			if (!row->altered && memcmp(row->hash, entry + UUID_LEN, OM_MANIFEST_HASH) == 0)
				continue;
			suspect(verify, &verify->edited, entry, i, entry + UUID_LEN);
		}
		differences++;
	}
	for (int i = 0; i < verify->nrows; i++)
		if (!verify->rows[i].listed)
		{
			suspect(verify, &verify->added, (unsigned char *) &verify->rows[i].id, i, NULL);
			differences++;
		}
	if (differences == 0)
		om_audit_tell(verify, "edited", &seal->organization_id, seal->number, NULL,
			 "its rows are other ones than it was made of, and its list of rows does not tell which");
}

static Suspect *
find_suspect(List *list, const pg_uuid_t *id)
{
	ListCell   *cell;

	foreach(cell, list)
		if (memcmp(&((Suspect *) lfirst(cell))->id, id, UUID_LEN) == 0)
			return lfirst(cell);
	return NULL;
}

/* The rows as they are now, of those that are not what they were */
static void
fetch_edited(Verify *verify)
{
	OmColumn   *ids = om_column(UUIDOID, 8);
	ListCell   *cell;
	uint64		rows;

	foreach(cell, verify->edited)
		om_column_add_uuid(ids, &((Suspect *) lfirst(cell))->id);
	rows = om_db_run(&find_rows, (Datum[]) {UUIDPGetDatum(&verify->organization_id), om_column_array(ids)});
	for (uint64 row = 0; row < rows; row++)
	{
		Datum	   *values = palloc(sizeof(Datum) * OM_AUDIT_COLUMNS);
		bool	   *nulls = palloc(sizeof(bool) * OM_AUDIT_COLUMNS);
		Suspect    *found;

		heap_deform_tuple(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, values, nulls);
		found = find_suspect(verify->edited, DatumGetUUIDP(values[OM_AUDIT_ID]));
		if (found != NULL)
		{
			found->values = values;
			found->nulls = nulls;
		}
	}
}

/* Would a row be what a seal says if it had these columns of another one? */
static bool
fits(const Suspect *row, const Suspect *other, const OmAuditColumn *columns, int count, const unsigned char *expected)
{
	Datum		values[OM_AUDIT_COLUMNS];
	bool		nulls[OM_AUDIT_COLUMNS];
	unsigned char hash[OM_AUDIT_HASH];

	memcpy(values, row->values, sizeof(values));
	memcpy(nulls, row->nulls, sizeof(nulls));
	for (int i = 0; i < count; i++)
	{
		values[columns[i]] = other->values[columns[i]];
		nulls[columns[i]] = other->nulls[columns[i]];
	}
	om_audit_hash(values, nulls, hash);
	return memcmp(hash, expected, OM_MANIFEST_HASH) == 0;
}

/* Two rows that have changed places: each has what the other one was, or what places it */
static bool
are_swapped(const Suspect *a, const Suspect *b)
{
	static const OmAuditColumn id[] = {OM_AUDIT_ID};
	static const OmAuditColumn order[] = {OM_AUDIT_XID, OM_AUDIT_CREATED_AT};

	/* one that is what it was, but for its own row_hash, has changed places with nobody */
	if (fits(a, a, id, 0, a->expected) || fits(b, b, id, 0, b->expected))
		return false;
	if (fits(a, b, id, 1, b->expected) && fits(b, a, id, 1, a->expected))
		return true;
	for (int i = 0; i < 3; i++)
	{
		const OmAuditColumn *columns = i < 2 ? order + i : order;
		int			count = i < 2 ? 1 : 2;

		if (fits(a, b, columns, count, a->expected) && fits(b, a, columns, count, b->expected))
			return true;
	}
	return false;
}

static void
tell_swapped(Verify *verify)
{
	int			count = list_length(verify->edited);

	if (count < 2 || count > MAX_SWAPPED)
		return;
	fetch_edited(verify);
	for (int i = 0; i < count; i++)
		for (int j = 0; j < count; j++)
		{
			Suspect    *a = list_nth(verify->edited, i);
			Suspect    *b = list_nth(verify->edited, j);

			if (i == j || a->values == NULL || b->values == NULL || !are_swapped(a, b))
				continue;
			if (!a->told)
				om_audit_tell(verify, "reordered", &verify->organization_id, a->place.number, &a->id,
					 "it has changed places with another row");
			if (!b->told)
				om_audit_tell(verify, "reordered", &verify->organization_id, b->place.number, &b->id,
					 "it has changed places with another row");
			a->told = b->told = true;
		}
}

static int
compare_suspects(const ListCell *a, const ListCell *b)
{
	const Suspect *left = lfirst(a);
	const Suspect *right = lfirst(b);

	return memcmp(&left->id, &right->id, UUID_LEN);
}

/* Rows that one seal misses and another one has too many */
static void
tell_moved(Verify *verify)
{
	int			a = 0;

	list_sort(verify->missing, compare_suspects);
	list_sort(verify->added, compare_suspects);
	for (int m = 0; m < list_length(verify->missing); m++)
	{
		Suspect    *missing = list_nth(verify->missing, m);

		while (a < list_length(verify->added) &&
			   memcmp(&((Suspect *) list_nth(verify->added, a))->id, &missing->id, UUID_LEN) < 0)
			a++;
		if (a == list_length(verify->added))
			break;
		if (memcmp(&((Suspect *) list_nth(verify->added, a))->id, &missing->id, UUID_LEN) != 0)
			continue;
		om_audit_tell(verify, "reordered", &verify->organization_id, missing->place.number, &missing->id,
			 psprintf("it stands where seal " INT64_FORMAT " is, and did not when it was sealed",
					  ((Suspect *) list_nth(verify->added, a))->place.number));
		missing->told = ((Suspect *) list_nth(verify->added, a))->told = true;
	}
}

void
om_audit_tell_suspects(Verify *verify)
{
	MemoryContext before = MemoryContextSwitchTo(verify->of_organization);
	ListCell   *cell;

	tell_moved(verify);
	tell_swapped(verify);
	foreach(cell, verify->edited)
	{
		Suspect    *row = lfirst(cell);

		if (!row->told)
			om_audit_tell(verify, "edited", &verify->organization_id, row->place.number, &row->id, NULL);
	}
	foreach(cell, verify->missing)
	{
		Suspect    *row = lfirst(cell);

		if (!row->told)
			om_audit_tell(verify, om_audit_is_after(&row->place, &verify->last) ? "cut off" : "missing", &verify->organization_id,
				 row->place.number, &row->id, NULL);
	}
	foreach(cell, verify->added)
	{
		Suspect    *row = lfirst(cell);

		if (!row->told)
			om_audit_tell(verify, "added", &verify->organization_id, row->place.number, &row->id,
				 "it was not there when its time was sealed");
	}
	verify->missing = verify->added = verify->edited = NIL;
	memset(&verify->last, 0, sizeof(verify->last));
	MemoryContextSwitchTo(before);
	MemoryContextReset(verify->of_organization);
}
