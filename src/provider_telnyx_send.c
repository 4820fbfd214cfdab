/*
 * provider_telnyx_send.c
 *		Messages as Telnyx takes them, and what it answers.
 *
 * Source: POST /v2/messages in Telnyx's API reference.  There is no idempotency key for it, and
 * nothing of the client's comes back but webhook_url; an error body is
 * {"errors":[{"code","title","detail"}]}.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/json.h"

#include "compat.h"
#include "guc.h"
#include "ingest.h"
#include "json.h"
#include "provider_telnyx_send.h"

/* The provider's words can be long and may quote the number; this much is kept */
#define MAX_ERROR_TEXT	200

char *
om_telnyx_url(const char *resource)
{
	int			length = strlen(om_telnyx_api_base);

	while (length > 0 && om_telnyx_api_base[length - 1] == '/')
		length--;
	if (length > 3 && strncmp(om_telnyx_api_base + length - 3, "/v2", 3) == 0)
		length -= 3;
	return psprintf("%.*s/v2/%s", length, om_telnyx_api_base, resource);
}

void
om_telnyx_add_encoded(StringInfo url, const char *text)
{
	for (const unsigned char *p = (const unsigned char *) text; *p; p++)
		if ((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') ||
			strchr("-._~", *p) != NULL)
			appendStringInfoChar(url, *p);
		else
			appendStringInfo(url, "%%%02X", *p);
}

void
om_telnyx_add_parameter(StringInfo url, const char *name, const char *value)
{
	appendStringInfoChar(url, strchr(url->data, '?') == NULL ? '?' : '&');
	om_telnyx_add_encoded(url, name);
	appendStringInfoChar(url, '=');
	om_telnyx_add_encoded(url, value);
}

static void
add_member(StringInfo json, const char *name, const char *value)
{
	if (value == NULL)
		return;
	if (json->len > 1)
		appendStringInfoChar(json, ',');
	escape_json(json, name);
	appendStringInfoChar(json, ':');
	escape_json(json, value);
}

char *
om_telnyx_body(const char *from, const char *to, const char *text, const char *profile,
			   const char *webhook_url)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	add_member(&json, "from", from);
	add_member(&json, "to", to);
	add_member(&json, "text", text);
	add_member(&json, "messaging_profile_id", profile);
	add_member(&json, "webhook_url", webhook_url);
	appendStringInfoChar(&json, '}');
	return json.data;
}

typedef struct Fields
{
	char	   *message_id;
	char	   *code;
	char	   *title;
	char	   *detail;
	bool		has_errors;
} Fields;

static void
read_scalar(void *arg, const char *path, int index, const char *value, bool is_string, bool is_null)
{
	Fields	   *fields = arg;

	if (strncmp(path, "errors[]", 8) == 0)
		fields->has_errors = true;
	if (is_null)
		return;
	if (strcmp(path, "data.id") == 0 && *value != '\0' && strlen(value) <= OM_MAX_ID)
		fields->message_id = pstrdup(value);
	else if (index != 0)
		return;
	else if (strcmp(path, "errors[].code") == 0)
		fields->code = pstrdup(value);
	else if (strcmp(path, "errors[].title") == 0)
		fields->title = pstrdup(value);
	else if (strcmp(path, "errors[].detail") == 0)
		fields->detail = pstrdup(value);
}

/*
 * Seven digits and more, together or set apart as in "(555) 555-0123", are the number of a
 * person: of those the last two stay.
 */
static void
mask_digits(char *text)
{
	for (char *p = text; *p;)
	{
		size_t		run = strspn(p, "0123456789 ()-./");
		int			digits = 0;

		for (size_t i = 0; i < run; i++)
			digits += p[i] >= '0' && p[i] <= '9';
		for (size_t i = 0, masked = 0; digits >= 7 && i < run && (int) masked < digits - 2; i++)
			if (p[i] >= '0' && p[i] <= '9')
			{
				p[i] = '*';
				masked++;
			}
		p += Max(run, 1);
	}
}

/* What the provider says is logged, and logs are read in terminals, which obey control characters */
static void
blank_controls(char *text)
{
	for (char *p = text; *p; p++)
		if ((unsigned char) *p < ' ' || *p == '\177')
			*p = ' ';
}

void
om_telnyx_answer(const OmHttpAnswer *http, OmTelnyxAnswer *answer)
{
	Fields		fields = {0};
	OmAnswer	facts = {0};
	char	   *text;

	if (http->body != NULL && om_json_read(http->body, http->body_length, read_scalar, &fields) != NULL)
		memset(&fields, 0, sizeof(fields));

	if (!http->complete)
		text = pstrdup(http->error);
	else if (fields.title || fields.detail)
		text = psprintf("%s%s%s", fields.title ? fields.title : "",
						fields.title && fields.detail ? ": " : "", fields.detail ? fields.detail : "");
	else
		text = psprintf("HTTP status %d", http->status);

	facts.request_left = http->request_left;
	facts.complete = http->complete;
	facts.http_status = http->status;
	facts.has_message_id = fields.message_id != NULL;
	facts.has_errors = fields.has_errors;
	facts.error_code = fields.code ? fields.code : "";
	facts.error_text = text;

	answer->class_ = om_answer_classify(&facts);
	answer->message_id = fields.message_id;
	answer->error_code = fields.code && strlen(fields.code) <= 32 ? fields.code : "";
	blank_controls(text);
	mask_digits(text);
	answer->error_text = strlen(text) > MAX_ERROR_TEXT ?
		pnstrdup(text, pg_mbcliplen(text, strlen(text), MAX_ERROR_TEXT)) : text;
}
