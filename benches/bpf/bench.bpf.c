// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What the benchmarks put around the programs they measure: a source and a sink of frames, an empty
// program, a forwarder that only forwards, and programs that make every repeated test run meet a
// new packet.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define SHORT 60 /* bytes of a frame of 64 without its check sequence */
#define LONG 96	 /* the same with room for records behind the payload's first 24 bytes */
#define IP ETH_HLEN
#define PAYLOAD (IP + 20 + 8)
#define NUMBER (PAYLOAD + 4)   /* a packet's number, behind the payload's first word */
#define USED (PAYLOAD + 24 + 2) /* records in the room */
#define MARK (USED + 4)	       /* the first two of them, which may hold a mark */
#define PORT 9		       /* "discard" */
#define AF_INET 2

// Fixed before loading.
struct traffic {
	__u64 len; // SHORT or LONG
	__u64 sum; // over the IP header but for Identification and checksum, in memory order
	__u64 number; // where IPv6 packets have their number; 0 in IPv4, which numbers its header, too
	__u64 words[LONG / 8];
};
const volatile struct traffic traffic = {};

enum { SENT, ARRIVED, CHANGED, ENDS };
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ENDS);
	__type(key, __u32);
	__type(value, __u64);
} ends SEC(".maps");

// Interface that frames leave by.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} to SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next_xdp SEC(".maps"), next_tc SEC(".maps");

static __always_inline __u64 *end_of(__u32 which)
{
	return bpf_map_lookup_elem(&ends, &which);
}

// Writes the next packet of the flow: frames come back from the last round as that has left them.
static __always_inline int renew(void *data, void *end)
{
	__u64 *sent = end_of(SENT), number;
	__u32 sum;

	if (!sent || data + SHORT > end)
		return 0;
#pragma unroll
	for (int i = 0; i < SHORT / 8; i++)
		((__u64 *)data)[i] = traffic.words[i];
	if (traffic.len == LONG) {
		if (data + LONG > end)
			return 0;
#pragma unroll
		for (int i = SHORT / 8; i < LONG / 8; i++)
			((__u64 *)data)[i] = traffic.words[i];
	} else {
		((__u32 *)data)[SHORT / 4 - 1] = traffic.words[SHORT / 8];
	}
	number = *sent;
	if (traffic.number) {
		if (data + LONG > end || traffic.number > LONG - 4)
			return 0;
		*(__u32 *)(data + traffic.number) = number;
	} else {
		*(__u32 *)(data + NUMBER) = number;
		*(__u16 *)(data + IP + 4) = number;
		sum = (__u32)traffic.sum + (__u16)number;
		*(__u16 *)(data + IP + 10) = ~((sum & 0xffff) + (sum >> 16));
	}
	// Atomic, so that all of this has left the processor's store buffer: a packet that comes from
	// elsewhere was written long before, and reading what was just written in other units stalls.
	__sync_fetch_and_add(sent, 1);
	return 1;
}

#define BEGIN(ctx) ((void *)(long)(ctx)->data)
#define END(ctx) ((void *)(long)(ctx)->data_end)

SEC("xdp")
int send(struct xdp_md *ctx)
{
	__u32 zero = 0, *out = bpf_map_lookup_elem(&to, &zero);

	return out && renew(BEGIN(ctx), END(ctx)) ? bpf_redirect(*out, 0) : XDP_ABORTED;
}

SEC("xdp.frags")
int renew_then_xdp(struct xdp_md *ctx)
{
	if (renew(BEGIN(ctx), END(ctx)))
		bpf_tail_call(ctx, &next_xdp, 0);
	return XDP_ABORTED;
}

SEC("classifier")
int renew_then_tc(struct __sk_buff *skb)
{
	if (renew(BEGIN(skb), END(skb)))
		bpf_tail_call(skb, &next_tc, 0);
	return -2;
}

