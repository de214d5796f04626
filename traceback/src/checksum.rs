//! The Internet checksum and its repair.
//!
//! Holds the one's-complement sum of RFC 1071 and the incremental update of RFC 1624 (equation 3).
//! Does not hold knowledge of headers: callers name the words that changed.

/// Ones' complement sum of big-endian 16-bit words, not yet folded; an odd last byte is padded with 0.
pub fn sum(bytes: &[u8]) -> u32 {
    let mut chunks = bytes.chunks_exact(2);
    let mut total: u32 = chunks.by_ref().map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    if let [last] = chunks.remainder() {
        total += u32::from(*last) << 8;
    }
    total
}

/// Folds carries into 16 bits.
#[inline]
pub fn fold(total: u32) -> u16 {
    // Twice at most; a loop would leave the processor guessing how often.
    let once = (total & 0xffff) + (total >> 16);
    low((once & 0xffff) + (once >> 16))
}

/// The low 16 bits.
fn low(word: u32) -> u16 {
    let [_, _, high, low] = word.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// Whether the sum of an IPv4 header, its checksum field included, is what it should be. A header has 20
/// bytes at least, and a multiple of 4.
#[inline]
pub fn is_right(header: &[u8]) -> bool {
    let Some((fixed, options)) = header.split_first_chunk::<20>() else { return false };
    // In the machine's own order, by words of four bytes where nobody writes on the way: RFC 1071 section 2
    // (B) and (C). Words that a router has just written, two bytes each, are read as they were written,
    // or the processor would wait for them.
    let four = |at: usize| {
        u64::from(u32::from_ne_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]))
    };
    let two = |at: usize| u64::from(u16::from_ne_bytes([fixed[at], fixed[at + 1]]));
    let mut sum = four(0) + two(4) + two(6) + two(8) + two(10) + four(12) + four(16);
    for word in options.as_chunks().0 {
        sum += u64::from(u32::from_ne_bytes(*word));
    }
    // At most 17 words of 32 bits, so below 2^37.
    for _ in 0..3 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum == 0xffff
}

/// The checksum field's value for `bytes`, whose own checksum field must be zero.
pub fn of(bytes: &[u8]) -> u16 {
    !fold(sum(bytes))
}

/// The checksum field after one word of the header changed from `old` to `new`; all as they stand in the packet.
///
/// Source: RFC 1624 equation 3, `HC' = ~(~HC + ~m + m')`, and RFC 1071 section 2 (B): the order of bytes does not
/// matter. Of the two ways to write zero it gives 0, never 0xffff, whatever the words are: several changes
/// repaired at once come out as one after the other.
#[inline]
pub fn repair(check: [u8; 2], old: [u8; 2], new: [u8; 2]) -> [u8; 2] {
    let [check, old, new] = [check, old, new].map(u16::from_ne_bytes);
    remainder(u32::from(check) + u32::from(old) + u32::from(!new))
}

/// The checksum field after a byte in an even place fell by one, as the TTL does at every router: [`repair`]
/// where the difference of both words is known beforehand.
#[inline]
pub fn lowered(check: [u8; 2]) -> [u8; 2] {
    let sum = u32::from(u16::from_ne_bytes(check)) + u32::from(u16::from_ne_bytes([1, 0]));
    // The carry, and 0 in place of the other zero.
    low(sum + u32::from(sum >= 0xffff)).to_ne_bytes()
}

/// The remainder of a sum of three words or fewer after division by 0xffff, in the machine's own order.
#[inline]
fn remainder(sum: u32) -> [u8; 2] {
    let once = (sum & 0xffff) + (sum >> 16);
    low(once + u32::from(once >= 0xffff)).to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lowered_byte_is_a_repair() {
        for check in (0..=u16::MAX).map(u16::to_be_bytes) {
            for old in [0x0100_u16, 0x4011, 0xff00, 0xffff] {
                let [before, after] = [old, old - 0x100].map(u16::to_be_bytes);
                assert_eq!(lowered(check), repair(check, before, after), "{check:?}");
            }
        }
    }

    #[test]
    fn rfc1624_section_4_example() {
        // The example that equation 2 of RFC 1141 gets wrong.
        assert_eq!(repair([0xdd, 0x2f], [0x55, 0x55], [0x32, 0x85]), [0, 0]);
    }

    #[test]
    fn a_repair_is_equation_3_of_rfc1624_for_all_kinds_of_words() {
        let equation = |check: u16, old: u16, new: u16| {
            !fold(0xffff + u32::from(!check) + u32::from(!old) + u32::from(new))
        };
        let edges =
            [0_u16, 1, 2, 0xff, 0x100, 0x7fff, 0x8000, 0xfeff, 0xff00, 0xfffd, 0xfffe, 0xffff];
        for check in 0..=u16::MAX {
            for (old, new) in edges.iter().flat_map(|old| edges.map(|new| (*old, new))) {
                let repaired = repair(check.to_be_bytes(), old.to_be_bytes(), new.to_be_bytes());
                let wanted = equation(check, old, new);
                assert_eq!(u16::from_be_bytes(repaired), wanted, "{check:#x} {old:#x} {new:#x}");
            }
        }
    }

    #[test]
    fn repair_equals_recomputation() {
        let mut header =
            *b"\x45\x00\x00\x54\x12\x34\x40\x00\x40\x11\x00\x00\xc6\x12\x00\x01\xc6\x12\x00\x02";
        let before = of(&header);
        for id in 0..=u16::MAX {
            let new = id.to_be_bytes();
            header[4..6].copy_from_slice(&new);
            let repaired = repair(before.to_be_bytes(), [0x12, 0x34], new);
            // 0x0000 and 0xffff are one number in ones' complement; a header never sums to zero.
            assert_eq!(repaired, of(&header).to_be_bytes(), "id {id:#06x}");
        }
    }

    #[test]
    fn odd_lengths_are_padded() {
        assert_eq!(fold(sum(&[0x12, 0x34, 0x56])), 0x1234 + 0x5600);
    }
}
