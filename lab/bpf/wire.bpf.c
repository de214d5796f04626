// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The lab's own wires: every link runs through a namespace where a program passes frames from one end
// to the other, counts what goes to each router, and does to packets what the plan asks of the network:
// it loses some, gives each its time to come out, follows their ways, and translates addresses where they
// leave a router that does so. A frame that has to wait goes to the lab's link stage (netns/holder.rs),
// which sends it when its time has come.
// All of it is outside the agents under test, and the same under every datapath.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "../../traceback/src/twin.h"
#include "../../agent/bpf/checksum.h"

#define MILLION 1000000
#define BILLION 1000000000ULL
#define GRACE 2000000ULL /* ns by which the link stage may be late: nothing overtakes it meanwhile */
#define FRAME 9216
#define JITTER 0x6a6974746572ULL /* plan/wire.rs */
#define TC_NEXT (-1)
#define UDP 17
#define ICMPV6 58
#define FIRST_PORT 49152 /* that a translator gives out: RFC 6335 section 6 */

// Fixed before loading; netns/wires.rs writes it.
struct setting {
	__u64 key;	// of the draws that decide which packets are lost
	__u64 flows;	// numbers of the plan's flows are below this
	__u64 payload4; // where the payload of the plan's packets begins in a frame, by version of IP
	__u64 payload6;
	__u64 magic; // first word of that payload, as it lies in memory
	__u64 ways;  // 1 where packets' ways are followed
	__u64 timed; // 1 where links may make packets wait
	__u64 every; // one packet in so many is timed from end to end
	__u64 most;  // times kept for each way of a link
};
const volatile struct setting setting = {};

// One end of a link, by the interface in the middle.
struct end {
	__u32 other;  // the interface to the other end
	__u32 router; // position, plus one, of the router at the other end; 0 for a host
	__u32 link;   // position in the plan
	__u32 way;    // of this link from this end: twice the link, and the side
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

// What one way of a link does to packets, as plan and faults have it now.
struct conditions {
	__u64 rate;   // bits per second; 0: without limit
	__u64 queue;  // ns of sending that may wait
	__u64 delay;  // ns
	__u64 jitter; // ns
	__u32 loss;   // packets of a million
	__u32 cut;    // 1: nothing passes
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct conditions);
} conditions SEC(".maps");

// One way of a link at work. Frames of one interface come one after the other: it has one queue.
struct strait {
	__u64 free; // when all that was let in has been sent at the link's rate
	__u64 last; // when the last frame that waits comes out
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct strait);
} straits SEC(".maps");

// The plan's packets by way and by what became of them; and all frames that the link stage had no room for.
enum { CAME, LOST, FULL, CUT, STALLED, KINDS };
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} tally SEC(".maps");

// A frame on its way to the link stage, which takes them from `stage`.
struct held {
	__u64 due; // on the monotonic clock
	__u32 out; // the interface that it leaves by
	__u32 len;
	__u8 frame[FRAME];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct held);
} desk SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} stage SEC(".maps");

// When packets that are timed came to a way, until they come out.
struct timed {
	__u32 way, flow;
	__u64 seq;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct timed);
	__type(value, __u64);
} entered SEC(".maps");

// What came out of each way, and how long those that are timed took.
struct out {
	__u64 times, bytes, first, last;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct out);
} outs SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} times SEC(".maps");

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

// From a frame at XDP, or from a socket buffer.
static __always_inline long load(void *ctx, int is_buffer, __u32 at, void *to, __u32 len)
{
	return is_buffer ? bpf_skb_load_bytes(ctx, at, to, len) : bpf_xdp_load_bytes(ctx, at, to, len);
}

static __always_inline int read_tag(void *ctx, int is_buffer, struct tag *tag)
{
	__u32 words[4], at;
	__be16 kind;

	if (load(ctx, is_buffer, 12, &kind, sizeof(kind)))
		return 0;
	at = kind == bpf_htons(ETH_P_IP)     ? setting.payload4
	     : kind == bpf_htons(ETH_P_IPV6) ? setting.payload6
					     : 0;
	if (!at || load(ctx, is_buffer, at, words, sizeof(words)) || words[0] != setting.magic)
		return 0;
	tag->flow = bpf_ntohl(words[1]);
	tag->seq = (__u64)bpf_ntohl(words[2]) << 32 | bpf_ntohl(words[3]);
	return 1;
}

// The simulator's draw, so that the same packets are lost: sim/straits.rs, lost().
static __always_inline int is_lost(const struct end *end, __u32 loss, const struct tag *tag)
{
	__u64 draw = mix2(mix2(setting.key, (__u64)end->link << 32 | tag->flow), tag->seq);
	__u64 low = (draw & 0xffffffff) * MILLION >> 32;

	// The upper word of the product, in two halves.
	return ((draw >> 32) * MILLION + low) >> 32 < loss;
}

