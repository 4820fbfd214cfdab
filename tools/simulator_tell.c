/*
 * simulator_tell.c
 *		Telling a running simulator something.
 */
#include "simulator_tell.h"

#include <curl/curl.h>
#include <stdio.h>

#include "simulator_util.h"

#define TIMEOUT_MS		10000L

static size_t
collect(char *data, size_t size, size_t count, void *out)
{
	return fwrite(data, size, count, out);
}

char *
om_sim_tell(const char *url, const char *path, const char *body, size_t *len)
{
	char		target[1024];
	char	   *answer;
	FILE	   *in = om_sim_memory(&answer, len);
	CURL	   *easy = curl_easy_init();
	CURLcode	result;
	long		http = 0;

	if (easy == NULL)
		om_sim_die("out of memory");
	snprintf(target, sizeof(target), "%s%s", url, path);
	curl_easy_setopt(easy, CURLOPT_URL, target);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, collect);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, in);
	result = curl_easy_perform(easy);
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &http);
	curl_easy_cleanup(easy);
	if (fclose(in) != 0)
		om_sim_die("out of memory");
	if (result != CURLE_OK)
		om_sim_die("the simulator at %s cannot be told: %s", url, curl_easy_strerror(result));
	if (http != 200)
		om_sim_die("the simulator at %s answered http %ld: %s", url, http, answer);
	return answer;
}
