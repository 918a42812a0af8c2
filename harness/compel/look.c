#define _GNU_SOURCE
#include "look.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif
#define GET_RSEQ_CONFIGURATION 0x420f
/* A mapping larger than this is a reservation: its pages are not looked for. */
#define MOST_MAPPED (1ul << 30)
/* Ranges read in one system call. */
#define MOST_RANGES 256

struct rseq_configuration {
	uint64_t pointer;
	uint32_t size;
	uint32_t signature;
	uint32_t flags;
	uint32_t pad;
};

/* The lines of proc/PID/status that nothing but the process itself changes. `where` of AREA_STATUS. */
static const char *const keys[STATUS_KEYS] = {
	"SigPnd", "ShdPnd", "SigBlk",	  "SigIgn",  "SigCgt",		"CapInh",  "CapPrm", "CapEff", "CapBnd",
	"CapAmb", "Umask",  "NoNewPrivs", "Seccomp", "Seccomp_filters", "Threads", "Uid",    "Gid",
};
/* How many of them are numbers; what follows is digested as text. */
#define STATUS_TEXT 15

static uint64_t digest(uint64_t seed, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	uint64_t hash = seed ^ 0xcbf29ce484222325ull;

	for (size_t k = 0; k < len; k++)
		hash = (hash ^ at[k]) * 0x100000001b3ull;
	return hash;
}

struct look *look_new(void)
{
	struct look *look = calloc(1, sizeof(*look));

	if (!look)
		return NULL;
	/* Only what is used of it takes memory. */
	look->page = mmap(NULL, MOST_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			  -1, 0);
	if (look->page == MAP_FAILED) {
		free(look);
		return NULL;
	}
	return look;
}

static int open_in(pid_t pid, const char *name, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return open(path, flags | O_CLOEXEC);
}

/* Reads a file of /proc whole and ends it with a zero. Its length, or -1. */
static ssize_t slurp(int fd, char *text, size_t room)
{
	size_t len = 0;

	if (fd < 0)
		return -1;
	for (;;) {
		ssize_t n = read(fd, text + len, room - 1 - len);

		if (n < 0) {
			close(fd);
			return -1;
		}
		len += n;
		/* These files come in pieces of a page or more, and the last is smaller: half a page and more may go on. */
		if (n < (ssize_t)PAGE / 2 || len == room - 1)
			break;
	}
	close(fd);
	text[len] = 0;
	return len;
}

char state_of(pid_t pid)
{
	char text[512];
	const char *end;

	if (slurp(open_in(pid, "stat", O_RDONLY), text, sizeof(text)) <= 0)
		return 0;
	end = strrchr(text, ')');
	return end && end[1] ? end[2] : 0;
}

static int look_status(struct thread_look *look)
{
	static char text[8192];

	if (slurp(open_in(look->tid, "status", O_RDONLY), text, sizeof(text)) < 0)
		return -1;
	memset(look->status, 0, sizeof(look->status));
	look->inside = look->tid;
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		char *colon = memchr(line, ':', end - line);

		if (!colon)
			continue;
		if (colon - line == 5 && !memcmp(line, "NSpid", 5)) {
			char *last = memrchr(colon, '\t', end - colon);

			look->inside = last ? atoi(last) : look->tid;
			continue;
		}
		for (int key = 0; key < STATUS_KEYS; key++) {
			size_t len = strlen(keys[key]);

			if ((size_t)(colon - line) != len || memcmp(line, keys[key], len))
				continue;
			if (key < STATUS_TEXT)
				look->status[key] = strtoull(colon + 1, NULL, 16);
			else
				look->status[key] = digest(key, colon, end - colon);
		}
	}
	return 0;
}

static void look_queue(struct queue *queue, pid_t tid, int shared)
{
	siginfo_t infos[MOST_QUEUED];
	struct __ptrace_peeksiginfo_args args = { .off = 0, .flags = shared ? 1 : 0, .nr = MOST_QUEUED };
	long n;

	/* Of a siginfo only what belongs to its kind is written. */
	memset(infos, 0, sizeof(infos));
	n = ptrace(PTRACE_PEEKSIGINFO, tid, &args, infos);
	queue->len = n < 0 ? 0 : n;
	for (int k = 0; k < queue->len; k++) {
		struct queued *item = &queue->item[k];

		item->signal = infos[k].si_signo;
		item->code = infos[k].si_code;
		/* A timer counts on while its signal waits. */
		item->digest = item->code == SI_TIMER ? 0 : digest(item->signal, &infos[k], sizeof(*infos));
		/* Sent by us, or by somebody outside of its pid namespace. */
		if (item->code == SI_USER && (infos[k].si_pid == 0 || infos[k].si_pid == getpid()))
			item->code = SENT_FROM_OUTSIDE;
	}
}

