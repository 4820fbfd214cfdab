/*
 * withheld.c
 *		What the planner is not told of rows that a tenant must not see.
 *
 * Statistics are about all tenants.  With row level security the planner still goes by them where a condition is of
 * leakproof operators, as those of text are: its estimate for address < 'X' jumps at each frequent address, whoever has
 * it.  EXPLAIN is refused, but which plan was chosen shows as well, in the order of rows and in time, and what the plans
 * cost is a setting of the session.  So where a policy keeps rows back the planner goes by how large a table is, and by
 * nothing else of it.
 *
 * And an index that begins with an address finds the rows of all tenants, which are counted in the statistics that every
 * session can read of itself, before the policy keeps them back: it is not used there.
 */
#include "postgres.h"

#include "catalog/index.h"
#include "catalog/namespace.h"
#include "nodes/pathnodes.h"
#include "optimizer/plancat.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "withheld.h"

static get_relation_info_hook_type next_info = NULL;
static get_relation_stats_hook_type next_statistics = NULL;
static get_index_stats_hook_type next_index_statistics = NULL;

/* A month is read under the policies of the whole table.  One that lets everything through is an empty list by now. */
static bool
has_policy(PlannerInfo *root, Index number)
{
	for (;;)
	{
		ListCell   *cell;
		AppendRelInfo *part = root->append_rel_array != NULL ? root->append_rel_array[number] : NULL;

		foreach(cell, root->simple_rte_array[number]->securityQuals)
			if (lfirst(cell) != NULL)
				return true;
		if (part == NULL)
			return false;
		number = part->parent_relid;
	}
}

static bool
is_ours(Oid table)
{
	Oid			schema = get_namespace_oid("omnimsg", true);

	return OidIsValid(schema) && get_rel_namespace(table) == schema;
}

static bool
is_kept_back(PlannerInfo *root, Oid table)
{
	for (int number = 1; number < root->simple_rel_array_size; number++)
	{
		RangeTblEntry *entry = root->simple_rte_array[number];

		if (entry != NULL && entry->rtekind == RTE_RELATION && entry->relid == table && has_policy(root, number))
			return is_ours(table);
	}
	return false;
}

/* True: there are none */
static bool
withhold_statistics(PlannerInfo *root, RangeTblEntry *entry, AttrNumber column, VariableStatData *data)
{
	if (entry->rtekind == RTE_RELATION && is_kept_back(root, entry->relid))
	{
		data->statsTuple = NULL;
		return true;
	}
	return next_statistics && next_statistics(root, entry, column, data);
}

static bool
withhold_index_statistics(PlannerInfo *root, Oid index, AttrNumber column, VariableStatData *data)
{
	if (is_kept_back(root, IndexGetRelation(index, false)))
	{
		data->statsTuple = NULL;
		return true;
	}
	return next_index_statistics && next_index_statistics(root, index, column, data);
}

static void
withhold_indexes(PlannerInfo *root, Oid table, bool is_parent, RelOptInfo *relation)
{
	if (has_policy(root, relation->relid) && is_ours(table))
	{
		ListCell   *cell;

		relation->statlist = NIL;
		foreach(cell, relation->indexlist)
		{
			IndexOptInfo *index = lfirst_node(IndexOptInfo, cell);

			if (OidIsValid(index->indexcollations[0]))
				relation->indexlist = foreach_delete_current(relation->indexlist, cell);
		}
	}
	if (next_info)
		next_info(root, table, is_parent, relation);
}

void
om_withheld_start(void)
{
	next_info = get_relation_info_hook;
	get_relation_info_hook = withhold_indexes;
	next_statistics = get_relation_stats_hook;
	get_relation_stats_hook = withhold_statistics;
	next_index_statistics = get_index_stats_hook;
	get_index_stats_hook = withhold_index_statistics;
}
