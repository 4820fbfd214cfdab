/*
 * http.c
 *		Many requests at once, from one process, without blocking.
 *
 * libcurl's sockets are in an epoll set of their own, and that set stands beside the
 * process's latch and the death of the postmaster in one WaitEventSet.  So a
 * commit, a signal or a barrier wakes the worker at once, whatever a provider does.
 *
 * Each request has a connection of its own.  On a kept one that the peer closes without an
 * answer, libcurl would silently send a POST again, and a text message would be
 * sent twice: providers of texts have no idempotency keys (measured with 7.88).
 *
 * Whom it speaks to is settled by omnimsg.telnyx_api_base alone.  What its name resolves to is looked at when the socket is
 * made, after the last look-up, so that no answer of a name server leads into the network behind this host.
 *
 * Nothing in libcurl's callbacks may throw or use palloc: a longjmp over its frames
 * would leave it broken.
 */
#include "postgres.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "core/backoff.h"
#include "core/net.h"
#include "guc.h"
#include "http.h"
#include "shmem.h"
#include "wipe.h"

/*
 * The file of authorities is read again after that, and a session that began with a certificate of theirs is not resumed
 * when it is older.  So an authority that is no longer in the file is trusted for twice as long at most.
 */
#define TRUST_SECONDS	30
#define HEADER_LIMIT	16384

/* TLS sessions that new connections resume, so that a handshake needs no certificate */
typedef struct Sessions
{
	CURLSH	   *share;
	int			users;			/* transfers under way */
	int64		until_ms;
} Sessions;

/* A transfer; all of it is malloc'ed, because callbacks touch it */
typedef struct Transfer
{
	CURL	   *easy;
	Sessions   *sessions;
	struct curl_slist *headers;
	char	   *request;		/* the body of a POST, NULL for a GET */
	size_t		request_length;
	size_t		request_given;	/* how much of it libcurl took to send */
	TimestampTz deadline;		/* from then on it takes none */
	int64		deadline_ms;	/* the same by the clock that nobody sets */
	size_t		header_bytes;
	char		date[40];		/* the header of the answer, and when it came */
	TimestampTz dated_at;
	size_t		body_limit;
	bool		forbidden;		/* its name resolved to an address that is not for us */
	OmHttpAnswer answer;
} Transfer;

static CURLM *multi = NULL;
static int	epoll_fd = -1;
static int64 timer_at = -1;		/* monotonic ms when libcurl wants to be called; -1 never */
static int	in_flight = 0;
static WaitEventSet *wait_set = NULL;
static Sessions *latest_sessions = NULL;	/* of transfers that begin now */

static int64
monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * A look-up of a name starts a thread inside this process, and a signal handler of
 * PostgreSQL must not run on it.  A thread inherits the mask of its maker.
 */
static void
block_signals(sigset_t *before)
{
	sigset_t	all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, before);
}

static void
restore_signals(const sigset_t *before)
{
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct epoll_event event = {0};

	if (what == CURL_POLL_REMOVE)
	{
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	event.data.fd = fd;
	if (what & CURL_POLL_IN)
		event.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		event.events |= EPOLLOUT;

	/* A number may come back for another socket before libcurl says that the old one is gone */
	if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0 || errno != ENOENT)
		return 0;
	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -1;
}

static int
set_timer(CURLM *unused, long timeout_ms, void *arg)
{
	timer_at = timeout_ms < 0 ? -1 : monotonic_ms() + timeout_ms;
	return 0;
}

static size_t
receive_body(char *data, size_t size, size_t count, void *arg)
{
	Transfer   *transfer = arg;
	OmHttpAnswer *answer = &transfer->answer;
	size_t		length = size * count;
	char	   *body;

	if (answer->body_length + length > transfer->body_limit)
	{
		answer->too_long = true;
		return 0;				/* libcurl ends the transfer */
	}
	body = realloc(answer->body, answer->body_length + length + 1);
	if (body == NULL)
		return 0;
	memcpy(body + answer->body_length, data, length);
	answer->body = body;
	answer->body_length += length;
	body[answer->body_length] = '\0';
	return length;
}

