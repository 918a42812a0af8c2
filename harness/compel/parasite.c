/*
 * What runs inside the infected process. It is position independent and has no C library; `compel hgen` turns it into a
 * header of the helper.
 */
#include <compel/infect-rpc.h>
#include <compel/plugins/std/infect.h>

#include "calls.h"

/* Of the plugin `std`. Not every package has all that the header of its system calls includes. */
extern long sys_getpid(void);

/* One call of the parasite: counts, and says whose process it is in. */
static int answer(struct call_args *args)
{
	args->count++;
	args->pid = sys_getpid();
	return 0;
}

/* Called in a thread that is trapped again right after it. */
int parasite_trap_cmd(int cmd, void *args)
{
	return cmd == CALL_ANSWER ? answer(args) : -1;
}

/* Called by the daemon, once a request. */
int parasite_daemon_cmd(int cmd, void *args)
{
	return cmd == CALL_ANSWER ? answer(args) : -1;
}

void parasite_cleanup(void)
{
}
