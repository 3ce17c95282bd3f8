//! Forwarding and answers that ride along: a header carries the answers of other nodes, each with a
//! body of any type.

use flurm_wire::frame::{self, LENGTH_BYTES};
use flurm_wire::header::flags;
use flurm_wire::{Forward, Gen, Header, Message, Release, Returned, names};

fn returned(message: Message, node: u32) -> Returned {
    Returned { error: node, node_name: Some(format!("n{node}")), message }
}

/// Each type's answer stands between two plain ones: what follows it is found again.
#[test]
fn an_answer_of_any_type_rides_along() {
    for release in Release::ALL {
        for entry in Message::REGISTERED.iter().filter(|entry| entry.in_release(release)) {
            // It is all that is left of its frame (`_pack_dbd_relay`), and no answer of a node.
            if entry.msg_type == names::REQUEST_DBD_RELAY {
                continue;
            }
            for seed in 0..3 {
                let g = &mut Gen::new(release, seed);
                let plain = Message::RequestPing;
                let answers = [plain.clone(), entry.sample(g), plain];
                let mut header = Header::new(release, names::RESPONSE_SLURM_RC);
                header.returned = (1..).zip(answers).map(|(node, m)| returned(m, node)).collect();
                let bytes = frame::build(header.clone(), None, &[0, 0, 0, 0]);
                let back = frame::split(&bytes[LENGTH_BYTES..]);
                let back = back.unwrap_or_else(|e| panic!("{} {release} {seed}: {e}", entry.name));
                assert_eq!(back.header.returned, header.returned, "{} {release}", entry.name);
                assert_eq!(back.body, [0, 0, 0, 0]);
            }
        }
    }
}

#[test]
fn a_request_of_any_type_is_passed_on_with_its_nodes() {
    for release in Release::ALL {
        for entry in Message::REGISTERED.iter().filter(|entry| entry.in_release(release)) {
            let body = entry.sample(&mut Gen::new(release, 5)).to_bytes(release);
            let mut header = Header::new(release, entry.msg_type);
            if release >= Release::V23_11 {
                header.flags |= flags::PACK_ADDRS;
            }
            header.forward = Some(Forward {
                count: 2,
                nodelist: Some("n[2-3]".to_owned()),
                timeout_ms: 10_000,
                tree_width: 50,
                net_cred: (release >= Release::V23_11).then(|| "MUNGE:AwQ:".to_owned()),
                tree_depth: if release >= Release::V24_11 { 1 } else { 0 },
            });
            let bytes = frame::build(header.clone(), None, &body);
            let back = frame::split(&bytes[LENGTH_BYTES..]).unwrap();
            assert_eq!(back.header.forward, header.forward, "{} {release}", entry.name);
            assert_eq!(back.body, body, "{} {release}", entry.name);
        }
    }
}
