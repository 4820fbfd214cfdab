/*
 * floor_post.c
 *		What it costs to POST with libcurl, and nothing else: the floor beside the dispatcher.
 *
 * usage: floor_post URL KEY RATE SECONDS WEBHOOK_URL [CA_FILE]
 * One thread, libcurl's multi interface and epoll; a connection of its own for each request, which resumes the session of TLS of another, as the worker has it; bodies like the worker's.
 * Requests are due at a steady rate.  Prints "sent N seconds S cpu C": how many were answered 2xx, how long it took,
 * and its seconds of processor time, user and system.
 */
#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BODY_MAX	1024
#define EVENTS_MAX	64

/* One request; its answer is thrown away */
struct post
{
	char		body[BODY_MAX];
};

static CURLM *multi;
static CURLSH *sessions;		/* of TLS, which connections resume */
static int	epoll_fd;
static int64_t timer_at = -1;	/* when libcurl wants to be called, in us; -1 never */
static int	under_way;
static int	answered;

static void
die(const char *what)
{
	fprintf(stderr, "floor_post: %s\n", what);
	exit(1);
}

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static double
cpu_seconds(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return (double) (used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
		(double) (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct epoll_event event = {.data.fd = fd};

	if (what == CURL_POLL_REMOVE)
	{
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	event.events = ((what & CURL_POLL_IN) ? EPOLLIN : 0) | ((what & CURL_POLL_OUT) ? EPOLLOUT : 0);
	if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0 || errno != ENOENT)
		return 0;
	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int
set_timer(CURLM *unused, long timeout_ms, void *arg)
{
	timer_at = timeout_ms < 0 ? -1 : now_us() + timeout_ms * 1000;
	return 0;
}

static size_t
drop_answer(char *data, size_t size, size_t count, void *arg)
{
	return size * count;
}

static void
begin(const char *url, struct curl_slist *headers, const char *webhook_url, const char *ca_file, int number)
{
	struct post *post = malloc(sizeof(*post));
	CURL	   *easy = curl_easy_init();

	if (post == NULL || easy == NULL)
		die("out of memory");
	snprintf(post->body, sizeof(post->body),
			 "{\"from\":\"+15552000100\",\"to\":\"+1555%07d\",\"text\":\"Your appointment is tomorrow\","
			 "\"webhook_url\":\"%s?o1.AAAAAAAAAAAAAAAAAAAAAA.1\"}", 2000000 + number % 1000000, webhook_url);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, post->body);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 10000L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop_answer);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, (char *) post);
	if (ca_file != NULL)
	{
		curl_easy_setopt(easy, CURLOPT_SHARE, sessions);
		curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	if (curl_multi_add_handle(multi, easy) != CURLM_OK)
		die("curl_multi_add_handle");
	under_way++;
}

static void
collect(void)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		CURL	   *easy = message->easy_handle;
		CURLcode	result = message->data.result;
		long		status = 0;
		char	   *post;

		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &post);
		if (result == CURLE_OK && status / 100 == 2)
			answered++;
		else
			fprintf(stderr, "floor_post: status %ld, %s\n", status, curl_easy_strerror(result));
		curl_multi_remove_handle(multi, easy);
		curl_easy_cleanup(easy);
		free(post);
		under_way--;
	}
}

/* Wait until something happens, or until that time */
static void
serve(int64_t until)
{
	struct epoll_event events[EVENTS_MAX];
	int64_t		now = now_us();
	int			running;
	int			count;

	if (timer_at >= 0 && (until < 0 || timer_at < until))
		until = timer_at;
	count = epoll_wait(epoll_fd, events, EVENTS_MAX, until < 0 ? 1000 : until <= now ? 0 : (int) ((until - now + 999) / 1000));
	for (int i = 0; i < count; i++)
		curl_multi_socket_action(multi, events[i].data.fd,
								 ((events[i].events & (EPOLLIN | EPOLLHUP)) ? CURL_CSELECT_IN : 0) |
								 ((events[i].events & EPOLLOUT) ? CURL_CSELECT_OUT : 0) |
								 ((events[i].events & EPOLLERR) ? CURL_CSELECT_ERR : 0), &running);
	if (timer_at >= 0 && now_us() >= timer_at)
	{
		timer_at = -1;
		curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
}

int
main(int argc, char **argv)
{
	struct curl_slist *headers = NULL;
	char		key[256];
	double		rate;
	int			wanted;
	int			begun = 0;
	int64_t		first;

	if (argc < 6 || argc > 7 || (rate = atof(argv[3])) <= 0)
	{
		fprintf(stderr, "usage: %s URL KEY RATE SECONDS WEBHOOK_URL [CA_FILE]\n", argv[0]);
		return 2;
	}
	wanted = (int) (rate * atof(argv[4]));
	snprintf(key, sizeof(key), "Authorization: Bearer %s", argv[2]);
	headers = curl_slist_append(headers, key);
	headers = curl_slist_append(headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Accept: application/json");
	headers = curl_slist_append(headers, "Expect:");
	curl_global_init(CURL_GLOBAL_DEFAULT);
	multi = curl_multi_init();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	sessions = curl_share_init();
	if (multi == NULL || sessions == NULL || epoll_fd < 0)
		die("could not start");
	curl_share_setopt(sessions, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
	first = now_us();
	while (begun < wanted || under_way > 0)
	{
		while (begun < wanted && now_us() >= first + (int64_t) (begun * 1e6 / rate))
			begin(argv[1], headers, argv[5], argc > 6 ? argv[6] : NULL, begun++);
		serve(begun < wanted ? first + (int64_t) (begun * 1e6 / rate) : -1);
		collect();
	}
	printf("sent %d seconds %.3f cpu %.3f\n", answered, (double) (now_us() - first) / 1e6, cpu_seconds());
	return answered == wanted ? 0 : 1;
}
