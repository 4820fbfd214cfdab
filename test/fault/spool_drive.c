/*
 * spool_drive.c
 *		What the relay's spool says is kept must be there, whatever happens to disk and memory.
 *
 * spool_drive cuts N SEED DIRECTORY POWERCUT.SO
 *		N power cuts: several threads put deliveries and one replays them, until the power goes at
 *		a moment taken by chance; then the file must be sound and hold all that was said to be
 *		kept and not taken by the replay.  The same file goes on into the next cut, 25 times.
 * spool_drive sweep N DIRECTORY FAIL.SO
 *		The first, the second ... call of each kind fails, once and for ever, up to the last that is made, in
 *		at most N places; with N below 1000 the places get further apart.
 *
 * Speaks TAP.  Deliveries are numbers; a body follows from its number, so that any byte of it that
 * is wrong is seen.
 */
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "spool.h"

#define CUTS_PER_FILE	25
#define PUTS			60
#define THREADS			3
#define EXIT_POWERCUT	42
#define MAX_BODY		60000
#define MAX_NUMBERS		(CUTS_PER_FILE * PUTS + 100)

/* fail.c, when it is there */
extern void om_fail_arm(int on) __attribute__((weak));
extern int	om_fail_happened(void) __attribute__((weak));

static size_t
body_of(unsigned int number, uint8_t *body)
{
	size_t		len = number % 16 == 3 ? MAX_BODY - number % 4096 : 40 + number * 131 % 3000;
	size_t		i;

	for (i = 0; i < len; i++)
		body[i] = (uint8_t) (number * 31 + i * 7 + (i >> 8));
	return len;
}

static void
say(char what, unsigned int number)
{
	char		line[32];
	int			len = snprintf(line, sizeof(line), "%c %u\n", what, number);

	if (write(STDOUT_FILENO, line, (size_t) len) != len)
		_exit(9);
}

static bool
put(unsigned int number)
{
	static _Thread_local uint8_t body[MAX_BODY];
	char		text[16];
	OmDbDelivery delivery = {
		.provider = "telnyx", .body = body, .signature = text, .signed_at = "1", .key_id = "k"
	};
	bool		kept;

	snprintf(text, sizeof(text), "%u", number);
	delivery.body_len = body_of(number, body);
	kept = om_spool_put(&delivery, 0, om_clock_ms() + 20000);
	if (kept)
		say('K', number);
	return kept;
}

static bool
is_right(const char *signature, const void *body, size_t len)
{
	static _Thread_local uint8_t expected[MAX_BODY];

	return body_of((unsigned int) atol(signature), expected) == len && memcmp(body, expected, len) == 0;
}

/* One step of a replay: takes some, and tells of those before they are deleted */
static int
replay_some(unsigned int *seed)
{
	OmSpoolRow	rows[8];
	int			n = om_spool_take(rows, 8, 100000);
	int			i;

	for (i = 0; i < n; i++)
	{
		if (!is_right(rows[i].signature, rows[i].body, rows[i].body_len))
			_exit(8);
		rows[i].done = rand_r(seed) % 3 != 0;
		rows[i].attempts++;
		rows[i].changed = true;
		if (rows[i].done)
			say('T', (unsigned int) atol(rows[i].signature));
	}
	if (n > 0)
		om_spool_settle(rows, n);
	for (i = 0; i < n; i++)
		om_spool_row_free(&rows[i]);
	return n;
}

/* ---- the process whose power is cut ---- */

static atomic_uint next_number;
static unsigned int end_number;
static atomic_bool all_put;

static void *
put_main(void *arg)
{
	unsigned int number;

	while ((number = atomic_fetch_add(&next_number, 1)) < end_number)
		put(number);
	return NULL;
}

static void *
replay_main(void *arg)
{
	unsigned int seed = *(unsigned int *) arg;

	while (!atomic_load(&all_put))
	{
		if (replay_some(&seed) <= 0)
			om_spool_wait(1);
	}
	return NULL;
}

static int
write_until_cut(const char *path, unsigned int first, unsigned int seed)
{
	pthread_t	threads[THREADS];
	pthread_t	replay;
	char		error[256];
	int			i;

	if (!om_spool_start(path, 1 << 30, error, sizeof(error)))
	{
		fprintf(stderr, "# cannot start: %s\n", error);
		return 3;
	}
	atomic_store(&next_number, first);
	end_number = first + PUTS;
	pthread_create(&replay, NULL, replay_main, &seed);
	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, put_main, NULL);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&all_put, true);
	pthread_join(replay, NULL);
	om_spool_stop();
	return 0;
}

/* ---- the process in which calls fail ---- */

