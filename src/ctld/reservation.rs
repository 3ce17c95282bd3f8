//! Reservations: what `scontrol create`, `update`, `delete` and `show reservation` mean.

use flurm_base::{Span, Time};
use flurm_model::{
    Cluster, Command, Errno, NodeName, PartitionName, Reservation, reservation_flags as flags,
};
use flurm_wire::records::{
    ReservationInfo, ReservationInfoMsg, ReservationName, UpdateReservation,
};
use flurm_wire::{INFINITE, Message, NO_VAL, NO_VAL64, UnixTime};

use crate::identity::Identity;
use crate::refused::Refused;
use crate::requests::{Answer, Then};
use crate::submit::nodes;
use crate::tables::Tables;

/// Slurm takes times that lie so little in the past.
const LATE_MAX: Span = Span::secs(600);
/// A reservation without an end.
const YEAR: Span = Span::secs(365 * 24 * 3_600);
/// Flags that have their effect here.
const HONOURED: u64 = flags::MAINT
    | flags::DAILY
    | flags::WEEKLY
    | flags::IGNORE_JOBS
    | flags::STATIC
    | flags::PART_NODES
    | flags::OVERLAP
    | flags::SPEC_NODES
    | flags::ALL_NODES
    | flags::FLEX
    | flags::NO_HOLD_JOBS
    | flags::MAGNETIC
    | flags::HOURLY;
/// `Duration+=` and `Duration-=` (slurm.h, `RESERVE_FLAG_DUR_PLUS`, `RESERVE_FLAG_DUR_MINUS`).
const LONGER: u64 = 1 << 27;
const SHORTER: u64 = 1 << 28;
/// Of these the next higher bit takes one away.
const TAKEN_AWAY: [u64; 8] = [
    flags::MAINT,
    flags::DAILY,
    flags::WEEKLY,
    flags::IGNORE_JOBS,
    flags::PART_NODES,
    flags::FLEX,
    flags::MAGNETIC,
    flags::HOURLY,
];

/// Translates a creation or an update.
pub(crate) fn answer(
    asker: Identity,
    change: &UpdateReservation,
    create: bool,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    let settings = cluster.settings();
    if !asker.is_operator(settings) {
        return Err(Errno::UserIdMissing.into());
    }
    refuse_what_is_not_done(change)?;
    let name = change.name.as_deref().filter(|name| !name.is_empty());
    let mut wanted = match (create, name) {
        (true, Some(name)) => Reservation { name: name.to_owned(), ..Reservation::default() },
        (true, None) => Reservation::default(),
        (false, name) => {
            let known = name.and_then(|name| cluster.reservation(name));
            known.cloned().ok_or_else(|| Refused::from(Errno::ReservationInvalid))?
        }
    };
    put_times(change, create, now, &mut wanted)?;
    put_flags(change, &mut wanted)?;
    put_lists(change, &mut wanted);
    put_places(change, cluster, &mut wanted)?;
    if wanted.name.is_empty() {
        wanted.name = fresh_name(&wanted, cluster);
    }
    let (by, then) = (asker.actor(settings), Then::Reserved(wanted.name.clone()));
    let then = if create { then } else { Then::Code };
    let reservation = Box::new(wanted);
    let command = Command::PutReservation { at: now, by, create, reservation };
    Ok(Answer::Propose(Box::new(command), then))
}

/// Translates a deletion.
pub(crate) fn delete(
    asker: Identity,
    ask: &ReservationName,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    let settings = cluster.settings();
    if !asker.is_operator(settings) {
        return Err(Errno::UserIdMissing.into());
    }
    let name = ask.name.as_deref().unwrap_or("").to_owned();
    let command = Command::DeleteReservation { at: now, by: asker.actor(settings), name };
    Ok(Answer::Propose(Box::new(command), Then::Code))
}

