/*
 * test_phone_examples.c
 *		The example numbers of all regions in five written forms, as libphonenumber reads them
 *		(test/data/phone_examples.tsv, made by tools/phone-examples.js).
 */
#include "phone.h"

#include "tap.h"

/* One line of the file; counts a test only when it fails, there are thousands */
static bool
check_line(char *line, int number)
{
	char	   *field[6];
	char	   *rest = line;
	OmPhone		out;
	int			i;

	line[strcspn(line, "\n")] = '\0';
	for (i = 0; i < 6; i++)
	{
		field[i] = strsep(&rest, "\t");
		if (field[i] == NULL)
			return ok(false, "line %d has %d fields", number, i);
	}
	om_phone_parse(field[1], strlen(field[1]), field[0], &out);
	if (strcmp(out.e164, field[2]) == 0 && strcmp(out.region, field[3]) == 0 &&
		strcmp(om_phone_type_name(out.type), field[4]) == 0 &&
		strcmp(om_phone_status_name(out.status), field[5]) == 0)
		return true;
	ok(false, "'%s' is read in %s", field[1], field[0]);
	printf("#   got '%s' %s %s %s, expected '%s' %s %s %s\n", out.e164, out.region,
		   om_phone_type_name(out.type), om_phone_status_name(out.status), field[2], field[3],
		   field[4], field[5]);
	return false;
}

int
main(int argc, char **argv)
{
	char		path[1000];
	char		line[1000];
	FILE	   *file;
	int			lines = 0;
	int			examples = 0;
	int			passed = 0;

	snprintf(path, sizeof(path), "%s/phone_examples.tsv", argc > 1 ? argv[1] : "test/data");
	file = fopen(path, "r");
	if (!ok(file != NULL, "the examples are there: %s", path))
		return done_testing();
	while (fgets(line, sizeof(line), file) != NULL)
	{
		lines++;
		if (line[0] == '#')
			continue;
		examples++;
		passed += check_line(line, lines);
	}
	fclose(file);
	ok(examples > 5000, "there are %d written forms of example numbers", examples);
	ok(passed == examples, "%d of them are read as libphonenumber reads them", passed);
	return done_testing();
}
