/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of tpm.rs: Paruchuri, Durresi, Chellappan, GLOBECOM 2008.
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
	__u32 number = hop_number(hop), distance = before >> 8 & 31;

	/* No mark can have been carried farther than its packet. */
	if ((__u64)hop->draw * number >> 32 == 0 || distance >= number - 1)
		return written(scheme->name, hop->draw);
	return carried(scheme->name, before, 31);
}
