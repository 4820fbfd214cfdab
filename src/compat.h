/*
 * compat.h
 *		Differences between the versions of PostgreSQL, and nothing else.
 *		Include it right after postgres.h.
 */
#ifndef OM_COMPAT_H
#define OM_COMPAT_H

#include "fmgr.h"

#if PG_VERSION_NUM < 150000
#error "omnimsg needs PostgreSQL 15 or newer"
#endif
#if PG_VERSION_NUM >= 190000
#error "omnimsg has not been tried on this version of PostgreSQL"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Before 16 modules show every symbol; ours are hidden, so what SQL calls must say so */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

#define OM_SQL_FUNCTION(name) \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name)

/* From 16 on, the actions of the JSON parser return a result */
#if PG_VERSION_NUM >= 160000
#define OM_JSON_ACTION JsonParseErrorType
#define OM_JSON_ACTION_DONE return JSON_SUCCESS
#else
#define OM_JSON_ACTION void
#define OM_JSON_ACTION_DONE return
#endif

#if PG_VERSION_NUM >= 170000
#define om_json_lex_context(json, len) \
	makeJsonLexContextCstringLen(NULL, (json), (len), PG_UTF8, true)
#else
#define om_json_lex_context(json, len) \
	makeJsonLexContextCstringLen((json), (len), PG_UTF8, true)
#endif

#if PG_VERSION_NUM >= 170000
#define om_local_xid	(MyProc->vxid.lxid)
#else
#define om_local_xid	(MyProc->lxid)
#endif

/* Until 17 the executor was told whether it is run but once */
#if PG_VERSION_NUM >= 180000
#define OM_RUN_PARAMETERS	uint64 count
#define OM_RUN_ARGUMENTS	count
#else
#define OM_RUN_PARAMETERS	uint64 count, bool once
#define OM_RUN_ARGUMENTS	count, once
#endif

#endif							/* OM_COMPAT_H */
