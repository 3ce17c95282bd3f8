//! The messages that carry lists of records. Their count stands first and the records follow a
//! header, so these few are written out instead of derived.

use super::{
    FrontEndInfo, JobInfo, LicenseInfo, NodeInfo, PartitionInfo, ReservationInfo, StepInfo,
};
use crate::{
    Bits, DecodeError, Gen, List, Reader, Release, Schema, UnixTime, Visitor, Wire, Writer,
};

/// Declares a message: the count, the header's fields, the records, fields after them.
macro_rules! listing {
    (
        $(#[$doc:meta])*
        $name:ident { $($head:ident: $head_type:ty),* }
        $records:ident: $record:ty,
        { $($tail:ident: $tail_type:ty, since $since:ident),* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $(
                /// What the header says under this name.
                pub $head: $head_type,
            )*
            /// The records.
            pub $records: Vec<$record>,
            $(
                /// What follows the records under this name.
                pub $tail: $tail_type,
            )*
        }

        impl Wire for $name {
            const KIND: &'static str = stringify!($name);

            fn encode(&self, w: &mut Writer) {
                w.count(self.$records.len());
                $(self.$head.encode(w);)*
                self.$records.iter().for_each(|record| record.encode(w));
                $(if w.release() >= Release::$since { self.$tail.encode(w); })*
            }

            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let count = r.u32()?;
                let count = r.check_count(count)?;
                $(let $head = r.field::<$head_type>(stringify!($head))?;)*
                let $records = r.elements(stringify!($records), count)?;
                $(
                    let $tail = match r.release() >= Release::$since {
                        true => r.field(stringify!($tail))?,
                        false => Default::default(),
                    };
                )*
                Ok(Self { $($head,)* $records, $($tail,)* })
            }

            fn view(&self, v: &mut dyn Visitor) {
                v.record_begin(stringify!($name));
                $(v.field(stringify!($head)); self.$head.view(v);)*
                v.field(stringify!($records));
                self.$records.view(v);
                $(v.field(stringify!($tail)); self.$tail.view(v);)*
                v.record_end();
            }

            fn sample(g: &mut Gen) -> Self {
                Self {
                    $($head: Wire::sample(g),)*
                    $records: Wire::sample(g),
                    $($tail: match g.release() >= Release::$since {
                        true => Wire::sample(g),
                        false => Default::default(),
                    },)*
                }
            }

            fn schema(release: Release, s: &mut Schema) {
                row::<u32>(release, s, "count");
                $(row::<$head_type>(release, s, stringify!($head));)*
                row::<$record>(release, s, concat!(stringify!($records), "[count]"));
                $(if release >= Release::$since {
                    row::<$tail_type>(release, s, stringify!($tail));
                })*
            }
        }
    };
}

fn row<T: Wire>(release: Release, s: &mut Schema, name: &'static str) {
    s.enter(name);
    T::schema(release, s);
    s.leave();
}

listing! {
    /// Jobs. 2004.
    JobInfoMsg { last_update: UnixTime, last_backfill: UnixTime }
    jobs: JobInfo,
    {}
}

listing! {
    /// Steps, and the step managers of jobs that have one. 2006.
    StepInfoMsg { last_update: UnixTime }
    steps: StepInfo,
    { stepmgr_jobs: List<super::StepManagerJob>, since V24_05 }
}

listing! {
    /// Partitions. 2010.
    PartitionInfoMsg { last_update: UnixTime }
    partitions: PartitionInfo,
    {}
}

listing! {
    /// Reservations. 2025.
    ReservationInfoMsg { last_update: UnixTime }
    reservations: ReservationInfo,
    {}
}

listing! {
    /// Front ends. 2032, until 24.11.
    FrontEndInfoMsg { last_update: UnixTime }
    front_ends: FrontEndInfo,
    {}
}

listing! {
    /// Licences. 1022.
    LicenseInfoMsg { last_update: UnixTime }
    licenses: LicenseInfo,
    {}
}

/// Nodes. 2008. Positions in this listing are what the node bitmaps of every other record mean, so
/// nodes that a user may not see keep their place: before 24.11 as a record of defaults, since then
/// as a bit in `hidden_nodes` without a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeInfoMsg {
    /// When this was true.
    pub last_update: UnixTime,
    /// Positions without a record; since 24.11.
    pub hidden_nodes: Option<Bits>,
    /// The other nodes in order.
    pub nodes: Vec<NodeInfo>,
}

impl NodeInfoMsg {
    fn hidden_count(&self) -> usize {
        self.hidden_nodes.as_ref().map_or(0, |hidden| hidden.iter().count())
    }

    /// Every node with its position.
    pub fn positions(&self) -> impl Iterator<Item = (u32, &NodeInfo)> {
        let hidden =
            |position: &u32| self.hidden_nodes.as_ref().is_some_and(|hidden| hidden.get(*position));
        (0..).filter(move |position| !hidden(position)).zip(&self.nodes)
    }
}

impl Wire for NodeInfoMsg {
    const KIND: &'static str = "NodeInfoMsg";

    fn encode(&self, w: &mut Writer) {
        if w.release() >= Release::V24_11 {
            w.count(self.nodes.len() + self.hidden_count());
            self.last_update.encode(w);
            self.hidden_nodes.encode(w);
        } else {
            w.count(self.nodes.len());
            self.last_update.encode(w);
        }
        self.nodes.iter().for_each(|node| node.encode(w));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = r.u32()?;
        let mut message = Self { last_update: r.field("last_update")?, ..Self::default() };
        if r.release() >= Release::V24_11 {
            message.hidden_nodes = r.field("hidden_nodes")?;
        }
        let hidden = message.hidden_nodes.as_ref().map_or(0, |bits| bits.iter().count());
        let shown = u32::try_from(hidden).ok().and_then(|hidden| count.checked_sub(hidden));
        let shown = shown.ok_or_else(|| r.invalid("more nodes are hidden than listed"))?;
        let shown = r.check_count(shown)?;
        message.nodes = r.elements("nodes", shown)?;
        Ok(message)
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.record_begin("NodeInfoMsg");
        v.field("last_update");
        self.last_update.view(v);
        v.field("hidden_nodes");
        self.hidden_nodes.view(v);
        v.field("nodes");
        self.nodes.view(v);
        v.record_end();
    }

    fn sample(g: &mut Gen) -> Self {
        let nodes: Vec<NodeInfo> = Wire::sample(g);
        let last_update = Wire::sample(g);
        let hidden_nodes = match g.release() >= Release::V24_11 {
            true => g.maybe(|g| {
                let size = u32::try_from(nodes.len()).expect("samples are short") + 2;
                Bits::from_indices(size, [u32::from(g.coin()), size - 1])
            }),
            false => None,
        };
        Self { last_update, hidden_nodes, nodes }
    }

    fn schema(release: Release, s: &mut Schema) {
        row::<u32>(release, s, "count");
        row::<UnixTime>(release, s, "last_update");
        if release >= Release::V24_11 {
            row::<Option<Bits>>(release, s, "hidden_nodes");
        }
        row::<NodeInfo>(release, s, "nodes[count-hidden]");
    }
}
