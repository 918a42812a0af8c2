#include "look.h"

#include <cpuid.h>
#include <string.h>

void note(struct differences *found, uint32_t area, uint32_t thread, uint64_t where, uint64_t before, uint64_t after)
{
	found->count++;
	if (found->listed < MOST_LISTED)
		found->list[found->listed++] = (struct difference){ area, thread, where, before, after };
}

/* Which component of the extended state lies there, and how deep in it. The first two share the oldest part. */
static uint64_t component_of(size_t at)
{
	static struct {
		uint32_t at;
		uint32_t len;
	} places[64];
	static int known;

	for (uint32_t n = 2; !known && n < 64; n++) {
		uint32_t other, flags;

		if (!__get_cpuid_count(0xd, n, &places[n].len, &places[n].at, &other, &flags))
			places[n].len = 0;
	}
	known = 1;
	for (uint64_t n = 2; n < 64; n++)
		if (at >= places[n].at && at - places[n].at < places[n].len)
			return n << 32 | (at - places[n].at);
	/* MXCSR and the registers xmm are of component 1. */
	return ((at >= 24 && at < 32) || (at >= 160 && at < 416) ? 1ull << 32 : 0) | at;
}

/*
 * A thread that was interrupted in a system call to be restarted is one that is about to make the call: whoever puts
 * it back may say so in either way.
 */
static void settle_restart(struct user_regs_struct *regs)
{
	long ax = regs->rax;

	if ((long)regs->orig_rax >= 0 && ax <= -512 && ax >= -514) {
		regs->rax = regs->orig_rax;
		regs->rip -= 2;
	}
	/* Without a restart it means nothing to the process. */
	if (ax != -516)
		regs->orig_rax = -1;
}

/*
 * What waited must wait still, in its order. What came since may be a timer's or another process's own doing, unless
 * it was sent from where we are.
 */
static void compare_queue(const struct queue *a, const struct queue *b, uint32_t t, struct differences *found)
{
	int next = 0;

	for (int k = 0; k < b->len; k++) {
		const struct queued *now = &b->item[k];

		if (next < a->len && a->item[next].signal == now->signal && a->item[next].digest == now->digest)
			next++;
		else if (now->code == SENT_FROM_OUTSIDE)
			note(found, AREA_QUEUE, t, now->signal, 0, now->digest);
	}
	/* A queue as long as is looked at may have more. */
	if (next < a->len && b->len < MOST_QUEUED)
		note(found, AREA_QUEUE, t, a->item[next].signal, a->item[next].digest, 0);
}

static void compare_thread(const struct thread_look *a, const struct thread_look *b, uint32_t t, uint32_t flags,
			   struct differences *found)
{
	struct user_regs_struct before = a->regs, after = b->regs;
	const unsigned long long *x = (void *)&before, *y = (void *)&after;
	size_t len = a->xstate_len < b->xstate_len ? a->xstate_len : b->xstate_len;

	settle_restart(&before);
	settle_restart(&after);
	for (size_t k = 0; k < sizeof(before) / 8; k++)
		if (x[k] != y[k])
			note(found, AREA_REGISTER, t, k, x[k], y[k]);
	if (a->xstate_len != b->xstate_len)
		note(found, AREA_EXTENDED, t, MOST_XSTATE, a->xstate_len, b->xstate_len);
	for (size_t at = 0; at + 8 <= len; at += 8) {
		uint64_t one, other;

		/* Which components hold their initial value is the CPU's own affair: the value is compared. */
		if (at == 512)
			continue;
		memcpy(&one, a->xstate + at, 8);
		memcpy(&other, b->xstate + at, 8);
		if (one != other)
			note(found, AREA_EXTENDED, t, component_of(at), one, other);
	}
	if (a->mask != b->mask)
		note(found, AREA_MASK, t, 0, a->mask, b->mask);
	compare_queue(&a->queue, &b->queue, t, found);
	for (int key = 0; key < STATUS_KEYS; key++) {
		uint64_t left = a->status[key], now = b->status[key];

		/* Signals may come at any time; none may go. */
		if (key < STATUS_PENDING ? left & ~now : left != now)
			note(found, AREA_STATUS, t, key, left, now);
	}
	for (int n = 0; (flags & FLAG_DEBUG) && n < 8; n++)
		if (a->debug[n] != b->debug[n])
			note(found, AREA_DEBUG, t, n, a->debug[n], b->debug[n]);
}

