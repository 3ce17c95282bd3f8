//! The steps by which members agree. Each is atomic; the world says when it happens.

use std::collections::BTreeMap;
use std::rc::Rc;

use flurm_base::Rng;
use flurm_raft::{Leader, ProposeError, ReadError};
use flurm_tla::LogSeen;

use super::entries::{Entry, Position, Snapshot};
use super::state::{
    Forwarded, Hooks, Life, Member, Progress, Promise, ReadPromise, Standing, Ways,
};
use crate::steps::seen;
use crate::world::{self, Event, MILLI, MachineId, Nanos, SECOND, fs, net, trouble};

/// Entries of one message at most.
const ENTRIES_MAX: usize = 64;
/// Longest wait before a leader goes on with a member that is back.
const RESUME_MAX: Nanos = SECOND;
/// Pause before a majority that did not answer is asked again.
const READ_AGAIN: Nanos = 100 * MILLI;

/// Times in a run that members suspect a leader that lives.
const SUSPICIONS_MAX: u64 = 2;
/// The first moment of a suspicion, and the last.
const SUSPICIONS_FROM: Nanos = 3 * SECOND;
const SUSPICIONS_UNTIL: Nanos = 60 * SECOND;

/// A message from a leader.
struct Append {
    from: u64,
    to: u64,
    term: u64,
    snapshot: Option<Rc<Snapshot>>,
    previous: Position,
    entries: Vec<Rc<Entry>>,
    commit: u64,
}

/// A read that waits for a majority.
struct Read {
    member: u64,
    number: u64,
    term: u64,
    index: u64,
    until: Nanos,
    promise: ReadPromise,
}

/// All members.
pub(super) struct Ensemble {
    pub(super) members: BTreeMap<u64, Member>,
    pub(super) voters: Vec<u64>,
    pub(super) rng: Rng,
    port: u16,
    /// Every member was up at once: the cluster has begun.
    pub(super) born: bool,
    /// What was ever committed, index to term. Looked at by an assertion only.
    committed: BTreeMap<u64, u64>,
}

/// Has a step happen later.
pub(super) fn later(after: Nanos, step: impl FnOnce(&mut Ensemble) + 'static) {
    let event = Event::Call(Box::new(|| {
        super::with(step);
    }));
    world::with(|w| {
        let at = w.now().saturating_add(after);
        w.schedule(at, event);
    });
}

impl Ensemble {
    /// Without members.
    pub(super) fn new(rng: Rng, port: u16) -> Self {
        let (members, committed) = (BTreeMap::new(), BTreeMap::new());
        Self { members, voters: Vec::new(), rng, port, born: false, committed }
    }

    /// Draws when members will suspect their leader for no reason.
    pub(super) fn plan_suspicions(&mut self) {
        for _ in 0..self.rng.range(0..=SUSPICIONS_MAX) {
            let at = self.rng.range(SUSPICIONS_FROM..=SUSPICIONS_UNTIL);
            later(at, Self::suspect);
        }
    }

    /// How many members make a majority.
    pub(super) fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// How long something takes from one member to another; `None` when it does not arrive.
    pub(super) fn crossing(&self, from: u64, to: u64) -> Option<Nanos> {
        let (source, target) = (self.members.get(&from)?.machine, self.members.get(&to)?.machine);
        world::with(|w| net::crossing(w, source, target))
    }

    /// How long a member's disk takes to sync.
    pub(super) fn sync_time(&self, id: u64) -> Nanos {
        let machine = self.members.get(&id).map(|member| member.machine);
        machine.map_or(0, |machine| world::with(|w| fs::sync_time(w, machine)))
    }

    pub(super) fn publish(&mut self, id: u64) {
        let voters = &self.voters;
        if let Some(member) = self.members.get_mut(&id) {
            member.publish(voters);
        }
    }