/// The answer to a creation that was done.
pub(crate) fn created(name: &str) -> Message {
    Message::ResponseCreateReservation(ReservationName { name: Some(name.into()) })
}

fn refuse_what_is_not_done(change: &UpdateReservation) -> Result<(), Refused> {
    let asked = |value: bool, what: &str| {
        let text = format!("{what} is not supported by this controller");
        if value { Err(Refused::because(Errno::NotSupported.number(), text)) } else { Ok(()) }
    };
    let given = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
    asked(given(change.licenses.as_deref()), "Licenses")?;
    asked(given(change.burst_buffer.as_deref()), "BurstBuffer")?;
    asked(given(change.groups.as_deref()), "Groups")?;
    asked(given(change.features.as_deref()), "Features")?;
    asked(given(change.tres_str.as_deref()), "TRES")?;
    asked(given(change.qos.as_deref()), "QOS")?;
    asked(given(change.allowed_parts.as_deref()), "AllowedPartitions")?;
    asked(change.core_cnt.iter().any(|count| *count > 0), "CoreCnt")?;
    asked(change.max_start_delay != NO_VAL && change.max_start_delay != 0, "MaxStartDelay")
}

fn put_times(
    change: &UpdateReservation,
    create: bool,
    now: Time,
    wanted: &mut Reservation,
) -> Result<(), Refused> {
    let time = |time: UnixTime| {
        let given = time.0 != i64::from(NO_VAL) && time.0 != 0;
        given.then(|| Time::from_secs(time.0))
    };
    let (start, end) = (time(change.start_time), time(change.end_time));
    let early = |at: &Option<Time>| at.is_some_and(|at| at + LATE_MAX < now);
    if early(&start) || early(&end) {
        return Err(Errno::InvalidTimeValue.into());
    }
    let length = wanted.end.since(wanted.start);
    if create || start.is_some() {
        wanted.start = start.unwrap_or(now);
        wanted.end = wanted.start + length;
    }
    let by = Span::secs(u64::from(change.duration) * 60);
    let changes_by = |flag: u64| change.flags != NO_VAL64 && change.flags & flag != 0;
    if !create && change.duration != NO_VAL && changes_by(LONGER | SHORTER) {
        let end = if changes_by(LONGER) { wanted.end + by } else { wanted.end - by };
        wanted.end = end;
        return Ok(());
    }
    let lasts = match change.duration {
        NO_VAL if create => Some(YEAR),
        NO_VAL => None,
        INFINITE => Some(YEAR),
        minutes => Some(Span::secs(u64::from(minutes) * 60)),
    };
    if let Some(end) = end.or_else(|| lasts.map(|lasts| wanted.start + lasts)) {
        wanted.end = end;
    }
    Ok(())
}

fn put_flags(change: &UpdateReservation, wanted: &mut Reservation) -> Result<(), Refused> {
    if change.flags == NO_VAL64 {
        return Ok(());
    }
    let takes = TAKEN_AWAY.into_iter().filter(|flag| change.flags & (flag << 1) != 0);
    let taken: u64 = takes.fold(0, |all, flag| all | flag);
    let given =
        change.flags & !TAKEN_AWAY.iter().fold(LONGER | SHORTER, |all, flag| all | flag << 1);
    if given & !HONOURED != 0 {
        let text = format!("reservation flags {:#x} are not supported", given & !HONOURED);
        return Err(Refused::because(Errno::NotSupported.number(), text));
    }
    wanted.flags = (wanted.flags | given) & !taken;
    Ok(())
}

