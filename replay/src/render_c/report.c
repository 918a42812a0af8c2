
/* ---- What is printed, and what is compared with Linux ---- */

struct name {
	const char *name;
	uint64_t value;
};
enum kind { EXACT, FLAGS, HANDLED, BYTES, FREE };
enum unit { TIMESPEC, TIMEVAL, SECS, TICKS };
enum whose { SELF, CHILDREN, LEFT };
/* How the program ended: 0, a signal, or one of these. */
enum { ENDED = 0, STUCK = -1 };
static int end_of_program;

static const char *error_name(long error)
{
	static char number[32];
	if (error > 0 && error < (long)(sizeof errors / sizeof *errors) && errors[error])
		return errors[error];
	snprintf(number, sizeof number, "errno %ld", error);
	return number;
}
static void show_bytes(FILE *to, const unsigned char *bytes, unsigned len)
{
	while (len && bytes[len - 1] == 0xa5)
		len--;
	fputc('"', to);
	for (unsigned k = 0; k < len; k++)
		fprintf(to, bytes[k] < 32 || bytes[k] > 126 || bytes[k] == '"' || bytes[k] == '\\' ? "\\x%02x" : "%c", bytes[k]);
	fputc('"', to);
}
static uint64_t word(const unsigned char *bytes, unsigned size)
{
	uint64_t value = 0;
	memcpy(&value, bytes, size < 8 ? size : 8);
	return value;
}
static void show_value(FILE *to, uint64_t value, unsigned size, enum kind kind, const struct name *names)
{
	if (kind == FLAGS) {
		uint64_t rest = value;
		const char *bar = "";
		for (; names->name; names++)
			if (names->value ? (rest & names->value) == names->value : !value) {
				fprintf(to, "%s%s", bar, names->name);
				rest &= ~names->value;
				bar = "|";
			}
		if (rest || !*bar)
			fprintf(to, "%s%#llx", bar, (unsigned long long)rest);
	} else if (kind == HANDLED && value > 1) {
		fprintf(to, value == (uint64_t)HANDLER ? "the handler" : "%#llx", (unsigned long long)value);
	} else if (size == 4 && (int32_t)value < 0 && (int32_t)value >= -4095) {
		fprintf(to, "%d", (int32_t)value);
	} else if (size == 8 && (is_error((long)value) || kind == FREE)) {
		fprintf(to, "%ld", (long)value);
	} else {
		fprintf(to, value < 1 << 20 ? "%llu" : "%#llx", (unsigned long long)value);
	}
}
static void show_outcome(FILE *to, enum state state, long ret, enum kind kind, const struct name *names)
{
	if (state != DONE)
		fputs(state_names[state], to);
	else if (is_error(ret))
		fputs(error_name(-ret), to);
	else
		show_value(to, (uint64_t)ret, 8, kind, names);
}
/* Whether an outcome is the recorded one, as far as values of its kind are compared. */
static int same_outcome(int call, enum kind kind, enum state state, long ret)
{
	const struct outcome *o = &S->o[call];
	if (o->state != state)
		return 0;
	if (state != DONE || o->ret == ret)
		return 1;
	return !is_error(ret) && !is_error(o->ret) && kind == FREE;
}
/* One line: a call, what became of it, and what Linux recorded where that is something else. */
static void returned(int call, const char *text, enum kind kind, const struct name *names, enum state state, long ret)
{
	printf("[%2d] %s = ", call, text);
	show_outcome(stdout, S->o[call].state, S->o[call].ret, kind, names);
	if (!same_outcome(call, kind, state, ret)) {
		printf("    (Linux: ");
		show_outcome(stdout, state, ret, kind, names);
		printf(")");
	}
	putchar('\n');
}
static const unsigned char *output(int call, unsigned at, unsigned size)
{
	const struct outcome *o = &S->o[call];
	return at + size <= o->len ? S->out + o->out + at : 0;
}
static void show_field(FILE *to, const unsigned char *bytes, unsigned size, enum kind kind, const struct name *names)
{
	if (kind == BYTES || size > 8)
		show_bytes(to, bytes, size);
	else
		show_value(to, word(bytes, size), size, kind, names);
}
static MAYBE void field(int call, const char *name, unsigned at, unsigned size, enum kind kind, const struct name *names)
{
	const unsigned char *bytes = output(call, at, size);
	if (!bytes)
		return;
	printf("       %s = ", name);
	show_field(stdout, bytes, size, kind, names);
	putchar('\n');
}

