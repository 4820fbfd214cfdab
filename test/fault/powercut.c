/*
 * powercut.c
 *		LD_PRELOAD: a disk that loses what was not flushed when the power goes.
 *
 * Writes to files below POWERCUT_DIR go through, but the sectors that they overwrite are
 * remembered until that file is flushed.  At the POWERCUT_AT-th write, flush, truncation or removal the
 * power goes: each sector gets one of the contents that it had since the last flush, by chance;
 * a changed size, a new name and a removed one last or do not.  Then the process is gone.
 *
 * It is stricter than the usual file systems: a new name lasts only when its directory was
 * flushed.  What goes into mmap is not seen; of SQLite that is the index of the log, which
 * it makes anew.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR			512
#define MAX_FDS			1024
#define MAX_FILES		64
#define MAX_REMOVED		64
#define EXIT_POWERCUT	42

typedef struct Version
{
	off_t		sector;
	char		bytes[SECTOR];
} Version;

typedef struct File
{
	char		path[512];
	bool		unnamed;		/* new, and its directory was not flushed */
	off_t		durable_size;
	Version    *versions;
	int			num_versions;
	int			size_versions;
} File;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static File files[MAX_FILES];
static int	num_files;
static int	file_of_fd[MAX_FDS];	/* number of the file plus 1; minus 1 for a directory */
static char removed[MAX_REMOVED][512];
static int	num_removed;
static long operations;
static long cut_at = -1;
static unsigned int seed;
static const char *directory;

static int	(*real_open) (const char *, int, ...);
static int	(*real_close) (int);
static ssize_t (*real_write) (int, const void *, size_t);
static ssize_t (*real_pwrite) (int, const void *, size_t, off_t);
static int	(*real_ftruncate) (int, off_t);
static int	(*real_unlink) (const char *);

__attribute__((constructor)) static void
begin(void)
{
	directory = getenv("POWERCUT_DIR");
	cut_at = getenv("POWERCUT_AT") ? atol(getenv("POWERCUT_AT")) : -1;
	seed = getenv("POWERCUT_SEED") ? (unsigned int) atol(getenv("POWERCUT_SEED")) : 1;
	*(void **) &real_open = dlsym(RTLD_NEXT, "open64");
	*(void **) &real_close = dlsym(RTLD_NEXT, "close");
	*(void **) &real_write = dlsym(RTLD_NEXT, "write");
	*(void **) &real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
	*(void **) &real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
	*(void **) &real_unlink = dlsym(RTLD_NEXT, "unlink");
}

static int
chance(int n)
{
	return rand_r(&seed) % n;
}

static off_t
size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_size : 0;
}

static void
remember(File *file, int fd, off_t offset, size_t len)
{
	off_t		sector;

	for (sector = offset / SECTOR; sector * SECTOR < offset + (off_t) len; sector++)
	{
		Version    *version;

		if (file->num_versions == file->size_versions)
		{
			file->size_versions = file->size_versions * 2 + 64;
			file->versions = realloc(file->versions, sizeof(Version) * (size_t) file->size_versions);
			if (file->versions == NULL)
				abort();
		}
		version = &file->versions[file->num_versions++];
		version->sector = sector;
		memset(version->bytes, 0, SECTOR);
		if (pread(fd, version->bytes, SECTOR, sector * SECTOR) < 0)
			memset(version->bytes, 0, SECTOR);
	}
}

/* Each sector as it was at one of the moments since the flush */
static void
lose_sectors(File *file, int fd)
{
	int			i;
	int			j;

	for (i = 0; i < file->num_versions; i++)
	{
		int			same = 0;
		int			chosen;

		for (j = 0; j < i && file->versions[j].sector != file->versions[i].sector; j++)
			;
		if (j < i)
			continue;			/* was decided with its first version */
		for (j = i; j < file->num_versions; j++)
			same += file->versions[j].sector == file->versions[i].sector;
		chosen = chance(same + 1);
		for (j = i; j < file->num_versions && chosen < same; j++)
		{
			if (file->versions[j].sector != file->versions[i].sector || chosen-- > 0)
				continue;
			if (real_pwrite(fd, file->versions[j].bytes, SECTOR, file->versions[j].sector * SECTOR) < 0)
				abort();
			break;
		}
	}
}

static void
lose(File *file)
{
	int			fd = real_open(file->path, O_RDWR);
	off_t		size;
	int			i;

	if (fd < 0)
		return;
	size = size_of(fd);
	if (file->unnamed && chance(2))
	{
		real_unlink(file->path);
		real_close(fd);
		return;
	}
	lose_sectors(file, fd);
	if (size < file->durable_size && chance(2))
	{
		/* the truncation did not last: nor did anything that came with it */
		for (i = file->num_versions - 1; i >= 0; i--)
		{
			if (file->versions[i].sector * SECTOR >= size &&
				real_pwrite(fd, file->versions[i].bytes, SECTOR, file->versions[i].sector * SECTOR) < 0)
				abort();
		}
		size = file->durable_size;
	}
	else if (size > file->durable_size)
	{
		/* as much longer as it may be by now */
		off_t		grown = (size - file->durable_size) / SECTOR;

		size = chance(2) ? size : file->durable_size + chance((int) grown + 1) * SECTOR;
	}
	if (real_ftruncate(fd, size) != 0)
		abort();
	real_close(fd);
}

