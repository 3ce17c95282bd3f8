//! What the controllers of a federation say to each other: bundles of messages, messages about a
//! sibling's jobs, and dependencies between jobs of different clusters.

use crate::packed::{self, Packed};
use crate::{
    DecodeError, Gen, JobRef, Message, NO_VAL, Reader, Release, Schema, UnixTime, Visitor, Wire,
    Writer, names,
};

/// What a message is called in views.
const KIND: &str = "Message";

/// Several messages at once, and the answers to them. 4500, 4501.
///
/// Each stands behind its size and as a block of its own, so what is inside cannot reach beyond it.
/// One that is not understood is carried as bytes: a controller answers it with an error of its
/// own and goes on with the next (`_proc_multi_msg` of slurmctld).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MultiMessage {
    /// The messages, in the release of the one around them.
    pub messages: Vec<Packed<Message>>,
}

impl MultiMessage {
    /// A bundle of messages that are understood.
    pub fn of(messages: impl IntoIterator<Item = Message>) -> Self {
        let pack = |message| Packed::Message(Box::new(message));
        Self { messages: messages.into_iter().map(pack).collect() }
    }

    fn encode_one(message: &Packed<Message>, w: &mut Writer) {
        let size_at = w.bytes().len();
        w.u32(0);
        message.encode_block(w);
        let size = u32::try_from(w.bytes().len() - size_at - 2 * size_of::<u32>());
        w.patch_u32(size_at, size.expect("sizes are bounded by the largest frame"));
    }

    fn decode_one(r: &mut Reader<'_>) -> Result<Packed<Message>, DecodeError> {
        let size = r.u32()?;
        if r.clone().u32()? != size {
            return Err(r.invalid("a message in a bundle has two sizes"));
        }
        Packed::decode_block(r)
    }
}

impl Wire for MultiMessage {
    const KIND: &'static str = "MultiMessage";

    fn encode(&self, w: &mut Writer) {
        w.count(self.messages.len());
        self.messages.iter().for_each(|message| Self::encode_one(message, w));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = r.u32()?;
        let count = r.check_count(count)?;
        let read = |r: &mut Reader<'_>| (0..count).map(|_| Self::decode_one(r)).collect();
        let show =
            |messages: &Vec<Packed<Message>>, v: &mut dyn Visitor| view_messages(messages, v);
        let messages = r.field_with("messages", read, show)?;
        Ok(Self { messages })
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.record_begin("MultiMessage");
        v.field("messages");
        view_messages(&self.messages, v);
        v.record_end();
    }

    fn sample(g: &mut Gen) -> Self {
        Self::of((0..g.length()).map(|_| sample_message(g)))
    }

    fn schema(_: Release, s: &mut Schema) {
        s.enter("messages");
        s.enter("[]");
        for (name, kind) in
            [("size", "u32"), ("length", "u32"), ("msg_type", "u16"), ("body", "message")]
        {
            s.enter(name);
            s.kind(kind);
            s.leave();
        }
        s.leave();
        s.leave();
    }
}

fn view_messages(messages: &[Packed<Message>], v: &mut dyn Visitor) {
    v.list_begin(messages.len());
    messages.iter().for_each(|message| message.view_block(KIND, v));
    v.list_end();
}

fn view_message(message: &Message, v: &mut dyn Visitor) {
    packed::view_named(KIND, message, v);
}

/// A message as siblings send them to each other, now and then with one inside.
fn sample_message(g: &mut Gen) -> Message {
    let choices = [
        names::REQUEST_PING,
        names::RESPONSE_SLURM_RC,
        names::REQUEST_SEND_DEP,
        names::REQUEST_KILL_JOB,
        names::REQUEST_SUSPEND,
        names::REQUEST_SUBMIT_BATCH_JOB,
        names::REQUEST_SIB_MSG,
    ];
    let msg_type = choices[g.below(choices.len() as u64) as usize];
    let entry = Message::registered(msg_type, g.release());
    entry.expect("each of these is registered in every release").sample(g)
}

/// Concerns a job that has siblings in other clusters. 4502; 4503 and 4504 lock and unlock it.
///
/// The message inside is written in a release of its own, which `head` names together with its
/// type: a controller passes on what its client sent as it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SiblingMessage {
    /// What should happen to which job.
    pub head: SiblingHead,
    /// The request of the client that started it, where there is one.
    pub message: Option<Box<Message>>,
}