/* Times. `at` is -1 for the return value. */
static int nanoseconds(int call, int at, enum unit unit, __int128 *ns)
{
	int64_t part[2] = { S->o[call].ret, 0 };
	unsigned size = unit == SECS || unit == TICKS ? 8 : 16;
	if (!made(call))
		return 0;
	if (at >= 0) {
		const unsigned char *bytes = output(call, (unsigned)at, size);
		if (!bytes)
			return 0;
		memcpy(part, bytes, size);
	}
	*ns = unit == TICKS ? (__int128)part[0] * 10000000 :
			      (__int128)part[0] * 1000000000 + part[1] * (unit == TIMEVAL ? 1000 : 1);
	return 1;
}
/* How far a reading lies outside of what the clocks around it allow, ns: coarse clocks stand still for a tick. */
static __int128 out_of_bounds(int call, __int128 ns, enum unit unit, int clock)
{
	const struct outcome *o = &S->o[call];
	const __int128 fine = 2000000, tick = 20000000, second = 1000000000;
	const long long *around = clock == 0 || clock == 5 ? o->real : o->mono;
	__int128 low = around[0] - (clock >= 5 ? tick : fine), high = around[1] + fine;
	if (!o->timed || (clock != 0 && clock != 1 && clock != 5 && clock != 6))
		return 0;
	if (unit == SECS)
		low = (around[0] - tick) / second * second;
	return ns < low ? ns - low : ns > high ? ns - high : 0;
}
static MAYBE void clock_reading(int call, const char *name, int at, enum unit unit, int clock)
{
	__int128 ns, off;
	if (!nanoseconds(call, at, unit, &ns))
		return;
	off = out_of_bounds(call, ns, unit, clock);
	printf("       %s = %.9f s, ", name, (double)ns / 1e9);
	if (off)
		printf("%.3f ms %s the clocks around it\n", (double)(off < 0 ? -off : off) / 1e6, off < 0 ? "behind" : "ahead of");
	else
		printf("within the clocks around it\n");
}
static MAYBE void cpu_time(int call, const char *name, int at, enum unit unit)
{
	__int128 ns;
	if (nanoseconds(call, at, unit, &ns))
		printf("       %s = %.3f ms, %.3f ms after the start\n", name, (double)ns / 1e6,
		       (double)(S->o[call].mono[1] - S->start) / 1e6);
}

/* ---- The verdict ---- */