/* The value of a header if it is the one called name (in lower case, with its colon) and fits into out */
static bool
read_header(const char *data, size_t length, const char *name, char *out, size_t size)
{
	size_t		name_length = strlen(name);

	if (length < name_length || pg_strncasecmp(data, name, name_length) != 0)
		return false;
	data += name_length;
	length -= name_length;
	while (length > 0 && (*data == ' ' || *data == '\t'))
		data++, length--;
	while (length > 0 && (data[length - 1] == '\r' || data[length - 1] == '\n' || data[length - 1] == ' '))
		length--;
	if (length >= size)
		return false;
	memcpy(out, data, length);
	out[length] = '\0';
	return true;
}

static size_t
receive_header(char *data, size_t size, size_t count, void *arg)
{
	Transfer   *transfer = arg;
	size_t		length = size * count;

	transfer->header_bytes += length;
	if (transfer->header_bytes > HEADER_LIMIT)
		return 0;
	if (read_header(data, length, "date:", transfer->date, sizeof(transfer->date)))
		transfer->dated_at = GetCurrentTimestamp();
	else
		read_header(data, length, "retry-after:", transfer->answer.retry_after,
					sizeof(transfer->answer.retry_after));
	return length;
}

/* The only place where a socket is made: nothing is sent to an address that it refuses */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	Transfer   *transfer = arg;
	OmNetKind	kind = om_net_kind(&address->addr, address->addrlen);

	if (kind == OM_NET_PUBLIC || (kind == OM_NET_LOOPBACK && om_allow_loopback))
		return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	transfer->forbidden = true;
	return CURL_SOCKET_BAD;
}

void
om_http_start(void)
{
	/* libcurl would write the keys of its connections to the file that it names */
	unsetenv("SSLKEYLOGFILE");
	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, om_wipe_free, om_wipe_realloc, strdup, calloc) != CURLE_OK ||
		(multi = curl_multi_init()) == NULL)
		ereport(FATAL,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not initialize libcurl")));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		ereport(FATAL,
				(errcode_for_socket_access(),
				 errmsg("could not create an epoll set: %m")));
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);

	wait_set = CreateWaitEventSet(TopMemoryContext, 3);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, epoll_fd, NULL, NULL);
}

static void
free_headers(struct curl_slist *headers)
{
	for (struct curl_slist *header = headers; header != NULL; header = header->next)
		sodium_memzero(header->data, strlen(header->data));
	curl_slist_free_all(headers);
}

static bool
add_header(Transfer *transfer, const char *header)
{
	struct curl_slist *headers = curl_slist_append(transfer->headers, header);

	if (headers == NULL)
		return false;
	transfer->headers = headers;
	return true;
}

static bool
add_authorization(Transfer *transfer, const char *secret)
{
	size_t		length = strlen(secret) + 32;
	char	   *header = malloc(length);
	bool		added;

	if (header == NULL)
		return false;
	snprintf(header, length, "Authorization: Bearer %s", secret);
	added = add_header(transfer, header);
	sodium_memzero(header, length);
	free(header);
	return added;
}

/*
 * libcurl asks for the body right before it writes it to the socket: the last moment at which a process
 * that was stopped for longer than its lease can see that others have gone on without it.  And
 * a body that is handed over here cannot be sent a second time: libcurl could not rewind it.
 */
static size_t
give_body(char *buffer, size_t size, size_t count, void *arg)
{
	Transfer   *transfer = arg;
	size_t		length = Min(size * count, transfer->request_length - transfer->request_given);

	if (GetCurrentTimestamp() >= transfer->deadline || monotonic_ms() >= transfer->deadline_ms)
		return CURL_READFUNC_ABORT;
	memcpy(buffer, transfer->request + transfer->request_given, length);
	transfer->request_given += length;
	return length;
}

static bool
set_body(Transfer *transfer)
{
	CURL	   *easy = transfer->easy;

	return curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long) transfer->request_length) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_READDATA, transfer) == CURLE_OK;
}

static void
release_sessions(Sessions *of)
{
	if (of == NULL || --of->users > 0)
		return;
	curl_share_cleanup(of->share);
	free(of);
}

