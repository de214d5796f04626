//! Walks over a capture file, pcap or pcapng by its first bytes, and may write a changed copy.
//!
//! Only packets' bytes are touched: blocks of pcapng that are not understood, options, comments and
//! timestamps are copied as they are, in the byte order of their section.

use pcap_file::pcap::{PcapReader, PcapWriter};
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::RawBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::{Endianness, PcapError, TsResolution};
use std::io::{self, Cursor, Read, Write};
use traceback::Nanos;

/// Block types of pcapng.
const SECTION_HEADER_BLOCK: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION_BLOCK: u32 = 1;
const PACKET_BLOCK: u32 = 2;
const SIMPLE_PACKET_BLOCK: u32 = 3;
const ENHANCED_PACKET_BLOCK: u32 = 6;

/// One frame of a capture.
#[derive(Debug)]
pub struct Frame<'a> {
    /// Link type, by the registry's number.
    pub link: u32,
    /// When it was captured; 0 where the file does not say.
    pub at: Nanos,
    /// What the capture kept of it.
    pub bytes: &'a mut [u8],
}

/// Why a walk ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// The first bytes are those of no capture format.
    #[error("this is neither pcap nor pcapng: it begins with {0:02x?}")]
    Format([u8; 4]),
    /// The file breaks off or contradicts itself.
    #[error("the capture is damaged behind {frames} frames: {source}")]
    Damaged {
        /// Frames before the damage.
        frames: u64,
        /// What the reader found.
        source: PcapError,
    },
    /// The copy cannot be written.
    #[error("cannot write the copy: {0}")]
    Write(io::Error),
    /// The file cannot be read.
    #[error("cannot read the capture: {0}")]
    Read(io::Error),
}

/// Hands every frame to `each`, then writes it, as changed, to `output`.
///
/// # Errors
/// [`Broken`]; frames before the damage have been handed over and written.
pub fn walk(
    mut input: impl Read,
    output: Option<impl Write>,
    mut each: impl FnMut(Frame<'_>),
) -> Result<(), Broken> {
    let mut magic = [0; 4];
    match input.read_exact(&mut magic) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(Broken::Format(magic)),
        Err(e) => return Err(Broken::Read(e)),
    }
    match u32::from_be_bytes(magic) {
        SECTION_HEADER_BLOCK => pcapng(input, output, &mut each),
        0xa1b2_c3d4 | 0xd4c3_b2a1 | 0xa1b2_3c4d | 0x4d3c_b2a1 => {
            pcap(Cursor::new(magic).chain(input), output, &mut each)
        }
        _ => Err(Broken::Format(magic)),
    }
}

fn pcap(
    input: impl Read,
    output: Option<impl Write>,
    each: &mut impl FnMut(Frame<'_>),
) -> Result<(), Broken> {
    let mut frames = 0;
    let damaged = |frames| move |source| Broken::Damaged { frames, source };
    let mut reader = PcapReader::new(input).map_err(damaged(0))?;
    let header = reader.header();
    let link = u32::from(header.datalink);
    let unit = match header.ts_resolution {
        TsResolution::MicroSecond => 1000,
        TsResolution::NanoSecond => 1,
    };
    let writer = output.map(|out| PcapWriter::with_header(out, header).map_err(unwritten));
    let mut writer = writer.transpose()?;
    while let Some(packet) = reader.next_raw_packet() {
        let mut packet = packet.map_err(damaged(frames))?;
        frames += 1;
        let nanos = u64::from(packet.ts_sec) * 1_000_000_000 + u64::from(packet.ts_frac) * unit;
        each(Frame { link, at: Nanos(nanos), bytes: packet.data.to_mut() });
        if let Some(writer) = &mut writer {
            writer.write_raw_packet(&packet).map_err(unwritten)?;
        }
    }
    writer.map_or(Ok(()), |w| w.into_writer().flush().map_err(Broken::Write))
}

fn unwritten(e: PcapError) -> Broken {
    match e {
        PcapError::IoError(e) => Broken::Write(e),
        e => Broken::Write(io::Error::other(e)),
    }
}

fn pcapng(
    mut input: impl Read,
    mut output: Option<impl Write>,
    each: &mut impl FnMut(Frame<'_>),
) -> Result<(), Broken> {
    let mut frames = 0;
    let damaged = |frames| move |source| Broken::Damaged { frames, source };
    let first = first_section(&mut input).map_err(|e| damaged(0)(PcapError::IoError(e)))?;
    if let Some(out) = &mut output {
        out.write_all(&first).map_err(Broken::Write)?;
    }
    let mut reader = PcapNgReader::new(Cursor::new(first).chain(input)).map_err(damaged(0))?;
    let mut order = reader.section().endianness;
    let mut interfaces: Vec<Interface> = vec![];
    while let Some(block) = reader.next_raw_block() {
        let mut block = block.map_err(damaged(frames))?;
        let kind = block.type_;
        if kind == SECTION_HEADER_BLOCK {
            order = section_order(&block.body);
        }
        if let Some(place) = locate(&block, order, &interfaces) {
            frames += 1;
            let Located { link, at, start, len } = place;
            each(Frame { link, at, bytes: &mut block.body.to_mut()[start..start + len] });
        }
        if let Some(out) = &mut output {
            write_block(out, order, &block).map_err(Broken::Write)?;
        }
        if matches!(kind, SECTION_HEADER_BLOCK | INTERFACE_DESCRIPTION_BLOCK) {
            interfaces = reader.interfaces().iter().map(Interface::of).collect();
        }
    }
    output.map_or(Ok(()), |mut out| out.flush().map_err(Broken::Write))
}

/// Longest section header taken: its options are a few lines of text.
const MAX_SECTION: usize = 1 << 20;

/// The first block, whose type has been read already, as bytes: the reader keeps none.
fn first_section(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = SECTION_HEADER_BLOCK.to_be_bytes().to_vec();
    head.resize(12, 0);
    input.read_exact(&mut head[4..])?;
    let order = section_order(&head[8..]);
    let len = usize::try_from(number(order, &head[4..8])).unwrap_or(usize::MAX);
    if !(28..=MAX_SECTION).contains(&len) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "impossible section header"));
    }
    head.resize(len, 0);
    input.read_exact(&mut head[12..])?;
    Ok(head)
}