    /// Rule *Start*: a process of a member begins with what survived.
    pub(super) fn start(
        &mut self,
        id: u64,
        machine: MachineId,
        voters: Vec<u64>,
        ways: Ways,
        hooks: Rc<dyn Hooks>,
        disk_is_new: bool,
    ) -> u64 {
        self.voters = voters;
        let boots = world::with(|w| w.machine(machine).boots);
        let survive = world::with(|w| w.disk_knobs.survive);
        let member = self.members.entry(id).or_insert_with(|| Member::new(id, machine));
        let known = member.lives > 0;
        if known && disk_is_new {
            flurm_base::sometimes!("a light member lost its disk");
            let lives = member.lives;
            *member = Member::new(id, machine);
            (member.lives, member.standing) = (lives, Standing::Shut);
        } else if boots != member.boots {
            // Of what was not synced when the power failed, a part at the front may have survived.
            let mut keep = member.synced;
            while keep < member.entries.last_index() && self.rng.chance(survive) {
                keep += 1;
            }
            flurm_base::sometimes!(
                keep < member.entries.last_index(),
                "a light member lost entries that were not synced"
            );
            member.entries.cut_after(keep);
        }
        member.synced = member.entries.last_index();
        member.boots = boots;
        member.lives += 1;
        let number = member.lives;
        member.life = Some(Life {
            number,
            hooks,
            ways,
            leader: None,
            commit: 0,
            applied: 0,
            progress: BTreeMap::new(),
            waiting: BTreeMap::new(),
            syncing: false,
            suspects_until: 0,
            delay_seen: 0,
            stands: false,
            stopped: None,
            published: None,
            handler: None,
            inbox: Default::default(),
            inbox_waker: None,
        });
        if let Some(snapshot) = member.snapshot.clone() {
            let life = member.life.as_mut().expect("it was made just now");
            life.hooks.restore(&snapshot.state);
            (life.commit, life.applied) = (snapshot.at.index, snapshot.at.index);
        }
        self.born |= self.members.len() == self.voters.len()
            && self.members.values().all(|member| member.life.is_some());
        self.publish(id);
        self.disturbed();
        number
    }

