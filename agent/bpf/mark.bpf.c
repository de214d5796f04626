// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Datapath tc: marks or logs what the kernel forwards, where it leaves. There a packet has been
// routed, so that nothing is marked which the host keeps, drops or sends itself; its TTL has been
// lowered by one.
#define CTX struct __sk_buff
#define LENGTH(ctx) ((ctx)->len)
#define LOAD(ctx, at, to, len) bpf_skb_load_bytes(ctx, at, to, len)
#define STORE(ctx, at, from, len) bpf_skb_store_bytes(ctx, at, from, len, 0)
#define LOWERED 1 /* by the kernel, from the TTL on arrival */
#include "step.h"

// Headers that are looked at in place; what else there is, is loaded.
#define LINEAR (ETH_HLEN + 128)
// TCX_NEXT: the next program of the interface decides; in a filter of clsact, the action's default.
#define NEXT -1
#define DROP 2 /* TC_ACT_SHOT */

// Whether the host's own packet is an error about somebody else's: ICMP's destination unreachable, redirect, time
// exceeded and parameter problem, and ICMPv6's errors.
static __always_inline int is_error(struct __sk_buff *skb)
{
	__u16 ethertype = bpf_ntohs(skb->protocol);
	__u8 head[41], type;

	if (ethertype == ETH_P_IP) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN, head, 20) || head[9] != ICMP ||
		    bpf_skb_load_bytes(skb, ETH_HLEN + (head[0] & 15) * 4, &type, 1))
			return 0;
		return type == 3 || type == 5 || type == 11 || type == 12;
	}
	if (ethertype != ETH_P_IPV6 || bpf_skb_load_bytes(skb, ETH_HLEN, head, 41))
		return 0;
	return head[6] == ICMP6 && head[40] < 128;
}

SEC("classifier")
int mark_forwarded(struct __sk_buff *skb)
{
	__u32 zero = 0, len = skb->len;
	struct counters *count = bpf_map_lookup_elem(&counters, &zero);
	struct packet p = {};
	struct hop hop = {};
	struct view v;
	__u16 ethertype;

	// What came in by no interface is the host's own.
	if (!count || !skb->ingress_ifindex)
		return setting.quiet & QUIET_ERRORS && is_error(skb) ? DROP : NEXT;
	count->received++;
	ethertype = bpf_ntohs(skb->protocol);
	if (ethertype != ETH_P_IP && ethertype != ETH_P_IPV6) {
		count->local++;
		return NEXT;
	}
	look(&v, skb);
	if (v.data + LINEAR > v.end && v.data + len > v.end) {
		bpf_skb_pull_data(skb, len < LINEAR ? len : LINEAR);
		look(&v, skb);
	}
	if (!parse(&v, ethertype, &p)) {
		count->malformed++;
		return NEXT;
	}
	if (skb->gso_segs > 1) {
		// One mark would stand for several packets, and the kernel would number them from it.
		count->merged++;
		count->forwarded++;
		return NEXT;
	}
	if (!is_silent(skb->ingress_ifindex)) {
		fill_hop(&hop, &p, p.ttl + 1, skb->ingress_ifindex, skb->ifindex);
		timed_step(&v, &p, &hop, count);
	}
	count->forwarded++;
	return NEXT;
}

char _license[] SEC("license") = "Dual MIT/GPL";