static int
put_while_failing(const char *path)
{
	unsigned int seed = 1;
	unsigned int i;
	char		error[256];
	bool		started;

	if (om_fail_arm == NULL)
		return 7;
	om_fail_arm(1);
	started = om_spool_start(path, 1 << 30, error, sizeof(error));
	for (i = 1; i <= 4 && started; i++)
		put(i);
	if (started)
		replay_some(&seed);
	om_fail_arm(0);
	if (om_fail_happened())
		say('H', 0);
	if (!started)
		return 0;
	if (om_spool_numbers().failed ? put(5) : !put(5))
		return om_spool_numbers().failed ? 6 : 5;
	replay_some(&seed);
	om_spool_stop();
	return 0;
}

/* ---- looking at what is left ---- */

typedef enum State
{
	UNKNOWN,
	KEPT,
	TAKEN						/* may be gone, and may be there again */
} State;

static State states[MAX_NUMBERS];
static bool found[MAX_NUMBERS];

/* NULL when all is well, else what is not */
static const char *
look(sqlite3 *db)
{
	sqlite3_stmt *s = NULL;
	const char *wrong = NULL;

	if (sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &s, NULL) != SQLITE_OK ||
		sqlite3_step(s) != SQLITE_ROW || strcmp((const char *) sqlite3_column_text(s, 0), "ok") != 0)
	{
		wrong = "the file is not sound";
		printf("# %s; %s\n", sqlite3_errmsg(db),
			   s != NULL && sqlite3_data_count(s) > 0 ? (const char *) sqlite3_column_text(s, 0) : "no answer");
	}
	sqlite3_finalize(s);
	s = NULL;
	/* Of a cut before there was a table nobody can have been told anything */
	if (wrong == NULL && sqlite3_prepare_v2(db, "SELECT signature, body FROM deliveries", -1, &s, NULL) == SQLITE_OK)
	{
		while (wrong == NULL && sqlite3_step(s) == SQLITE_ROW)
		{
			const char *signature = (const char *) sqlite3_column_text(s, 0);
			const void *body = sqlite3_column_blob(s, 1);
			unsigned int number = (unsigned int) atol(signature);

			if (number >= MAX_NUMBERS || !is_right(signature, body, (size_t) sqlite3_column_bytes(s, 1)))
				wrong = "a delivery is not what it was";
			else
				found[number] = true;
		}
	}
	sqlite3_finalize(s);
	return wrong;
}

static const char *
check(const char *path)
{
	sqlite3    *db = NULL;
	const char *wrong = NULL;
	int			i;

	memset(found, 0, sizeof(found));
	/* What was cut short is mended, but the log stays for the next cut */
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK)
	{
		sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		wrong = look(db);
	}
	sqlite3_close(db);
	for (i = 0; i < MAX_NUMBERS && wrong == NULL; i++)
	{
		if (states[i] == KEPT && !found[i])
			wrong = "a delivery that was kept is gone";
	}
	return wrong;
}

/* ---- the process that cuts and looks ---- */

static bool
run(char *const *command, const char *shim, int *status)
{
	bool		happened = false;
	int			ends[2];
	FILE	   *said;
	char		what;
	unsigned int number;
	pid_t		pid;

	if (pipe(ends) != 0 || (pid = fork()) < 0)
		exit(2);
	if (pid == 0)
	{
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(2);
		setenv("LD_PRELOAD", shim, 1);
		execv("/proc/self/exe", command);
		_exit(127);
	}
	close(ends[1]);
	said = fdopen(ends[0], "r");
	while (fscanf(said, " %c %u", &what, &number) == 2)
	{
		if (what == 'H')
			happened = true;
		else if (number < MAX_NUMBERS && (what == 'T' || states[number] == UNKNOWN))
			states[number] = what == 'T' ? TAKEN : KEPT;
	}
	fclose(said);
	waitpid(pid, status, 0);
	*status = WIFEXITED(*status) ? WEXITSTATUS(*status) : 1000 + WTERMSIG(*status);
	return happened;
}

static void
set_number(const char *name, long number)
{
	char		text[32];

	snprintf(text, sizeof(text), "%ld", number);
	setenv(name, text, 1);
}

static void
remove_spool(const char *directory)
{
	static const char *const names[] = {"spool.db", "spool.db-wal", "spool.db-shm", "spool.db-journal",
		"spool.db.lock", "spool.db-wal.removed", "spool.db-journal.removed", "spool.db-shm.removed"};
	char		path[600];
	size_t		i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	memset(states, 0, sizeof(states));
}