SEC("xdp.frags")
int empty_xdp(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("classifier")
int empty_tc(struct __sk_buff *skb)
{
	return -1;
}

SEC("classifier")
int last_tc(struct __sk_buff *skb)
{
	return 0;
}

// Counts the flow's packets, and those among them that carry something of a router's: without a branch that hangs on
// what they carry, which would be guessed wrong where marks are a matter of chance, and slow marked paths down.
SEC("xdp")
int sink(struct xdp_md *ctx)
{
	__u8 *data = BEGIN(ctx), *end = END(ctx);
	__u64 *arrived = end_of(ARRIVED), *changed = end_of(CHANGED);
	__u64 other;

	if (!arrived || !changed || data + SHORT > end ||
	    *(__be16 *)(data + 12) != bpf_htons(ETH_P_IP) ||
	    *(__be16 *)(data + IP + 22) != bpf_htons(PORT))
		return XDP_PASS;
	++*arrived;
	other = *(__u16 *)(data + IP + 4) ^ *(__u16 *)(data + NUMBER);
	if (data + MARK + 4 <= end)
		other |= data[USED] | *(__u32 *)(data + MARK);
	*changed += (other + 0xffffffff) >> 32;
	return XDP_DROP;
}

// Ways that the kernel has told, by destination.
#define KEPT 5 /* ticks */
struct way {
	__u32 to, out;
	__u64 asked;
	__u8 macs[16];
};
struct ways {
	struct way each[256];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ways);
} ways SEC(".maps");

// Asks the kernel; 0 where there is a way.
static __always_inline int ask(struct xdp_md *ctx, const __u8 *ip, struct way *way)
{
	struct bpf_fib_lookup to = { .family = AF_INET, .ifindex = ctx->ingress_ifindex };

	to.tos = ip[1];
	to.l4_protocol = ip[9];
	to.tot_len = bpf_ntohs(*(__be16 *)(ip + 2));
	to.ipv4_src = *(__be32 *)(ip + 12);
	to.ipv4_dst = *(__be32 *)(ip + 16);
	if (bpf_fib_lookup(ctx, &to, sizeof(to), 0) != BPF_FIB_LKUP_RET_SUCCESS)
		return -1;
	way->out = to.ifindex;
	// In words, where the compiler would copy byte by byte.
#pragma unroll
	for (int i = 0; i < 6; i += 2) {
		*(__u16 *)(way->macs + i) = *(__u16 *)(to.dmac + i);
		*(__u16 *)(way->macs + 6 + i) = *(__u16 *)(to.smac + i);
	}
	return 0;
}

// Forwards IPv4 by the kernel's tables and does nothing else; asks them once in some ticks, or for
// every packet.
static __always_inline int forward(struct xdp_md *ctx, __u64 kept)
{
	__u8 *eth = BEGIN(ctx), *ip = eth + IP;
	__u32 zero = 0, sum, to;
	__u64 now = bpf_jiffies64();
	struct ways *all = bpf_map_lookup_elem(&ways, &zero);
	struct way *way;

	if (!all || (void *)(ip + 20) > END(ctx) || *(__be16 *)(eth + 12) != bpf_htons(ETH_P_IP) ||
	    ip[0] != 0x45 || ip[8] <= 1)
		return XDP_PASS;
	to = *(__be32 *)(ip + 16);
	way = &all->each[to * 0x9e3779b1U >> 24];
	if (way->to != to || now - way->asked >= kept) {
		way->to = 0;
		if (ask(ctx, ip, way))
			return XDP_PASS;
		way->to = to;
		way->asked = now;
	}
	ip[8]--;
	sum = *(__u16 *)(ip + 10) + bpf_htons(0x100);
	*(__u16 *)(ip + 10) = sum + (sum >> 16);
	*(__u64 *)eth = *(__u64 *)way->macs;
	*(__u32 *)(eth + 8) = *(__u32 *)(way->macs + 8);
	return bpf_redirect(way->out, 0);
}

SEC("xdp")
int forward_only(struct xdp_md *ctx)
{
	return forward(ctx, KEPT);
}

SEC("xdp")
int ask_and_forward(struct xdp_md *ctx)
{
	return forward(ctx, 0);
}

char _license[] SEC("license") = "Dual MIT/GPL";
