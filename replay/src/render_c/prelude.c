#if !defined(__x86_64__) || !defined(__linux__)
#error "This program is about Linux system calls of x86-64."
#endif
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAYBE __attribute__((unused))

/* ---- Memory: the arena, where the program's buffers lie, and what the child tells its parent ---- */

#define ARENA 0x20000000UL
#define ARENA_SIZE 65536UL
#define WINDOW 0x100000000UL
#define WINDOW_SIZE 65536UL
#define SIGNAL_LOG 320UL
#define A(offset) (long)(ARENA + (offset))
#define AT(offset) ((unsigned char *)(ARENA + (offset)))
#define LOG ((volatile uint32_t *)ARENA)
#define ALARMS (*(volatile uint32_t *)(ARENA + 1000))
/* From where to where the last handler used an alternate stack. */
#define USED ((volatile unsigned long *)(ARENA + 1008))

enum state { NOTRUN, DONE, BLOCKED, SKIPPED, DIED, ABSENT };
static const char *const state_names[] = { "not run", "done", "blocked", "skipped", "died", "absent" };

struct outcome {
	enum state state;
	int timed;
	long ret;
	long long mono[2], real[2]; /* ns before and after */
	unsigned out, len;
};
struct shared {
	int failed_step;
	long failed;
	int next; /* the call being made */
	unsigned used;
	long long start;
	struct outcome o[CALLS];
	unsigned char out[OUT_BYTES];
};
static struct shared *S;

/* ---- System calls, their return register as it is ---- */

static long raw(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
static int is_error(long ret)
{
	return ret < 0 && ret >= -4095;
}

/* The vdso's functions, found as vdso(7) says: libc's own wrappers may take the system call instead. */
static const char *const vdso_names[] = { "__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time",
					  "__vdso_getcpu", "__vdso_clock_getres" };
static long (*vdso_functions[5])(long, long, long);

static void find_vdso(void)
{
	unsigned long base = getauxval(AT_SYSINFO_EHDR), bias = 0, dynamic = 0, strings = 0, symbols = 0, hash = 0;
	int loaded = 0;
	if (!base)
		return;
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)base;
	const Elf64_Phdr *ph = (const Elf64_Phdr *)(base + head->e_phoff);
	for (int k = 0; k < head->e_phnum; k++) {
		if (ph[k].p_type == PT_LOAD && !loaded) {
			bias = base + ph[k].p_offset - ph[k].p_vaddr;
			loaded = 1;
		} else if (ph[k].p_type == PT_DYNAMIC) {
			dynamic = base + ph[k].p_offset;
		}
	}
	if (!loaded || !dynamic)
		return;
	for (const Elf64_Dyn *d = (const Elf64_Dyn *)dynamic; d->d_tag != DT_NULL; d++) {
		/* Some layers relocate these, some do not; gVisor's are linked at the very top of memory. */
		unsigned long at = d->d_un.d_ptr - base < 0x100000 ? d->d_un.d_ptr : d->d_un.d_ptr + bias;
		if (d->d_tag == DT_HASH)
			hash = at;
		else if (d->d_tag == DT_STRTAB)
			strings = at;
		else if (d->d_tag == DT_SYMTAB)
			symbols = at;
	}
	if (!strings || !symbols)
		return;
	unsigned long count = strings > symbols ? (strings - symbols) / sizeof(Elf64_Sym) : 0;
	if (hash)
		count = ((const uint32_t *)hash)[1];
	const Elf64_Sym *symbol = (const Elf64_Sym *)symbols;
	for (unsigned long k = 0; k < count && k < 256; k++)
		for (int f = 0; f < 5; f++)
			if (symbol[k].st_value && !strcmp((const char *)(strings + symbol[k].st_name), vdso_names[f]))
				vdso_functions[f] = (long (*)(long, long, long))(bias + symbol[k].st_value);
}

static long long now(int clock)
{
	long long time[2] = { 0, 0 };
	if (!vdso_functions[0] || vdso_functions[0](clock, (long)time, 0) != 0)
		raw(228, clock, (long)time, 0, 0, 0, 0);
	return time[0] * 1000000000LL + time[1];
}

