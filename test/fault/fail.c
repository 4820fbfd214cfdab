/*
 * fail.c
 *		LD_PRELOAD: the n-th call of one kind fails, once or from then on.
 *
 * FAIL_CALL is malloc, write, sync, open, truncate or one of those below; FAIL_AT counts from 1; FAIL_STICKY=1 lets all
 * later ones fail, too.  Only what happens between om_fail_arm(1) and om_fail_arm(0)
 * counts, with FAIL_ARMED=1 all of it, and of calls on files only those below FAIL_DIR.
 *
 * FAIL_SLOW_MS makes each flush take that long.  With FAIL_ON_SIGNAL=1 each SIGUSR2 begins anew: after the first one the first call fails, after the
 * second one the second, and so on.  There are send, recv, poll and connect as well, on whatever.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

void		om_fail_arm(int on);
int			om_fail_happened(void);

static const char *call;
static const char *directory;
static atomic_long at;
static bool sticky;
static unsigned int slow_ms;
static atomic_int armed;
static atomic_long calls;
static atomic_int happened;

static int	(*real_open) (const char *, int, ...);
static ssize_t (*real_write) (int, const void *, size_t);
static ssize_t (*real_pwrite) (int, const void *, size_t, off_t);
static int	(*real_ftruncate) (int, off_t);
static int	(*real_fsync) (int);
static int	(*real_fdatasync) (int);
static ssize_t (*real_send) (int, const void *, size_t, int);
static ssize_t (*real_recv) (int, void *, size_t, int);
static int	(*real_poll) (struct pollfd *, nfds_t, int);
static int	(*real_connect) (int, const struct sockaddr *, socklen_t);

static void
begin_anew(int signal_number)
{
	atomic_store(&armed, 0);
	atomic_store(&calls, 0);
	atomic_fetch_add(&at, 1);
	atomic_store(&armed, 1);
}

__attribute__((constructor)) static void
begin(void)
{
	call = getenv("FAIL_CALL");
	directory = getenv("FAIL_DIR");
	at = getenv("FAIL_AT") ? atol(getenv("FAIL_AT")) : 0;
	sticky = getenv("FAIL_STICKY") != NULL;
	slow_ms = getenv("FAIL_SLOW_MS") ? (unsigned int) atol(getenv("FAIL_SLOW_MS")) : 0;
	atomic_store(&armed, getenv("FAIL_ARMED") != NULL);
	if (getenv("FAIL_ON_SIGNAL") != NULL)
		signal(SIGUSR2, begin_anew);
	*(void **) &real_send = dlsym(RTLD_NEXT, "send");
	*(void **) &real_recv = dlsym(RTLD_NEXT, "recv");
	*(void **) &real_poll = dlsym(RTLD_NEXT, "poll");
	*(void **) &real_connect = dlsym(RTLD_NEXT, "connect");
	*(void **) &real_open = dlsym(RTLD_NEXT, "open64");
	*(void **) &real_write = dlsym(RTLD_NEXT, "write");
	*(void **) &real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
	*(void **) &real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
	*(void **) &real_fsync = dlsym(RTLD_NEXT, "fsync");
	*(void **) &real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
}

void
om_fail_arm(int on)
{
	atomic_store(&armed, on);
}

int
om_fail_happened(void)
{
	return atomic_load(&happened);
}

static bool
fails(const char *what)
{
	long		n;

	if (!atomic_load(&armed) || call == NULL || strcmp(call, what) != 0)
		return false;
	n = atomic_fetch_add(&calls, 1) + 1;
	if (n != at && !(sticky && n > at))
		return false;
	atomic_store(&happened, 1);
	return true;
}

static bool
is_ours(int fd)
{
	char		link[64];
	char		path[512];
	ssize_t		len;

	if (!atomic_load(&armed) || directory == NULL)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	return len > 0 && strncmp(path, directory, strlen(directory)) == 0;
}

void *
malloc(size_t size)
{
	if (fails("malloc"))
	{
		errno = ENOMEM;
		return NULL;
	}
	return __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
	if (fails("malloc"))
	{
		errno = ENOMEM;
		return NULL;
	}
	return __libc_calloc(n, size);
}

void *
realloc(void *old, size_t size)
{
	if (fails("malloc"))
	{
		errno = ENOMEM;
		return NULL;
	}
	return __libc_realloc(old, size);
}

#define OPEN(name) \
int \
name(const char *path, int flags, ...) \
{ \
	va_list		args; \
	mode_t		mode; \
\
	va_start(args, flags); \
	mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(args, mode_t) : 0; \
	va_end(args); \
	if (directory != NULL && strncmp(path, directory, strlen(directory)) == 0 && fails("open")) \
	{ \
		errno = EMFILE; \
		return -1; \
	} \
	return real_open(path, flags, mode); \
}

OPEN(open)
OPEN(open64)

/* A full disk: half of it gets there */
ssize_t
write(int fd, const void *bytes, size_t len)
{
	if (is_ours(fd) && fails("write"))
	{
		errno = ENOSPC;
		return -1;
	}
	return real_write(fd, bytes, len);
}

static ssize_t
pwrite_or_fail(int fd, const void *bytes, size_t len, off_t offset)
{
	if (is_ours(fd) && fails("write"))
	{
		if (len > 1 && real_pwrite(fd, bytes, len / 2, offset) < 0)
			return -1;
		errno = ENOSPC;
		return -1;
	}
	return real_pwrite(fd, bytes, len, offset);
}

ssize_t
pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	return pwrite_or_fail(fd, bytes, len, offset);
}

ssize_t
pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
	return pwrite_or_fail(fd, bytes, len, offset);
}

int
ftruncate(int fd, off_t len)
{
	if (is_ours(fd) && fails("truncate"))
	{
		errno = EIO;
		return -1;
	}
	return real_ftruncate(fd, len);
}

int
ftruncate64(int fd, off64_t len)
{
	return ftruncate(fd, len);
}

int
fsync(int fd)
{
	if (is_ours(fd) && fails("sync"))
	{
		errno = EIO;
		return -1;
	}
	if (slow_ms > 0 && is_ours(fd))
		usleep(slow_ms * 1000);
	return real_fsync(fd);
}

int
fdatasync(int fd)
{
	if (is_ours(fd) && fails("sync"))
	{
		errno = EIO;
		return -1;
	}
	if (slow_ms > 0 && is_ours(fd))
		usleep(slow_ms * 1000);
	return real_fdatasync(fd);
}

ssize_t
send(int fd, const void *bytes, size_t len, int flags)
{
	if (fails("send"))
	{
		errno = ECONNRESET;
		return -1;
	}
	return real_send(fd, bytes, len, flags);
}

ssize_t
recv(int fd, void *bytes, size_t len, int flags)
{
	if (fails("recv"))
	{
		errno = ECONNRESET;
		return -1;
	}
	return real_recv(fd, bytes, len, flags);
}

int
poll(struct pollfd *fds, nfds_t n, int timeout)
{
	if (fails("poll"))
	{
		errno = EINTR;
		return -1;
	}
	return real_poll(fds, n, timeout);
}

int
connect(int fd, const struct sockaddr *address, socklen_t len)
{
	if (fails("connect"))
	{
		errno = ECONNREFUSED;
		return -1;
	}
	return real_connect(fd, address, len);
}
