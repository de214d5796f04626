//! Where the IP packet begins in a captured frame, by link type.

/// Offset of the IP packet; `None` for link types that are not known and frames of other protocols.
///
/// Numbers are those of the pcap link-type registry.
pub fn ip_offset(link: u32, frame: &[u8]) -> Option<usize> {
    let at = match link {
        ETHERNET => ethernet(frame)?,
        LINUX_SLL => ip_behind(frame, 14, 16)?,
        LINUX_SLL2 => ip_behind(frame, 0, 20)?,
        // Four bytes of address family, whose numbers differ by system: the version nibble decides.
        NULL | LOOP => 4,
        RAW | RAW_BSD | RAW_OPENBSD | IPV4 | IPV6 => 0,
        _ => return None,
    };
    let version = frame.get(at)? >> 4;
    (version == 4 || version == 6).then_some(at)
}

const NULL: u32 = 0;
const ETHERNET: u32 = 1;
const RAW_BSD: u32 = 12;
const RAW_OPENBSD: u32 = 14;
const RAW: u32 = 101;
const LOOP: u32 = 108;
const LINUX_SLL: u32 = 113;
const IPV4: u32 = 228;
const IPV6: u32 = 229;
const LINUX_SLL2: u32 = 276;

/// VLAN tags stepped over: a service tag and a customer tag.
const TAGS: usize = 2;

fn ethernet(frame: &[u8]) -> Option<usize> {
    let mut at = 12;
    for _ in 0..TAGS {
        if !matches!(frame.get(at..at + 2)?, [0x81, 0x00] | [0x88, 0xa8]) {
            break;
        }
        at += 4;
    }
    ip_behind(frame, at, at + 2)
}

/// `start`, where the EtherType at `kind` is that of IP.
fn ip_behind(frame: &[u8], kind: usize, start: usize) -> Option<usize> {
    matches!(frame.get(kind..kind + 2)?, [0x08, 0x00] | [0x86, 0xdd]).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_each_link_type() {
        let with = |head: &[u8]| [head, &[0x45, 0, 0, 20]].concat();
        let mac = [2_u8; 12];
        assert_eq!(ip_offset(ETHERNET, &with(&[&mac[..], &[8, 0]].concat())), Some(14));
        let tagged = [&mac[..], &[0x88, 0xa8, 0, 1, 0x81, 0, 0, 2, 8, 0]].concat();
        assert_eq!(ip_offset(ETHERNET, &with(&tagged)), Some(22));
        assert_eq!(ip_offset(ETHERNET, &with(&[&mac[..], &[8, 6]].concat())), None, "ARP");
        assert_eq!(ip_offset(LINUX_SLL, &with(&[&[0; 14][..], &[8, 0]].concat())), Some(16));
        assert_eq!(ip_offset(LINUX_SLL2, &with(&[&[8, 0][..], &[0; 18]].concat())), Some(20));
        assert_eq!(ip_offset(NULL, &with(&[2, 0, 0, 0])), Some(4));
        assert_eq!(ip_offset(RAW, &with(&[])), Some(0));
        assert_eq!(ip_offset(RAW, &[0x00]), None, "no version of IP");
        assert_eq!(ip_offset(147, &with(&[])), None, "a private link type");
        assert_eq!(ip_offset(ETHERNET, &[2; 13]), None, "too short");
    }
}