/// The part of a sibling's message that is always there.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(order(until = V25_05, fields(
    cluster_id, data_type, data_version, fed_siblings, group_id, job, job_state, return_code,
    start_time, resp_host, req_uid, sib_msg_type, submit_host, submit_proto_ver, user_id,
)))]
pub struct SiblingHead {
    /// The sender's number in the federation.
    pub cluster_id: u32,
    /// The type of the message inside; 0 for none.
    pub data_type: u16,
    /// The protocol version of the message inside; 0 for none.
    pub data_version: u16,
    /// The clusters that the job may run on, one bit each.
    pub fed_siblings: u64,
    /// The job's group.
    #[wire(since = V23_02)]
    pub group_id: u32,
    /// The job's state.
    pub job_state: u32,
    /// The outcome, in answers.
    pub return_code: u32,
    /// When the job started.
    pub start_time: UnixTime,
    /// Where the submitting program waits.
    pub resp_host: Option<String>,
    /// Who asked.
    pub req_uid: u32,
    /// What should happen: submission, start, cancelling, and so on.
    pub sib_msg_type: u16,
    /// The job.
    pub job: JobRef,
    /// Where it was submitted.
    pub submit_host: Option<String>,
    /// The version that the submitting program speaks.
    #[wire(since = V23_11)]
    pub submit_proto_ver: u16,
    /// The job's user.
    #[wire(since = V23_02)]
    pub user_id: u32,
}

impl SiblingMessage {
    /// With a message inside, in a release of its own.
    pub fn with_message(mut head: SiblingHead, release: Release, message: Message) -> Self {
        head.data_type = message.msg_type();
        head.data_version = release.version();
        Self { head, message: Some(Box::new(message)) }
    }
}

impl Wire for SiblingMessage {
    const KIND: &'static str = "SiblingMessage";

    fn encode(&self, w: &mut Writer) {
        self.head.encode(w);
        w.u16(u16::from(self.message.is_some()));
        if let Some(message) = &self.message {
            assert_eq!(self.head.data_type, message.msg_type(), "the head names what follows");
            let release = Release::from_version(self.head.data_version);
            let release = release.expect("the head names a release that is spoken");
            w.in_release(release, |w| message.encode(w));
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let head: SiblingHead = r.field("head")?;
        if r.u16()? == 0 {
            return Ok(Self { head, message: None });
        }
        let release = Release::from_version(head.data_version)
            .ok_or_else(|| r.invalid("a message of a release that is not spoken"))?;
        r.enter()?;
        let read =
            |r: &mut Reader<'_>| r.in_release(release, |r| Message::decode_from(head.data_type, r));
        let message = r.field_with("message", read, view_message)?;
        r.leave();
        Ok(Self { head, message: Some(Box::new(message)) })
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.record_begin("SiblingMessage");
        v.field("head");
        self.head.view(v);
        v.field("message");
        match &self.message {
            Some(message) => view_message(message, v),
            None => v.null(),
        }
        v.record_end();
    }

    fn sample(g: &mut Gen) -> Self {
        let mut head = SiblingHead::sample(g);
        (head.data_type, head.data_version) = (0, 0);
        let release = g.release();
        match g.maybe(sample_message) {
            Some(message) => Self::with_message(head, release, message),
            None => Self { head, message: None },
        }
    }

    fn schema(release: Release, s: &mut Schema) {
        s.enter("head");
        SiblingHead::schema(release, s);
        s.leave();
        s.enter("has_message");
        s.kind("u16");
        s.leave();
        s.enter("message?");
        s.kind("message");
        s.leave();
    }
}

/// Asks a sibling to test the dependencies of a job on jobs over there. 4505.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(order(until = V25_05, fields(
    array_job_id, array_task_id, dependency, is_array, job, job_name, user_id,
)))]
pub struct SendDependency {
    /// The job's array; 0 for none.
    pub array_job_id: u32,
    /// The job's task; `NO_VAL` for none.
    #[wire(default = NO_VAL)]
    pub array_task_id: u32,
    /// The dependencies in the user's words.
    pub dependency: Option<String>,
    /// Whether the job is an array.
    pub is_array: bool,
    /// The job's name, on which `singleton` depends.
    pub job_name: Option<String>,
    /// The job.
    pub job: JobRef,
    /// The job's user.
    pub user_id: u32,
}

/// Tells a job's own cluster what became of its dependencies. 4506.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct UpdateOriginDependency {
    /// The dependencies.
    pub depend_list: Vec<Dependency>,
    /// The job that has them.
    pub job: JobRef,
}

