/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Whether anything comes behind this program where it is attached by tcx: another program, or a clsact's
 * filters. Where nothing does, a packet need not go through the kernel's search for it, whose calls take
 * longer than most marks. Looked up in the kernel's own lists at each packet, so that whoever attaches
 * behind is never left out.
 */
#pragma once
#include "state.h"

/* What is read of the kernel's structures (include/net/tcx.h, include/linux/bpf_mprog.h); the loader finds
 * out where these fields are. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct mini_Qdisc;
struct bpf_prog;
struct bpf_mprog_fp {
	struct bpf_prog *prog;
};
struct bpf_mprog_bundle;
struct bpf_mprog_entry {
	struct bpf_mprog_fp fp_items[64];
	struct bpf_mprog_bundle *parent;
};
struct bpf_mprog_bundle {
	struct bpf_mprog_entry a, b;
};
struct tcx_entry {
	struct mini_Qdisc *miniq;
	struct bpf_mprog_bundle bundle;
};
struct net_device {
	struct bpf_mprog_entry *tcx_egress;
};
struct sk_buff {
	struct net_device *dev;
};
#pragma clang attribute pop

/* A call of a function of the kernel that its BTF names: the loader writes the name's number over `mark`. */
#define CALL_KERNEL(mark) ".8byte 0x" #mark "00002085\n"

static __always_inline int is_last(struct __sk_buff *ctx)
{
	struct sk_buff *skb;
	struct bpf_mprog_entry *entry;
	struct tcx_entry *tcx;
	void *at;
	__u64 type = known()->tcx;

	if (!type)
		return 0;
	asm volatile("r1 = %1\n" CALL_KERNEL(61736831) "%0 = r0\n"
		     : "=r"(skb) : "r"(ctx) : "r0", "r1", "r2", "r3", "r4", "r5");
	entry = skb->dev->tcx_egress;
	if (!entry || entry->fp_items[1].prog)
		return 0;
	at = (void *)entry->parent - __builtin_preserve_field_info(((struct tcx_entry *)0)->bundle, 0);
	asm volatile("r1 = %1\nr2 = %2\n" CALL_KERNEL(61736832) "%0 = r0\n"
		     : "=r"(tcx) : "r"(at), "r"(type) : "r0", "r1", "r2", "r3", "r4", "r5");
	return !tcx->miniq;
}
