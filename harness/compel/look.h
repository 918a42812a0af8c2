/* What a process looks like from outside, taken twice and compared. */
#ifndef PARALLAX_LOOK_H
#define PARALLAX_LOOK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "wire.h"

#define PAGE 4096ul
#define MOST_THREADS 64
#define MOST_FDS 256
#define MOST_MAPS 1024
#define MOST_XSTATE 16384
/* Pages kept of a process: 32 MiB. */
#define MOST_PAGES 8192
#define STATUS_KEYS 17
/* The first of them are signals that wait. */
#define STATUS_PENDING 2
/* Signals of a queue that are looked at. */
#define MOST_QUEUED 32

/* The code of a signal that was sent from outside of the pid namespace, as by the helper. */
#define SENT_FROM_OUTSIDE 0x10000

/* A signal that waits. */
struct queued {
	int signal;
	int code;
	uint64_t digest; /* with what it carries */
};

struct queue {
	int len;
	struct queued item[MOST_QUEUED];
};

struct thread_look {
	pid_t tid;
	pid_t inside; /* its number in its own pid namespace */
	struct user_regs_struct regs;
	uint64_t mask;
	struct queue queue;
	uint64_t debug[8];
	uint64_t rseq_at;
	uint32_t rseq_len;
	uint32_t xstate_len;
	uint64_t status[STATUS_KEYS];
	uint8_t xstate[MOST_XSTATE];
};

struct map_look {
	uint64_t start;
	uint64_t end;
	uint64_t rest; /* digest of protection, file and offset */
	int shared;
	int anonymous;
	int pages; /* its pages can be looked at */
};

struct fd_look {
	uint64_t number;
	uint64_t digest;
};

struct look {
	int threads;
	struct thread_look thread[MOST_THREADS];
	struct queue shared_queue;
	int maps;
	struct map_look map[MOST_MAPS];
	int fds;
	struct fd_look fd[MOST_FDS];
	size_t pages;
	size_t skipped;
	uint64_t page_at[MOST_PAGES];
	uint8_t *page; /* MOST_PAGES of them */
};

struct differences {
	uint32_t count;
	uint32_t listed;
	struct difference list[MOST_LISTED];
};

/* Room for a look; NULL without memory. */
struct look *look_new(void);

/*
 * Looks at a process whose threads are all in a ptrace stop. With `before`, the pages it has are looked at, besides
 * those that came. 0, or -1 with a line in the log.
 */
int look_at(struct look *look, pid_t pid, const pid_t *tids, int threads, uint32_t flags, const struct look *before);

/* Notes whatever is not the same. */
void look_compare(const struct look *before, const struct look *after, uint32_t flags, struct differences *found);

void note(struct differences *found, uint32_t area, uint32_t thread, uint64_t where, uint64_t before, uint64_t after);

/* The state letter of proc(5), 0 if there is no such process. */
char state_of(pid_t pid);

/* A line for the answer. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