static int look_thread(struct thread_look *look, pid_t tid, uint32_t flags)
{
	struct rseq_configuration rseq = { 0 };
	struct iovec regs = { &look->regs, sizeof(look->regs) };
	struct iovec xstate = { look->xstate, sizeof(look->xstate) };

	look->tid = tid;
	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &regs) || regs.iov_len != sizeof(look->regs)) {
		log_line("thread %d: no registers of 64 bits: %s\n", tid, strerror(errno));
		return -1;
	}
	if (ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &xstate)) {
		log_line("thread %d: no extended state: %s\n", tid, strerror(errno));
		return -1;
	}
	look->xstate_len = xstate.iov_len;
	if (ptrace(PTRACE_GETSIGMASK, tid, sizeof(look->mask), &look->mask)) {
		log_line("thread %d: no signal mask: %s\n", tid, strerror(errno));
		return -1;
	}
	look_queue(&look->queue, tid, 0);
	memset(look->debug, 0, sizeof(look->debug));
	for (int n = 0; (flags & FLAG_DEBUG) && n < 8; n++) {
		/* 4 and 5 are other names of 6 and 7. */
		if (n != 4 && n != 5)
			look->debug[n] = ptrace(PTRACE_PEEKUSER, tid, offsetof(struct user, u_debugreg[n]), 0);
	}
	/* Kernels without it have no rseq to mask either, or one that nobody can find. */
	if (ptrace(GET_RSEQ_CONFIGURATION, tid, sizeof(rseq), &rseq) > 0) {
		look->rseq_at = rseq.pointer;
		look->rseq_len = rseq.pointer && rseq.size < 32 ? 32 : rseq.size;
	} else {
		look->rseq_at = 0;
		look->rseq_len = 0;
	}
	return look_status(look);
}

static int look_maps(struct look *look, pid_t pid)
{
	static char text[1 << 18];
	ssize_t len = slurp(open_in(pid, "maps", O_RDONLY), text, sizeof(text));

	look->maps = 0;
	if (len < 0)
		return -1;
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		struct map_look *map = &look->map[look->maps];
		char *at, *name;

		*end = 0;
		if (look->maps == MOST_MAPS) {
			look->skipped++;
			break;
		}
		map->start = strtoull(line, &at, 16);
		map->end = strtoull(at + 1, &at, 16);
		/* " rwxp ..." */
		if (end - at < 6)
			return -1;
		map->rest = digest(0, at, end - at);
		map->shared = at[4] == 's';
		/* Protection, offset, device; then the file's number. */
		strtoull(at + 6, &name, 16);
		name = strchr(name + 1, ' ');
		map->anonymous = name && strtoull(name, NULL, 10) == 0;
		name = strpbrk(at, "[/");
		/* What the kernel itself writes to, or what has no pages of its own. */
		map->pages = map->end - map->start <= MOST_MAPPED && !strstr(at, "anon_inode:") && !strstr(at, "/[aio]") &&
			     !(name && (!strncmp(name, "[vvar", 5) || !strncmp(name, "[vsyscall", 9)));
		look->maps++;
	}
	return 0;
}

static int look_fds(struct look *look, pid_t pid, uint32_t flags)
{
	/* The first is shared with whoever has the descriptor from the same open. */
	static const char *const kept[] = { "pos:", "flags:", "mnt_id:", "ino:" };
	size_t first = flags & FLAG_PRIVATE ? 1 : 0;
	char text[1024], name[32];
	int dir = open_in(pid, "fd", O_RDONLY | O_DIRECTORY);
	int infos = open_in(pid, "fdinfo", O_RDONLY | O_DIRECTORY | O_PATH);
	DIR *list = dir < 0 ? NULL : fdopendir(dir);

	look->fds = 0;
	if (!list || infos < 0) {
		if (list)
			closedir(list);
		else if (dir >= 0)
			close(dir);
		if (infos >= 0)
			close(infos);
		return -1;
	}
	for (struct dirent *entry; (entry = readdir(list));) {
		struct fd_look *fd = &look->fd[look->fds];
		int named = 0;
		ssize_t len;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		if (look->fds == MOST_FDS) {
			look->skipped++;
			break;
		}
		snprintf(name, sizeof(name), "%.20s", entry->d_name);
		fd->number = strtoull(name, NULL, 10);
		fd->digest = digest(fd->number, NULL, 0);
		/* The first lines are of every descriptor; what follows is its kind's, and a clock may be among it. */
		if (slurp(openat(infos, name, O_RDONLY | O_CLOEXEC), text, sizeof(text)) > 0) {
			for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1)
				for (size_t k = first; k < sizeof(kept) / sizeof(*kept); k++)
					if (!strncmp(line, kept[k], strlen(kept[k]))) {
						fd->digest = digest(fd->digest, line, end - line);
						named |= k == 3;
					}
		}
		/* Kernels before 5.14 do not say there which file it is. */
		if (!named && (len = readlinkat(dirfd(list), name, text, sizeof(text))) > 0)
			fd->digest = digest(fd->digest, text, len);
		look->fds++;
	}
	closedir(list);
	close(infos);
	return 0;
}

