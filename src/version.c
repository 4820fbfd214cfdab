/*
 * version.c
 *		The version of the library, and that it is the one of the SQL objects.
 *
 * Between the start of a server with a new library and ALTER EXTENSION omnimsg UPDATE, the library meets tables
 * that lack what it writes to.  What reads or writes tables refuses then; what computes only works on, for
 * the script of an older version calls it.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "version.h"

OM_SQL_FUNCTION(omnimsg_library_version);

/* It has matched, and nobody has made, changed or dropped a function since */
static bool matched = false;

char *
om_installed_version(void)
{
	Relation	relation = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *version = NULL;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("omnimsg"));
	scan = systable_beginscan(relation, ExtensionNameIndexId, true, NULL, 1, &key);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_extension_extversion,
										 RelationGetDescr(relation), &isnull);

		if (!isnull)
			version = TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return version;
}

/*
 * Nothing tells of a change of pg_extension itself, but no other version comes without a change of functions, be
 * it by ALTER EXTENSION, by DROP and CREATE, or by the end of a transaction that did either.
 */
static void
functions_changed(Datum arg, int cache, uint32 hash)
{
	matched = false;
}

bool
om_version_matches(void)
{
	static bool registered = false;
	char	   *installed;

	if (matched)
		return true;
	if (!registered)
	{
		CacheRegisterSyscacheCallback(PROCOID, functions_changed, (Datum) 0);
		registered = true;
	}
	installed = om_installed_version();
	matched = installed != NULL && strcmp(installed, OM_VERSION) == 0;
	return matched;
}

void
om_require_version(void)
{
	char	   *installed;

	if (om_version_matches())
		return;
	installed = om_installed_version();
	if (installed == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"omnimsg\" is not installed in this database"),
				 errhint("CREATE EXTENSION omnimsg makes it.")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("extension \"omnimsg\" is of version %s in this database, and its library of version %s",
					installed, OM_VERSION),
			 errhint("Run ALTER EXTENSION omnimsg UPDATE; if it finds nothing to do, restart the server.")));
}

/* omnimsg_library_version() returns text */
Datum
omnimsg_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(OM_VERSION));
}
