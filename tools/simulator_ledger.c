/*
 * simulator_ledger.c
 *		The durable record of everything the simulator sent and was sent.
 *
 * Each line is one write() to a file opened with O_APPEND, so that several
 * processes may share a ledger, and is flushed before the simulator acts on it.
 * One flush serves all lines that were written before it began.
 */
#include "simulator_ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "simulator_json.h"
#include "simulator_util.h"

struct om_sim_ledger
{
	pthread_mutex_t mutex;
	pthread_cond_t flushed;
	const char *path;
	int			fd;
	uint64_t	written;		/* lines written */
	uint64_t	durable;		/* lines known to be on disk */
	bool		flushing;
};

struct om_sim_ledger *
om_sim_ledger_open(const char *path)
{
	struct om_sim_ledger *ledger;

	if (path == NULL)
		return NULL;
	ledger = om_sim_alloc(sizeof(*ledger));
	ledger->path = path;
	ledger->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (ledger->fd < 0)
		om_sim_die("cannot open the ledger %s: %s", path, strerror(errno));
	pthread_mutex_init(&ledger->mutex, NULL);
	pthread_cond_init(&ledger->flushed, NULL);
	return ledger;
}

void
om_sim_ledger_close(struct om_sim_ledger *ledger)
{
	if (ledger == NULL)
		return;
	close(ledger->fd);
	pthread_mutex_destroy(&ledger->mutex);
	pthread_cond_destroy(&ledger->flushed);
	free(ledger);
}

FILE *
om_sim_ledger_begin(struct om_sim_ledger *ledger, struct om_sim_line *line, const char *kind)
{
	struct timespec now;
	struct tm	utc;
	char		at[OM_SIM_TIME_SIZE];

	if (ledger == NULL)
		return NULL;

	/* microseconds, for whoever measures with it */
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%S", &utc);
	line->out = om_sim_memory(&line->text, &line->len);
	fprintf(line->out, "{\"at\":\"%s.%06ld+00:00\",\"kind\":\"%s\"", at, now.tv_nsec / 1000, kind);
	return line->out;
}

/* A ledger that lost a line would make every check that reads it worthless. */
static void
must(const struct om_sim_ledger *ledger, bool done)
{
	if (!done)
		om_sim_die("cannot write the ledger %s: %s", ledger->path, strerror(errno));
}

void
om_sim_ledger_end(struct om_sim_ledger *ledger, struct om_sim_line *line)
{
	if (ledger == NULL)
		return;
	fputs("}\n", line->out);
	if (fclose(line->out) != 0)
		om_sim_die("out of memory");
	pthread_mutex_lock(&ledger->mutex);
	must(ledger, write(ledger->fd, line->text, line->len) == (ssize_t) line->len);
	ledger->written++;
	pthread_mutex_unlock(&ledger->mutex);
	free(line->text);
}

void
om_sim_ledger_flush(struct om_sim_ledger *ledger)
{
	uint64_t	wanted;
	uint64_t	covered;

	if (ledger == NULL)
		return;
	pthread_mutex_lock(&ledger->mutex);
	wanted = ledger->written;
	while (ledger->durable < wanted)
	{
		if (ledger->flushing)
		{
			pthread_cond_wait(&ledger->flushed, &ledger->mutex);
			continue;
		}
		ledger->flushing = true;
		covered = ledger->written;
		pthread_mutex_unlock(&ledger->mutex);
		/* a pipe or /dev/null cannot be flushed and need not be */
		must(ledger, fdatasync(ledger->fd) == 0 || errno == EINVAL);
		pthread_mutex_lock(&ledger->mutex);
		ledger->durable = covered;
		ledger->flushing = false;
		pthread_cond_broadcast(&ledger->flushed);
	}
	pthread_mutex_unlock(&ledger->mutex);
}

void
om_sim_ledger_field(FILE *out, const char *name, const char *value)
{
	fprintf(out, ",\"%s\":", name);
	om_sim_json_write(out, value);
}
