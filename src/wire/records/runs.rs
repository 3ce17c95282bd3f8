//! Arrays that travel together behind a count of their own, and are left out where it is 0.

use std::fmt::Debug;

use crate::{DecodeError, Gen, Reader, Release, Schema, Visitor, Wire, Writer};

/// One value for each node, run-length encoded: `values[i]` stands `repeats[i]` times. Both arrays
/// have one length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs<T> {
    /// The value of each run.
    pub values: Vec<T>,
    /// The length of each run.
    pub repeats: Vec<u32>,
}

impl<T: Copy + PartialEq> Runs<T> {
    /// Encodes the value of every node.
    pub fn of(each: impl IntoIterator<Item = T>) -> Self {
        let mut runs = Self { values: Vec::new(), repeats: Vec::new() };
        for value in each {
            match runs.repeats.last_mut() {
                Some(last) if runs.values.last() == Some(&value) => *last += 1,
                _ => {
                    runs.values.push(value);
                    runs.repeats.push(1);
                }
            }
        }
        runs
    }

    /// The value of the node at a position.
    pub fn at(&self, position: u32) -> Option<T> {
        let mut left = position;
        for (value, repeat) in self.values.iter().zip(&self.repeats) {
            match left.checked_sub(*repeat) {
                Some(rest) => left = rest,
                None => return Some(*value),
            }
        }
        None
    }
}

impl<T: Wire + Debug> Wire for Runs<T> {
    const KIND: &'static str = "runs";

    fn encode(&self, w: &mut Writer) {
        assert_eq!(self.values.len(), self.repeats.len(), "every run has a length");
        w.count(self.values.len());
        if !self.values.is_empty() {
            self.values.encode(w);
            self.repeats.encode(w);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = r.u32()? as usize;
        if count == 0 {
            return Ok(Self { values: Vec::new(), repeats: Vec::new() });
        }
        let runs = Self { values: r.field("values")?, repeats: r.field("repeats")? };
        if runs.values.len() != count || runs.repeats.len() != count {
            return Err(r.invalid("arrays of runs differ in length"));
        }
        Ok(runs)
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.record_begin("Runs");
        v.field("values");
        self.values.view(v);
        v.field("repeats");
        self.repeats.view(v);
        v.record_end();
    }

    fn sample(g: &mut Gen) -> Self {
        let repeats: Vec<u32> = Wire::sample(g);
        Self { values: repeats.iter().map(|_| T::sample(g)).collect(), repeats }
    }

    fn schema(release: Release, s: &mut Schema) {
        s.enter("count, if not 0: []");
        T::schema(release, s);
        u32::schema(release, s);
        s.leave();
    }
}

/// The sockets and cores of a job's nodes, run-length encoded. The three arrays have one length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoreRuns {
    /// Cores of each socket, for each run.
    pub cores_per_socket: Vec<u16>,
    /// Sockets of each node, for each run.
    pub sockets_per_node: Vec<u16>,
    /// The nodes in each run.
    pub sock_core_rep_count: Vec<u32>,
}

impl Wire for CoreRuns {
    const KIND: &'static str = "core runs";

    fn encode(&self, w: &mut Writer) {
        let count = self.sock_core_rep_count.len();
        assert_eq!(self.cores_per_socket.len(), count, "every run has its cores");
        assert_eq!(self.sockets_per_node.len(), count, "every run has its sockets");
        w.u16(u16::try_from(count).expect("fewer runs than nodes, which 16 bits count"));
        if count > 0 {
            self.cores_per_socket.encode(w);
            self.sockets_per_node.encode(w);
            self.sock_core_rep_count.encode(w);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = usize::from(r.u16()?);
        if count == 0 {
            return Ok(Self::default());
        }
        let runs = Self {
            cores_per_socket: r.field("cores_per_socket")?,
            sockets_per_node: r.field("sockets_per_node")?,
            sock_core_rep_count: r.field("sock_core_rep_count")?,
        };
        let lengths = [runs.cores_per_socket.len(), runs.sockets_per_node.len()];
        if lengths != [count; 2] || runs.sock_core_rep_count.len() != count {
            return Err(r.invalid("arrays of cores and sockets differ in length"));
        }
        Ok(runs)
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.record_begin("CoreRuns");
        v.field("cores_per_socket");
        self.cores_per_socket.view(v);
        v.field("sockets_per_node");
        self.sockets_per_node.view(v);
        v.field("sock_core_rep_count");
        self.sock_core_rep_count.view(v);
        v.record_end();
    }

    fn sample(g: &mut Gen) -> Self {
        let sock_core_rep_count: Vec<u32> = Wire::sample(g);
        let length = sock_core_rep_count.len();
        let mut each = || (0..length).map(|_| u16::sample(g)).collect();
        let (cores_per_socket, sockets_per_node) = (each(), each());
        Self { cores_per_socket, sockets_per_node, sock_core_rep_count }
    }

    fn schema(release: Release, s: &mut Schema) {
        s.enter("count16, if not 0: []");
        u16::schema(release, s);
        u16::schema(release, s);
        u32::schema(release, s);
        s.leave();
    }
}
