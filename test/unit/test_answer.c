/*
 * test_answer.c
 *		What a provider's answer to one POST means for the message.
 */
#include "answer.h"

#include "tap.h"

#define STOP_TEXT	"Blocked due to STOP message"

static void
check(OmAnswer answer, const char *expected, const char *sentence)
{
	if (answer.error_code == NULL)
		answer.error_code = "";
	if (answer.error_text == NULL)
		answer.error_text = "";
	is(om_answer_class_name(om_answer_classify(&answer)), expected, sentence);
}

/* A whole answer with this status and, when code is given, an errors array */
static OmAnswer
refusal(int status, const char *code, const char *text)
{
	OmAnswer	answer = {0};

	answer.request_left = true;
	answer.complete = true;
	answer.http_status = status;
	answer.has_errors = code != NULL;
	answer.error_code = code;
	answer.error_text = text;
	return answer;
}

static void
test_transport(void)
{
	OmAnswer	answer = {0};

	check(answer, "not_sent", "a request of which no byte left was not sent");
	answer.request_left = true;
	check(answer, "unknown", "a request without any answer is unknown");
	answer.http_status = 200;
	answer.has_message_id = true;
	check(answer, "unknown", "half an answer is unknown, even a good one");
	answer.http_status = 429;
	check(answer, "unknown", "half a refusal is unknown");
}

static void
test_success(void)
{
	OmAnswer	answer = refusal(200, NULL, NULL);

	check(answer, "unknown", "200 without a message id is unknown");
	answer.has_message_id = true;
	check(answer, "accepted", "200 with a message id is accepted");
	answer.http_status = 202;
	check(answer, "accepted", "202 with a message id is accepted");
	answer.has_errors = true;
	check(answer, "unknown", "a message id together with errors is unknown");
	check(refusal(302, NULL, NULL), "unknown", "a redirect is unknown");
	check(refusal(100, NULL, NULL), "unknown", "an interim status is unknown");
	check(refusal(0, NULL, NULL), "unknown", "an answer without a status is unknown");
}

static void
test_refusals(void)
{
	check(refusal(400, "10016", "Phone number must be in +E.164 format"), "refused",
		  "a bad number is refused for good");
	check(refusal(401, "10009", "Authentication failed"), "refused", "a wrong key is refused");
	check(refusal(402, NULL, NULL), "refused", "no funds is refused");
	check(refusal(422, "40310", "Invalid 'to'"), "refused", "422 is refused");
	check(refusal(429, NULL, NULL), "refused_for_now", "429 without a body is for now");
	check(refusal(429, "10011", "Too many requests"), "refused_for_now", "429 is for now");
	check(refusal(400, "40318", "Queue full"), "refused_for_now", "a full queue is for now");
	check(refusal(400, "40011", "Too many requests"), "refused_for_now", "40011 is for now");
	check(refusal(403, "40016", "Daily cap"), "refused_for_now", "40016 is for now");
	check(refusal(403, "40018", "Campaign rate"), "refused_for_now", "40018 is for now");
	check(refusal(503, "10007", "Unavailable"), "refused_for_now",
		  "503 with the errors of the API is for now");
	check(refusal(503, NULL, NULL), "unknown", "503 without a body is unknown");
	check(refusal(500, "10007", "Unexpected error"), "unknown", "500 is unknown");
	check(refusal(502, NULL, NULL), "unknown", "502 is unknown");
	check(refusal(504, NULL, NULL), "unknown", "504 is unknown");
	check(refusal(600, NULL, NULL), "unknown", "what is no status is unknown");
	check(refusal(399, "40300", STOP_TEXT), "unknown", "a code counts with its class only");
}

static void
test_blocks(void)
{
	check(refusal(403, "40300", STOP_TEXT), "blocked", "40300 about STOP is a block");
	check(refusal(400, "40300", STOP_TEXT), "blocked", "the status of 40300 does not matter");
	check(refusal(403, "40301", STOP_TEXT), "blocked", "40301 about STOP is a block");
	check(refusal(403, "40300", "blocked due to stop."), "blocked", "the case does not matter");
	check(refusal(403, "40300", "Number not assigned to messaging profile"), "refused",
		  "40300 about something else is refused, and no opt-out");
	check(refusal(403, "40300", "Unstoppable nonstop error"), "refused",
		  "STOP inside of another word is no block");
	check(refusal(403, "40310", STOP_TEXT), "refused", "another code is no block");
	check(refusal(503, "40300", STOP_TEXT), "refused_for_now", "a 503 is no block");
	ok(!om_answer_is_stop_block(NULL, STOP_TEXT), "no code is no block");
	ok(!om_answer_is_stop_block("40300", NULL), "no text is no block");
	ok(!om_answer_is_stop_block("40300", "STO") && !om_answer_is_stop_block("40300", "stopped") &&
	   !om_answer_is_stop_block("40300", "stopz"), "a longer word and a shorter one are others");
	ok(om_answer_is_stop_block("40300", "[stop]") && om_answer_is_stop_block("40300", "{stop{") &&
	   om_answer_is_stop_block("40300", "@stop@"), "signs beside it belong to no word");
	is(om_answer_class_name((OmAnswerClass) 99), "unknown", "what is no class is unknown");
	ok(om_answer_is_stop_block("40300", "STOP"), "the word may be all there is");
}

int
main(void)
{
	test_transport();
	test_success();
	test_refusals();
	test_blocks();
	return done_testing();
}
