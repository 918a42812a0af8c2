/*
 * The protocol on standard input and output, little endian, in step with harness/src/compel.rs.
 *
 * A request is four words: its length (16), its kind, the host's pid of the process, flags.
 * An answer is a header (struct answer), `listed` differences, and `log_len` bytes of text.
 */
#ifndef PARALLAX_WIRE_H
#define PARALLAX_WIRE_H

#include <stdint.h>

#define WIRE_VERSION 2

enum kind {
	KIND_HELLO = 1,	 /* the answer's log names the versions */
	KIND_INFECT = 2, /* infect, call twice, cure, and compare */
	KIND_LOOK = 3,	 /* the same without infecting: what differs then is noise */
};

/* The parasite is also run once in every thread but the first. */
#define FLAG_THREADS 1u
/* Debug registers are compared too. libcompel leaves its breakpoint's address in them. */
#define FLAG_DEBUG 2u
/* What is shared is left out, since somebody else may be using it; as it is for a process that has children. */
#define FLAG_PRIVATE 4u
/* A process that was stopped is stopped again before the answer comes, and else that is a difference. Who continues it
 * right afterwards need not wait: SIGCONT takes back what is on its way. */
#define FLAG_SETTLE 8u
/* A change to make on purpose after the cure, one of `enum area`: so a test sees that it is seen. */
#define FLAG_SPOIL_SHIFT 8

/* Which step failed; the answer's `error`. */
enum step {
	STEP_NONE = 0,
	STEP_STOP = 1,	  /* the process cannot be stopped */
	STEP_LOOK = 2,	  /* it cannot be looked at */
	STEP_PREPARE = 3, /* libcompel refuses it */
	STEP_INFECT = 4,  /* the parasite did not get in */
	STEP_CALL = 5,	  /* it is in, but did not answer rightly */
	STEP_CURE = 6,	  /* it did not get out */
	STEP_RESUME = 7,  /* the process was not put back as it was */
	STEP_REQUEST = 8, /* not a request */
	STEP_DECLINE = 9, /* the parasite did not get in, and the process is as it was */
};

/* Where something changed. */
enum area {
	AREA_REGISTER = 1, /* where: index in user_regs_struct */
	AREA_EXTENDED = 2, /* where: number of the xsave component << 32 | offset in it; eight bytes each */
	AREA_PAGE = 3,	   /* where: address of the first word of a page that differs */
	AREA_MAP = 4,	   /* where: address of a mapping; its end, or a digest of the rest */
	AREA_FD = 5,	   /* where: number of a descriptor; digests of what it is */
	AREA_MASK = 6,	   /* the blocked signals */
	AREA_STATUS = 7,   /* where: index in the list of keys; its value */
	AREA_QUEUE = 8,	   /* where: a signal that waited and does not now, or that we sent; digests */
	AREA_DEBUG = 9,	   /* where: number of a debug register */
	AREA_THREADS = 10, /* threads came or went: how many */
	AREA_STATE = 11,   /* stopped before, not after, or the other way: letters of proc(5) */
};

struct difference {
	uint32_t area;
	uint32_t thread; /* its place in the list of threads, 0 the first */
	uint64_t where;
	uint64_t before;
	uint64_t after;
};

struct answer {
	uint32_t len;	 /* of it all, this word too */
	int32_t error;	 /* minus one of `enum step` */
	uint32_t count;	 /* differences there are */
	uint32_t listed; /* those that follow */
	uint32_t pages;	 /* pages compared */
	uint32_t skipped; /* pages there was no room for, or that cannot be read */
	uint32_t threads; /* threads looked at */
	uint32_t log_len;
};

#define MOST_LISTED 64
#define MOST_LOG 2048

#endif