/* NULL when there is no memory */
static Sessions *
begin_sessions(int64 now)
{
	Sessions   *made = calloc(1, sizeof(Sessions));

	if (made == NULL || (made->share = curl_share_init()) == NULL)
	{
		free(made);
		return NULL;
	}
	curl_share_setopt(made->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	made->users = 1;			/* to be the latest is one more */
	made->until_ms = now + TRUST_SECONDS * 1000;
	return made;
}

/*
 * Those that connections of the last TRUST_SECONDS began; NULL when there is no memory for any, which makes each
 * handshake a whole one.  libcurl resumes them for the same host, port and settings of TLS only, and sends no early data.
 */
static Sessions *
use_sessions(void)
{
	int64		now = monotonic_ms();

	if (latest_sessions == NULL || now >= latest_sessions->until_ms)
	{
		release_sessions(latest_sessions);
		latest_sessions = begin_sessions(now);
	}
	if (latest_sessions != NULL)
		latest_sessions->users++;
	return latest_sessions;
}

/*
 * The certificates of a test, or those of the system: out of a file, which libcurl reads and keeps.  With a directory beside it,
 * as Debian has it, it would read all of the file again for each connection, which takes it longer than all the rest.
 */
static bool
set_authorities(CURL *easy)
{
	const char *file = om_ca_file[0] != '\0' ? om_ca_file : curl_version_info(CURLVERSION_NOW)->cainfo;

#if LIBCURL_VERSION_NUM >= 0x075700
	curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, (long) TRUST_SECONDS);
#endif
	return file == NULL ||
		(curl_easy_setopt(easy, CURLOPT_CAINFO, file) == CURLE_OK &&
		 curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK);
}

/*
 * A GET without a body.  False when an option is refused, which would make the request another
 * than we mean.
 */
static bool
set_options(Transfer *transfer, const char *url)
{
	CURL	   *easy = transfer->easy;

#if LIBCURL_VERSION_NUM >= 0x075700
	/* Else the end of a transfer waits for the thread that still looks up the name */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
	return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, om_allow_loopback ? "http,https" : "https") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "https") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_SHARE, transfer->sessions ? transfer->sessions->share : NULL) == CURLE_OK &&
		set_authorities(easy) &&
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) OM_HTTP_CONNECT_MS) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) om_request_timeout) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_USERAGENT, "omnimsg/1.0") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers) == CURLE_OK &&
		(transfer->request == NULL || set_body(transfer)) &&
		curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive_body) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, receive_header) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer) == CURLE_OK;
}

static void
free_transfer(Transfer *transfer)
{
	if (transfer->easy)
		curl_easy_cleanup(transfer->easy);
	release_sessions(transfer->sessions);
	free_headers(transfer->headers);
	free(transfer->request);
	free(transfer->answer.body);
	free(transfer);
}

/* body is NULL for a GET, which has no deadline either */
static bool
start_transfer(void *tag, const char *url, const char *secret, const char *body, TimestampTz deadline,
			   size_t body_limit)
{
	Transfer   *transfer = calloc(1, sizeof(Transfer));
	sigset_t	before;
	bool		started;

	if (transfer == NULL)
		return false;
	transfer->answer.tag = tag;
	transfer->body_limit = body_limit;
	if (body != NULL)
	{
		transfer->request = strdup(body);
		transfer->request_length = strlen(body);
		transfer->deadline = deadline;
		transfer->deadline_ms = monotonic_ms() + (deadline - GetCurrentTimestamp()) / 1000;
	}
	block_signals(&before);
	transfer->easy = curl_easy_init();
	transfer->sessions = use_sessions();
	started = transfer->easy != NULL &&
		(body == NULL || transfer->request != NULL) &&
		add_authorization(transfer, secret) &&
		(body == NULL || add_header(transfer, "Content-Type: application/json")) &&
		add_header(transfer, "Accept: application/json") &&
		add_header(transfer, "Expect:") &&
		set_options(transfer, url) &&
		curl_multi_add_handle(multi, transfer->easy) == CURLM_OK;
	restore_signals(&before);
	if (started)
		in_flight++;
	else
		free_transfer(transfer);
	return started;
}

