// SPDX-License-Identifier: MIT OR Apache-2.0
//
// A twin on the host, for tests: reads cases from standard input, writes what the twin makes of them.
// The first 512 words of input are the fields of struct scheme.
#include SCHEME
#include <stdio.h>

struct one {
	__u64 digest, salt, at;
	__u32 me, from, draw, to, cell, before;
	__u16 port, degree, link;
	__u8 ttl, edge, border, fragment, legacy, wanted;
	__u8 pad[4];
};
struct made {
	__u32 mark;
	__u16 record;
	__u8 ttl; // 0 where it stays
	__u8 told, account, pad[7];
	__u64 cells; // a hash over all of them
};

int main(void)
{
	union {
		__u64 words[512];
#if defined(MARK_BITS) || defined(RECORDS) || defined(LOGS) || defined(SPEAKS)
		struct scheme scheme;
#endif
	} setting;
	struct one in;

	if (fread(&setting, sizeof(setting), 1, stdin) != 1)
		return 2;
	while (fread(&in, sizeof(in), 1, stdin) == 1) {
		struct made out = { .mark = in.before };
		struct hop hop = { .at = in.at, .me = in.me, .from = in.from, .draw = in.draw, .to = in.to,
				   .cell = in.cell, .port = in.port, .degree = in.degree,
				   .link = in.link, .ttl = in.ttl, .edge = in.edge,
				   .border = in.border, .fragment = in.fragment,
				   .legacy = in.legacy, .wanted = in.wanted };

		(void)hop;
#ifdef MARK_BITS
		__u32 mask = MARK_BITS == 32 ? ~0U : (1U << (MARK_BITS & 31)) - 1;

		out.mark = mark(&setting.scheme, &hop, in.digest, in.before & mask) & mask;
#endif
#ifdef SETS_TTL
		out.ttl = ttl_after(&setting.scheme, &hop);
		if (out.ttl == hop.ttl)
			out.ttl = 0;
#endif
#ifdef SPEAKS
		out.told = told(&setting.scheme, &hop);
		out.account = account(&setting.scheme, &hop);
#endif
#ifdef RECORDS
		out.record = record(&setting.scheme);
#endif
#ifdef LOGS
		if (log_key(&hop, out.mark, &in.digest)) {
			struct walk walk = start(in.salt, in.digest);

			for (__u64 i = 0; i < setting.scheme.hashes; i++)
				out.cells = mix2(out.cells, cell(setting.scheme.bits, &walk));
		}
#endif
		if (fwrite(&out, sizeof(out), 1, stdout) != 1)
			return 1;
	}
	return 0;
}
