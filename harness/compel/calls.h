/* What the helper and its parasite agree upon. */
#ifndef PARALLAX_CALLS_H
#define PARALLAX_CALLS_H

#define CALL_ANSWER (PARASITE_USER_CMDS + 1)

struct call_args {
	int count;
	int pid;
};

#endif
