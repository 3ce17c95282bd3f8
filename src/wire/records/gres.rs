//! Generic resources inside credentials, kill requests and registrations.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use crate::codec::{Count16, Flag8};
use crate::{Bits, Codec, DecodeError, Gen, List, Reader, Release, Schema, Visitor, Wire, Writer};

/// Stands at the start of every record of generic resources.
pub const GRES_MAGIC: u32 = 0x438a_34d4;

/// What a job asks for and has of one generic resource.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct GresJobState {
    #[wire(constant = GRES_MAGIC)]
    pub magic: (),
    pub plugin_id: u32,
    pub cpus_per_gres: u16,
    pub flags: u16,
    pub gres_per_job: u64,
    pub gres_per_node: u64,
    pub gres_per_socket: u64,
    pub gres_per_task: u64,
    pub mem_per_gres: u64,
    pub ntasks_per_gres: u16,
    pub total_gres: u64,
    pub type_name: Option<String>,
    pub nodes: GresJobNodes,
}

/// What a job has of one generic resource on each of its nodes; `node_cnt` is the length of every
/// list that is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GresJobNodes {
    pub node_cnt: u32,
    /// How much of it, by node.
    pub gres_cnt_node_alloc: Option<Vec<u64>>,
    /// Which of it, by node.
    pub gres_bit_alloc: Option<Vec<Option<Bits>>>,
    /// How much of each shared device, by node; since 23.11.
    pub gres_per_bit_alloc: Vec<Option<Vec<u64>>>,
    /// Which of it steps have, by node.
    pub gres_bit_step_alloc: Option<Vec<Option<Bits>>>,
    /// How much of it steps have, by node.
    pub gres_cnt_step_alloc: Option<Vec<u64>>,
    /// How much of each shared device steps have, by node; since 23.11.
    pub gres_per_bit_step_alloc: Vec<Option<Vec<u64>>>,
}

/// What a step asks for and has of one generic resource.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct GresStepState {
    #[wire(constant = GRES_MAGIC)]
    pub magic: (),
    pub plugin_id: u32,
    pub cpus_per_gres: u16,
    pub flags: u16,
    pub gres_per_step: u64,
    pub gres_per_node: u64,
    pub gres_per_socket: u64,
    pub gres_per_task: u64,
    pub mem_per_gres: u64,
    pub total_gres: u64,
    #[wire(since = V24_05)]
    pub type_name: Option<String>,
    pub nodes: GresStepNodes,
}

/// What a step has of one generic resource on each of its nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GresStepNodes {
    pub node_cnt: u32,
    pub node_in_use: Option<Bits>,
    /// How much of it, by node.
    pub gres_cnt_node_alloc: Option<Vec<u64>>,
    /// Which of it, by node.
    pub gres_bit_alloc: Option<Vec<Option<Bits>>>,
    /// How much of each shared device, by node; since 23.11.
    pub gres_per_bit_alloc: Vec<Option<Vec<u64>>>,
}

/// What a prolog or epilog is told of one generic resource.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct GresPrep {
    #[wire(constant = GRES_MAGIC)]
    pub magic: (),
    pub plugin_id: u32,
    pub nodes: GresPrepNodes,
}

/// The part of `GresPrep` that is told node by node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GresPrepNodes {
    pub node_cnt: u32,
    /// How much of it, by node.
    pub gres_cnt_node_alloc: Option<Vec<u64>>,
    /// Which of it, by node.
    pub gres_bit_alloc: Option<Vec<Option<Bits>>>,
}

/// The generic resources of a node, inside `NodeRegistration::gres_info`.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct GresNodeConfig {
    /// The protocol version of what follows.
    pub version: u16,
    #[wire(as_ = Count16)]
    pub records: Vec<GresNodeRecord>,
}

/// One kind of generic resource of a node.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct GresNodeRecord {
    #[wire(constant = GRES_MAGIC)]
    pub magic: (),
    pub count: u64,
    pub cpu_cnt: u32,
    pub config_flags: u32,
    pub plugin_id: u32,
    pub cpus: Option<String>,
    pub links: Option<String>,
    pub name: Option<String>,
    pub type_name: Option<String>,
    pub unique_id: Option<String>,
}

/// What a node has of one generic resource, and how much is in use. Part of `NodeStateRecord`.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct GresNodeState {
    #[wire(constant = GRES_MAGIC)]
    pub magic: (),
    pub plugin_id: u32,
    pub config_flags: u32,
    pub gres_cnt_avail: u64,
    /// Bits of the bitmap of what is in use, which is not sent itself.
    pub gres_bitmap_size: u16,
    #[wire(sample = few)]
    pub topo_cnt: u16,
    #[wire(count = Self::topologies)]
    pub topo: Vec<GresTopology>,
    pub topo_gres_cnt_alloc: Vec<u64>,
    pub topo_gres_cnt_avail: Vec<u64>,
    pub topo_type_id: Vec<u32>,
    pub topo_type_name: Vec<Option<String>>,
}

impl GresNodeState {
    fn topologies(&self) -> u32 {
        u32::from(self.topo_cnt)
    }
}

