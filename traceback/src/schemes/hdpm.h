/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of hdpm.rs: Belenky, Ansari, PACRIM 2003; the layout is segments.rs.
 *
 *  16                                  0
 * | digest (d) | index (s) | segment (a) |
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID_RESERVED
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 17
#define USES_PORT
#define DRAWS

struct scheme {
	__u64 s, f;	  /* bits of the index; digest functions */
	__u64 marks[256]; /* all that this router writes: by function, then by index */
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 s = scheme->s & 31, index = hop->draw & ((1U << s) - 1);
	__u32 function = (hop->draw >> 16) * scheme->f >> 16;

	return hop->edge ? scheme->marks[(function << s | index) & 255] : before;
}