fn put_lists(change: &UpdateReservation, wanted: &mut Reservation) {
    let list = |text: &str| -> Vec<String> {
        text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    if let Some(users) = change.users.as_deref() {
        wanted.users = list(users);
    }
    if let Some(accounts) = change.accounts.as_deref() {
        wanted.accounts = list(accounts);
    }
    if let Some(comment) = change.comment.as_deref() {
        wanted.comment = (!comment.is_empty()).then(|| comment.to_owned());
    }
}

fn put_places(
    change: &UpdateReservation,
    cluster: &Cluster,
    wanted: &mut Reservation,
) -> Result<(), Refused> {
    if let Some(name) = change.partition.as_deref().filter(|name| !name.is_empty()) {
        let known = cluster.partition(name).is_some();
        let name = PartitionName::from(name);
        wanted.partition = Some(name).filter(|_| known);
        if !known {
            return Err(Errno::InvalidPartitionName.into());
        }
    }
    let count = change.node_cnt.iter().filter(|count| **count != NO_VAL).sum::<u32>();
    if count > 0 {
        wanted.nodes_wanted = count;
        wanted.nodes = Vec::new();
    }
    let Some(text) = change.node_list.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(());
    };
    wanted.flags |= flags::SPEC_NODES;
    let of_partition = wanted.partition.as_ref().filter(|_| wanted.has(flags::PART_NODES));
    let partition = of_partition.and_then(|name| cluster.partition(name));
    wanted.nodes = match (text.eq_ignore_ascii_case("ALL"), partition) {
        (true, Some(partition)) => partition.conf.nodes.clone(),
        (true, None) => {
            wanted.flags |= flags::ALL_NODES;
            cluster.nodes().map(|node| node.conf.name.clone()).collect()
        }
        (false, _) => nodes(&Some(flurm_wire::Text::from(text)), "Nodes")?,
    };
    let in_order = |name: &NodeName| cluster.node(name).map(|node| node.index);
    wanted.nodes.sort_by_key(in_order);
    wanted.nodes.dedup();
    Ok(())
}

/// `<first user or account>_<number>`, as Slurm makes it.
fn fresh_name(wanted: &Reservation, cluster: &Cluster) -> String {
    let first = wanted.users.first().or(wanted.accounts.first());
    let first = first.map_or("resv", |name| name.trim_start_matches('-'));
    let mut number = 1u32;
    loop {
        let name = format!("{first}_{number}");
        if cluster.reservation(&name).is_none() {
            return name;
        }
        number += 1;
    }
}

impl Tables<'_> {
    /// All reservations.
    pub(crate) fn reservations(&self) -> Message {
        let reservations = self.cluster.reservations().map(|one| self.reservation(one)).collect();
        let last_update = UnixTime(self.now.secs());
        Message::ResponseReservationInfo(ReservationInfoMsg { last_update, reservations })
    }

    fn reservation(&self, one: &Reservation) -> ReservationInfo {
        let known = one.nodes.iter().filter_map(|name| self.cluster.node(name));
        let (mut cores, mut cpus) = (0u32, 0u32);
        for node in known {
            cores += u32::from(node.conf.sockets) * u32::from(node.conf.cores_per_socket);
            cpus += node.conf.cpus;
        }
        let list = |names: &[String]| (!names.is_empty()).then(|| names.join(","));
        ReservationInfo {
            accounts: list(&one.accounts),
            burst_buffer: None,
            comment: one.comment.clone(),
            core_cnt: cores,
            end_time: UnixTime(one.end.secs()),
            features: None,
            flags: one.flags,
            licenses: None,
            max_start_delay: 0,
            name: Some(one.name.clone()),
            node_cnt: u32::try_from(one.nodes.len()).unwrap_or(u32::MAX),
            node_list: Some(self.host_list(&one.nodes)),
            partition: one.partition.as_ref().map(|name| name.to_string()),
            purge_comp_time: 0,
            resv_watts: NO_VAL,
            start_time: UnixTime(one.start.secs()),
            tres_str: Some(format!("cpu={cpus}")),
            users: list(&one.users),
            groups: None,
            qos: None,
            allowed_parts: None,
            node_inx: self.bits(one.nodes.iter().map(NodeName::as_str)),
            core_spec: Vec::new(),
        }
    }
}
