/*
 * json.c
 *		The one reader of JSON: PostgreSQL's parser, without building a jsonb.
 *
 * Building a jsonb costs three times as much, and a few thousand bytes of numbers
 * like 1e131071 grow to a hundred megabytes in it.
 */
#include "postgres.h"

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"

#include "compat.h"
#include "core/json_slice.h"
#include "ingest.h"
#include "json.h"

#define MAX_NAME	64

/* Room for the longest path: every level a name with its separators */
#define MAX_PATH	((OM_MAX_NESTING + 1) * (MAX_NAME + 4))

typedef struct Reader
{
	OmJsonScalar scalar;
	void	   *arg;
	char		path[MAX_PATH];
	int			depth;
	int			lengths[OM_MAX_NESTING + 2];	/* of path, before each open level */
	int			indexes[OM_MAX_NESTING + 2];	/* of each open array, -1 for an object */
} Reader;

static void
open_level(Reader *reader, int index)
{
	reader->depth++;
	reader->lengths[reader->depth] = strlen(reader->path);
	reader->indexes[reader->depth] = index;
}

static OM_JSON_ACTION
object_start(void *state)
{
	open_level(state, -1);
	OM_JSON_ACTION_DONE;
}

static OM_JSON_ACTION
array_start(void *state)
{
	open_level(state, 0);
	strcat(((Reader *) state)->path, "[]");
	OM_JSON_ACTION_DONE;
}

static OM_JSON_ACTION
level_end(void *state)
{
	Reader	   *reader = state;

	reader->path[reader->lengths[reader->depth]] = '\0';
	reader->depth--;
	OM_JSON_ACTION_DONE;
}

static OM_JSON_ACTION
field_start(void *state, char *name, bool isnull)
{
	Reader	   *reader = state;

	reader->path[reader->lengths[reader->depth]] = '\0';
	if (reader->path[0] != '\0')
		strcat(reader->path, ".");
	strcat(reader->path,
		   name[0] == '\0' || strlen(name) > MAX_NAME || strpbrk(name, ".[") ? "?" : name);
	OM_JSON_ACTION_DONE;
}

static OM_JSON_ACTION
element_end(void *state, bool isnull)
{
	Reader	   *reader = state;

	reader->indexes[reader->depth]++;
	OM_JSON_ACTION_DONE;
}

static OM_JSON_ACTION
scalar_value(void *state, char *token, JsonTokenType type)
{
	Reader	   *reader = state;
	int			level = reader->depth;
	bool		is_null = type == JSON_TOKEN_NULL;

	while (level > 0 && reader->indexes[level] < 0)
		level--;
	reader->scalar(reader->arg, reader->path, level > 0 ? reader->indexes[level] : -1,
				   is_null ? NULL : token, type == JSON_TOKEN_STRING, is_null);
	OM_JSON_ACTION_DONE;
}

static const char *
reason_of(JsonParseErrorType error)
{
	switch (error)
	{
		case JSON_UNICODE_CODE_POINT_ZERO:
			return "JSON with \\u0000";
		case JSON_UNICODE_HIGH_SURROGATE:
		case JSON_UNICODE_LOW_SURROGATE:
			return "JSON with half of a surrogate pair";
		default:
			return "invalid JSON";
	}
}

const char *
om_json_read(const char *json, int length, OmJsonScalar scalar, void *arg)
{
	Reader	   *reader;
	JsonSemAction actions = {0};
	JsonLexContext *lex;
	JsonParseErrorType error;

	if (!pg_verifymbstr(json, length, true))
		return "invalid UTF-8";
	/* asked before, because the parser recurses */
	if (om_json_nested_deeper(json, length, OM_MAX_NESTING))
		return "nested too deeply";

	reader = palloc0(sizeof(Reader));
	reader->scalar = scalar;
	reader->arg = arg;

	actions.semstate = reader;
	actions.object_start = object_start;
	actions.object_end = level_end;
	actions.array_start = array_start;
	actions.array_end = level_end;
	actions.object_field_start = field_start;
	actions.array_element_end = element_end;
	actions.scalar = scalar_value;

	lex = om_json_lex_context(unconstify(char *, json), length);
	error = pg_parse_json(lex, &actions);
	return error == JSON_SUCCESS ? NULL : reason_of(error);
}
