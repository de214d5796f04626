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
#include "behind.h"

// Headers that are looked at in place; what else there is, is loaded.
#define LINEAR (ETH_HLEN + 128)
// TCX_NEXT: the next program of the interface decides; in a filter of clsact, the action's default.
#define NEXT -1
#define PASS 0 /* TC_ACT_OK */
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

// The port by which a packet came in, where anybody asks.
static __always_inline const struct port *port_of(__u32 in)
{
#ifndef USES_PORT
	if (!(known()->quiet & QUIET_PORTS))
		return 0;
#endif
	return bpf_map_lookup_elem(&ports, &in);
}

// A packet that the kernel forwards.
static __always_inline int take_packet(struct __sk_buff *skb, struct counters *count, int v6)
{
	const struct port *port = port_of(skb->ingress_ifindex);
	__u32 len = skb->len;
	struct packet p = {};
	struct hop hop = {};
	struct view v;

	look(&v, skb);
	if (v.data + LINEAR > v.end && v.data + len > v.end) {
		bpf_skb_pull_data(skb, len < LINEAR ? len : LINEAR);
		look(&v, skb);
	}
	if (!parse(&v, &p, v6)) {
		count->malformed++;
		return NEXT;
	}
	if (skb->gso_segs > 1) {
		// One mark would stand for several packets, and the kernel would number them from it.
		count->merged++;
		count->forwarded++;
		return NEXT;
	}
	if (!(known()->quiet & QUIET_PORTS) || !port || !port->silent) {
		fill_hop(&hop, &p, p.ttl + 1, port, skb->ingress_ifindex, skb->ifindex);
		timed_step(&v, &p, &hop, count);
	}
	count->forwarded++;
	return is_last(skb) ? PASS : NEXT;
}

SEC("classifier")
int mark_forwarded(struct __sk_buff *skb)
{
	struct own *kept = own();
	struct counters *count;

	// What came in by no interface is the host's own.
	if (!kept || !skb->ingress_ifindex)
		return known()->quiet & QUIET_ERRORS && is_error(skb) ? DROP : NEXT;
	count = &kept->counters;
	count->received++;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return take_packet(skb, count, 0);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return take_packet(skb, count, 1);
	count->local++;
	return NEXT;
}

char _license[] SEC("license") = "Dual MIT/GPL";