static int verdict(int same)
{
	printf(same ? "SAME AS LINUX: " : "DIVERGES: expected ");
	return !same;
}
static MAYBE int expect_outcome(int call, enum kind kind, const struct name *names, enum state state, long ret)
{
	int bad = verdict(same_outcome(call, kind, state, ret));
	show_outcome(stdout, state, ret, kind, names);
	if (bad) {
		printf(", got ");
		show_outcome(stdout, S->o[call].state, S->o[call].ret, kind, names);
	}
	putchar('\n');
	return bad;
}
static MAYBE int expect_field(int call, const char *name, unsigned at, unsigned size, enum kind kind,
			      const struct name *names, const void *expected)
{
	const unsigned char *bytes = output(call, at, size);
	int same = bytes && !memcmp(bytes, expected, size);
	if (bytes && kind == HANDLED && word(expected, size) > 1)
		same = word(bytes, size) == (uint64_t)HANDLER;
	int bad = verdict(same);
	printf("%s = ", name);
	show_field(stdout, expected, size, kind, names);
	if (bad) {
		printf(", got ");
		if (bytes)
			show_field(stdout, bytes, size, kind, names);
		else
			show_outcome(stdout, S->o[call].state, S->o[call].ret, EXACT, 0);
	}
	putchar('\n');
	return bad;
}
/* The names and types of a directory listing; their order is free. */
static MAYBE int expect_listing(int call, unsigned at, const struct name *expected)
{
	int found = 0, wanted = 0, same = 1;
	const unsigned char *bytes = output(call, at, 0);
	long end = made(call) ? S->o[call].ret : 0;
	for (const struct name *e = expected; e->name; e++)
		wanted++;
	for (long k = 0; bytes && k + 19 <= end; found++) {
		uint16_t len;
		memcpy(&len, bytes + k + 16, 2);
		int known = 0;
		for (const struct name *e = expected; e->name; e++)
			known |= !strcmp(e->name, (const char *)bytes + k + 19) && e->value == bytes[k + 18];
		if (!known)
			printf("       %s (type %d) is not in Linux's listing\n", bytes + k + 19, bytes[k + 18]);
		same &= known;
		k += len < 19 ? 19 : len;
	}
	int bad = verdict(same && found == wanted);
	printf("%d entries", wanted);
	printf(bad ? ", got %d\n" : "\n", found);
	return bad;
}
/* A line of a text: what stands behind its key, blank by blank or as a number without its free bits. */
static MAYBE int expect_line(int call, unsigned at, const char *key, const char *expected, int base, unsigned long free)
{
	char text[8192], got[256] = "";
	const unsigned char *bytes = output(call, at, 0);
	long end = bytes && made(call) ? S->o[call].ret : 0;
	int there = 0;
	if (end < 0 || end >= (long)sizeof text)
		end = 0;
	if (end)
		memcpy(text, bytes, end);
	text[end] = 0;
	for (char *line = strtok(text, "\n"); line && !there; line = strtok(0, "\n")) {
		size_t n = strlen(key);
		if (strncmp(line, key, n) || !strchr(": \t", line[n]) || !line[n])
			continue;
		there = 1;
		for (char *word = strtok(line + n, ": \t"); word; word = strtok(0, " \t")) {
			if (strlen(got) + strlen(word) + 2 > sizeof got)
				break;
			if (*got)
				strcat(got, " ");
			if (base)
				snprintf(got + strlen(got), sizeof got - strlen(got), base == 8 ? "0o%lo" : "0x%lx",
					strtoul(word, 0, base) & ~free);
			else
				strcat(got, word);
		}
	}
	int bad = verdict(there && !strcmp(got, expected));
	printf("%s is \"%s\"", key, expected);
	if (bad)
		printf(there ? ", got \"%s\"" : ", there is no such line", got);
	putchar('\n');
	return bad;
}
static MAYBE int expect_clock(int call, const char *name, int at, enum unit unit, int clock)
{
	__int128 ns = 0, off = 1;
	if (nanoseconds(call, at, unit, &ns))
		off = out_of_bounds(call, ns, unit, clock);
	int bad = verdict(off == 0);
	printf("%s within the clocks around it", name);
	if (bad && made(call))
		printf(", got %.3f ms %s", (double)(off < 0 ? -off : off) / 1e6, off < 0 ? "behind" : "ahead");
	putchar('\n');
	return bad;
}
static MAYBE int expect_forwards(void)
{
	long long last = INT64_MIN;
	int same = 1;
	for (int call = 0; call < CALLS; call++) {
		const struct outcome *o = &S->o[call];
		if (!o->timed)
			continue;
		same &= o->mono[0] >= last && o->mono[1] >= o->mono[0];
		last = o->mono[1];
	}
	int bad = verdict(same);
	puts(bad ? "CLOCK_MONOTONIC to run forwards, got a step backwards" : "CLOCK_MONOTONIC runs forwards");
	return bad;
}
/* Never more CPU time than time has passed (accounting by ticks may add two), none of children without children. */
static MAYBE int expect_cpu_time(int call, const char *name, int at, enum unit unit, enum whose whose, int children)
{
	__int128 ns = -1, wall = S->o[call].mono[1] - S->start;
	int known = nanoseconds(call, at, unit, &ns);
	int same = known && ns >= 0 && ns <= wall + 20000000 && !(whose == CHILDREN && !children && ns);
	int bad = verdict(same);
	printf("%s of %s", name, whose == CHILDREN && !children ? "no children to be 0" : "at most the time passed and 20 ms");
	printf(bad ? ", got %.3f ms in %.3f ms\n" : ": %.3f ms in %.3f ms\n", (double)ns / 1e6, (double)wall / 1e6);
	return bad;
}
static void show_end(int end)
{
	if (end == ENDED)
		printf("the program to come to its end");
	else if (end == STUCK)
		printf("no end within %d s", PATIENCE);
	else
		printf("signal %d to kill it", end);
}
static MAYBE int expect_end(int end)
{
	int bad = verdict(end == end_of_program);
	show_end(end);
	if (bad) {
		printf(", got ");
		show_end(end_of_program);
	}
	putchar('\n');
	return bad;
}

