/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of itrace.rs: draft-ietf-itrace-04 section 3.1. It chooses packets; the agent writes the messages
 * about them. */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_NONE
#define SLOT6 SLOT_NONE
#define DRAWS
#define SPEAKS
#define WANTED 8 /* destinations that may ask for messages */

struct scheme {
	__u64 threshold; /* a draw below this asks for a message */
	__u64 intention; /* 1 where messages wait for packets that are wanted */
	__u64 wanted[2 * WANTED]; /* destinations that want them, as they lie in memory; IPv4 as in IPv6 */
};

/* Whether the destination, in the same form, asks for messages. */
static __always_inline int wants(const volatile struct scheme *scheme, const __u64 *to)
{
	int found = !scheme->intention;

#pragma unroll
	for (int i = 0; i < 2 * WANTED; i += 2)
		found |= to[0] == scheme->wanted[i] && to[1] == scheme->wanted[i + 1];
	return found;
}

static __always_inline int chosen(const volatile struct scheme *scheme, const struct hop *hop)
{
	return hop->draw < scheme->threshold;
}

/* What the step asks of the messages that are owed: one more, or one to pay. */
static __always_inline int account(const volatile struct scheme *scheme, const struct hop *hop)
{
	if (!scheme->intention || chosen(scheme, hop) == hop->wanted || (hop->wanted && hop->cell))
		return OWES_AS_BEFORE;
	return hop->wanted ? PAYS : OWES_MORE;
}

/* To whom a message goes about the packet. */
static __always_inline int told(const volatile struct scheme *scheme, const struct hop *hop)
{
	if ((scheme->intention && !hop->wanted) || !(chosen(scheme, hop) || hop->cell))
		return TO_NOBODY;
	return hop->draw & 1 ? TO_DESTINATION : TO_SOURCE;
}
