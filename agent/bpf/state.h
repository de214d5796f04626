/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What a program knows and keeps: settings that the agent writes before it loads, counters,
 * histograms of the marking step, pages of a log. datapath/kernel/ reads the same layouts.
 */
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Fixed before loading, so that the verifier drops what does not apply. */
struct setting {
	__u32 keys[18];	/* of the packet's hash, in halves: invariant.rs, struct Schedule */
	__u64 draws;	/* of keyed draws */
	__s64 zero;	/* the run's, on the monotonic clock */
	__u32 me;
	__u32 degree;
	__u32 keyed;	/* draws: 1 from the packet's hash, 0 from a generator */
	__u32 every;	/* one step in so many is timed; 0 times none */
	__u32 forwards; /* the XDP program: 1 forwards by itself, 0 passes to the kernel */
	__u32 own_cells; /* logs: 1 where each processor has its own copy of the cells, else 0 */
	__u32 entries;	/* of the table, at most */
	__u32 ahead;	/* 1 where some neighbour takes no part: only then the next router matters */
	__u32 by_ports; /* the XDP program: 1 where the kernel looks at ports to choose a route */
	__u32 quiet;	/* QUIET_PORTS, QUIET_ERRORS */
	__u64 tcx;	/* the tc program: number of the kernel's struct tcx_entry; 0: behind.h looks nothing up */
	__u64 kept;	/* the XDP program: ticks for which the kernel's word about a way is good; 0: never */
};
const volatile struct setting setting = {};

/* The settings, of which the compiler may leave out what nobody needs: it does not see whence they come. */
static __always_inline const struct setting *known(void)
{
	const struct setting *from = (const struct setting *)&setting;

	asm("" : "+r"(from));
	return from;
}

/* Some ports are silent: packets that come in there are forwarded and nothing else. */
#define QUIET_PORTS 1
/* The router keeps its errors to itself, since their source would tell an address that is not shown. */
#define QUIET_ERRORS 2

/* Packets since loading. The first eight have the meaning of report.rs, the rest of vantage.rs. */
struct counters {
	__u64 received, forwarded, local, malformed, expired, unroutable;
	__u64 marked, fragments_skipped, df_set, ttl_changed, no_slot, no_room;
	__u64 merged;	/* frames of several packets, left unmarked */
	__u64 overfull; /* logged into a page that was full, or not at all into a table that was */
	__u64 timer;	/* steps until the next timed one */
	__u64 chance;	/* of the generator behind draws that are not keyed; 0 before the first */
	__u64 asked;	/* the XDP program: packets whose way the kernel was asked for */
};

/* A way that packets take: way.h. */
struct way {
	__u64 to[2];   /* destination; of IPv4 as it is mapped into IPv6 */
	__u64 until;   /* tick from which on the kernel is asked anew */
	__u32 in, out; /* interfaces; `out` is 0 where it is not known */
	__u8 macs[12]; /* as a frame begins: of the next router or host, and of the port */
	__u32 mtu;     /* on the way; 0: not to be used again */
};

/* What each processor keeps for itself, all found by one look-up. A program that keeps ways says how many. */
struct own {
	struct counters counters;
#ifdef WAYS
	struct way ways[WAYS];
#endif
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct own);
} owned SEC(".maps");

static __always_inline struct own *own(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&owned, &zero);
}

/* An interface of this router, by its index. */
struct port {
	__u32 from; /* the router at the other end, 0 where hosts are */
	__u16 index;
	__u8 edge, known;
	__u8 mac[6];
	__u16 link;  /* rank of `from` among the neighbours */
	__u8 border; /* 1 where `from` belongs to another autonomous system */
	__u8 legacy; /* 1 where `from` takes no part */
	__u8 silent; /* 1 where packets that come in are forwarded and nothing else */
	__u8 by_destination; /* 1 where destination and port of arrival alone decide a packet's way */
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct port);
} ports SEC(".maps");

/* Histograms with two significant digits up to 2^30 ns: HdrHistogram's layout of 256 sub-buckets. */
#define HALF 128
#define CELLS ((30 - 8 + 2) * HALF)
struct histogram {
	__u64 cells[CELLS];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct histogram);
} times SEC(".maps");

/* A function of its own, to keep it out of the way of packets that are not timed. */
static __noinline void record_time(__u64 ns)
{
	__u32 zero = 0, shift = 0, cell, value;
	struct histogram *histogram = bpf_map_lookup_elem(&times, &zero);

	if (ns >> 30)
		ns = (1 << 30) - 1;
	value = ns;
	/* The highest bit's position, without a loop: eBPF has no instruction for it. */
	if (value >> (shift + 16 + 8)) shift += 16;
	if (value >> (shift + 8 + 8)) shift += 8;
	if (value >> (shift + 4 + 8)) shift += 4;
	if (value >> (shift + 2 + 8)) shift += 2;
	if (value >> (shift + 1 + 8)) shift += 1;
	if (value >> (shift + 8)) shift += 1;
	cell = shift * HALF + (value >> shift);
	if (histogram && cell < CELLS)
		histogram->cells[cell]++;
}