/// Which cores of a node are near to which of a generic resource.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct GresTopology {
    pub core_bitmap: Option<Bits>,
    pub gres_bitmap: Option<Bits>,
    pub res_core_bitmap: Option<Bits>,
}

fn few(g: &mut Gen) -> u16 {
    u16::try_from(g.few()).expect("below four")
}

/// The list in kill and prolog requests: a 16-bit count before 25.05, a list that may be absent
/// since.
pub(super) struct PrepList;

impl Codec<List<GresPrep>> for PrepList {
    const KIND: &'static str = "array16/list";

    fn encode(value: &List<GresPrep>, w: &mut Writer) {
        match value {
            _ if w.release() >= Release::V25_05 => value.encode(w),
            Some(records) => <Count16 as Codec<Vec<GresPrep>>>::encode(records, w),
            None => w.u16(0),
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<List<GresPrep>, DecodeError> {
        if r.release() >= Release::V25_05 {
            return Wire::decode(r);
        }
        let records = <Count16 as Codec<Vec<GresPrep>>>::decode(r)?;
        Ok(Some(records).filter(|records| !records.is_empty()))
    }

    fn view(value: &List<GresPrep>, v: &mut dyn Visitor) {
        value.view(v);
    }

    fn sample(g: &mut Gen) -> List<GresPrep> {
        let records: List<GresPrep> = Wire::sample(g);
        let empties = g.release() >= Release::V25_05;
        records.filter(|records| empties || !records.is_empty())
    }

    fn schema(release: Release, s: &mut Schema) {
        if release >= Release::V25_05 {
            <List<GresPrep> as Wire>::schema(release, s);
        } else {
            <Count16 as Codec<Vec<GresPrep>>>::schema(release, s);
        }
    }
}

/// Values for each of `count` nodes, without a count of their own, behind a flag.
struct EachNode(u32);

impl EachNode {
    fn write<T: Wire>(&self, values: &Option<Vec<T>>, w: &mut Writer) {
        w.u8(u8::from(values.is_some()));
        if let Some(values) = values {
            assert_eq!(values.len(), self.0 as usize, "one value for each node");
            values.iter().for_each(|value| value.encode(w));
        }
    }

    fn read<T: Wire>(
        &self,
        name: &'static str,
        r: &mut Reader<'_>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let read = |r: &mut Reader<'_>| {
            if r.u8()? == 0 {
                return Ok(None);
            }
            let count = r.check_count(self.0)?;
            (0..count).map(|_| r.element()).collect::<Result<_, _>>().map(Some)
        };
        r.field_with(name, read, Option::view)
    }

    fn sample<T: Wire>(&self, g: &mut Gen) -> Option<Vec<T>> {
        let count = self.0;
        g.maybe(|g| (0..count).map(|_| T::sample(g)).collect())
    }

    /// A flag for each node and, if it is set, an array.
    fn write_arrays(&self, arrays: &[Option<Vec<u64>>], w: &mut Writer) {
        if w.release() < Release::V23_11 {
            return;
        }
        for node in 0..self.0 as usize {
            let array = arrays.get(node).cloned().flatten();
            <Flag8 as Codec<Option<Vec<u64>>>>::encode(&array, w);
        }
    }

    fn read_arrays(
        &self,
        name: &'static str,
        r: &mut Reader<'_>,
    ) -> Result<Vec<Option<Vec<u64>>>, DecodeError> {
        if r.release() < Release::V23_11 {
            return Ok(Vec::new());
        }
        let read = |r: &mut Reader<'_>| {
            (0..r.check_count(self.0)?).map(|_| <Flag8 as Codec<_>>::decode(r)).collect()
        };
        r.field_with(name, read, Vec::view)
    }

    fn sample_arrays(&self, g: &mut Gen) -> Vec<Option<Vec<u64>>> {
        if g.release() < Release::V23_11 {
            return Vec::new();
        }
        (0..self.0).map(|_| g.maybe(Vec::sample)).collect()
    }
}

/// Shows and describes a part that is written out by hand.
macro_rules! hand_written {
    ($name:literal { $($field:ident: $type:ty),* }) => {
        fn view(&self, v: &mut dyn Visitor) {
            v.record_begin($name);
            $(
                v.field(stringify!($field));
                self.$field.view(v);
            )*
            v.record_end();
        }

        fn schema(release: Release, s: &mut Schema) {
            $(
                let later = stringify!($field).starts_with("gres_per_bit");
                if !later || release >= Release::V23_11 {
                    s.enter(stringify!($field));
                    <$type>::schema(release, s);
                    s.leave();
                }
            )*
        }
    };
}

/// An array behind a flag, which has a count of its own besides.
type Flagged = Option<Vec<u64>>;

fn count_by_node(r: &mut Reader<'_>) -> Result<Flagged, DecodeError> {
    let (read, show) = (<Flag8 as Codec<Flagged>>::decode, <Flag8 as Codec<Flagged>>::view);
    r.field_with("gres_cnt_node_alloc", read, show)
}

impl Wire for GresJobNodes {
    const KIND: &'static str = "GresJobNodes";

