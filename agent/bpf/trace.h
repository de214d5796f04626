/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * IOAM options in an IPv6 hop-by-hop header: ioam.rs.
 */
#pragma once
#include "packet.h"

#define IOAM_CHANGING 0x31
#define IOAM_CONSTANT 0x11
#define IOAM_PREALLOCATED 0
#define IOAM_DIRECT_EXPORT 4
#define IOAM_NAMESPACE 1
#define IOAM_TRACE_TYPE 0x800000
#define IOAM_OVERFLOW (1 << 10)
#define IOAM_REMAINING 0x7f
#define IOAM_TRACE_HEAD 12 /* bytes of a trace before its node data */
#define IOAM_EXPORT 20	   /* bytes of a direct export */

/* What both options begin with. */
struct ioam {
	__u8 kind, len, reserved, type;
	__be16 space, flags; /* of a trace: with the remaining length */
	__be32 trace_type;
} __attribute__((aligned(4)));

/* Whether the bytes at `at`, of an option that ends before `end`, are one that nodes here know. */
static __always_inline int ioam_known(const struct ioam *o, __u32 kind, __u32 at)
{
	__u32 len = 2 + o->len, flags = bpf_ntohs(o->flags);

	if (at % 4 || o->kind != kind || o->space != bpf_htons(IOAM_NAMESPACE) ||
	    (o->trace_type & bpf_htonl(~0xffU)) != bpf_htonl(IOAM_TRACE_TYPE << 8))
		return 0;
	if (kind == IOAM_CONSTANT)
		return o->type == IOAM_DIRECT_EXPORT && len >= IOAM_EXPORT &&
		       (flags & 0xc0) == 0xc0;
	return o->type == IOAM_PREALLOCATED && flags >> 11 == 1 &&
	       IOAM_TRACE_HEAD + 4 * (flags & IOAM_REMAINING) <= len;
}

/* A search through the options of a hop-by-hop header. */
struct ioam_search {
	void *ctx;
	__u32 at, end, kind, found;
};

/* One option; 1 ends the search. A callback for the reason given in room.h. */
static long look_for_ioam(__u32 i, struct ioam_search *search)
{
	__u32 at = search->at, len;
	struct ioam o = {};

	if (at + 1 >= search->end || at > FARTHEST || LOAD(search->ctx, ETH_HLEN + at, &o, 2))
		return 1;
	len = o.kind == 0 ? 1 : 2 + o.len;
	if (at + len > search->end)
		return 1;
	if (o.kind == search->kind && len >= sizeof(o) &&
	    !LOAD(search->ctx, ETH_HLEN + at, &o, sizeof(o)) && ioam_known(&o, o.kind, at)) {
		search->found = at;
		return 1;
	}
	search->at = at + len;
	return 0;
}

/* A function of its own, which the verifier looks at once. It begins at an argument, of which the verifier
 * knows nothing: those before Linux 6.7 look at one turn of a loop, and would take what is not found at a
 * known place for what is never found. */
__noinline __u32 search_ioam(CTX *ctx, __u32 at, __u32 end, __u32 kind)
{
	struct ioam_search search = { .ctx = ctx, .at = at, .end = end, .kind = kind };

	bpf_loop(2048, look_for_ioam, &search, 0);
	return search.found;
}

/* Where the first option of a kind lies that nodes here know; 0 where there is none. First where it
 * has to be when it is the only one: behind two bytes of padding. */
static __always_inline __u32 find_ioam(const struct view *v, const struct packet *p, __u32 kind)
{
	__u8 head[18] __attribute__((aligned(8)));
	__u32 end;

	if (!p->v6 || !p->options || take(v, 40, head, sizeof(head)))
		return 0;
	end = 48 + 8 * head[1];
	if (head[2] == 1 && head[3] == 0 && 44 + 2 + head[5] <= end &&
	    ioam_known((const struct ioam *)(head + 4), kind, 44))
		return 44;
	return search_ioam(v->ctx, 42, end, kind);
}
