//! What operators change: nodes, partitions, reservations.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::codec::{U16Until, V23_11};
use crate::{
    Codec, DecodeError, Gen, NO_VAL, NO_VAL16, NO_VAL64, Reader, Release, Schema, UnixTime,
    Visitor, Wire, Writer,
};

/// The time that means "leave as it is".
const UNSET_TIME: UnixTime = UnixTime(NO_VAL as i64);

/// What should change about nodes. 3002; 3015 makes them and 3014 takes them away.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct UpdateNode {
    #[wire(since = V24_11)]
    pub cert_token: Option<String>,
    pub comment: Option<String>,
    pub cpu_bind: u32,
    pub extra: Option<String>,
    pub features: Option<String>,
    pub features_act: Option<String>,
    pub gres: Option<String>,
    #[wire(since = V23_11)]
    pub instance_id: Option<String>,
    #[wire(since = V23_11)]
    pub instance_type: Option<String>,
    pub node_addr: Option<String>,
    pub node_hostname: Option<String>,
    pub node_names: Option<String>,
    #[wire(default = NO_VAL)]
    pub node_state: u32,
    #[wire(since = V26_05)]
    pub power_action_name: Option<String>,
    pub reason: Option<String>,
    #[wire(until = V22_05)]
    pub reason_uid: u32,
    #[wire(since = V23_02, default = NO_VAL)]
    pub resume_after: u32,
    #[wire(since = V25_05)]
    pub topology_str: Option<String>,
    #[wire(default = NO_VAL)]
    pub weight: u32,
}

/// A new partition, or what should change about one. 3003, 3005.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct UpdatePartition {
    pub allow_accounts: Option<String>,
    pub allow_alloc_nodes: Option<String>,
    pub allow_groups: Option<String>,
    pub allow_qos: Option<String>,
    pub alternate: Option<String>,
    pub billing_weights_str: Option<String>,
    pub cpu_bind: u32,
    #[wire(default = NO_VAL64)]
    pub def_mem_per_cpu: u64,
    #[wire(default = NO_VAL)]
    pub default_time: u32,
    pub deny_accounts: Option<String>,
    pub deny_qos: Option<String>,
    #[wire(as_ = U16Until<{ V23_11 }>)]
    pub flags: u32,
    pub job_defaults_str: Option<String>,
    #[wire(default = NO_VAL)]
    pub grace_time: u32,
    #[wire(default = NO_VAL)]
    pub max_cpus_per_node: u32,
    #[wire(since = V23_02, default = NO_VAL)]
    pub max_cpus_per_socket: u32,
    #[wire(default = NO_VAL64)]
    pub max_mem_per_cpu: u64,
    #[wire(default = NO_VAL)]
    pub max_nodes: u32,
    #[wire(default = NO_VAL16)]
    pub max_share: u16,
    #[wire(default = NO_VAL)]
    pub max_time: u32,
    #[wire(default = NO_VAL)]
    pub min_nodes: u32,
    pub name: Option<String>,
    pub nodes: Option<String>,
    #[wire(default = NO_VAL16)]
    pub over_time_limit: u16,
    #[wire(default = NO_VAL16)]
    pub preempt_mode: u16,
    #[wire(default = NO_VAL16)]
    pub priority_job_factor: u16,
    #[wire(default = NO_VAL16)]
    pub priority_tier: u16,
    pub qos_char: Option<String>,
    #[wire(default = NO_VAL16)]
    pub state_up: u16,
    #[wire(since = V25_05)]
    pub topology_name: Option<String>,
}

/// Takes a partition away. 3004.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct DeletePartition {
    pub name: Option<String>,
}

/// A new reservation, or what should change about one. 3006, 3009.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct UpdateReservation {
    pub name: Option<String>,
    #[wire(default = UNSET_TIME)]
    pub start_time: UnixTime,
    #[wire(default = UNSET_TIME)]
    pub end_time: UnixTime,
    #[wire(default = NO_VAL)]
    pub duration: u32,
    #[wire(default = NO_VAL64)]
    pub flags: u64,
    #[wire(as_ = ArrayBefore23_11)]
    pub node_cnt: Vec<u32>,
    #[wire(as_ = ArrayBefore23_11)]
    pub core_cnt: Vec<u32>,
    pub node_list: Option<String>,
    pub features: Option<String>,
    pub licenses: Option<String>,
    #[wire(default = NO_VAL)]
    pub max_start_delay: u32,
    pub partition: Option<String>,
    #[wire(default = NO_VAL)]
    pub purge_comp_time: u32,
    #[wire(until = V25_05)]
    pub resv_watts: u32,
    #[wire(since = V25_11)]
    pub allowed_parts: Option<String>,
    #[wire(since = V25_11)]
    pub qos: Option<String>,
    pub users: Option<String>,
    pub accounts: Option<String>,
    pub burst_buffer: Option<String>,
    pub groups: Option<String>,
    #[wire(since = V23_02)]
    pub comment: Option<String>,
    #[wire(since = V23_11)]
    pub tres_str: Option<String>,
}

/// Names a reservation. 3007, 3008.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ReservationName {
    pub name: Option<String>,
}

/// Counts of nodes or cores: an array before 23.11, one number since, where `NO_VAL` stands for none.
struct ArrayBefore23_11;

impl Codec<Vec<u32>> for ArrayBefore23_11 {
    const KIND: &'static str = "array/u32";

    fn encode(value: &Vec<u32>, w: &mut Writer) {
        if w.release() >= Release::V23_11 {
            w.u32(value.first().copied().unwrap_or(NO_VAL));
        } else {
            value.encode(w);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Vec<u32>, DecodeError> {
        if r.release() < Release::V23_11 {
            return Wire::decode(r);
        }
        r.u32().map(|count| Some(count).filter(|count| *count != NO_VAL).into_iter().collect())
    }

    fn view(value: &Vec<u32>, v: &mut dyn Visitor) {
        value.view(v);
    }

    fn sample(g: &mut Gen) -> Vec<u32> {
        let counts: Vec<u32> = Wire::sample(g);
        if g.release() < Release::V23_11 {
            return counts;
        }
        counts.into_iter().take(1).filter(|count| *count != NO_VAL).collect()
    }

    fn schema(release: Release, s: &mut Schema) {
        if release >= Release::V23_11 {
            u32::schema(release, s);
        } else {
            Vec::<u32>::schema(release, s);
        }
    }
}
