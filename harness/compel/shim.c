/*
 * parallax-compel: infects a process with libcompel, cures it, and says what is not as it was before.
 *
 * It is started by Parallax, reads requests on standard input and answers on standard output (wire.h), until its input
 * ends. It needs the right to trace the processes named.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <compel/infect-rpc.h>
#include <compel/infect.h>
#include <compel/infect-util.h>
#include <compel/log.h>

#include "calls.h"
#include "look.h"
#include "parasite.h"

#ifdef PARALLAX_OLD_LIBC
/* libcompel.a was built with a C library whose newer names this one lacks; they differ in binary constants alone. */
unsigned long __isoc23_strtoul(const char *text, char **end, int base);
int __isoc23_sscanf(const char *text, const char *format, ...);

unsigned long __isoc23_strtoul(const char *text, char **end, int base)
{
	return strtoul(text, end, base);
}

int __isoc23_sscanf(const char *text, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsscanf(text, format, args);
	va_end(args);
	return n;
}
#endif

#ifndef LIBCOMPEL
#define LIBCOMPEL "unknown"
#endif

/* How long a stopped process may take to be stopped again. */
#define PATIENCE_MS 5000
/* A request that takes longer ends the helper: libcompel waits for ever for a process that is gone. */
#define PATIENCE_S 20

struct patient {
	pid_t pid;
	char state;
	int threads;
	pid_t tid[MOST_THREADS];
	int was[MOST_THREADS]; /* COMPEL_TASK_* */
};

static char log_text[MOST_LOG];
static size_t log_len;
static int nowhere;

static void log_args(const char *format, va_list args)
{
	char line[512];
	int n = vsnprintf(line, sizeof(line), format, args);

	if (n <= 0)
		return;
	if ((size_t)n >= sizeof(line))
		n = sizeof(line) - 1;
	/* The last lines are the ones that say why. */
	if (log_len + n > sizeof(log_text)) {
		size_t drop = log_len + n - sizeof(log_text);

		memmove(log_text, log_text + drop, log_len - drop);
		log_len -= drop;
	}
	memcpy(log_text + log_len, line, n);
	log_len += n;
}

void log_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_args(format, args);
	va_end(args);
}