static int
cuts(long count, unsigned int seed, const char *directory, const char *shim)
{
	char		path[600];
	long		cut_count = 0;
	long		kept = 0;
	long		i;
	int			n;

	printf("# seed %u\n", seed);
	snprintf(path, sizeof(path), "%s/spool.db", directory);
	setenv("POWERCUT_DIR", directory, 1);
	for (i = 0; i < count; i++)
	{
		unsigned int this_seed = seed + (unsigned int) i * 2654435761u;
		unsigned int first = (unsigned int) (i % CUTS_PER_FILE) * PUTS + 1;
		char		first_text[16];
		char		seed_text[16];
		char	   *command[] = {"spool_drive", "writer", path, first_text, seed_text, NULL};
		const char *wrong;
		int			status;

		if (i % CUTS_PER_FILE == 0)
			remove_spool(directory);
		snprintf(first_text, sizeof(first_text), "%u", first);
		snprintf(seed_text, sizeof(seed_text), "%u", this_seed);
		/* Most of them anywhere, some in the first steps, where the file is made or opened */
		set_number("POWERCUT_AT", rand_r(&this_seed) % (i % 5 == 0 ? 60 : 1200));
		set_number("POWERCUT_SEED", this_seed);
		run(command, shim, &status);
		wrong = status != EXIT_POWERCUT && status != 0 ? "the writer failed" : check(path);
		if (wrong != NULL)
		{
			printf("not ok 1 - all that was kept is there after each cut\n# cut %ld: %s (status %d); files are in %s\n1..1\n",
				   i, wrong, status, directory);
			return 1;
		}
		cut_count += status == EXIT_POWERCUT;
		for (n = (int) first; n < (int) first + PUTS; n++)
			kept += states[n] != UNKNOWN;
	}
	printf("ok 1 - all that was kept is there after each cut: %ld cuts, %ld runs to the end, %ld deliveries kept\n",
		   cut_count, count - cut_count, kept);
	printf("%sok 2 - most runs are cut, and after something was kept\n1..2\n",
		   cut_count * 2 >= count && kept >= count ? "" : "not ");
	remove_spool(directory);
	return cut_count * 2 >= count && kept >= count ? 0 : 1;
}

static int
sweep(long limit, const char *directory, const char *shim)
{
	static const char *const calls[] = {"malloc", "write", "sync", "open", "truncate"};
	char		path[600];
	char	   *command[] = {"spool_drive", "failing", path, NULL};
	int			test = 0;
	int			failed = 0;
	size_t		c;
	int			sticky;

	snprintf(path, sizeof(path), "%s/spool.db", directory);
	setenv("FAIL_DIR", directory, 1);
	for (c = 0; c < sizeof(calls) / sizeof(calls[0]); c++)
	{
		for (sticky = 0; sticky < 2; sticky++)
		{
			const char *wrong = NULL;
			bool		happened = true;
			int			status = 0;
			long		places = 0;
			long		last = 0;
			long		n;

			setenv("FAIL_CALL", calls[c], 1);
			if (sticky)
				setenv("FAIL_STICKY", "1", 1);
			else
				unsetenv("FAIL_STICKY");
			for (n = 1; places < limit && happened && wrong == NULL; n += limit < 1000 ? 1 + n / 40 : 1)
			{
				places++;
				last = n;
				remove_spool(directory);
				set_number("FAIL_AT", n);
				happened = run(command, shim, &status);
				wrong = status == 5 ? "the next delivery is not kept" :
					status == 6 ? "a failed spool keeps a delivery" :
					status != 0 ? "it crashed" : check(path);
			}
			test++;
			failed += wrong != NULL;
			printf("%sok %d - %s fails %s: what is kept is there, and the next delivery is kept (%ld places)\n",
				   wrong != NULL ? "not " : "", test, calls[c], sticky ? "for ever" : "once", places);
			if (wrong != NULL)
				printf("# call %ld: %s (status %d)\n", last, wrong, status);
		}
	}
	printf("1..%d\n", test);
	remove_spool(directory);
	return failed > 0;
}

int
main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 5 && strcmp(argv[1], "writer") == 0)
		return write_until_cut(argv[2], (unsigned int) atol(argv[3]), (unsigned int) atol(argv[4]));
	if (argc == 3 && strcmp(argv[1], "failing") == 0)
		return put_while_failing(argv[2]);
	if (argc == 6 && strcmp(argv[1], "cuts") == 0)
		return cuts(atol(argv[2]), (unsigned int) atol(argv[3]), argv[4], argv[5]);
	if (argc == 5 && strcmp(argv[1], "sweep") == 0)
		return sweep(atol(argv[2]), argv[3], argv[4]);
	fprintf(stderr, "usage: spool_drive cuts N SEED DIRECTORY POWERCUT.SO | sweep N DIRECTORY FAIL.SO\n");
	return 2;
}