/// The byte order that a section's body says.
fn section_order(body: &[u8]) -> Endianness {
    if body.starts_with(&[0x1a, 0x2b, 0x3c, 0x4d]) { Endianness::Big } else { Endianness::Little }
}

/// A word of four bytes.
fn number(order: Endianness, bytes: &[u8]) -> u32 {
    let word = bytes.first_chunk().copied().unwrap_or_default();
    match order {
        Endianness::Big => u32::from_be_bytes(word),
        Endianness::Little => u32::from_le_bytes(word),
    }
}

fn write_block(out: &mut impl Write, order: Endianness, block: &RawBlock<'_>) -> io::Result<()> {
    let bytes = |word: u32| match order {
        Endianness::Big => word.to_be_bytes(),
        Endianness::Little => word.to_le_bytes(),
    };
    out.write_all(&bytes(block.type_))?;
    out.write_all(&bytes(block.initial_len))?;
    out.write_all(&block.body)?;
    out.write_all(&bytes(block.trailer_len))
}

/// What a packet's block does not say itself.
#[derive(Debug, Clone, Copy)]
struct Interface {
    link: u32,
    snaplen: u32,
    /// Units of time in a second.
    units: u64,
}

impl Interface {
    fn of(block: &InterfaceDescriptionBlock<'_>) -> Self {
        let resolution = block.options.iter().find_map(|o| match o {
            InterfaceDescriptionOption::IfTsResol(exponent) => Some(*exponent),
            _ => None,
        });
        // The top bit chooses powers of two; microseconds where nothing is said.
        let units = match resolution.unwrap_or(6) {
            e @ 0..0x80 => 10_u64.checked_pow(e.into()),
            e => 1_u64.checked_shl(u32::from(e & 0x7f)),
        };
        let link = u32::from(block.linktype);
        Self { link, snaplen: block.snaplen, units: units.unwrap_or(u64::MAX) }
    }

    fn nanos(&self, ticks: u64) -> Nanos {
        let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(self.units);
        Nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Where in a block's body a frame lies.
struct Located {
    link: u32,
    at: Nanos,
    start: usize,
    len: usize,
}

/// Finds the frame of a packet's block; `None` for other blocks, and for those that name an interface
/// that is not there or more bytes than they hold.
fn locate(block: &RawBlock<'_>, order: Endianness, interfaces: &[Interface]) -> Option<Located> {
    let body = &block.body;
    let word = |at: usize| body.get(at..at + 4).map(|b| number(order, b));
    let (interface, at, start, len) = match block.type_ {
        ENHANCED_PACKET_BLOCK | PACKET_BLOCK => {
            // The older block has a 16-bit interface and a count of drops in the first word.
            let id = match (block.type_, order) {
                (ENHANCED_PACKET_BLOCK, _) => word(0)?,
                (_, Endianness::Big) => word(0)? >> 16,
                (_, Endianness::Little) => word(0)? & 0xffff,
            };
            let interface = interfaces.get(usize::try_from(id).ok()?)?;
            let ticks = u64::from(word(4)?) << 32 | u64::from(word(8)?);
            (interface, interface.nanos(ticks), 20, word(12)?)
        }
        SIMPLE_PACKET_BLOCK => {
            let interface = interfaces.first()?;
            let whole = if interface.snaplen == 0 { u32::MAX } else { interface.snaplen };
            let room = u32::try_from(body.len().checked_sub(4)?).ok()?;
            (interface, Nanos(0), 4, word(0)?.min(whole).min(room))
        }
        _ => return None,
    };
    let len = usize::try_from(len).ok()?;
    (len <= body.len().checked_sub(start)?).then_some(Located {
        link: interface.link,
        at,
        start,
        len,
    })
}