    /// Rule *Crash*: a process ends. What it has written stays unless the power fails.
    pub(super) fn crash(&mut self, id: u64, number: u64) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.number() == Some(number) {
            let life = member.life.take();
            drop(life);
            self.disturbed();
        }
    }

    /// Rule *Propose*: a member that believes that it leads appends.
    pub(super) fn propose(&mut self, id: u64, number: u64, command: Vec<u8>, promise: Promise) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let leads = member.leads();
        if member.life(number).is_none() {
            return promise(Err(ProposeError::Stopped));
        }
        let Some(term) = leads else {
            let leader = member.life(number).and_then(|life| life.leader);
            let leader = leader.map(|leader| leader.id);
            return promise(Err(ProposeError::NotLeader { leader }));
        };
        let index = member.push(term, Some(command));
        if let Some(life) = member.life(number) {
            life.waiting.insert(index, promise);
        }
        self.sync(id);
        self.replicate(id);
    }

    /// Has a leader's own entries stored, one sync at a time.
    pub(super) fn sync(&mut self, id: u64) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let (last, synced) = (member.entries.last(), member.synced);
        let Some(life) = member.life.as_mut() else { return };
        if life.syncing || last.index <= synced {
            return;
        }
        life.syncing = true;
        let number = life.number;
        later(self.sync_time(id), move |all| all.synced(id, number, last));
    }

    /// Rule *Store*, for a leader's own entries.
    fn synced(&mut self, id: u64, number: u64, upto: Position) {
        let failed = self.disk_fails(id);
        let Some(member) = self.members.get_mut(&id) else { return };
        let Some(life) = member.life(number) else { return };
        life.syncing = false;
        if failed {
            life.stopped = Some("the disk refused".to_owned());
            self.publish(id);
            return;
        }
        if member.entries.term_at(upto.index) == Some(upto.term) {
            member.synced = member.synced.max(upto.index);
        }
        self.sync(id);
        self.commit(id);
    }

    fn disk_fails(&self, id: u64) -> bool {
        let Some(machine) = self.members.get(&id).map(|member| member.machine) else { return true };
        world::with(|w| trouble::sync_fails(w, machine))
    }

    /// Rule *Send*: a leader sends what each other member lacks, one message at a time to each.
    pub(super) fn replicate(&mut self, id: u64) {
        for to in self.voters.clone() {
            if to != id {
                self.send(id, to);
            }
        }
    }

    fn send(&mut self, from: u64, to: u64) {
        let crossing = self.crossing(from, to);
        let Some(member) = self.members.get_mut(&from) else { return };
        let Some(term) = member.leads() else { return };
        let Member { entries, snapshot, machine, life: Some(life), .. } = member else { return };
        let commit = life.commit;
        let progress = life.progress.entry(to).or_default();
        let last = entries.last_index();
        let news = progress.next <= last || progress.told < commit || !progress.follows;
        if progress.busy || !news {
            return;
        }
        let Some(crossing) = crossing else { return };
        progress.busy = true;
        let held = entries.before().index;
        let sent = snapshot.clone().filter(|_| progress.next <= held);
        let index = sent.as_ref().map_or(progress.next - 1, |snapshot| snapshot.at.index);
        let term_before = entries.term_at(index).expect("a leader holds what it sends after");
        let previous = Position { index, term: term_before };
        let entries = entries.after(index, ENTRIES_MAX);
        let append = Append { from, to, term, snapshot: sent, previous, entries, commit };
        let source = *machine;
        let port = self.port;
        if let Some(target) = self.members.get(&to).map(|member| member.machine) {
            world::with(|w| net::tap_send(w, source, target, port, true));
        }
        later(crossing, move |all| all.append(append));
    }

    /// Rule *Append*: a message of a leader arrives.
    fn append(&mut self, append: Append) {
        let Append { from, to, term, previous, commit, .. } = append;
        let refused = self.crossing(from, to).is_none();
        let Some(member) = self.members.get_mut(&to) else { return };
        let Some(number) = member.number().filter(|_| !refused) else {
            return self.lost(from, to, term);
        };
        if term < member.term {
            return self.told_of(to, from);
        }
        match member.standing {
            Standing::Shut => return self.lost(from, to, term),
            Standing::Follows { term: least, .. } if term < least => {
                return self.lost(from, to, term);
            }
            Standing::Follows { .. } | Standing::Full => {}
        }
        member.hear_term(term);
        let life = member.life.as_mut().expect("its number was read just now");
        life.leader = Some(Leader { id: from, term });
        if let Some(snapshot) = &append.snapshot {
            if life.commit < snapshot.at.index {
                flurm_base::sometimes!("a light member was given a snapshot");
            }
            member.install(snapshot);
        }
        let stored = match member.entries.term_at(previous.index) == Some(previous.term) {
            true => Ok(take(member, previous.index, append.entries)),
            false => {
                let known = member.life.as_ref().map_or(0, |life| life.commit);
                // A position that is purged here is committed here.
                if previous.index < member.entries.before().index { Ok(known) } else { Err(known) }
            }
        };
        if let (Ok(stored), Some(life)) = (stored, member.life.as_mut()) {
            life.commit = life.commit.max(commit.min(stored));
        }
        member.apply();
        let commit = member.life.as_ref().map_or(0, |life| life.commit);
        self.check_committed(to, commit);
        self.join(to, term);
        self.publish(to);
        self.acknowledge(to, number, from, term, stored);
    }

    /// Rule *Store*, for a follower: what it took is stored, and then the leader hears of it.
    fn acknowledge(
        &mut self,
        id: u64,
        number: u64,
        leader: u64,
        term: u64,
        stored: Result<u64, u64>,
    ) {
        let Some(member) = self.members.get(&id) else { return };
        let dirty = stored.is_ok_and(|upto| member.synced < upto);
        let upto = stored.unwrap_or(0);
        let last = Position { index: upto, term: member.entries.term_at(upto).unwrap_or(0) };
        let storing = if dirty { self.sync_time(id) } else { 0 };
        let Some(back) = self.crossing(id, leader) else {
            return later(storing, move |all| {
                all.stored(id, number, last);
                all.lost(leader, id, term);
            });
        };
        later(storing + back, move |all| {
            let failed = dirty && !all.stored(id, number, last);
            let unheard = all.crossing(id, leader).is_none();
            if failed || unheard {
                return all.lost(leader, id, term);
            }
            all.acknowledged(leader, id, term, stored);
        });
    }

    /// What a follower took is on its disk. False when the process or the entries are gone.
    fn stored(&mut self, id: u64, number: u64, upto: Position) -> bool {
        let failed = self.disk_fails(id);
        let Some(member) = self.members.get_mut(&id) else { return false };
        let Some(life) = member.life(number) else { return false };
        if failed {
            life.stopped = Some("the disk refused".to_owned());
            self.publish(id);
            return false;
        }
        let same = member.entries.term_at(upto.index).is_none_or(|term| term == upto.term);
        if same {
            member.synced = member.synced.max(upto.index.min(member.entries.last_index()));
        }
        same
    }

    /// A message or its answer is lost: the leader sends again when something changes, or later.
    fn lost(&mut self, leader: u64, to: u64, term: u64) {
        let reachable = self.crossing(leader, to).is_some() && self.crossing(to, leader).is_some();
        let Some(member) = self.members.get_mut(&leader) else { return };
        if member.leads() != Some(term) {
            return;
        }
        let Some(life) = member.life.as_mut() else { return };
        if let Some(progress) = life.progress.get_mut(&to) {
            progress.busy = false;
        }
        let up = self.members.get(&to).is_some_and(|member| member.life.is_some());
        if reachable && up {
            let after = self.rng.range(50 * MILLI..=RESUME_MAX);
            later(after, move |all| all.send(leader, to));
        }
    }

    /// Rule *Depose*: who is behind in terms hears of a later one.
    pub(super) fn told_of(&mut self, from: u64, to: u64) {
        let Some(back) = self.crossing(from, to) else { return };
        let Some(term) = self.members.get(&from).map(|member| member.term) else { return };
        later(back, move |all| {
            if all.crossing(from, to).is_none() {
                return;
            }
            if let Some(member) = all.members.get_mut(&to).filter(|member| member.life.is_some()) {
                member.hear_term(term);
                all.publish(to);
                all.disturbed();
            }
        });
    }

    /// Rule *Acknowledge*: a leader hears what a follower has stored.
    fn acknowledged(&mut self, id: u64, from: u64, term: u64, stored: Result<u64, u64>) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.leads() != Some(term) {
            return;
        }
        let Some(life) = member.life.as_mut() else { return };
        let commit = life.commit;
        let Some(progress) = life.progress.get_mut(&from) else { return };
        progress.busy = false;
        progress.follows = true;
        match stored {
            Ok(upto) => {
                progress.stored = progress.stored.max(upto);
                progress.next = upto + 1;
                progress.told = progress.told.max(commit.min(upto));
            }
            Err(known) => progress.next = known + 1,
        }
        self.commit(id);
        self.send(id, from);
    }

    /// Rule *Commit*: an entry of the leader's own term that a majority has stored is committed,
    /// and with it all before it.
    pub(super) fn commit(&mut self, id: u64) {
        let majority = self.majority();
        let Some(member) = self.members.get_mut(&id) else { return };
        let Some(term) = member.leads() else { return };
        let Member { entries, synced, life: Some(life), .. } = member else { return };
        let mut stored: Vec<u64> = life.progress.values().map(|p| p.stored).collect();
        stored.push(*synced);
        stored.sort_unstable_by(|a, b| b.cmp(a));
        let Some(upto) = stored.get(majority - 1).copied() else { return };
        if upto <= life.commit || entries.term_at(upto) != Some(term) {
            return;
        }
        life.commit = upto;
        member.apply();
        self.check_committed(id, upto);
        self.publish(id);
        self.replicate(id);
    }

    /// Whatever is committed once is never anything else.
    fn check_committed(&mut self, id: u64, upto: u64) {
        let Some(member) = self.members.get(&id) else { return };
        let known = self.committed.last_key_value().map_or(0, |(index, _)| *index);
        for index in known + 1..=upto {
            let term = member.entries.term_at(index);
            self.committed.insert(index, term.expect("what was just committed is held"));
        }
        if let (Some(term), Some(known)) = (member.entries.term_at(upto), self.committed.get(&upto))
        {
            assert!(term == *known, "entry {upto} was committed twice, differently");
        }
    }

    /// Rule *Join*: a member that lost its disk learns from all others what it may have promised,
    /// and is a member again once it holds all of it.
    fn join(&mut self, id: u64, term: u64) {
        let leader_last = self.members.values().filter(|other| other.leads() == Some(term));
        let leader_last = leader_last.map(|other| other.entries.last_index()).max();
        let Some(member) = self.members.get_mut(&id) else { return };
        let Standing::Follows { term: least, upto } = member.standing else { return };
        let applied = member.life.as_ref().map_or(0, |life| life.applied);
        match upto {
            0 => {
                let upto = leader_last.unwrap_or(u64::MAX);
                member.standing = Standing::Follows { term: least, upto };
            }
            upto if upto <= applied => {
                flurm_base::sometimes!("a member with an empty folder caught up");
                member.standing = Standing::Full;
            }
            _ => {}
        }
    }

    /// Rule *Read*: the commit index, once a majority has confirmed that no later term exists.
    pub(super) fn read(&mut self, id: u64, number: u64, promise: ReadPromise) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let leads = member.leads();
        let Some(life) = member.life(number) else { return promise(Err(ReadError::Stopped)) };
        let Some(term) = leads else {
            let leader = life.leader.map(|leader| leader.id);
            return promise(Err(ReadError::NotLeader { leader }));
        };
        let until = world::with(|w| w.now()).saturating_add(life.ways.read_wait);
        let index = life.commit;
        let read = Read { member: id, number, term, index, until, promise };
        self.ask_majority(read);
    }

    fn ask_majority(&mut self, read: Read) {
        let id = read.member;
        let others = self.voters.iter().filter(|other| **other != id);
        let there_and_back =
            |other: &u64| Some(self.crossing(id, *other)? + self.crossing(*other, id)?);
        let mut times: Vec<Nanos> = others.filter_map(there_and_back).collect();
        times.sort_unstable();
        let needed = self.majority() - 1;
        let wait = match needed.checked_sub(1) {
            None => Some(0),
            Some(last) => times.get(last).copied(),
        };
        later(wait.unwrap_or(READ_AGAIN), move |all| all.confirm(read));
    }

    fn confirm(&mut self, mut read: Read) {
        let id = read.member;
        let confirms = |other: &&u64| {
            let linked = **other != id
                && self.crossing(id, **other).is_some()
                && self.crossing(**other, id).is_some();
            let same = |member: &&Member| {
                member.life.is_some()
                    && member.term == read.term
                    && member.standing != Standing::Shut
            };
            linked && self.members.get(*other).as_ref().is_some_and(same)
        };
        let confirmed = self.voters.iter().filter(confirms).count() + 1;
        let majority = self.majority();
        let Some(member) = self.members.get_mut(&id) else { return };
        let leads = member.leads() == Some(read.term);
        let applied = member.life.as_ref().map_or(0, |life| life.applied);
        let ready = member.entries.term_at(applied) == Some(read.term);
        let Some(life) = member.life(read.number) else {
            return (read.promise)(Err(ReadError::Stopped));
        };
        if !leads {
            let leader = life.leader.map(|leader| leader.id);
            return (read.promise)(Err(ReadError::NotLeader { leader }));
        }
        if ready && confirmed >= majority && read.index <= life.applied {
            return (read.promise)(Ok(read.index));
        }
        if read.until <= world::with(|w| w.now()) {
            return (read.promise)(Err(ReadError::NoQuorum));
        }
        if !ready {
            // What earlier leaders committed is known only with an entry of this leader's own.
            read.index = life.commit;
        }
        self.ask_majority(read);
    }

    /// Rule *Forward*: a request reaches another member, if the link holds.
    pub(super) fn forward(&mut self, to: u64, after: Nanos, request: Forwarded) {
        later(after, move |all| {
            let arrives = all.crossing(request.from, to).is_some();
            let Some(member) = all.members.get_mut(&to) else { return };
            let Some(life) = member.life.as_mut().filter(|life| arrives && life.handler.is_some())
            else {
                return;
            };
            life.inbox.push_back(request);
            if let Some(waker) = life.inbox_waker.take() {
                waker.wake();
            }
        });
    }

    /// A leader of a new term begins.
    pub(super) fn begin_term(&mut self, id: u64, term: u64) {
        let others: Vec<u64> = self.voters.iter().copied().filter(|other| *other != id).collect();
        let Some(member) = self.members.get_mut(&id) else { return };
        let next = member.entries.last_index() + 1;
        if let Some(life) = member.life.as_mut() {
            life.leader = Some(Leader { id, term });
            let progress = Progress { next, ..Progress::default() };
            life.progress = others.into_iter().map(|other| (other, progress)).collect();
        }
        member.push(term, None);
        seen(LogSeen::Leads { member: id, term });
        self.publish(id);
        self.sync(id);
        self.replicate(id);
        self.commit(id);
    }
}

/// A follower takes entries after `index`; index of the last one it then shares with the leader.
fn take(member: &mut Member, index: u64, entries: Vec<Rc<Entry>>) -> u64 {
    let mut at = index;
    for entry in entries {
        at += 1;
        match member.entries.term_at(at) {
            Some(term) if term == entry.term => continue,
            Some(_) => {
                let commit = member.life.as_ref().map_or(0, |life| life.commit);
                assert!(commit < at, "what is committed is never cut");
                flurm_base::sometimes!("entries of a deposed light leader were cut");
                member.entries.cut_after(at - 1);
                member.synced = member.synced.min(at - 1);
                member.entries.push(entry);
            }
            // Purged here, so committed here.
            None if at <= member.entries.before().index => continue,
            None => member.entries.push(entry),
        }
    }
    at
}
