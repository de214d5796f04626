/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of fdpm.rs: Xiang, Zhou, Guo, TPDS 2009, without its load controller.
 *
 *  24        17   16      15             0
 * | TOS (8)     | marked | Identification |
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID_TOS_RESERVED
#define SLOT6 SLOT_ROOM
#define MARK_BITS 25
#define USES_PORT
#define DRAWS

struct scheme {
	__u64 last;	 /* of the marks */
	__u64 kept;	 /* bits of the slot that stay */
	__u64 marks[32]; /* all that this router writes, by the index of their segment */
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 kept = before & scheme->kept;

	return hop->edge ? kept | scheme->marks[hop->draw & scheme->last & 31] : before;
}