bool
om_http_post(void *tag, const char *url, const char *secret, const char *body, TimestampTz deadline)
{
	return start_transfer(tag, url, secret, body, deadline, OM_HTTP_BODY_LIMIT);
}

bool
om_http_get(void *tag, const char *url, const char *secret)
{
	return start_transfer(tag, url, secret, NULL, 0, OM_HTTP_LIST_LIMIT);
}

/*
 * What the answer tells of the provider's clock.  It wrote the date at some time between our request and its
 * answer, and left out the fraction of the second.
 */
static void
compare_clocks(const Transfer *transfer)
{
	int64		seconds;
	curl_off_t	sent = 0;
	curl_off_t	answered = 0;
	int64		round_trip;
	TimestampTz date;

	if (!om_http_date_parse(transfer->date, strlen(transfer->date), &seconds))
		return;
	curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &sent);
	curl_easy_getinfo(transfer->easy, CURLINFO_STARTTRANSFER_TIME_T, &answered);
	round_trip = Max((int64) answered - (int64) sent, 0);
	date = (seconds - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY) * USECS_PER_SEC;
	om_shmem_provider_clock(date + USECS_PER_SEC / 2 - (transfer->dated_at - round_trip / 2),
							USECS_PER_SEC / 2 + round_trip / 2);
}

static const char *
why_incomplete(const Transfer *transfer, CURLcode result)
{
	if (transfer->forbidden && result == CURLE_COULDNT_CONNECT)
		return "the provider's name resolves to an address that is not public";
	if (result == CURLE_UNSUPPORTED_PROTOCOL)
		return "plain http is for tests only, and omnimsg.allow_loopback is off";
	return curl_easy_strerror(result);
}

OmHttpAnswer *
om_http_finished(void)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		Transfer   *transfer;
		OmHttpAnswer *answer;
		CURLcode	result = message->data.result;
		long		status = 0;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &transfer);
		curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
		curl_multi_remove_handle(multi, message->easy_handle);
		in_flight--;

		compare_clocks(transfer);
		answer = &transfer->answer;
		answer->complete = result == CURLE_OK;
		answer->timed_out = result == CURLE_OPERATION_TIMEDOUT;
		answer->request_left = answer->complete || transfer->request_given > 0;
		answer->status = (int) status;
		if (!answer->complete)
			strlcpy(answer->error, why_incomplete(transfer, result), sizeof(answer->error));
		return answer;
	}
	return NULL;
}

void
om_http_answer_free(OmHttpAnswer *answer)
{
	free_transfer((Transfer *) ((char *) answer - offsetof(Transfer, answer)));
}

int
om_http_in_flight(void)
{
	return in_flight;
}

/* Hand what epoll knows to libcurl */
static void
serve_sockets(void)
{
	struct epoll_event events[64];
	int			count = epoll_wait(epoll_fd, events, lengthof(events), 0);
	int			running;

	/* What is left when the process is told to end is of no use to it; a handshake takes its time */
	for (int i = 0; i < count && !ProcDiePending; i++)
	{
		int			what = 0;

		if (events[i].events & (EPOLLIN | EPOLLHUP))
			what |= CURL_CSELECT_IN;
		if (events[i].events & EPOLLOUT)
			what |= CURL_CSELECT_OUT;
		if (events[i].events & EPOLLERR)
			what |= CURL_CSELECT_ERR;
		curl_multi_socket_action(multi, events[i].data.fd, what, &running);
	}
}

bool
om_http_wait(long timeout_ms)
{
	WaitEvent	events[3];
	sigset_t	before;
	int			running;
	int			count;
	bool		woken = false;

	if (timer_at >= 0)
		timeout_ms = Min(timeout_ms, (long) Max(timer_at - monotonic_ms(), 0));
	count = WaitEventSetWait(wait_set, timeout_ms, events, lengthof(events), PG_WAIT_EXTENSION);
	for (int i = 0; i < count; i++)
		woken |= (events[i].events & WL_LATCH_SET) != 0;
	if (woken)
		ResetLatch(MyLatch);

	block_signals(&before);
	serve_sockets();
	if (timer_at >= 0 && monotonic_ms() >= timer_at)
	{
		timer_at = -1;
		curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	restore_signals(&before);
	return woken;
}
