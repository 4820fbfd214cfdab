/*
 * secret.c
 *		API keys, from files.
 *
 * A file is read anew for each use, so that a new key is in force as soon as it has been moved
 * into place.  It must be a regular file of the server's user that nobody else can read.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "guc.h"
#include "secret.h"

static const char *
read_file(int fd, char *out)
{
	struct stat info;
	ssize_t		length;

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
	while (length > 0 && strchr(" \t\r\n", out[length - 1]) != NULL)
		length--;
	out[length] = '\0';
	if (length == 0)
		return "the secret is empty";
	for (ssize_t i = 0; i < length; i++)
		if (out[i] <= ' ' || out[i] > '~')
			return "the secret has a character that a header cannot carry";
	return NULL;
}

const char *
om_secret_read(const char *name, char out[OM_SECRET_SIZE])
{
	char		path[MAXPGPATH];
	const char *error;
	int			fd;

	/* The table checks it too; a name must never lead out of the directory */
	if (name[0] == '.' || strchr(name, '/') != NULL)
		return "the name of the secret is not a file name";
	snprintf(path, sizeof(path), "%s/%s", om_secrets_dir, name);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? "the secret does not exist in omnimsg.secrets_dir" :
			"the secret cannot be opened";
	error = read_file(fd, out);
	close(fd);
	if (error != NULL)
		sodium_memzero(out, OM_SECRET_SIZE);
	return error;
}