/* ---- Signals: a handler that counts; SIGALRM is the block timer's ---- */

__asm__(".globl plx_restorer\nplx_restorer:\n\tmov $15, %eax\n\tsyscall\n\tud2\n");
extern void plx_restorer(void);
#define RESTORER (long)plx_restorer
#define HANDLER (long)on_signal

static void on_signal(int signal, siginfo_t *info, void *context)
{
	unsigned n = (unsigned)signal & 63;
	const stack_t *stack = &((ucontext_t *)context)->uc_stack;
	unsigned long low = (unsigned long)stack->ss_sp, here = (unsigned long)&n;
	if (here - low < stack->ss_size) {
		USED[0] = here - low > 2048 ? here - 2048 : low;
		USED[1] = low + stack->ss_size;
	}
	if (n == SIGALRM) {
		ALARMS++;
		return;
	}
	LOG[n]++;
	uint32_t k = LOG[64]++;
	if (k < 60)
		*(volatile unsigned char *)(ARENA + 260 + k) = (unsigned char)n;
	/* A fault of the program's own would come again for ever: take the default action instead. */
	if ((n == SIGILL || n == SIGBUS || n == SIGFPE || n == SIGSEGV) && info->si_code > 0) {
		long action[4] = { 0, 0, 0, 0 };
		raw(13, n, (long)action, 0, 8, 0, 0);
	}
}

/*
 * What a handler left on an alternate stack is nobody's promise: zeroes over it. The stack may be gone by now, so the
 * kernel writes them: the action for SIGKILL, which nobody can handle.
 */
static void wipe(void)
{
	unsigned long from = USED[0], at = USED[1];
	USED[0] = USED[1] = 0;
	while (at >= from + 32) {
		at -= 32;
		if (raw(13, 9, 0, (long)at, 8, 0, 0) < 0)
			return;
	}
}

/* Again and again, since a single shot could come before the call has begun to wait. */
static void set_alarm(long us)
{
	long value[4] = { us / 1000000, us % 1000000, us / 1000000, us % 1000000 };
	if (us)
		ALARMS = 0;
	raw(38, 0, (long)value, 0, 0, 0, 0);
}

/* Waits until kernel workers have carried everything across the terminals: poll flushes them. Twice, for echoes. */
static void settle(void)
{
	struct {
		int fd;
		short events, revents;
	} fds[24];
	for (int k = 0; k < 24; k++) {
		fds[k].fd = k % 12;
		fds[k].events = 1;
		fds[k].revents = 0;
	}
	raw(7, (long)fds, 24, 0, 0, 0, 0);
	/* poll leaves alone what can be read already. */
	const long moment[2] = { 0, 1000000 };
	raw(35, (long)moment, 0, 0, 0, 0, 0);
}

/* ---- What a program does besides system calls ---- */

static void spin(unsigned long n)
{
	while (n > 0) {
		__asm__ volatile("" : "+c"(n));
		n--;
	}
}
static int spawned_main(void *job)
{
	spin(((unsigned long *)job)[0]);
	raw(231, ((long *)job)[1], 0, 0, 0, 0, 0);
	return 0;
}
/* A child that spins and exits; we wait in vfork until it has. */
static long spawn(long iterations, long code)
{
	static char stack[65536] __attribute__((aligned(16)));
	long job[2] = { iterations, code };
	int pid = clone(spawned_main, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, job);
	return pid < 0 ? -errno : pid;
}
static uint64_t digest(unsigned long page)
{
	uint64_t digest = 0xcbf29ce484222325ULL;
	/* The first page holds the signal log, which a SIGCONT handler may rightly change. */
	for (unsigned long k = page ? 0 : 128; k < 512; k++) {
		digest = (digest ^ ((volatile uint64_t *)(ARENA + page * 4096))[k]) * 0x0100000001b3ULL;
		digest = digest << 23 | digest >> 41;
	}
	return digest;
}
/* The point of a dump and restore, or of an injection: stops, is continued, counts the pages that changed. */
static long checkpoint(void)
{
	uint64_t before[ARENA_SIZE / 4096];
	long changed = 0;
	for (unsigned long page = 0; page < ARENA_SIZE / 4096; page++)
		before[page] = digest(page);
	raw(62, raw(39, 0, 0, 0, 0, 0, 0), SIGSTOP, 0, 0, 0, 0);
	for (unsigned long page = 0; page < ARENA_SIZE / 4096; page++)
		changed += digest(page) != before[page];
	return changed;
}
static long touch(unsigned long at, unsigned long len, int byte)
{
	long last = 0;
	if (at < WINDOW || at + len > WINDOW + WINDOW_SIZE || at + len < at)
		return -EFAULT;
	for (unsigned long k = 0; k < (len ? len : 1); k++) {
		volatile unsigned char *place = (volatile unsigned char *)(at + k);
		if (byte >= 0)
			*place = (unsigned char)byte;
		else
			last = *place;
	}
	return last;
}

