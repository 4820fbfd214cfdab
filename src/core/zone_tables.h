/*
 * zone_tables.h
 *		Which prefixes of phone numbers lie in which time zones; see tools/zone-tables.
 */
#ifndef OM_ZONE_TABLES_H
#define OM_ZONE_TABLES_H

#include <stddef.h>
#include <stdint.h>

/* Prefixes have at most that many digits */
#define OM_ZONE_PREFIX_DIGITS	9

/* Names of the tz database, each once */
extern const char *const om_zone_names[];
extern const size_t om_zone_name_count;

/*
 * Set i has the names om_zone_names[om_zone_members[j]] for j from om_zone_sets[i] up to, and
 * without, om_zone_sets[i + 1].
 */
extern const uint16_t om_zone_members[];
extern const uint16_t om_zone_sets[];
extern const size_t om_zone_set_count;

/*
 * The prefixes, digits read as a number, ascending; and the set of each.  No prefix begins with
 * 0, so no two are the same number.
 */
extern const uint32_t om_zone_prefixes[];
extern const uint16_t om_zone_prefix_sets[];
extern const size_t om_zone_prefix_count;

#endif							/* OM_ZONE_TABLES_H */
