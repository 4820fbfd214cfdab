/*
 * replay.c
 *		Gives files to a fuzz target that is not linked with libFuzzer: each file of the directories named.
 */
#include <dirent.h>
#include <stdio.h>

#include "fuzz.h"

static void
replay_file(const char *directory, const char *name)
{
	static uint8_t data[1 << 20];
	char		path[1024];
	size_t		len;
	uint8_t    *copy;
	FILE	   *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "rb");
	MUST(file != NULL);
	len = fread(data, 1, sizeof(data), file);
	fclose(file);
	copy = (uint8_t *) exact_copy(data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

int
main(int argc, char **argv)
{
	struct dirent *entry;
	DIR		   *directory;
	int			i;

	for (i = 1; i < argc; i++)
	{
		directory = opendir(argv[i]);
		if (directory == NULL)
		{
			perror(argv[i]);
			return 1;
		}
		while ((entry = readdir(directory)) != NULL)
			if (entry->d_name[0] != '.')
				replay_file(argv[i], entry->d_name);
		closedir(directory);
	}
	return 0;
}