/* Pids and inodes are no fixed numbers: those that are one on Linux must be one here. */
struct identity {
	int call, at; /* -1 for the return value */
	unsigned size;
	int group; /* equal where Linux's values are equal */
};
static int identity(const struct identity *i, uint64_t *value)
{
	const unsigned char *bytes = i->at < 0 ? 0 : output(i->call, (unsigned)i->at, i->size);
	if (!made(i->call) || (i->at >= 0 && !bytes))
		return 0;
	*value = i->at < 0 ? (uint64_t)R(i->call) : word(bytes, i->size);
	*value = i->size == 4 || i->at < 0 ? (uint32_t)*value : *value;
	return 1;
}
/* The last one is the finding's. `both_ways`: what differs on Linux must differ here too. */
static MAYBE int expect_identity(const struct identity *all, int n, int both_ways)
{
	uint64_t mine = 0, other;
	const struct identity *last = &all[n - 1];
	int known = identity(last, &mine), same = known;
	if (both_ways && (int32_t)mine <= 1)
		same = 0; /* no process of the program's */
	for (int k = 0; k < n - 1; k++) {
		if (!known || !identity(&all[k], &other))
			continue;
		int linux_same = all[k].group == last->group;
		if (linux_same != (other == mine) && (linux_same || both_ways)) {
			printf("       call %d has %llu, call %d has %llu; on Linux these %s\n", all[k].call, (unsigned long long)other,
			       last->call, (unsigned long long)mine, linux_same ? "are the same" : "differ");
			same = 0;
		}
	}
	int bad = verdict(same);
	puts(bad ? "the same one as on Linux, got another" : "it is the same one as on Linux");
	return bad;
}

/* ---- Running it ---- */

static void report(void);
static int judge(void);

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)type;
	if (walk->level == 0 && USE_W)
		return 0;
	if (remove(path) && walk->level > 0)
		perror(path);
	return 0;
}
static volatile sig_atomic_t child_pid;
static void give_up(int signal)
{
	(void)signal;
	end_of_program = STUCK;
	kill(child_pid, SIGKILL);
}
static int trouble(const char *what)
{
	fprintf(stderr, "cannot be run here: %s: %s\n", what, strerror(errno));
	return 2;
}

int main(void)
{
	char directory[32];
	const int rw = PROT_READ | PROT_WRITE, fixed = MAP_ANONYMOUS | MAP_FIXED;
	int status = 0, made_w = 0;
	strcpy(directory, USE_W ? "/w" : "/tmp/parallax-XXXXXX");
	setvbuf(stdout, 0, _IOLBF, 0);
	if (mmap((void *)ARENA, ARENA_SIZE, rw, fixed | MAP_PRIVATE, -1, 0) == MAP_FAILED)
		return trouble("mmap");
	S = mmap((void *)0x21000000, sizeof *S, rw, fixed | MAP_SHARED, -1, 0);
	if (S == MAP_FAILED)
		return trouble("mmap");
	if (USE_W) {
		made_w = mkdir(directory, 0777) == 0;
		if (!made_w && rmdir(directory) == 0)
			made_w = mkdir(directory, 0777) == 0;
		if (!made_w)
			return trouble("this program uses the directory /w, which must be empty or not there yet");
	} else if (!mkdtemp(directory)) {
		return trouble(directory);
	}
	chmod(directory, 0777);
	find_vdso();
	fflush(stdout);
	int pid = fork();
	if (pid < 0)
		return trouble("fork");
	if (pid == 0)
		child(directory);
	child_pid = pid;
	signal(SIGALRM, give_up);
	alarm(PATIENCE);
	for (;;) {
		if (waitpid(pid, &status, WUNTRACED) < 0) {
			if (errno == EINTR)
				continue;
			return trouble("waitpid");
		}
		if (!WIFSTOPPED(status))
			break;
		/* The dump point: whoever dumps and restores, or injects, does it here. */
		kill(pid, SIGCONT);
	}
	alarm(0);
	nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	if (made_w)
		rmdir(directory);
	if (S->failed_step) {
		errno = (int)-S->failed;
		return trouble(S->failed_step == 1 ? directory : "a terminal");
	}
	if (WIFSIGNALED(status) && end_of_program != STUCK)
		end_of_program = WTERMSIG(status);
	report();
	return judge();
}
