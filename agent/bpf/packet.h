/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Packets in a frame: checked once, then read and marked in place. The same rules as packet.rs,
 * slot.rs and invariant.rs. What lies in the linear part is read there, because every call of a
 * helper costs some nanoseconds. Before it includes this, a program defines CTX, its context's type;
 * LENGTH(ctx), of the whole frame; LOWERED, 1 where the kernel has routed the packet already; and how bytes
 * behind the linear part are read and written: LOAD(ctx, offset, to, length) and STORE(ctx, offset, from,
 * length).
 */
#pragma once
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "checksum.h"

#define MAX_EXTENSIONS 8 /* of IPv6, walked before a packet is refused */
#define PAYLOAD 24	 /* bytes behind the transport header that identify a packet */
#define FARTHEST 16384	 /* no transport header begins behind this */

enum { ICMP = 1, TCP = 6, UDP = 17, ICMP6 = 58 };
enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60 };

/* A frame as a program sees it. */
struct view {
	CTX *ctx;
	void *data, *end; /* of the linear part */
};

/* What parsing found; offsets count bytes from the IP header. */
struct packet {
	__u32 l4, total;
	__u32 payload; /* where it begins, at most `total` */
	__u32 ports;   /* of TCP and UDP as they lie in memory; type and code of ICMP */
	__u8 v6, proto, ttl;
	/* Whether it may not be fragmented, is a fragment, one but the first, and has options: 0 where not,
	 * else anything, since to make 1 of that takes a branch. */
	__u16 df, fragment, later_fragment, options;
	__u32 in, out; /* interfaces; where the header sets SPEAKS. `out` is 0 where it is not known */
};

/* Finds the linear part, at first and whenever a helper may have moved it. */
static __always_inline void look(struct view *v, CTX *ctx)
{
	v->ctx = ctx;
	v->data = (void *)(long)ctx->data;
	v->end = (void *)(long)ctx->data_end;
}

/* Whether the frame is as long as its IP header says. */
static __always_inline int holds(const struct view *v, __u32 total)
{
	return v->data + ETH_HLEN + total <= v->end || ETH_HLEN + total <= LENGTH(v->ctx);
}

/* Copies of a constant length that is even. The compiler would take one byte after the other, because
 * it cannot know that the machine reads words at any address. On the stack they must be aligned. */
static __always_inline void copy(void *to, const void *from, __u32 len)
{
	__u32 i = 0;

#pragma unroll
	for (; i + 8 <= len; i += 8)
		*(__u64 *)(to + i) = *(const __u64 *)(from + i);
	if (len & 4) {
		*(__u32 *)(to + i) = *(const __u32 *)(from + i);
		i += 4;
	}
	if (len & 2)
		*(__u16 *)(to + i) = *(const __u16 *)(from + i);
}

/* Reads `len` bytes, of which there must be one at least and no more than `most`. Verifiers before Linux
 * 6.8 learn nothing from `len != 0`, but all learn bounds from the comparison of what is less by one. */
static __always_inline long load_some(void *ctx, __u32 at, void *to, __u32 len, __u32 most)
{
	len--;
	barrier_var(len);
	return len < most ? LOAD(ctx, at, to, len + 1) : -1;
}

/* An offset that the verifier knows to be less than 2 * FARTHEST. Where the compiler knows that already, it
 * would leave the mask out, and verifiers before Linux 6.8 forget what they knew on the way here. */
static __always_inline __u32 bounded(__u32 at)
{
	if (!__builtin_constant_p(at))
		barrier_var(at);
	return at & (2 * FARTHEST - 1);
}

/* Reads bytes that begin so far behind the IP header's first; `len` is a constant. */
static __always_inline int take(const struct view *v, __u32 at, void *to, __u32 len)
{
	const __u8 *from = v->data + ETH_HLEN + bounded(at);

	if (at >= 2 * FARTHEST)
		return -1;
	if ((const void *)(from + len) > v->end)
		return LOAD(v->ctx, ETH_HLEN + at, to, len);
	copy(to, from, len);
	return 0;
}

/* Writes a word there. */
static __always_inline int put(struct view *v, __u32 at, __u16 word)
{
	__u8 *to = v->data + ETH_HLEN + bounded(at);
	int failed;

	if (at >= 2 * FARTHEST)
		return -1;
	if ((void *)(to + 2) > v->end) {
		failed = STORE(v->ctx, ETH_HLEN + at, &word, 2);
		look(v, v->ctx);
		return failed;
	}
	*(__u16 *)to = word;
	return 0;
}

static __always_inline __u16 be16(const void *p)
{
	return bpf_ntohs(*(const __be16 *)p);
}

/* The packet's destination as two words, of IPv4 as it is mapped into IPv6. */
static __always_inline int destination(const struct view *v, const struct packet *p, __u64 *to)
{
	const __u8 *ip = v->data + ETH_HLEN;

	if (p->v6) {
		if ((const void *)(ip + 40) > v->end)
			return -1;
		copy(to, ip + 24, 16);
		return 0;
	}
	if ((const void *)(ip + 20) > v->end)
		return -1;
	to[0] = 0;
	to[1] = (__u64)*(const __u32 *)(ip + 16) << 32 | 0xffff0000;
	return 0;
}

