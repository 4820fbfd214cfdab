/*
 * secret.c
 *		API keys, from files.
 *
 * A file is read anew for each use, so that a new key is in force as soon as it has been moved
 * into place.  It must be a regular file of the server's user that nobody else can read, and whole.
 *
 * While the file is there and is not so, as in the middle of a change, the key that was last read from it is used on.
 * For that the process keeps it, in memory that is locked, left out of core dumps, and out of reach but for
 * the moment of its use.  A file that is gone takes its key with it.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "guc.h"
#include "secret.h"

/* A file that does not end with a newline may be half written until it has been left alone for so long */
#define SETTLED_SECONDS	10

#define KEPT_MAX	1024		/* each takes a few pages; the files of more accounts are only read */
#define COMPLAIN_SECONDS	60

#define NO_FILE_NAME	"the name of the secret is not a file name"

typedef struct Kept
{
	struct Kept *next;
	char	   *key;			/* by sodium_malloc, not accessible between two uses */
	time_t		complained_at;
	char		path[FLEXIBLE_ARRAY_MEMBER];
} Kept;

static Kept *all_kept = NULL;
static int	kept_count = 0;

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static const char *
read_file(int fd, char *out)
{
	struct stat info;
	ssize_t		length;
	bool		ends;
	time_t		age;

	if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
		return "the secret is not a regular file";
	if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return "the secret can be read by others: its mode must be 0600";
	if (info.st_uid != geteuid())
		return "the secret belongs to another user than the server's";
	length = read(fd, out, OM_SECRET_SIZE);
	if (length < 0)
		return "the secret cannot be read";
	if (length == OM_SECRET_SIZE)
		return "the secret is longer than 4096 bytes";
	if (length == 0)
		return "the secret is empty";
	age = time(NULL) - info.st_mtime;
	ends = out[length - 1] == '\n';
	if (!ends && age >= 0 && age < SETTLED_SECONDS)
		return "the secret may be half written: it does not end with a newline, and has just changed";
	while (length > 0 && is_blank(out[length - 1]))
		length--;
	out[length] = '\0';
	if (length == 0)
		return "the secret is empty";
	for (ssize_t i = 0; i < length; i++)
		if (out[i] <= ' ' || out[i] > '~')
			return "the secret has a character that a header cannot carry";
	return NULL;
}

static Kept **
find_kept(const char *path)
{
	Kept	  **place = &all_kept;

	while (*place != NULL && strcmp((*place)->path, path) != 0)
		place = &(*place)->next;
	return place;
}

static void
forget(const char *path)
{
	Kept	  **place = find_kept(path);
	Kept	   *kept = *place;

	if (kept == NULL)
		return;
	*place = kept->next;
	sodium_free(kept->key);		/* wipes it */
	free(kept);
	kept_count--;
}

/* Without memory for it nothing is kept, and nothing is worse than without this file */
static void
keep(const char *path, const char *key)
{
	Kept	   *kept = *find_kept(path);
	size_t		size = strlen(key) + 1;

	if (kept != NULL)
	{
		bool		same;

		sodium_mprotect_readonly(kept->key);
		same = strcmp(kept->key, key) == 0;
		sodium_mprotect_noaccess(kept->key);
		if (same)
		{
			kept->complained_at = 0;
			return;
		}
		forget(path);
	}
	if (kept_count >= KEPT_MAX)
		return;
	kept = calloc(1, offsetof(Kept, path) + strlen(path) + 1);
	if (kept == NULL)
		return;
	kept->key = sodium_malloc(size);
	if (kept->key == NULL)
	{
		free(kept);
		return;
	}
	memcpy(kept->key, key, size);
	sodium_mprotect_noaccess(kept->key);
	strcpy(kept->path, path);
	kept->next = all_kept;
	all_kept = kept;
	kept_count++;
}

/* False when none was ever read */
static bool
use_kept(const char *path, const char *name, const char *error, char *out)
{
	Kept	   *kept = *find_kept(path);
	time_t		now = time(NULL);

	if (kept == NULL)
		return false;
	sodium_mprotect_readonly(kept->key);
	strlcpy(out, kept->key, OM_SECRET_SIZE);
	sodium_mprotect_noaccess(kept->key);
	if (now - kept->complained_at >= COMPLAIN_SECONDS || now < kept->complained_at)
	{
		kept->complained_at = now;
		ereport(WARNING,
				(errcode(ERRCODE_CONFIG_FILE_ERROR),
				 errmsg("omnimsg dispatcher: the key that was read before is used on: %s", error),
				 errdetail("The secret is called \"%s\".", name)));
	}
	return true;
}

/* False when it is no file name: a name must never lead out of the directory; the table checks it too */
static bool
make_path(const char *name, char path[MAXPGPATH])
{
	return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL &&
		snprintf(path, MAXPGPATH, "%s/%s", om_secrets_dir, name) < MAXPGPATH;
}

static const char *
read_path(const char *path, char *out, bool *gone)
{
	int			fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	const char *error;

	*gone = fd < 0 && errno == ENOENT;
	if (*gone)
		return "the secret does not exist in omnimsg.secrets_dir";
	if (fd < 0)
		return "the secret cannot be opened";
	error = read_file(fd, out);
	close(fd);
	if (error != NULL)
		sodium_memzero(out, OM_SECRET_SIZE);
	return error;
}

const char *
om_secret_read(const char *name, char out[OM_SECRET_SIZE])
{
	char		path[MAXPGPATH];
	const char *error;
	bool		gone;

	if (!make_path(name, path))
		return NO_FILE_NAME;
	error = read_path(path, out, &gone);
	if (error == NULL)
		keep(path, out);
	else if (gone)
		forget(path);
	else if (use_kept(path, name, error, out))
		return NULL;
	return error;
}
