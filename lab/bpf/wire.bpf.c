// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The lab's own wires: every link runs through a namespace where a program passes frames from one end
// to the other, counts what goes to each router, and does to packets what the plan asks of the network:
// it loses some, follows their ways, and translates addresses where they leave a router that does so.
// All of it is outside the agents under test, and the same under every datapath.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "../../traceback/src/twin.h"
#include "../../agent/bpf/checksum.h"

#define MILLION 1000000
#define UDP 17
#define FIRST_PORT 49152 /* that a translator gives out: RFC 6335 section 6 */

// Fixed before loading; netns/wires.rs writes it.
struct setting {
	__u64 key;	// of the draws that decide which packets are lost
	__u64 flows;	// numbers of the plan's flows are below this
	__u64 payload4; // where the payload of the plan's packets begins in a frame, by version of IP
	__u64 payload6;
	__u64 magic; // first word of that payload, as it lies in memory
	__u64 ways;  // 1 where packets' ways are followed
};
const volatile struct setting setting = {};

// One end of a link, by the interface in the middle.
struct end {
	__u32 other;  // the interface to the other end
	__u32 router; // position, plus one, of the router at the other end; 0 for a host
	__u32 link;   // position in the plan
	__u32 loss;   // packets of a million that the link loses
	__u32 nat;    // the address that the router at this end puts into packets, as in a packet; 0: none
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct end);
} ends SEC(".maps");

// Packets by router and flow; one more cell for each router counts flows that the plan does not have.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} passed SEC(".maps");

// Packets lost, by link.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

// By flow: which of `ways` is its first packet's, and how many packets it has.
struct share {
	__u64 first, packets;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct share);
} shares SEC(".maps");

// By packet: the routers that it reached so far, as one number (netns/followed.rs).
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} ways SEC(".maps");

// Addresses of routers that translate, as in a packet, with the one that each puts into packets.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} own SEC(".maps");

// What one of the plan's packets says about itself: traffic.rs.
struct tag {
	__u32 flow;
	__u64 seq;
};

static __always_inline int read_tag(struct xdp_md *ctx, struct tag *tag)
{
	__u32 words[4], at;
	__be16 kind;

	if (bpf_xdp_load_bytes(ctx, 12, &kind, sizeof(kind)))
		return 0;
	at = kind == bpf_htons(ETH_P_IP)     ? setting.payload4
	     : kind == bpf_htons(ETH_P_IPV6) ? setting.payload6
					     : 0;
	if (!at || bpf_xdp_load_bytes(ctx, at, words, sizeof(words)) || words[0] != setting.magic)
		return 0;
	tag->flow = bpf_ntohl(words[1]);
	tag->seq = (__u64)bpf_ntohl(words[2]) << 32 | bpf_ntohl(words[3]);
	return 1;
}

// The simulator's draw, so that the same packets are lost: sim.rs, lost().
static __always_inline int is_lost(const struct end *end, const struct tag *tag)
{
	__u64 draw = mix2(mix2(setting.key, (__u64)end->link << 32 | tag->flow), tag->seq);
	__u64 low = (draw & 0xffffffff) * MILLION >> 32;

	// The upper word of the product, in two halves.
	return ((draw >> 32) * MILLION + low) >> 32 < end->loss;
}

static __always_inline void add_one(void *map, __u32 cell)
{
	__u64 *packets = bpf_map_lookup_elem(map, &cell);

	if (packets)
		*packets += 1;
}

// A packet is at one place at a time, so its number needs no atomic operation.
static __always_inline void follow(const struct tag *tag, __u32 router)
{
	struct share *share = bpf_map_lookup_elem(&shares, &tag->flow);
	__u32 at;
	__u64 *way;

	if (!share || tag->seq >= share->packets)
		return;
	at = share->first + tag->seq;
	way = bpf_map_lookup_elem(&ways, &at);
	if (way)
		*way = *way * 0x100000001b3ULL + router;
}

// Puts the router's address in place of the source, and a port of the router's: sim/nat.rs.
static __always_inline void translate(struct xdp_md *ctx, __u32 nat)
{
	__u16 ip[10] __attribute__((aligned(4))), udp[4] __attribute__((aligned(4))), port;
	__u32 source, *owner, at;
	__be16 kind;

	if (bpf_xdp_load_bytes(ctx, 12, &kind, sizeof(kind)) || kind != bpf_htons(ETH_P_IP) ||
	    bpf_xdp_load_bytes(ctx, ETH_HLEN, ip, sizeof(ip)))
		return;
	source = *(__u32 *)(ip + 6);
	owner = bpf_map_lookup_elem(&own, &source);
	if (owner && *owner == nat)
		return; // its own message
	ip[5] = repair(ip[5], source, nat);
	ip[5] = repair(ip[5], source >> 16, nat >> 16);
	*(__u32 *)(ip + 6) = nat;
	bpf_xdp_store_bytes(ctx, ETH_HLEN, ip, sizeof(ip));
	at = ETH_HLEN + (ip[0] & 15) * 4;
	// A later fragment has no ports.
	if (ip[4] >> 8 != UDP || (bpf_ntohs(ip[3]) & 0x1fff) ||
	    bpf_xdp_load_bytes(ctx, at, udp, sizeof(udp)))
		return;
	port = bpf_htons(FIRST_PORT + mix2(bpf_ntohl(source), bpf_ntohs(udp[0])) % 16384);
	if (udp[3]) {
		udp[3] = repair(udp[3], source, nat);
		udp[3] = repair(udp[3], source >> 16, nat >> 16);
		udp[3] = repair(udp[3], udp[0], port);
		udp[3] = udp[3] ? udp[3] : 0xffff;
	}
	udp[0] = port;
	bpf_xdp_store_bytes(ctx, at, udp, sizeof(udp));
}

SEC("xdp.frags")
int wire(struct xdp_md *ctx)
{
	__u32 interface = ctx->ingress_ifindex;
	struct end *end = bpf_map_lookup_elem(&ends, &interface);
	struct tag tag = {};

	if (!end || !end->other)
		return XDP_DROP;
	if (read_tag(ctx, &tag)) {
		if (end->loss && is_lost(end, &tag)) {
			add_one(&lost, end->link);
			return XDP_DROP;
		}
		if (end->router) {
			__u32 flow = tag.flow > setting.flows ? setting.flows : tag.flow;

			add_one(&passed, (end->router - 1) * (setting.flows + 1) + flow);
			if (setting.ways)
				follow(&tag, end->router);
		}
	}
	if (end->nat)
		translate(ctx, end->nat);
	return bpf_redirect(end->other, 0);
}

// An interface takes redirected frames only where a program sits.
SEC("xdp.frags")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
