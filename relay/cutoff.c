/*
 * cutoff.c
 *		The thread that ends reads which take too long.
 *
 * civetweb does not tell the descriptor of a connection.  It is found by its two
 * ends among the descriptors of the process: a few hundred system calls, but only
 * for a client that is late, and never for one that is not.
 */
#include <netdb.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "clock.h"
#include "cutoff.h"

/* Armed cutoffs in the order of their moments.  All is under the mutex. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static OmCutoff *first;
static OmCutoff *last;
static int64_t wakes_at;		/* when the waiting thread will wake by itself */

static int
port_of(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *) address)->sin_port);
	if (address->ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *) address)->sin6_port);
	return -1;
}

/* Is fd the connection of this cutoff? */
static bool
is_connection(int fd, const OmCutoff *cutoff)
{
	struct sockaddr_storage peer;
	struct sockaddr_storage local;
	socklen_t	peer_len = sizeof(peer);
	socklen_t	local_len = sizeof(local);
	char		text[64];

	return getpeername(fd, (struct sockaddr *) &peer, &peer_len) == 0 &&
		port_of(&peer) == cutoff->remote_port &&
		getsockname(fd, (struct sockaddr *) &local, &local_len) == 0 &&
		port_of(&local) == cutoff->local_port &&
		getnameinfo((struct sockaddr *) &peer, peer_len, text, sizeof(text),
					NULL, 0, NI_NUMERICHOST) == 0 &&
		strcmp(text, cutoff->remote_addr) == 0;
}

/*
 * The caller holds the mutex.  The thread that armed the cutoff cannot pass
 * om_cutoff_disarm meanwhile, so the descriptor cannot be closed and used anew
 * between finding and shutting it.
 */
static void
fire(OmCutoff *cutoff)
{
	struct rlimit limit;
	int			max = 65536;
	int			fd;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < (rlim_t) max)
		max = (int) limit.rlim_cur;
	cutoff->fired = true;
	for (fd = 3; fd < max; fd++)
	{
		/* All that match: two addresses of ours may have the same client and port */
		if (is_connection(fd, cutoff))
			shutdown(fd, SHUT_RD);
	}
}

static void
unlink_cutoff(OmCutoff *cutoff)
{
	if (cutoff->prev != NULL)
		cutoff->prev->next = cutoff->next;
	else
		first = cutoff->next;
	if (cutoff->next != NULL)
		cutoff->next->prev = cutoff->prev;
	else
		last = cutoff->prev;
	cutoff->prev = NULL;
	cutoff->next = NULL;
}

static void *
cutoff_main(void *arg)
{
	pthread_mutex_lock(&mutex);
	for (;;)
	{
		/* The wait that ended may have been for one that is disarmed by now. */
		if (first == NULL)
		{
			wakes_at = INT64_MAX;
			pthread_cond_wait(&changed, &mutex);
		}
		else if (first->at > om_clock_ms())
		{
			struct timespec until = om_clock_timespec(first->at);

			wakes_at = first->at;
			pthread_cond_timedwait(&changed, &mutex, &until);
		}
		else
		{
			OmCutoff   *due = first;

			unlink_cutoff(due);
			fire(due);
		}
	}
	return NULL;
}

bool
om_cutoff_start(void)
{
	pthread_condattr_t attr;
	pthread_t	thread;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attr);
	pthread_condattr_destroy(&attr);
	return pthread_create(&thread, NULL, cutoff_main, NULL) == 0 &&
		pthread_detach(thread) == 0;
}

void
om_cutoff_arm(OmCutoff *cutoff)
{
	OmCutoff   *before;

	pthread_mutex_lock(&mutex);
	cutoff->fired = false;
	/* Moments are nearly always the latest yet, so the search ends at once. */
	for (before = last; before != NULL && before->at > cutoff->at; before = before->prev)
		;
	cutoff->prev = before;
	cutoff->next = before != NULL ? before->next : first;
	if (cutoff->next != NULL)
		cutoff->next->prev = cutoff;
	else
		last = cutoff;
	if (before != NULL)
		before->next = cutoff;
	else
		first = cutoff;
	if (cutoff->at < wakes_at)
		pthread_cond_signal(&changed);
	pthread_mutex_unlock(&mutex);
}

void
om_cutoff_disarm(OmCutoff *cutoff)
{
	pthread_mutex_lock(&mutex);
	if (!cutoff->fired)
		unlink_cutoff(cutoff);
	pthread_mutex_unlock(&mutex);
}