    fn encode(&self, w: &mut Writer) {
        let each = EachNode(self.node_cnt);
        w.u32(self.node_cnt);
        <Flag8 as Codec<Flagged>>::encode(&self.gres_cnt_node_alloc, w);
        each.write(&self.gres_bit_alloc, w);
        each.write_arrays(&self.gres_per_bit_alloc, w);
        each.write(&self.gres_bit_step_alloc, w);
        each.write(&self.gres_cnt_step_alloc, w);
        each.write_arrays(&self.gres_per_bit_step_alloc, w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let node_cnt = r.field("node_cnt")?;
        let each = EachNode(node_cnt);
        Ok(Self {
            node_cnt,
            gres_cnt_node_alloc: count_by_node(r)?,
            gres_bit_alloc: each.read("gres_bit_alloc", r)?,
            gres_per_bit_alloc: each.read_arrays("gres_per_bit_alloc", r)?,
            gres_bit_step_alloc: each.read("gres_bit_step_alloc", r)?,
            gres_cnt_step_alloc: each.read("gres_cnt_step_alloc", r)?,
            gres_per_bit_step_alloc: each.read_arrays("gres_per_bit_step_alloc", r)?,
        })
    }

    fn sample(g: &mut Gen) -> Self {
        let node_cnt = u32::try_from(g.length()).expect("samples are short");
        let each = EachNode(node_cnt);
        Self {
            node_cnt,
            gres_cnt_node_alloc: g.maybe(Vec::sample),
            gres_bit_alloc: each.sample(g),
            gres_per_bit_alloc: each.sample_arrays(g),
            gres_bit_step_alloc: each.sample(g),
            gres_cnt_step_alloc: each.sample(g),
            gres_per_bit_step_alloc: each.sample_arrays(g),
        }
    }

    hand_written!("GresJobNodes" {
        node_cnt: u32, gres_cnt_node_alloc: List<u64>, gres_bit_alloc: List<Option<Bits>>,
        gres_per_bit_alloc: Vec<List<u64>>, gres_bit_step_alloc: List<Option<Bits>>,
        gres_cnt_step_alloc: List<u64>, gres_per_bit_step_alloc: Vec<List<u64>>
    });
}

impl Wire for GresStepNodes {
    const KIND: &'static str = "GresStepNodes";

    fn encode(&self, w: &mut Writer) {
        let each = EachNode(self.node_cnt);
        w.u32(self.node_cnt);
        self.node_in_use.encode(w);
        <Flag8 as Codec<Flagged>>::encode(&self.gres_cnt_node_alloc, w);
        each.write(&self.gres_bit_alloc, w);
        each.write_arrays(&self.gres_per_bit_alloc, w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let node_cnt = r.field("node_cnt")?;
        let each = EachNode(node_cnt);
        Ok(Self {
            node_cnt,
            node_in_use: r.field("node_in_use")?,
            gres_cnt_node_alloc: count_by_node(r)?,
            gres_bit_alloc: each.read("gres_bit_alloc", r)?,
            gres_per_bit_alloc: each.read_arrays("gres_per_bit_alloc", r)?,
        })
    }

    fn sample(g: &mut Gen) -> Self {
        let node_cnt = u32::try_from(g.length()).expect("samples are short");
        let each = EachNode(node_cnt);
        Self {
            node_cnt,
            node_in_use: Wire::sample(g),
            gres_cnt_node_alloc: g.maybe(Vec::sample),
            gres_bit_alloc: each.sample(g),
            gres_per_bit_alloc: each.sample_arrays(g),
        }
    }

    hand_written!("GresStepNodes" {
        node_cnt: u32, node_in_use: Option<Bits>, gres_cnt_node_alloc: List<u64>,
        gres_bit_alloc: List<Option<Bits>>, gres_per_bit_alloc: Vec<List<u64>>
    });
}

impl Wire for GresPrepNodes {
    const KIND: &'static str = "GresPrepNodes";

    fn encode(&self, w: &mut Writer) {
        w.u32(self.node_cnt);
        <Flag8 as Codec<Flagged>>::encode(&self.gres_cnt_node_alloc, w);
        EachNode(self.node_cnt).write(&self.gres_bit_alloc, w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let node_cnt = r.field("node_cnt")?;
        let gres_cnt_node_alloc = count_by_node(r)?;
        Ok(Self {
            node_cnt,
            gres_cnt_node_alloc,
            gres_bit_alloc: EachNode(node_cnt).read("gres_bit_alloc", r)?,
        })
    }

    fn sample(g: &mut Gen) -> Self {
        let node_cnt = u32::try_from(g.length()).expect("samples are short");
        let gres_cnt_node_alloc = g.maybe(Vec::sample);
        Self { node_cnt, gres_cnt_node_alloc, gres_bit_alloc: EachNode(node_cnt).sample(g) }
    }

    hand_written!("GresPrepNodes" {
        node_cnt: u32, gres_cnt_node_alloc: List<u64>, gres_bit_alloc: List<Option<Bits>>
    });
}
