/*
 * resolve.c
 *		LD_PRELOAD: a name server of the test's own.
 *
 * OMNIMSG_NAMES is a file of lines "NAME MILLISECONDS ADDRESS...", read at each call: NAME has these addresses, and it takes
 * so long to find them; without addresses there is no such name.  Other names are looked up as always.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int (*getaddrinfo_type) (const char *, const char *, const struct addrinfo *, struct addrinfo **);

static getaddrinfo_type
real_getaddrinfo(void)
{
	getaddrinfo_type real;

	*(void **) &real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real;
}

/* The line of the name without its line feed, in line; false when there is none */
static int
find_line(const char *name, char *line, size_t size)
{
	const char *path = getenv("OMNIMSG_NAMES");
	FILE	   *file = path != NULL && name != NULL ? fopen(path, "re") : NULL;
	size_t		length = name != NULL ? strlen(name) : 0;
	int			found = 0;

	if (file == NULL)
		return 0;
	while (!found && fgets(line, (int) size, file) != NULL)
	{
		line[strcspn(line, "\n")] = '\0';
		found = strncmp(line, name, length) == 0 && line[length] == ' ';
	}
	fclose(file);
	return found;
}

int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	char		line[1024];
	char	   *rest = NULL;
	struct addrinfo **end = result;
	struct addrinfo numeric = {0};
	struct timespec wait;
	long		ms;

	if (!find_line(name, line, sizeof(line)))
		return real_getaddrinfo() (name, service, hints, result);
	strtok_r(line, " ", &rest);
	ms = strtol(strtok_r(NULL, " ", &rest), NULL, 10);
	wait.tv_sec = ms / 1000;
	wait.tv_nsec = ms % 1000 * 1000000;
	nanosleep(&wait, NULL);

	if (hints != NULL)
		numeric = *hints;
	numeric.ai_flags = AI_NUMERICHOST;
	*result = NULL;
	for (char *address = strtok_r(NULL, " ", &rest); address != NULL; address = strtok_r(NULL, " ", &rest))
	{
		/* one of the other family is passed over */
		if (real_getaddrinfo() (address, service, &numeric, end) != 0)
			*end = NULL;
		while (*end != NULL)
			end = &(*end)->ai_next;
	}
	return *result != NULL ? 0 : EAI_NONAME;
}
