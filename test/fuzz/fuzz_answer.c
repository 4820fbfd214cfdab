/*
 * fuzz_answer.c
 *		Classes of answers.  Byte 0: flags, 1 and 2: status, then code NUL text.
 */
#include "answer.h"

#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OmAnswer	answer = {0};
	OmAnswerClass class_;
	char	   *text;
	size_t		data_len;

	if (size < 3)
		return 0;
	data_len = size - 3;
	text = calloc(data_len + 2, 1); /* two strings, both ended */
	MUST(text != NULL);
	memcpy(text, data + 3, data_len);

	answer.request_left = data[0] & 1;
	answer.complete = data[0] & 2;
	answer.has_message_id = data[0] & 4;
	answer.has_errors = data[0] & 8;
	answer.http_status = (data[1] << 8 | data[2]) % 700;
	answer.error_code = text;
	answer.error_text = text + strlen(text) + 1;
	class_ = om_answer_classify(&answer);

	MUST(class_ == OM_ANSWER_NOT_SENT || answer.request_left);
	MUST(class_ != OM_ANSWER_NOT_SENT || !answer.request_left);
	if (answer.request_left && !answer.complete)
		MUST(class_ == OM_ANSWER_UNKNOWN);
	if (class_ == OM_ANSWER_ACCEPTED)
		MUST(answer.http_status / 100 == 2 && answer.has_message_id);
	if (class_ == OM_ANSWER_REFUSED || class_ == OM_ANSWER_BLOCKED)
		MUST(answer.http_status / 100 == 4);
	if (class_ == OM_ANSWER_REFUSED_FOR_NOW)
		MUST(answer.http_status / 100 == 4 || answer.http_status == 503);
	if (class_ == OM_ANSWER_BLOCKED)
		MUST(om_answer_is_stop_block(answer.error_code, answer.error_text));
	MUST(om_answer_class_name(class_)[0] != '\0');
	free(text);
	return 0;
}
