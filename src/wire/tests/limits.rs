//! What decoding costs: whatever a peer sends, memory stays below a small multiple of it.
//!
//! Each case is measured with an allocator that counts. Cases are made to hurt: counts that promise
//! more than follows, long tails of zeros (of which nearly every kind makes the most values a
//! byte), nests, and messages cut short.

use allocation_counter::{AllocationInfo, measure};
use flurm_wire::frame::{self, LENGTH_BYTES};
use flurm_wire::messages::MultiMessage;
use flurm_wire::{
    AuthBlock, DEPTH_MAX, DbdMessage, Gen, Header, Message, Reader, Registered, Registry, Release,
    Returned, Wire,
};

/// Bytes of memory at once for each byte of input, at most: a record of absent strings takes six
/// times its bytes, and lists have room to grow.
const PEAK_MULTIPLE: u64 = 32;
/// Bytes of memory in all for each byte of input, at most: lists move when they grow.
const TOTAL_MULTIPLE: u64 = 64;
/// Bytes that any message may take: its own record, however short its bytes.
const PER_MESSAGE: u64 = 16 << 10;
/// Zeros behind a count.
const TAIL: usize = 16 << 10;
/// Places of one message where a count is put.
const PLACES_MAX: usize = 60;

/// The largest multiples met, and where.
#[derive(Default)]
struct Worst {
    peak: f64,
    at: String,
}

impl Worst {
    fn judge(&mut self, what: &dyn Fn() -> String, length: usize, cost: &AllocationInfo) {
        let length = length as u64;
        let (peak, total) = (cost.bytes_max, cost.bytes_total);
        let allowed = length * PEAK_MULTIPLE + PER_MESSAGE;
        assert!(peak <= allowed, "{}: {peak} bytes at once for {length}", what());
        let allowed = length * TOTAL_MULTIPLE + PER_MESSAGE;
        assert!(total <= allowed, "{}: {total} bytes in all for {length}", what());
        let multiple = peak.saturating_sub(PER_MESSAGE) as f64 / length.max(1) as f64;
        if multiple > self.peak {
            (self.peak, self.at) = (multiple, what());
        }
    }

    fn decode<M: Registry>(&mut self, entry: &Registered<M>, release: Release, bytes: &[u8]) {
        let cost = measure(|| drop(M::decode(entry.msg_type, release, bytes)));
        assert_eq!(cost.bytes_current, 0, "{} {release} leaks", entry.name);
        self.judge(&|| format!("{} {release}", entry.name), bytes.len(), &cost);
    }
}

fn pairs<M: Registry>() -> impl Iterator<Item = (&'static Registered<M>, Release)> {
    let releases = |entry: &'static Registered<M>| {
        Release::ALL.into_iter().filter(|release| entry.in_release(*release))
    };
    M::REGISTERED.iter().flat_map(move |entry| releases(entry).map(move |r| (entry, r)))
}

/// Puts a count of every width, such as `tail` bytes could hold or not, wherever it could stand,
/// and zeros behind it.
fn with_counts(start: &[u8], g: &mut Gen, try_bytes: &mut dyn FnMut(&[u8])) {
    let stride = 1 + start.len() / PLACES_MAX;
    let first = g.below(stride as u64) as usize;
    for at in (first..=start.len()).step_by(stride) {
        for count in [TAIL / 4, TAIL, usize::MAX >> 40] {
            let mut bytes = start[..at].to_vec();
            bytes.extend_from_slice(&(count as u32).to_be_bytes());
            bytes.resize(bytes.len() + TAIL, 0);
            try_bytes(&bytes);
        }
        let mut bytes = start[..at].to_vec();
        bytes.extend_from_slice(&u16::MAX.to_be_bytes());
        bytes.resize(bytes.len() + TAIL, 0);
        try_bytes(&bytes);
    }
}

fn try_counts<M: Registry>(worst: &mut Worst) {
    for (entry, release) in pairs::<M>() {
        let mut g = Gen::new(release, u64::from(entry.msg_type));
        let mut starts = vec![entry.default().to_bytes(release)];
        if matches!(release, Release::V22_05 | Release::V24_05 | Release::V26_05) {
            starts.push(entry.sample(&mut g).to_bytes(release));
        }
        for start in starts {
            with_counts(&start, &mut g, &mut |bytes| worst.decode(entry, release, bytes));
        }
    }
}

#[test]
fn false_counts_and_tails_of_zeros_cost_little() {
    let mut worst = Worst::default();
    try_counts::<Message>(&mut worst);
    try_counts::<DbdMessage>(&mut worst);
    println!("at most {:.1} bytes at once for each byte, in {}", worst.peak, worst.at);
    assert!(worst.peak > 1.0, "some list was met");
}

