/*
 * spool_place.c
 *		Directory, file and lock: nobody else may get at them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "spool_place.h"

/* The lock of a relay that has just died is waited for: 2 s */
#define LOCK_TRIES	40

static bool
say_errno(char *error, size_t error_size, const char *what, const char *path)
{
	snprintf(error, error_size, "%s \"%s\": %s", what, path, strerror(errno));
	return false;
}

/*
 * People's messages are in it: nobody else may put another file into its place.  Who may only look into the directory
 * sees names; the files have mode 0600.  One like /tmp will do: there nobody removes what is another's.
 */
bool
om_spool_place_check(const char *directory, char *error, size_t error_size)
{
	struct stat st;

	if (stat(directory, &st) != 0)
		return say_errno(error, error_size, "cannot look at the directory of the spool", directory);
	if (!S_ISDIR(st.st_mode))
	{
		errno = ENOTDIR;
		return say_errno(error, error_size, "cannot use for the spool", directory);
	}
	if (st.st_uid != geteuid() && st.st_uid != 0)
	{
		snprintf(error, error_size, "the directory of the spool, \"%s\", belongs to somebody else",
				 directory);
		return false;
	}
	if ((st.st_mode & 022) != 0 && (st.st_mode & S_ISVTX) == 0)
	{
		snprintf(error, error_size, "others may write to the directory of the spool, \"%s\" "
				 "(mode %04o): chmod 0700", directory, (unsigned int) st.st_mode & 07777);
		return false;
	}
	return true;
}

static int
open_private(const char *path)
{
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
}

/*
 * One that was killed a moment ago may hold it still: the kernel lets go when the last of its threads
 * has gone.
 */
static bool
wait_lock(int fd)
{
	static const struct timespec pause = {0, 50 * 1000000};
	int			tries;

	for (tries = 0; tries < LOCK_TRIES; tries++)
	{
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return false;
		nanosleep(&pause, NULL);
	}
	errno = EWOULDBLOCK;
	return false;
}

/*
 * SQLite would let several processes in.  Two relays would replay the same rows,
 * and each would count what it does not know of.
 */
int
om_spool_place_lock(const char *path, char *error, size_t error_size)
{
	char	   *name = malloc(strlen(path) + sizeof(".lock"));
	int			fd;

	if (name == NULL)
	{
		snprintf(error, error_size, "out of memory");
		return -1;
	}
	strcpy(name, path);
	strcat(name, ".lock");
	fd = open_private(name);
	if (fd < 0)
		say_errno(error, error_size, "cannot open", name);
	else if (!wait_lock(fd))
	{
		if (errno == EWOULDBLOCK)
			snprintf(error, error_size, "another relay uses the spool \"%s\"; each needs a file of "
					 "its own", path);
		else
			say_errno(error, error_size, "cannot lock", name);
		close(fd);
		fd = -1;
	}
	free(name);
	return fd;
}

/* Made here, so that its mode is ours; SQLite's other files take it from this one. */
bool
om_spool_place_make(const char *path, char *error, size_t error_size)
{
	struct stat st;
	bool		good = false;
	int			fd = open_private(path);

	if (fd < 0)
		return say_errno(error, error_size, "cannot open the spool", path);
	if (fstat(fd, &st) != 0)
		say_errno(error, error_size, "cannot look at the spool", path);
	else if (!S_ISREG(st.st_mode))
		snprintf(error, error_size, "the spool \"%s\" is no file", path);
	else if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		snprintf(error, error_size, "the spool \"%s\" is open to others or belongs to somebody else: "
				 "chmod 0600, chown", path);
	else
		good = true;
	close(fd);
	return good;
}

/* The name of a new file is durable only when its directory was flushed. */
bool
om_spool_place_flush(const char *directory, char *error, size_t error_size)
{
	int			fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool		good = fd >= 0 && fsync(fd) == 0;

	if (!good)
		say_errno(error, error_size, "cannot flush the directory", directory);
	if (fd >= 0)
		close(fd);
	return good;
}