static int has_page(const struct look *look, uint64_t at)
{
	size_t low = 0, high = look->pages;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (look->page_at[mid] < at)
			low = mid + 1;
		else
			high = mid;
	}
	return low < look->pages && look->page_at[low] == at;
}

/* The pages a process has now, in memory or swapped; of those it does not have, reading would make some. */
static int find_pages(struct look *look, pid_t pid, uint32_t flags, const struct look *before)
{
	static uint64_t entries[4096];
	int pagemap = open_in(pid, "pagemap", O_RDONLY);

	look->pages = 0;
	if (pagemap < 0)
		return -1;
	for (int m = 0; m < look->maps; m++) {
		const struct map_look *map = &look->map[m];
		uint64_t at = map->start;

		if (!map->pages || (map->shared && (flags & FLAG_PRIVATE)))
			continue;
		while (at < map->end) {
			size_t want = (map->end - at) / PAGE;
			ssize_t got;

			if (want > sizeof(entries) / sizeof(*entries))
				want = sizeof(entries) / sizeof(*entries);
			got = pread(pagemap, entries, want * 8, at / PAGE * 8);
			if (got <= 0)
				break;
			for (size_t k = 0; k < (size_t)got / 8; k++, at += PAGE) {
				/* Present, or swapped out. */
				if (!(entries[k] >> 62) && !(before && has_page(before, at)))
					continue;
				if (look->pages == MOST_PAGES)
					look->skipped++;
				else
					look->page_at[look->pages++] = at;
			}
		}
	}
	close(pagemap);
	return 0;
}

/* Reads the pages found. One that cannot be read counts as skipped and is left zero. */
static int read_pages(struct look *look, pid_t pid)
{
	struct iovec there[MOST_RANGES];
	int memory = -1;
	size_t done = 0;

	while (done < look->pages) {
		struct iovec here = { look->page + done * PAGE, 0 };
		int ranges = 0;
		size_t next = done;
		ssize_t got;

		while (next < look->pages && ranges < MOST_RANGES) {
			uint64_t at = look->page_at[next++];

			if (ranges && (uint64_t)there[ranges - 1].iov_base + there[ranges - 1].iov_len == at)
				there[ranges - 1].iov_len += PAGE;
			else
				there[ranges++] = (struct iovec){ (void *)at, PAGE };
			here.iov_len += PAGE;
		}
		got = process_vm_readv(pid, &here, 1, there, ranges, 0);
		if (got < 0 && errno != EFAULT) {
			log_line("its memory cannot be read: %s\n", strerror(errno));
			if (memory >= 0)
				close(memory);
			return -1;
		}
		done += got > 0 ? got / PAGE : 0;
		if (done == next)
			continue;
		/* The page after those is not for its owner to read; a debugger may. */
		if (memory < 0)
			memory = open_in(pid, "mem", O_RDONLY);
		if (pread(memory, look->page + done * PAGE, PAGE, look->page_at[done]) != (ssize_t)PAGE) {
			memset(look->page + done * PAGE, 0, PAGE);
			look->skipped++;
		}
		done++;
	}
	if (memory >= 0)
		close(memory);
	return 0;
}

/* The kernel writes the rseq area of a thread when it moves to another core, and clears what it finds there. */
static void mask_rseq(struct look *look)
{
	for (int t = 0; t < look->threads; t++) {
		uint64_t at = look->thread[t].rseq_at, end = at + look->thread[t].rseq_len;

		for (size_t k = 0; at && k < look->pages; k++) {
			uint64_t start = look->page_at[k];
			uint64_t from = at > start ? at : start, to = end < start + PAGE ? end : start + PAGE;

			if (from < to)
				memset(look->page + k * PAGE + (from - start), 0, to - from);
		}
	}
}

int look_at(struct look *look, pid_t pid, const pid_t *tids, int threads, uint32_t flags, const struct look *before)
{
	look->skipped = 0;
	look->threads = threads;
	for (int t = 0; t < threads; t++)
		if (look_thread(&look->thread[t], tids[t], flags))
			return -1;
	look_queue(&look->shared_queue, pid, 1);
	if (look_maps(look, pid)) {
		log_line("its mappings cannot be read\n");
		return -1;
	}
	if (look_fds(look, pid, flags)) {
		log_line("its descriptors cannot be read\n");
		return -1;
	}
	if (find_pages(look, pid, flags, before) || read_pages(look, pid)) {
		log_line("its pages cannot be read\n");
		return -1;
	}
	mask_rseq(look);
	return 0;
}