fn try_cuts<M: Registry>() {
    let mut worst = Worst::default();
    for (entry, release) in pairs::<M>() {
        let mut g = Gen::new(release, 7 + u64::from(entry.msg_type));
        let bytes = entry.sample(&mut g).to_bytes(release);
        for length in (0..bytes.len()).step_by(1 + bytes.len() / 20) {
            worst.decode(entry, release, &bytes[..length]);
        }
        for fill in [0, 1, 0x7f, 0xff] {
            worst.decode(entry, release, &[fill; 4096]);
        }
        let noise: Vec<u8> = (0..512).flat_map(|_| g.bits().to_be_bytes()).collect();
        worst.decode(entry, release, &noise);
    }
}

#[test]
fn what_is_cut_short_or_filled_costs_little() {
    try_cuts::<Message>();
    try_cuts::<DbdMessage>();
}

#[test]
fn nests_end_before_they_cost() {
    let bundle = Message::registered(flurm_wire::names::REQUEST_CTLD_MULT_MSG, Release::NEWEST);
    let bundle = bundle.unwrap();
    let mut bytes = Message::RequestPing.to_bytes(Release::NEWEST);
    let mut inside = Message::RequestPing.msg_type();
    for _ in 0..DEPTH_MAX * 40 {
        let mut nested = vec![0, 0, 0, 1];
        let size = u32::try_from(bytes.len() + 2).unwrap().to_be_bytes();
        nested.extend([size, size].concat());
        nested.extend(inside.to_be_bytes());
        nested.append(&mut bytes);
        (bytes, inside) = (nested, bundle.msg_type);
        let cost = measure(|| drop(Message::decode(inside, Release::NEWEST, &bytes)));
        Worst::default().judge(&|| "a nest of bundles".to_owned(), bytes.len(), &cost);
    }
    // What lies deeper than may be read stays bytes.
    assert!(Message::decode(inside, Release::NEWEST, &bytes).is_ok());
}

#[test]
fn many_small_messages_in_one_cost_little() {
    let messages = vec![Message::RequestPing; 4000];
    let bytes = Message::RequestCtldMultMsg(MultiMessage::of(messages)).to_bytes(Release::NEWEST);
    let (entry, mut worst) = (flurm_wire::names::REQUEST_CTLD_MULT_MSG, Worst::default());
    worst.decode(Message::registered(entry, Release::NEWEST).unwrap(), Release::NEWEST, &bytes);
    println!("{:.1} bytes at once for each byte of a bundle of pings", worst.peak);
}

/// What rides along in a header is read before any credential is.
#[test]
fn many_small_answers_in_a_header_cost_little() {
    let mut header = Header::new(Release::NEWEST, flurm_wire::names::RESPONSE_PING_SLURMD);
    let failed = Returned { error: 1, node_name: None, message: Message::ResponseForwardFailed };
    header.returned = vec![failed; usize::from(u16::MAX)];
    let bytes = &frame::build(header, None, b"")[LENGTH_BYTES..];
    let cost = measure(|| drop(frame::split(bytes)));
    let mut worst = Worst::default();
    worst.judge(&|| "a header with answers".to_owned(), bytes.len(), &cost);
    println!("{:.1} bytes at once for each byte of answers", worst.peak);
}

#[test]
fn four_bytes_that_announce_a_gibibyte_cost_nothing() {
    for announced in [frame::REQUEST_BYTES_MAX + 1, 1 << 30, u32::MAX] {
        let cost = measure(|| {
            let length = frame::length(announced.to_be_bytes(), frame::REQUEST_BYTES_MAX);
            assert!(length.is_err());
        });
        assert_eq!(cost.bytes_total, 0);
    }
    let cost = measure(|| {
        assert!(frame::length((1u32 << 30).to_be_bytes(), frame::REPLY_BYTES_MAX).is_ok());
    });
    assert_eq!(cost.bytes_total, 0);
}

#[test]
fn headers_and_credentials_cost_little() {
    let mut worst = Worst::default();
    for release in Release::ALL {
        for seed in 0..40 {
            let mut g = Gen::new(release, seed);
            let (header, auth) = (Header::sample(&mut g), AuthBlock::sample(&mut g));
            let bytes = frame::build(header, Some(&auth), b"")[LENGTH_BYTES..].to_vec();
            with_counts(&bytes, &mut g, &mut |bytes| {
                let cost = measure(|| drop(frame::split(bytes)));
                worst.judge(&|| format!("a frame of {release}"), bytes.len(), &cost);
            });
            let mut w = flurm_wire::Writer::new(release);
            auth.encode(&mut w);
            with_counts(w.bytes(), &mut g, &mut |bytes| {
                let cost = measure(|| drop(AuthBlock::decode(&mut Reader::new(release, bytes))));
                worst.judge(&|| format!("a credential of {release}"), bytes.len(), &cost);
            });
        }
    }
    println!("at most {:.1} bytes at once for each byte, in {}", worst.peak, worst.at);
}
