// SPDX-License-Identifier: MIT OR Apache-2.0
//
// A look-out on a host's own interfaces, outside of all tunnels: what comes from or goes to the testbed's
// ranges there has leaked. It is dropped and counted, and the first one is kept for the report.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include "range.h"

struct seen {
	__u64 packets;
	__u32 interface, length;
	__u8 from[16], to[16]; // IPv4 in the first four bytes, zeros behind
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct seen);
} seen SEC(".maps");

static __always_inline int leaked(const struct __sk_buff *skb, const __u8 *from, const __u8 *to, int len)
{
	__u32 zero = 0;
	struct seen *first = bpf_map_lookup_elem(&seen, &zero);

	if (first && __sync_fetch_and_add(&first->packets, 1) == 0) {
		first->interface = skb->ifindex;
		first->length = len;
		__builtin_memcpy(first->from, from, len);
		__builtin_memcpy(first->to, to, len);
	}
	return TC_ACT_SHOT;
}

SEC("classifier")
int sentinel(struct __sk_buff *skb)
{
	/* Relative to the IP header: interfaces of tunnels have no Ethernet header before it. */
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		__be32 ends[2];

		if (bpf_skb_load_bytes_relative(skb, 12, ends, sizeof(ends), BPF_HDR_START_NET))
			return TC_ACT_UNSPEC;
		if (in_range4(ends[0]) || in_range4(ends[1]))
			return leaked(skb, (__u8 *)ends, (__u8 *)(ends + 1), 4);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		__be16 ends[16];

		if (bpf_skb_load_bytes_relative(skb, 8, ends, sizeof(ends), BPF_HDR_START_NET))
			return TC_ACT_UNSPEC;
		if (in_range6(ends) || in_range6(ends + 8))
			return leaked(skb, (__u8 *)ends, (__u8 *)(ends + 8), 16);
	}
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
