/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of dppm.rs: Liu, Lee, Chung, ICPADS 2003.
 */
#pragma once
#include "fragments/step.h"

#define SLOT4 SLOT_ID
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 16
#define DRAWS

struct scheme {
	__u64 name;
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	if ((__u64)hop->draw * hop_number(hop) >> 32 == 0)
		return written(scheme->name, hop->draw);
	return carried(scheme->name, before, 31);
}