// When a frame that comes now comes out, 0 where it may pass at once, FULL where the queue is full:
// plan/wire.rs, Strait::pass(). `tag` is none for frames that are not the plan's.
static __always_inline __u64 take_turn(const struct conditions *c, struct strait *s, __u32 way,
				       __u64 bytes, const struct tag *tag)
{
	__u64 now = bpf_ktime_get_ns(), due = now, last = s->last;

	if (c->rate) {
		__u64 start = s->free > now ? s->free : now;

		if (start - now > c->queue)
			return FULL;
		s->free = start + bytes * 8 * BILLION / c->rate;
		due = s->free;
	}
	due += c->delay;
	if (tag && c->jitter) {
		__u64 place = (__u64)way << 32 | tag->flow;
		__u64 draw = mix2(mix2(setting.key ^ JITTER, place), tag->seq);

		due += ((draw >> 40) * (2 * c->jitter + 1) >> 24) - c->jitter;
	}
	if (due < last)
		due = last;
	if (due <= now && last + GRACE <= now)
		return 0;
	s->last = due;
	return due;
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

// Hands a frame to the link stage.
static __always_inline int hold(struct xdp_md *ctx, const struct end *end, __u64 due, __u32 len)
{
	__u32 zero = 0;
	struct held *held = bpf_map_lookup_elem(&desk, &zero);

	if (!held)
		return XDP_DROP;
	held->due = due;
	held->out = end->other;
	held->len = len;
	// One comparison, from which every verifier learns both bounds (agent/bpf/packet.h, load_some()).
	len -= ETH_HLEN;
	barrier_var(len);
	if (len > FRAME - ETH_HLEN || bpf_xdp_load_bytes(ctx, 0, held->frame, ETH_HLEN + len) ||
	    bpf_ringbuf_output(&stage, held, sizeof(*held) - FRAME + ETH_HLEN + len, 0))
		add_one(&tally, end->way * KINDS + STALLED);
	return XDP_DROP;
}

// Whether a frame, none of the plan's, is how neighbours find each other: the kernel's patience for that is
// none of the plan's either, so it never waits.
static __always_inline int is_neighbourly(struct xdp_md *ctx)
{
	__be16 kind;
	__u8 next, type;

	if (bpf_xdp_load_bytes(ctx, 12, &kind, sizeof(kind)))
		return 0;
	if (kind == bpf_htons(ETH_P_ARP))
		return 1;
	if (kind != bpf_htons(ETH_P_IPV6) || bpf_xdp_load_bytes(ctx, ETH_HLEN + 6, &next, 1) ||
	    next != ICMPV6 || bpf_xdp_load_bytes(ctx, ETH_HLEN + 40, &type, 1))
		return 0;
	return type >= 133 && type <= 137;
}

// Notes when a packet that is timed came.
static __always_inline void note(__u32 way, const struct tag *tag)
{
	struct timed key = {.way = way, .flow = tag->flow, .seq = tag->seq};
	__u64 now = bpf_ktime_get_ns();

	if (tag->seq % setting.every == 0)
		bpf_map_update_elem(&entered, &key, &now, BPF_ANY);
}

SEC("xdp.frags")
int wire(struct xdp_md *ctx)
{
	__u32 interface = ctx->ingress_ifindex, way, cell, len = 0;
	struct end *end = bpf_map_lookup_elem(&ends, &interface);
	struct conditions *c;
	struct tag tag = {};
	__u64 due = 0;
	int ours;

	if (!end || !end->other)
		return XDP_DROP;
	way = end->way;
	cell = way * KINDS;
	c = bpf_map_lookup_elem(&conditions, &way);
	if (!c)
		return XDP_DROP;
	ours = read_tag(ctx, 0, &tag);
	if (ours)
		add_one(&tally, cell + CAME);
	if (c->cut || (ours && c->loss && is_lost(end, c->loss, &tag))) {
		if (ours)
			add_one(&tally, cell + (c->cut ? CUT : LOST));
		return XDP_DROP;
	}
	if (setting.timed && (ours || !is_neighbourly(ctx))) {
		struct strait *strait = bpf_map_lookup_elem(&straits, &way);

		len = bpf_xdp_get_buff_len(ctx);
		if (strait)
			due = take_turn(c, strait, way, len - ETH_HLEN, ours ? &tag : 0);
	}
	if (due == FULL) {
		if (ours)
			add_one(&tally, cell + FULL);
		return XDP_DROP;
	}
	if (ours && end->router) {
		__u32 flow = tag.flow > setting.flows ? setting.flows : tag.flow;

		add_one(&passed, (end->router - 1) * (setting.flows + 1) + flow);
		if (setting.ways)
			follow(&tag, end->router);
	}
	if (end->nat)
		translate(ctx, end->nat);
	if (!due)
		return bpf_redirect(end->other, 0);
	if (ours)
		note(way, &tag);
	return hold(ctx, end, due, len);
}

// A frame that waited leaves the middle: an interface here is where a way ends.
SEC("classifier")
int leave(struct __sk_buff *ctx)
{
	__u32 interface = ctx->ifindex, way, at;
	struct end *end = bpf_map_lookup_elem(&ends, &interface);
	__u64 now = bpf_ktime_get_ns(), *came, *time;
	struct timed key = {};
	struct tag tag = {};
	struct out *out;

	if (!end || !read_tag(ctx, 1, &tag))
		return TC_NEXT;
	way = end->way ^ 1;
	out = bpf_map_lookup_elem(&outs, &way);
	if (!out)
		return TC_NEXT;
	// The first packet opens the time over which bytes are counted.
	if (out->first)
		out->bytes += ctx->len - ETH_HLEN;
	else
		out->first = now;
	out->last = now;
	key.way = way;
	key.flow = tag.flow;
	key.seq = tag.seq;
	came = bpf_map_lookup_elem(&entered, &key);
	if (!came || out->times >= setting.most)
		return TC_NEXT;
	at = way * setting.most + out->times;
	time = bpf_map_lookup_elem(&times, &at);
	if (time) {
		*time = now - *came;
		out->times++;
	}
	bpf_map_delete_elem(&entered, &key);
	return TC_NEXT;
}

// An interface takes redirected frames only where a program sits.
SEC("xdp.frags")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