/* LOOK */

/* ---- The child's engine ---- */

enum op { SYSCALL, VDSO, SPIN, SPAWN, STOP, STORE, PEEK, POKE, LOAD, PAGES, FILES, OUTSIDE };
enum flag { CLOCKS = 1, BLOCKS = 2, SETTLE = 4, PROBE = 8, REWIND = 16 };
#define ARGS(...) ((const long[6]){ __VA_ARGS__ })
#define NO_ARGS ((const long[6]){ 0 })
#define R(call) (S->o[call].ret)
#define M(offset) (long)*(const int32_t *)AT(offset)

static int missing, blocked;

/* Whether a call made what later ones use. */
static MAYBE int made(int call)
{
	return S->o[call].state == DONE && !is_error(R(call));
}
static MAYBE void put(unsigned long offset, const char *bytes, unsigned long len)
{
	memcpy(AT(offset), bytes, len);
}
/* What a call is to overwrite starts as 0xa5. */
static MAYBE void fill(unsigned long offset, unsigned long len)
{
	memset(AT(offset), 0xa5, len);
}
static MAYBE void store(int have, long value, unsigned long offset, unsigned long size)
{
	if (have)
		memcpy(AT(offset), &value, size);
	else
		missing = 1;
}
static void run(int call, int have, enum op op, long nr, unsigned flags, const long *a)
{
	struct outcome *o = &S->o[call];
	int skip = !have || missing;
	missing = 0;
	S->next = call;
	if (blocked && !(flags & PROBE))
		return;
	if (skip) {
		o->state = SKIPPED;
		return;
	}
	if (flags & CLOCKS) {
		o->mono[0] = now(1);
		o->real[0] = now(0);
	}
	if (flags & REWIND)
		raw(8, a[0], 0, 0, 0, 0, 0);
	if (flags & BLOCKS)
		set_alarm(BLOCK_US);
	enum state state = DONE;
	long ret = 0;
	o->state = DIED; /* until it comes back */
	switch (op) {
	case SYSCALL:
		ret = raw(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		break;
	case VDSO:
		if (!vdso_functions[nr])
			state = ABSENT;
		else
			ret = vdso_functions[nr](a[0], a[1], a[2]);
		if (nr != 2) /* all but time() return an int */
			ret = (int)ret;
		break;
	case SPIN:
		spin((unsigned long)a[0]);
		break;
	case SPAWN:
		ret = spawn(a[0], a[1]);
		break;
	case STOP:
		ret = checkpoint();
		break;
	case PEEK:
		memcpy((void *)a[0], (void *)ARENA, SIGNAL_LOG);
		break;
	case POKE:
		ret = touch((unsigned long)a[0], (unsigned long)a[2], (int)(a[1] & 255));
		break;
	case LOAD:
		ret = touch((unsigned long)a[0], 1, -1);
		break;
	case PAGES:
		ret = look_at_window((unsigned *)a[0]);
		break;
	case FILES:
		ret = look_at_tree((unsigned *)a[0]);
		break;
	case OUTSIDE:
		/* What happens outside (see the top) cannot be done from in here. */
		break;
	case STORE:
		break;
	}
	if (flags & REWIND)
		raw(8, a[0], 0, 0, 0, 0, 0);
	wipe();
	if (flags & BLOCKS) {
		set_alarm(0);
		if (ret == -EINTR && ALARMS > 0) {
			state = BLOCKED;
			blocked = 1;
		}
	}
	if (flags & CLOCKS) {
		o->mono[1] = now(1);
		o->real[1] = now(0);
		o->timed = 1;
	}
	if (flags & SETTLE)
		settle();
	o->ret = ret;
	o->state = state;
}
/* Keeps what a call wrote, if it succeeded. */
static MAYBE void keep(int call, unsigned long offset, unsigned len)
{
	struct outcome *o = &S->o[call];
	if (!made(call) || S->used + len > OUT_BYTES)
		return;
	if (!o->len)
		o->out = S->used;
	memcpy(S->out + S->used, AT(offset), len);
	S->used += len;
	o->len += len;
}

/* ---- The world the program finds ---- */

static void fail(int step, long error)
{
	S->failed_step = step;
	S->failed = error;
	raw(231, 99, 0, 0, 0, 0, 0);
}
/* A controlling terminal of 24 rows and 80 columns: descriptors 0 to 2 are it, 3 is its master. */
static void open_terminal(void)
{
	char path[32];
	unsigned unlock = 0, number = 0;
	unsigned short size[4] = { 24, 80, 0, 0 };
	long master = raw(257, AT_FDCWD, (long)"/dev/ptmx", O_RDWR | O_NOCTTY, 0, 0, 0), r;
	if (master < 0)
		fail(2, master);
	raw(16, master, 0x40045431, (long)&unlock, 0, 0, 0);
	if ((r = raw(16, master, 0x80045430, (long)&number, 0, 0, 0)) < 0)
		fail(3, r);
	snprintf(path, sizeof path, "/dev/pts/%u", number);
	long slave = raw(257, AT_FDCWD, (long)path, O_RDWR | O_NOCTTY, 0, 0, 0);
	if (slave < 0)
		fail(3, slave);
	if ((r = raw(16, slave, 0x540e, 0, 0, 0, 0)) < 0)
		fail(4, r);
	raw(16, slave, 0x5414, (long)size, 0, 0, 0);
	for (long fd = 0; fd < 3; fd++)
		raw(33, slave, fd, 0, 0, 0, 0);
	if (master != 3) {
		raw(33, master, 3, 0, 0, 0, 0);
		raw(3, master, 0, 0, 0, 0, 0);
	}
	if (slave > 3)
		raw(3, slave, 0, 0, 0, 0, 0);
}

static void program(void);

static void child(const char *directory)
{
	static const long limits[][2] = { { 1, 16 << 20 }, { 3, 8 << 20 }, { 4, 0 }, { 7, 256 }, { 8, 64 << 10 } };
	long action[4] = { 0, 0, 0, 0 }, r;
	uint64_t none = 0;
	working = directory;
	for (long signal = 1; signal < 64; signal++)
		raw(13, signal, (long)action, 0, 8, 0, 0);
	action[0] = HANDLER;
	action[1] = 0x04000000; /* SA_RESTORER */
	action[2] = RESTORER;
	raw(13, SIGALRM, (long)action, 0, 8, 0, 0);
	raw(14, 2, (long)&none, 0, 8, 0, 0);
	raw(95, 022, 0, 0, 0, 0, 0);
	raw(157, 15, (long)"agent", 0, 0, 0, 0);
	raw(157, 29, 50000, 0, 0, 0, 0);
	if ((r = raw(80, (long)directory, 0, 0, 0, 0, 0)) < 0)
		fail(1, r);
	long null = raw(257, AT_FDCWD, (long)"/dev/null", O_RDWR, 0, 0, 0);
	for (long fd = 0; fd < 3 && null >= 0; fd++)
		raw(33, null, fd, 0, 0, 0, 0);
	for (long fd = 3; fd < 1024; fd++)
		raw(3, fd, 0, 0, 0, 0, 0);
	for (unsigned k = 0; k < sizeof limits / sizeof *limits; k++) {
		long pair[2] = { limits[k][1], limits[k][1] };
		raw(302, 0, limits[k][0], (long)pair, 0, 0, 0);
	}
	raw(112, 0, 0, 0, 0, 0, 0);
	if (NEEDS_TTY)
		open_terminal();
	S->start = now(1);
	program();
	S->next = CALLS;
	raw(231, 0, 0, 0, 0, 0, 0);
}