/* The caller holds the mutex. */
static void
count_operation(void)
{
	int			i;

	if (operations++ != cut_at)
		return;
	for (i = 0; i < num_files; i++)
		lose(&files[i]);
	for (i = 0; i < num_removed; i++)
	{
		char		kept[600];

		snprintf(kept, sizeof(kept), "%s.removed", removed[i]);
		if (chance(2) && access(removed[i], F_OK) != 0)
			rename(kept, removed[i]);
		else
			real_unlink(kept);
	}
	_exit(EXIT_POWERCUT);
}

static File *
file_at(int fd)
{
	return fd >= 0 && fd < MAX_FDS && file_of_fd[fd] > 0 ? &files[file_of_fd[fd] - 1] : NULL;
}

static bool
is_watched(const char *path)
{
	size_t		len = directory != NULL ? strlen(directory) : 0;
	size_t		end = strlen(path);

	return len > 0 && strncmp(path, directory, len) == 0 && path[len] == '/' &&
		!(end > 4 && strcmp(path + end - 4, "-shm") == 0);
}

static void
watch(int fd, const char *path, bool is_new)
{
	int			i;

	for (i = 0; i < num_files && strcmp(files[i].path, path) != 0; i++)
		;
	if (i == MAX_FILES)
		abort();
	if (i == num_files)
	{
		num_files++;
		snprintf(files[i].path, sizeof(files[i].path), "%s", path);
		files[i].unnamed = is_new;
		files[i].durable_size = size_of(fd);
	}
	else if (is_new)
	{
		files[i].unnamed = true;
		files[i].num_versions = 0;
		files[i].durable_size = 0;
	}
	file_of_fd[fd] = i + 1;
}

static int
open_watched(const char *path, int flags, mode_t mode)
{
	bool		is_new;
	int			fd;

	pthread_mutex_lock(&mutex);
	is_new = access(path, F_OK) != 0;
	fd = real_open(path, flags, mode);
	if (fd >= 0 && fd < MAX_FDS)
	{
		file_of_fd[fd] = 0;
		if (directory != NULL && strcmp(path, directory) == 0)
			file_of_fd[fd] = -1;
		else if (is_watched(path))
			watch(fd, path, is_new);
	}
	pthread_mutex_unlock(&mutex);
	return fd;
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
	return open_watched(path, flags, mode); \
}

OPEN(open)
OPEN(open64)

int
close(int fd)
{
	int			rc;

	pthread_mutex_lock(&mutex);
	if (fd >= 0 && fd < MAX_FDS)
		file_of_fd[fd] = 0;
	rc = real_close(fd);
	pthread_mutex_unlock(&mutex);
	return rc;
}

static ssize_t
write_watched(int fd, const void *bytes, size_t len, off_t offset, bool positioned)
{
	ssize_t		written;
	File	   *file;

	pthread_mutex_lock(&mutex);
	file = file_at(fd);
	if (file != NULL)
		remember(file, fd, positioned ? offset : lseek(fd, 0, SEEK_CUR), len);
	written = positioned ? real_pwrite(fd, bytes, len, offset) : real_write(fd, bytes, len);
	if (file != NULL)
		count_operation();
	pthread_mutex_unlock(&mutex);
	return written;
}

ssize_t
write(int fd, const void *bytes, size_t len)
{
	return write_watched(fd, bytes, len, 0, false);
}

ssize_t
pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	return write_watched(fd, bytes, len, offset, true);
}

ssize_t
pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
	return write_watched(fd, bytes, len, offset, true);
}

static int
truncate_watched(int fd, off_t len)
{
	File	   *file;
	int			rc;

	pthread_mutex_lock(&mutex);
	file = file_at(fd);
	if (file != NULL && len < size_of(fd))
		remember(file, fd, len, (size_t) (size_of(fd) - len));
	rc = real_ftruncate(fd, len);
	if (file != NULL)
		count_operation();
	pthread_mutex_unlock(&mutex);
	return rc;
}

int
ftruncate(int fd, off_t len)
{
	return truncate_watched(fd, len);
}

int
ftruncate64(int fd, off64_t len)
{
	return truncate_watched(fd, len);
}

static void
flush_directory(void)
{
	int			i;

	for (i = 0; i < num_files; i++)
		files[i].unnamed = false;
	while (num_removed > 0)
	{
		char		kept[600];

		snprintf(kept, sizeof(kept), "%s.removed", removed[--num_removed]);
		real_unlink(kept);
	}
}

/* Nothing is flushed really: the kernel keeps it all, for it is not the one that dies */
static int
flush(int fd)
{
	File	   *file;

	pthread_mutex_lock(&mutex);
	file = file_at(fd);
	if (file != NULL)
	{
		count_operation();
		file->num_versions = 0;
		file->durable_size = size_of(fd);
	}
	else if (fd >= 0 && fd < MAX_FDS && file_of_fd[fd] < 0)
	{
		count_operation();
		flush_directory();
	}
	pthread_mutex_unlock(&mutex);
	return 0;
}

int
fsync(int fd)
{
	return flush(fd);
}

int
fdatasync(int fd)
{
	return flush(fd);
}

int
unlink(const char *path)
{
	char		kept[600];
	int			rc;

	if (!is_watched(path))
		return real_unlink(path);
	pthread_mutex_lock(&mutex);
	count_operation();
	snprintf(kept, sizeof(kept), "%s.removed", path);
	real_unlink(kept);
	if (link(path, kept) == 0 && num_removed < MAX_REMOVED)
		snprintf(removed[num_removed++], sizeof(removed[0]), "%s", path);
	rc = real_unlink(path);
	pthread_mutex_unlock(&mutex);
	return rc;
}