static void compare_maps(const struct look *a, const struct look *b, struct differences *found)
{
	int i = 0, j = 0;

	while (i < a->maps || j < b->maps) {
		const struct map_look *x = i < a->maps ? &a->map[i] : NULL, *y = j < b->maps ? &b->map[j] : NULL;

		if (x && (!y || x->start < y->start)) {
			note(found, AREA_MAP, 0, x->start, x->end, 0);
			i++;
		} else if (!x || y->start < x->start) {
			note(found, AREA_MAP, 0, y->start, 0, y->end);
			j++;
		} else {
			if (x->end != y->end)
				note(found, AREA_MAP, 0, x->start, x->end, y->end);
			else if (x->rest != y->rest)
				note(found, AREA_MAP, 0, x->start, x->rest, y->rest);
			i++;
			j++;
		}
	}
}

static void compare_fds(const struct look *a, const struct look *b, struct differences *found)
{
	int i = 0, j = 0;

	while (i < a->fds || j < b->fds) {
		const struct fd_look *x = i < a->fds ? &a->fd[i] : NULL, *y = j < b->fds ? &b->fd[j] : NULL;

		if (x && (!y || x->number < y->number)) {
			note(found, AREA_FD, 0, x->number, x->digest, 0);
			i++;
		} else if (!x || y->number < x->number) {
			note(found, AREA_FD, 0, y->number, 0, y->digest);
			j++;
		} else {
			if (x->digest != y->digest)
				note(found, AREA_FD, 0, x->number, x->digest, y->digest);
			i++;
			j++;
		}
	}
}

static const struct map_look *map_of(const struct look *look, uint64_t at)
{
	int low = 0, high = look->maps;

	while (low < high) {
		int mid = (low + high) / 2;

		if (look->map[mid].end <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low < look->maps && look->map[low].start <= at ? &look->map[low] : NULL;
}

static void compare_pages(const struct look *a, const struct look *b, struct differences *found)
{
	static const uint8_t zeros[PAGE];
	size_t i = 0;

	for (size_t j = 0; j < b->pages; j++) {
		const uint8_t *x, *y = b->page + j * PAGE;

		while (i < a->pages && a->page_at[i] < b->page_at[j])
			i++;
		if (i < a->pages && a->page_at[i] == b->page_at[j]) {
			x = a->page + i * PAGE;
		} else {
			/* A page that came has what it would have had before: of nobody's memory, zeros. */
			const struct map_look *old = map_of(a, b->page_at[j]);

			if (!old || !old->anonymous || old->shared)
				continue;
			x = zeros;
		}
		if (!memcmp(x, y, PAGE))
			continue;
		for (size_t at = 0; at < PAGE; at += 8) {
			uint64_t one, other;

			memcpy(&one, x + at, 8);
			memcpy(&other, y + at, 8);
			if (one != other) {
				note(found, AREA_PAGE, 0, b->page_at[j] + at, one, other);
				break;
			}
		}
	}
}

void look_compare(const struct look *before, const struct look *after, uint32_t flags, struct differences *found)
{
	if (before->threads != after->threads)
		note(found, AREA_THREADS, 0, 0, before->threads, after->threads);
	for (int t = 0; t < before->threads && t < after->threads; t++)
		compare_thread(&before->thread[t], &after->thread[t], t, flags, found);
	compare_queue(&before->shared_queue, &after->shared_queue, 0, found);
	compare_maps(before, after, found);
	compare_fds(before, after, found);
	compare_pages(before, after, found);
}