static void compel_log(unsigned int level, const char *format, va_list args)
{
	(void)level;
	log_args(format, args);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

/* Stops one thread, unless it is among those stopped already. */
static int stop_thread(struct patient *patient, pid_t tid)
{
	int state;

	for (int t = 0; t < patient->threads; t++)
		if (patient->tid[t] == tid)
			return 0;
	if (patient->threads == MOST_THREADS) {
		log_line("more than %d threads\n", MOST_THREADS);
		return -1;
	}
	state = compel_stop_task(tid);
	if (state == COMPEL_TASK_ZOMBIE || state == COMPEL_TASK_DEAD) {
		log_line("thread %d is dead\n", tid);
		return -1;
	}
	if (state < 0)
		return -1;
	patient->tid[patient->threads] = tid;
	patient->was[patient->threads++] = state;
	return 1;
}

/* Stops all threads of a process, the first one first; one that runs may make more meanwhile. */
static int stop(struct patient *patient, pid_t pid)
{
	char path[64];
	int fresh;

	patient->pid = pid;
	patient->threads = 0;
	patient->state = state_of(pid);
	if (!patient->state) {
		log_line("there is no process %d\n", pid);
		return -1;
	}
	if (stop_thread(patient, pid) < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	do {
		DIR *list = opendir(path);

		fresh = 0;
		if (!list)
			return -1;
		for (struct dirent *entry; (entry = readdir(list));) {
			pid_t tid = atoi(entry->d_name);
			int n = tid > 0 ? stop_thread(patient, tid) : 0;

			if (n < 0) {
				closedir(list);
				return -1;
			}
			fresh |= n;
		}
		closedir(list);
	} while (fresh);
	return 0;
}

/* Lets go of all threads, each as it was. A process that was stopped is about to be stopped again when this returns. */
static int resume(struct patient *patient, uint32_t flags, struct differences *found)
{
	uint64_t deadline = now_ms() + PATIENCE_MS;
	int failed = 0;
	char state = 0;

	for (int t = 0; t < patient->threads; t++)
		if (compel_resume_task(patient->tid[t], patient->was[t], patient->was[t]))
			failed = -1;
	if (patient->state != 'T' || !patient->threads || !(flags & FLAG_SETTLE))
		return failed;
	for (int t = 0, n = 0; t < patient->threads && now_ms() < deadline;) {
		state = state_of(patient->tid[t]);
		if (state == 'T' || !state || state == 'Z')
			t++;
		/* It takes a moment; longer only if others want the core, who then get ours too. */
		else if (n++ < 10)
			sched_yield();
		else
			usleep(100);
	}
	if (state != 'T')
		note(found, AREA_STATE, 0, 0, 'T', state);
	return failed;
}

/* Whether a process has children of its own, who may be using what they share with it. */
static int has_children(const struct patient *patient)
{
	char path[64], first;

	for (int t = 0; t < patient->threads; t++) {
		int fd, n;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/children", patient->pid, patient->tid[t]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		n = read(fd, &first, 1);
		close(fd);
		if (n > 0)
			return 1;
	}
	return 0;
}

/* Runs the parasite twice, and says whether it did what it was asked. */
static int call(struct parasite_ctl *ctl, pid_t inside)
{
	struct call_args *args = compel_parasite_args(ctl, struct call_args);

	args->count = 41;
	args->pid = 0;
	for (int n = 0; n < 2; n++)
		if (compel_rpc_call_sync(CALL_ANSWER, ctl))
			return -1;
	if (args->count != 43 || args->pid != inside) {
		log_line("the parasite counted to %d in process %d instead of %d\n", args->count, args->pid, inside);
		return -1;
	}
	return 0;
}

static int call_in_threads(struct parasite_ctl *ctl, const struct patient *patient)
{
	for (int t = 1; t < patient->threads; t++) {
		struct call_args *args = compel_parasite_args(ctl, struct call_args);
		struct parasite_thread_ctl *thread;
		struct infect_ctx *context = compel_infect_ctx(ctl);
		int failed;

#ifdef PARALLAX_HANDLE_RSEQ
		thread = compel_prepare_thread(ctl, patient->tid[t], true);
#else
		thread = compel_prepare_thread(ctl, patient->tid[t]);
#endif
		if (!thread)
			return -1;
		args->count = 41;
		/* What is to be put back afterwards must have been fetched: libcompel does not by itself. */
		failed = compel_get_thread_regs(thread, context->save_regs, context->regs_arg) ||
			 compel_run_in_thread(thread, CALL_ANSWER) || args->count != 42;
		compel_release_thread(thread);
		if (failed) {
			log_line("the parasite did not run in thread %d\n", patient->tid[t]);
			return -1;
		}
	}
	return 0;
}

/* Changes something on purpose while the parasite is in, or after: what only a system call can change, before. */
static void spoil_inside(struct parasite_ctl *ctl, uint32_t area)
{
	long ret = 0;

	/* dup(2) of a descriptor; mmap(2) of a page. */
	if (area == AREA_FD && compel_syscall(ctl, 32, &ret, 1, 0, 0, 0, 0, 0))
		log_line("nothing spoiled\n");
	if (area == AREA_MAP && compel_syscall(ctl, 9, &ret, 0, 4096, 1, 0x22, -1ul, 0))
		log_line("nothing spoiled\n");
	if (area == AREA_STATUS && compel_syscall(ctl, 95, &ret, 0777, 0, 0, 0, 0, 0))
		log_line("nothing spoiled\n");
}

static void spoil_outside(const struct patient *patient, uint32_t area)
{
	pid_t last = patient->tid[patient->threads - 1];
	struct user_regs_struct regs;
	static uint8_t xstate[MOST_XSTATE];
	struct iovec iov = { xstate, sizeof(xstate) };
	uint64_t mask;

	if (area == AREA_REGISTER && !ptrace(PTRACE_GETREGS, last, 0, &regs)) {
		regs.r15 ^= 1;
		ptrace(PTRACE_SETREGS, last, 0, &regs);
	} else if (area == AREA_EXTENDED && !ptrace(PTRACE_GETREGSET, last, 0x202, &iov)) {
		/* The lowest byte of xmm7, and its component marked as in use. */
		xstate[160 + 7 * 16] ^= 1;
		xstate[512] |= 2;
		ptrace(PTRACE_SETREGSET, last, 0x202, &iov);
	} else if (area == AREA_PAGE && !ptrace(PTRACE_GETREGS, patient->pid, 0, &regs)) {
		long word = ptrace(PTRACE_PEEKDATA, patient->pid, regs.rsp & ~7ul, 0);

		ptrace(PTRACE_POKEDATA, patient->pid, regs.rsp & ~7ul, word ^ 1);
	} else if (area == AREA_MASK && !ptrace(PTRACE_GETSIGMASK, last, 8, &mask)) {
		mask ^= 1ull << (SIGUSR1 - 1);
		ptrace(PTRACE_SETSIGMASK, last, 8, &mask);
	} else if (area == AREA_QUEUE) {
		kill(patient->pid, SIGUSR2);
	}
}

static struct parasite_ctl *prepare(pid_t pid)
{
	struct parasite_ctl *ctl;

#ifdef PARALLAX_HANDLE_RSEQ
	ctl = compel_prepare(pid, true);
#else
	ctl = compel_prepare(pid);
#endif
	if (ctl) {
		compel_infect_ctx(ctl)->log_fd = nowhere;
		parasite_setup_c_header(ctl);
	}
	return ctl;
}

/* Infects a process that is stopped, and cures it. The step that failed. */
static enum step infect(const struct patient *patient, pid_t inside, uint32_t flags)
{
	uint32_t spoil = flags >> FLAG_SPOIL_SHIFT & 0xff;
	struct parasite_ctl *ctl = prepare(patient->pid);
	enum step failed = STEP_NONE;
	struct infect_ctx *context;
	void *saved;
	int sock;

	if (!ctl)
		return STEP_PREPARE;
	context = compel_infect_ctx(ctl);
	sock = context->sock;
	saved = context->regs_arg;
	/* While the daemon runs, libcompel's handler of SIGCHLD takes what a thread's run waits for. */
	if (compel_infect_no_daemon(ctl, patient->threads, sizeof(struct call_args)))
		failed = STEP_INFECT;
	else if ((flags & FLAG_THREADS) && call_in_threads(ctl, patient))
		failed = STEP_CALL;
	else if (compel_start_daemon(ctl))
		failed = STEP_INFECT;
	else if (call(ctl, inside))
		failed = STEP_CALL;
	if (!failed && spoil && !compel_stop_daemon(ctl))
		spoil_inside(ctl, spoil);
	if (compel_cure(ctl) && !failed)
		failed = STEP_CURE;
	/* libcompel keeps these two. */
	close(sock);
	free(saved);
	return failed;
}

static enum step examine(pid_t pid, enum kind kind, uint32_t flags, struct look *before, struct look *after,
			 struct differences *found)
{
	static struct patient patient;
	enum step failed = STEP_NONE;

	if (stop(&patient, pid)) {
		resume(&patient, flags, found);
		return STEP_STOP;
	}
	if (has_children(&patient))
		flags |= FLAG_PRIVATE;
	if (look_at(before, pid, patient.tid, patient.threads, flags, NULL)) {
		failed = STEP_LOOK;
	} else {
		if (kind == KIND_INFECT)
			failed = infect(&patient, before->thread[0].inside, flags);
		spoil_outside(&patient, flags >> FLAG_SPOIL_SHIFT & 0xff);
		/* Who gives up half way may have put everything back. */
		if (!failed || failed == STEP_INFECT) {
			if (!look_at(after, pid, patient.tid, patient.threads, flags, before)) {
				look_compare(before, after, flags, found);
				if (failed && !found->count)
					failed = STEP_DECLINE;
			} else if (!failed) {
				failed = STEP_LOOK;
			}
		}
	}
	if (resume(&patient, flags, found) && !failed)
		failed = STEP_RESUME;
	return failed;
}

static int write_whole(const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len) {
		ssize_t n = write(1, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		at += n;
		len -= n;
	}
	return 0;
}

/* 1, or 0 when the input has ended before the first byte, or -1. */
static int read_whole(void *bytes, size_t len)
{
	char *at = bytes;
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(0, at + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 && done == 0 ? 0 : -1;
		done += n;
	}
	return 1;
}

static int serve(struct look *before, struct look *after)
{
	static char out[sizeof(struct answer) + MOST_LISTED * sizeof(struct difference) + MOST_LOG];
	static struct differences found;
	struct answer answer = { 0 };
	uint32_t request[4];
	enum step failed = STEP_NONE;
	int got = read_whole(request, sizeof(request));

	if (got <= 0)
		return got;
	if (request[0] != sizeof(request))
		return -1;
	found.count = found.listed = 0;
	log_len = 0;
	before->pages = after->pages = before->skipped = after->skipped = 0;
	before->threads = 0;
	if (request[1] == KIND_HELLO) {
		log_line("%d libcompel %s", WIRE_VERSION, LIBCOMPEL);
	} else if ((request[1] == KIND_INFECT || request[1] == KIND_LOOK) && (int32_t)request[2] > 1) {
		alarm(PATIENCE_S);
		failed = examine(request[2], request[1], request[3], before, after, &found);
		alarm(0);
		/* What libcompel says on the way to success is no news. */
		if (!failed)
			log_len = 0;
	} else {
		failed = STEP_REQUEST;
	}
	answer.error = -(int32_t)failed;
	answer.count = found.count;
	answer.listed = found.listed;
	answer.pages = after->pages;
	answer.skipped = after->skipped;
	answer.threads = before->threads;
	answer.log_len = log_len;
	answer.len = sizeof(answer) + found.listed * sizeof(*found.list) + log_len;
	memcpy(out, &answer, sizeof(answer));
	memcpy(out + sizeof(answer), found.list, found.listed * sizeof(*found.list));
	memcpy(out + answer.len - log_len, log_text, log_len);
	return write_whole(out, answer.len) ? -1 : 1;
}

int main(void)
{
	struct look *before = look_new(), *after = look_new();
	int got;

	if (!before || !after) {
		fputs("parallax-compel: no memory\n", stderr);
		return 1;
	}
	nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (nowhere < 0) {
		perror("parallax-compel: /dev/null");
		return 1;
	}
	/* Two helpers in one network namespace must not take each other's parasites. */
	snprintf(compel_run_id, sizeof(compel_run_id), "%d-%llx", getpid(), (unsigned long long)now_ms());
	compel_log_init(compel_log, COMPEL_LOG_WARN);
	signal(SIGPIPE, SIG_IGN);
	while ((got = serve(before, after)) > 0)
		;
	return got ? 1 : 0;
}
