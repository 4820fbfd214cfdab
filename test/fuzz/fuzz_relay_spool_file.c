/*
 * fuzz_relay_spool_file.c
 *		A spool whose bytes were changed: it is refused or read, and nothing else happens.
 *
 * The input is a list of changes, four bytes each: where (two bytes, times 4), and what to write there
 * (two bytes).  They are made to a sound file with a few deliveries, of which one is long.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "spool_file.h"

#define MAX_FILE	(256 * 1024)
#define PAGE		4096

/* in memory, so that nothing waits for a disk */
static char directory[] = "/dev/shm/omnimsg-fuzz-XXXXXX";
static char path[64];
static uint8_t sound[MAX_FILE];
static size_t sound_len;
static int	fd;
static uint8_t *mapped;			/* the file */

static void
remove_file(const char *suffix)
{
	char		name[80];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	unlink(name);
}

/* What SQLite may leave beside the file */
static void
remove_logs(void)
{
	remove_file("-wal");
	remove_file("-shm");
	remove_file("-journal");
}

static void
remove_at_exit(void)
{
	remove_logs();
	remove_file(".lock");
	remove_file("");
	rmdir(directory);
}

/* Closed properly, all of it is in the one file */
static void
make_sound(void)
{
	static uint8_t body[20000];
	OmSpoolRow	row = {
		.kind = "ingest", .provider = "telnyx", .body = body, .signature = "c2lnbmF0dXJl",
		.signed_at = "1700000000", .key_id = "0123456789abcdef", .received_at = 1700000000000
	};
	char		error[256];
	OmSpoolFile *file;
	int			i;

	if (mkdtemp(directory) == NULL)
		abort();
	atexit(remove_at_exit);
	snprintf(path, sizeof(path), "%s/spool.db", directory);
	file = om_spool_file_open(path, error, sizeof(error));
	if (file == NULL)
		abort();
	for (i = 0; i < 6; i++)
	{
		memset(body, 'a' + i, sizeof(body));
		row.body_len = i == 3 ? sizeof(body) : 100 * (size_t) i;
		row.attempts = i % 2;
		if (om_spool_file_put(file, &row, 1) != OM_SPOOL_OK)
			abort();
	}
	om_spool_file_close(file);
	fd = open(path, O_RDWR);
	sound_len = (size_t) read(fd, sound, sizeof(sound));
	mapped = mmap(NULL, sound_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(mapped != MAP_FAILED && sound_len % PAGE == 0);
}

/* Only what the run before and this one change is written: most of the time is SQLite's already */
static void
change_file(const uint8_t *data, size_t size)
{
	size_t		i;

	MUST(ftruncate(fd, (off_t) sound_len) == 0);
	for (i = 0; i < sound_len; i += PAGE)
		if (memcmp(mapped + i, sound + i, PAGE) != 0)
			memcpy(mapped + i, sound + i, PAGE);
	for (i = 0; i + 4 <= size && i < 256; i += 4)
	{
		size_t		at = (size_t) (data[i] | data[i + 1] << 8) * 4 % sound_len;

		mapped[at] = data[i + 2];
		mapped[(at + 1) % sound_len] = data[i + 3];
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OmSpoolRow	rows[16];
	OmSpoolFile *file;
	char		error[512];
	bool		known;
	int			n;
	int			i;

	if (sound_len == 0)
		make_sound();
	remove_logs();
	change_file(data, size);
	file = om_spool_file_open(path, error, sizeof(error));
	if (file == NULL)
	{
		MUST(strlen(error) > 0);
		return 0;
	}
	n = om_spool_file_take(file, rows, 16, 1000000, 1800000000000);
	for (i = 0; i < n; i++)
	{
		const uint8_t *body = rows[i].body;

		MUST(strlen(rows[i].kind) + strlen(rows[i].signature) + strlen(rows[i].sqlstate) < MAX_FILE);
		MUST(rows[i].body_len == 0 || body[0] + body[rows[i].body_len - 1] >= 0);
		rows[i].done = i % 2 == 0;
	}
	if (n > 0)
		om_spool_file_settle(file, rows, n, &known);
	for (i = 0; i < n; i++)
		om_spool_row_free(&rows[i]);
	om_spool_file_close(file);
	return 0;
}
