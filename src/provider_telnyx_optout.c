/*
 * provider_telnyx_optout.c
 *		The list of opt-outs that Telnyx keeps: where a page of it is, and what is in it.
 *
 * Source: GET /v2/messaging_optouts ("List opt-outs") in Telnyx's API reference.  Of an entry
 * "from" is the sending number, which is ours, and "to" the receiving one, the person who opted
 * out: the other way round than in the webhook of that person's STOP.
 *
 * What is missing from the list counts as lifted, so an answer is taken only if it fits together: a
 * proxy that answers {} must not look like a provider that blocks nobody.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "compat.h"
#include "ingest.h"
#include "json.h"
#include "provider_telnyx_optout.h"
#include "provider_telnyx_send.h"

/* The word is shown to people, and nothing is decided by it */
#define MAX_KEYWORD	200

/* All that is wanted of a body, as it was written */
typedef struct Entry
{
	char	   *from;
	char	   *to;
	char	   *keyword;
	char	   *created_at;
} Entry;

typedef struct Fields
{
	Entry	   *entries;
	int			count;
	int			capacity;
	int			page_number;	/* these are -1 when they cannot be read */
	int			total_pages;
	int			total_results;
} Fields;

char *
om_telnyx_optouts_url(const char *profile, int page)
{
	StringInfoData url;

	initStringInfo(&url);
	appendStringInfoString(&url, om_telnyx_url("messaging_optouts"));
	om_telnyx_add_parameter(&url, "page[number]", psprintf("%d", page));
	om_telnyx_add_parameter(&url, "page[size]", psprintf("%d", OM_OPTOUT_PAGE_SIZE));
	if (profile != NULL && *profile != '\0')
		om_telnyx_add_parameter(&url, "filter[messaging_profile_id]", profile);
	return url.data;
}

static int
read_count(const char *text)
{
	if (*text == '\0' || strlen(text) > 9 || strspn(text, "0123456789") != strlen(text))
		return -1;
	return atoi(text);
}

static Entry *
entry_at(Fields *fields, int index)
{
	while (fields->count <= index)
	{
		if (fields->count == fields->capacity)
		{
			fields->capacity *= 2;
			fields->entries = repalloc(fields->entries, sizeof(Entry) * fields->capacity);
		}
		memset(&fields->entries[fields->count++], 0, sizeof(Entry));
	}
	return &fields->entries[index];
}

static void
read_scalar(void *arg, const char *path, int index, const char *value, bool is_string, bool is_null)
{
	Fields	   *fields = arg;
	Entry	   *entry;

	if (strncmp(path, "data[]", 6) == 0 && index >= 0)
	{
		/* Arrays further in have an index of their own, which is not the entry's */
		if (strchr(path + 6, '[') != NULL)
			return;
		entry = entry_at(fields, index);
		if (is_null)
			return;
		if (strcmp(path + 6, ".from") == 0)
			entry->from = pstrdup(value);
		else if (strcmp(path + 6, ".to") == 0)
			entry->to = pstrdup(value);
		else if (strcmp(path + 6, ".keyword") == 0)
			entry->keyword = pstrdup(value);
		else if (strcmp(path + 6, ".created_at") == 0)
			entry->created_at = pstrdup(value);
	}
	else if (is_null)
		return;
	else if (strcmp(path, "meta.page_number") == 0)
		fields->page_number = read_count(value);
	else if (strcmp(path, "meta.total_pages") == 0)
		fields->total_pages = read_count(value);
	else if (strcmp(path, "meta.total_results") == 0)
		fields->total_results = read_count(value);
}

/* Do the parts of the answer say the same of how much there is? */
static const char *
check_counts(const Fields *fields, int page)
{
	if (fields->page_number < 0 || fields->total_pages < 0 || fields->total_results < 0)
		return "the answer does not say which page it is and how many there are";
	if (fields->page_number != page)
		return "the answer is another page than the one asked for";
	if (fields->count == 0 && fields->total_results > 0 && page <= fields->total_pages)
		return "the page is empty where entries should be";
	if (page == 1 && fields->total_pages <= 1 && fields->count != fields->total_results)
		return "the page has another number of entries than the answer says";
	return NULL;
}

static bool
read_address(const char *raw, char **address)
{
	bool		reachable;

	*address = raw == NULL || strlen(raw) > OM_MAX_ADDRESS ? NULL : om_canonical_address(raw, &reachable);
	return *address != NULL;
}

/* Can it be anybody's: digits, with or without a plus?  A number that was masked for us cannot. */
static bool
is_person(const char *address)
{
	const char *digits = *address == '+' ? address + 1 : address;

	return *digits != '\0' && strspn(digits, "0123456789") == strlen(digits);
}

static void
read_entries(const Fields *fields, OmOptoutPage *out)
{
	out->entries = palloc(sizeof(OmOptout) * Max(fields->count, 1));
	out->count = 0;
	out->unreadable = 0;
	for (int i = 0; i < fields->count; i++)
	{
		Entry	   *entry = &fields->entries[i];
		OmOptout   *optout = &out->entries[out->count];

		if (!read_address(entry->to, &optout->address) || !is_person(optout->address))
		{
			out->unreadable++;
			continue;
		}
		if (!read_address(entry->from, &optout->our_address))
			optout->our_address = "";
		optout->keyword = entry->keyword == NULL ? NULL :
			pnstrdup(entry->keyword,
					 pg_mbcliplen(entry->keyword, strlen(entry->keyword), MAX_KEYWORD));
		optout->created_at = om_telnyx_time(entry->created_at);
		out->count++;
	}
}

const char *
om_telnyx_optouts(const OmHttpAnswer *http, int page, OmOptoutPage *out)
{
	Fields		fields = {.page_number = -1,.total_pages = -1,.total_results = -1};
	const char *error;

	if (!http->complete || http->status != 200 || http->body == NULL)
	{
		OmTelnyxAnswer answer;

		om_telnyx_answer(http, &answer);
		return answer.error_text;
	}
	fields.capacity = OM_OPTOUT_PAGE_SIZE;
	fields.entries = palloc(sizeof(Entry) * fields.capacity);
	error = om_json_read(http->body, http->body_length, read_scalar, &fields);
	if (error == NULL)
		error = check_counts(&fields, page);
	if (error != NULL)
		return error;

	read_entries(&fields, out);
	out->total_pages = fields.total_pages;
	out->total = fields.total_results;
	if (out->count == 0 && out->unreadable > 0)
		return "the entries of the page have no phone numbers that can be read";
	return NULL;
}