/// One dependency of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct Dependency {
    /// The task that is waited for; `NO_VAL` for none.
    #[wire(default = NO_VAL)]
    pub array_task_id: u32,
    /// What is waited for: its start, its end, its success, and so on.
    pub depend_type: u16,
    /// How dependencies combine, and where the job is.
    pub depend_flags: u16,
    /// Whether it is fulfilled.
    pub depend_state: u32,
    /// Minutes to wait after the event.
    pub depend_time: u32,
    /// The job that is waited for.
    pub job_id: u32,
    /// The task as the user named it.
    #[wire(since = V25_11, default = NO_VAL)]
    pub parsed_array_task_id: u32,
    /// The clusters that fulfil a `singleton`, one bit each.
    pub singleton_bits: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::JobNotify;
    use crate::{DEPTH_MAX, Fault, StepId};

    fn read(release: Release, bytes: &[u8]) -> Result<Message, DecodeError> {
        Message::decode(names::REQUEST_CTLD_MULT_MSG, release, bytes)
    }

    fn bundle(messages: Vec<Message>) -> Message {
        Message::RequestCtldMultMsg(MultiMessage::of(messages))
    }

    fn inside(message: Message) -> Vec<Packed<Message>> {
        let Message::RequestCtldMultMsg(bundle) = message else { panic!("{message:?}") };
        bundle.messages
    }

    #[test]
    fn a_bundle_has_slurms_bytes() {
        let sent = bundle(vec![Message::RequestPing]).to_bytes(Release::V22_05);
        assert_eq!(sent, b"\0\0\0\x01\0\0\0\x02\0\0\0\x02\x03\xf0");
    }

    #[test]
    fn one_message_of_an_unknown_type_leaves_its_neighbours_alone() {
        let unknown = b"\xff\xffwhatever".to_vec();
        let ping = Packed::Message(Box::new(Message::RequestPing));
        let damaged = Packed::Opaque(vec![1]);
        let longer = Packed::Opaque(b"\x03\xf0\0".to_vec());
        let messages = vec![ping.clone(), Packed::Opaque(unknown), longer, damaged, ping];
        let sent = Message::RequestCtldMultMsg(MultiMessage { messages: messages.clone() });
        for release in Release::ALL {
            assert_eq!(inside(read(release, &sent.to_bytes(release)).unwrap()), messages);
        }
    }

    #[test]
    fn what_is_inside_a_bundle_stays_inside() {
        let mut sent = bundle(vec![Message::RequestPing; 2]).to_bytes(Release::V22_05);
        (sent[7], sent[11]) = (200, 200);
        let error = read(Release::V22_05, &sent).unwrap_err();
        assert!(matches!(error.fault, Fault::Truncated { .. }), "{error}");
        sent[11] = 2;
        let error = read(Release::V22_05, &sent).unwrap_err();
        assert_eq!(error.fault, Fault::Invalid("a message in a bundle has two sizes"));
    }

    #[test]
    fn bundles_in_bundles_end_at_the_depth_limit() {
        let nest =
            |depth: u32| (0..depth).fold(Message::RequestPing, |inner, _| bundle(vec![inner]));
        let release = Release::NEWEST;
        let deepest = nest(DEPTH_MAX);
        assert_eq!(read(release, &deepest.to_bytes(release)), Ok(deepest));
        let mut message = read(release, &nest(DEPTH_MAX + 1).to_bytes(release)).unwrap();
        for _ in 0..DEPTH_MAX {
            let first = inside(message).into_iter().next().unwrap();
            let Packed::Message(inner) = first else { panic!("{first:?}") };
            message = *inner;
        }
        assert!(matches!(inside(message)[..], [Packed::Opaque(_)]), "one bundle too many");
    }

    #[test]
    fn a_siblings_message_keeps_its_own_release() {
        let notify = JobNotify { step_id: StepId::job(7), message: Some("hi".into()) };
        let inner = Message::RequestJobNotify(notify);
        let head = SiblingHead { sib_msg_type: 3, ..SiblingHead::default() };
        let message = SiblingMessage::with_message(head, Release::V23_11, inner);
        let outer = Message::RequestSibMsg(Box::new(message));
        let sent = outer.to_bytes(Release::V26_05);
        // A step of 23.11 has no sluid: three numbers, then the text with its length.
        assert_eq!(sent[sent.len() - 19..sent.len() - 15], 7u32.to_be_bytes());
        let back = Message::decode(names::REQUEST_SIB_MSG, Release::V26_05, &sent);
        assert_eq!(back, Ok(outer));
    }

    #[test]
    fn a_sibling_of_another_time_is_refused() {
        let head = SiblingHead { data_version: 0x2500, data_type: 1008, ..Default::default() };
        let mut w = Writer::new(Release::NEWEST);
        head.encode(&mut w);
        w.u16(1);
        let error = Message::decode(names::REQUEST_SIB_MSG, Release::NEWEST, w.bytes());
        let fault = Fault::Invalid("a message of a release that is not spoken");
        assert_eq!(error.unwrap_err().fault, fault);
    }
}
