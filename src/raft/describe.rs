//! What members say to each other, for people who watch the network.

use crate::codec;
use crate::frame::{HEAD, Kind};
use crate::message::{AppendAnswer, Reply, Request};

/// Describes bytes that begin with a whole frame of the peer protocol. `None` for anything else. The
/// checksum is not looked at: whoever watches does not act on it.
pub fn describe(bytes: &[u8]) -> Option<String> {
    let head = bytes.get(..HEAD)?;
    let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let payload = bytes.get(HEAD..HEAD.checked_add(usize::try_from(len).ok()?)?)?;
    let words = match Kind::from_byte(head[4])? {
        Kind::Hello => "hello".to_owned(),
        Kind::Welcome => "welcome".to_owned(),
        Kind::Proof => "proof of identity".to_owned(),
        Kind::Accepted => "accepted".to_owned(),
        Kind::Refused => format!("refused: {}", String::from_utf8_lossy(payload)),
        Kind::Ping => "ping".to_owned(),
        Kind::Pong => "pong".to_owned(),
        Kind::Request => request(&codec::decode(payload).ok()?),
        Kind::Reply => reply(&codec::decode(payload).ok()?),
    };
    Some(words)
}

fn request(request: &Request) -> String {
    match request {
        Request::Append { vote, entries, .. } => match (entries.first(), entries.last()) {
            (Some(first), Some(last)) => {
                let (from, to, term) = (first.id.index, last.id.index, vote.term);
                format!("append entries {from} to {to}, term {term}")
            }
            _ => format!("heartbeat, term {}", vote.term),
        },
        Request::Vote(ballot) => {
            format!("vote for {} in term {}", ballot.vote.node, ballot.vote.term)
        }
        Request::PreVote(ballot) => {
            format!("would you vote for {} in term {}?", ballot.vote.node, ballot.vote.term)
        }
        Request::Snapshot { len, offset, part, .. } => {
            let end = offset + part.0.len() as u64;
            format!("snapshot, bytes {offset} to {end} of {len}")
        }
        Request::Transfer { to, .. } => format!("leadership goes to {to}"),
        Request::Survey => "survey".to_owned(),
        Request::Forward(bytes) => format!("forwarded request of {} bytes", bytes.0.len()),
    }
}

fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Append(AppendAnswer::Success) => "appended".to_owned(),
        Reply::Append(AppendAnswer::Partial(upto)) => {
            format!("appended up to {}", upto.map_or(0, |id| id.index))
        }
        Reply::Append(AppendAnswer::Conflict) => "append conflicts".to_owned(),
        Reply::Append(AppendAnswer::HigherVote(vote)) => {
            format!("append refused, term is {}", vote.term)
        }
        Reply::Vote { granted: true, vote, .. } => format!("vote granted in term {}", vote.term),
        Reply::Vote { granted: false, vote, .. } => format!("vote refused, term is {}", vote.term),
        Reply::SnapshotMore => "snapshot: go on".to_owned(),
        Reply::SnapshotDone(_) => "snapshot taken over".to_owned(),
        Reply::Transfer(_) => "leadership answered".to_owned(),
        Reply::Survey(survey) => format!("survey: term {}", survey.term),
        Reply::Forward(bytes) => format!("forwarded answer of {} bytes", bytes.0.len()),
        Reply::Refused(text) => format!("refused: {}", text.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;
    use crate::message::Ballot;
    use crate::stored::StoredVote;

    #[test]
    fn a_vote_can_be_read_and_noise_cannot() {
        let vote = StoredVote { term: 7, node: 2, committed: false };
        let request = Request::Vote(Ballot { vote, last: None, transfer: false });
        let bytes = frame::encode(Kind::Request, 1, &codec::encode(&request));
        assert_eq!(describe(&bytes).as_deref(), Some("vote for 2 in term 7"));
        for len in 0..bytes.len() - 4 {
            assert_eq!(describe(&bytes[..len]), None, "{len}");
        }
        assert_eq!(describe(&[0xff; 64]), None);
    }
}