static __always_inline int header_checksum_is_right(const struct view *v, __u32 len)
{
	const __u8 *ip = v->data + ETH_HLEN;
	__u32 more = len - 20;
	__u64 sum = 0;

#pragma unroll
	for (int i = 0; i < 5; i++)
		sum += *(const __u32 *)(ip + 4 * i);
	if (more) {
		__u32 options[10] = {};

		if (load_some(v->ctx, ETH_HLEN + 20, options, more, sizeof(options)))
			return 0;
#pragma unroll
		for (int i = 0; i < 10; i++)
			sum += options[i];
	}
	/* Folded twice, as a third time would only turn what is more into what is less. */
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

static __always_inline int parse_v4(const struct view *v, struct packet *p)
{
	const __u8 *ip = v->data + ETH_HLEN;
	__u16 flags;

	if ((const void *)(ip + 20) > v->end || ip[0] >> 4 != 4)
		return 0;
	p->l4 = (ip[0] & 15) * 4;
	p->total = be16(ip + 2);
	if (p->l4 < 20 || p->l4 > p->total || !holds(v, p->total))
		return 0;
	p->options = p->l4 - 20;
	/* What the kernel has routed it has checked. */
	if (!LOWERED && !header_checksum_is_right(v, p->l4))
		return 0;
	p->proto = ip[9];
	p->ttl = ip[8];
	flags = be16(ip + 6);
	p->df = flags & 0x4000;
	p->fragment = flags & 0x3fff;
	p->later_fragment = flags & 0x1fff;
	return 1;
}

static __always_inline int is_extension(__u8 proto)
{
	return proto == HOP_BY_HOP || proto == ROUTING || proto == DESTINATION || proto == FRAGMENT;
}

/* Walks one extension header; 0 at the transport header, negative where the packet makes no sense. */
static __always_inline int extension(CTX *ctx, struct packet *p)
{
	__u32 at = p->l4, len = 8;
	__u8 head[4];

	if (p->later_fragment || !is_extension(p->proto))
		return 0;
	if (at + 2 > p->total || at > FARTHEST || LOAD(ctx, ETH_HLEN + at, head, 4))
		return -1;
	if (p->proto != FRAGMENT)
		len += 8 * head[1];
	if (at + len > p->total)
		return -1;
	if (p->proto == FRAGMENT) {
		p->fragment = 1;
		p->later_fragment = head[2] << 8 | (head[3] & 0xf8);
	}
	p->proto = head[0];
	p->l4 = at + len;
	return 1;
}

/* Walks all of them; 0 where the packet makes no sense. A function of its own, because the verifier
 * would follow everything behind it anew for each chain that there may be. */
__noinline int walk_extensions(CTX *ctx, struct packet *p)
{
	if (!p)
		return 0;
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		int step = extension(ctx, p);

		if (step <= 0)
			return step == 0;
	}
	return 0;
}

/* Walks them in a copy: what the function is given lies in memory, and for the sake of few packets all
 * that is known of any would. */
static __always_inline int walk_copy(struct view *v, struct packet *p)
{
	struct packet walked = *p;
	int sense = walk_extensions(v->ctx, &walked);

	*p = walked;
	/* The verifier forgets what was checked, and after some functions where the packet lies. */
	look(v, v->ctx);
	return sense && p->l4 < 2 * FARTHEST && p->l4 <= p->total && p->total <= 40 + 0xffff;
}

static __always_inline int parse_v6(struct view *v, struct packet *p)
{
	const __u8 *ip = v->data + ETH_HLEN;

	if ((const void *)(ip + 40) > v->end || ip[0] >> 4 != 6)
		return 0;
	p->df = 1; /* nobody fragments it on the way */
	p->l4 = 40;
	p->total = 40 + be16(ip + 4);
	if (!holds(v, p->total))
		return 0;
	p->proto = ip[6];
	p->ttl = ip[7];
	p->options = p->proto == HOP_BY_HOP;
	return !is_extension(p->proto) || walk_copy(v, p);
}

/* Finds ports and payload. A transport header that is cut short has what there is of it. */
static __always_inline void parse_transport(const struct view *v, struct packet *p)
{
	__u32 at = p->l4, len = p->total - p->l4, header = 0;
	const __u8 *l4 = v->data + ETH_HLEN + (at & (FARTHEST * 2 - 1));
	__u8 some[16] __attribute__((aligned(8))) = {};

	if (!p->later_fragment && (p->proto == TCP || p->proto == UDP || p->proto == ICMP ||
				   p->proto == ICMP6)) {
		header = 8;
		if (len < 16 || (const void *)(l4 + 16) > v->end) {
			__u32 n = len < 16 ? len : 16;

			if (!load_some(v->ctx, ETH_HLEN + at, some, n, sizeof(some)))
				l4 = some;
			else
				len = 0;
			if (p->proto == TCP)
				header = len > 12 ? (some[12] >> 4) * 4 : 0;
			p->ports = *(__u32 *)some;
		} else {
			if (p->proto == TCP)
				header = (l4[12] >> 4) * 4;
			p->ports = *(const __u32 *)l4;
		}
		if (p->proto == ICMP || p->proto == ICMP6)
			p->ports = len >= 2 ? p->ports & 0xffff : 0;
		else if (len < 4)
			p->ports = 0;
	}
	p->payload = at + (header < p->total - at ? header : p->total - at);
}

/* Everything; 0 where a router would not forward it. `v6` is what the frame says. */
static __always_inline int parse(struct view *v, struct packet *p, int v6)
{
	p->v6 = v6;
	return v6 ? parse_v6(v, p) : parse_v4(v, p);
}
