//! Who notices that there is no leader, and who becomes the next one.

use super::ensemble::{Ensemble, later};
use super::state::{Member, Standing};
use crate::world::{self, MILLI, Nanos, SECOND, net};

/// Longest wait before a leader goes on with a member that is back.
const RESUME_MAX: Nanos = SECOND;
/// Probability that the votes of an election are split.
const SPLIT: f64 = 0.1;

impl Ensemble {
    fn linked(&self, a: u64, b: u64) -> bool {
        let (Some(a), Some(b)) = (self.members.get(&a), self.members.get(&b)) else { return false };
        world::with(|w| net::passes_both_ways(w, a.machine, b.machine))
    }

    /// Whether a member hears from a leader that it would follow.
    fn hears(&self, id: u64) -> bool {
        let Some(member) = self.members.get(&id) else { return false };
        let Some(life) = member.life.as_ref() else { return false };
        if member.leads().is_some() {
            return true;
        }
        if world::with(|w| w.now()) < life.suspects_until {
            return false;
        }
        let leads = |other: &Member| other.leads().is_some_and(|term| term >= member.term);
        self.members.values().any(|other| leads(other) && self.linked(other.id, id))
    }

    /// Something changed: whoever hears of no leader waits for an election, and leaders go on with
    /// members that are back.
    pub(super) fn disturbed(&mut self) {
        let ids: Vec<u64> = self.members.keys().copied().collect();
        for id in &ids {
            self.look_at_delay(*id);
            self.ask_everyone(*id);
            self.await_election(*id);
        }
        for id in ids {
            if self.members.get(&id).and_then(Member::leads).is_some() {
                let after = self.rng.range(MILLI..=RESUME_MAX);
                later(after, move |all| all.show_life(id));
            }
        }
    }

    /// Rule *Heartbeat*: a leader shows that it lives, also where it has nothing to send, and
    /// hears of a later term where there is one.
    fn show_life(&mut self, id: u64) {
        self.replicate(id);
        let Some(term) = self.members.get(&id).and_then(Member::leads) else { return };
        let later = |other: &&u64| {
            let other = self.members.get(*other);
            other.is_some_and(|other| other.life.is_some() && other.term > term)
        };
        let reached = |other: &&u64| self.crossing(id, **other).is_some();
        let tellers: Vec<u64> = self.voters.iter().filter(later).filter(reached).copied().collect();
        for teller in tellers {
            flurm_base::sometimes!("a light leader without news heard of a later term");
            self.told_of(teller, id);
        }
    }

    /// A link to the leader that became slow leaves a gap between two signs of life.
    fn look_at_delay(&mut self, id: u64) {
        let Some(member) = self.members.get(&id) else { return };
        let Some(leader) = member.life.as_ref().and_then(|life| life.leader) else { return };
        let Some(source) = self.members.get(&leader.id).map(|leader| leader.machine) else {
            return;
        };
        let target = member.machine;
        let (now, delay) = world::with(|w| (w.now(), w.net.link(source, target).delay));
        let Some(life) = self.members.get_mut(&id).and_then(|member| member.life.as_mut()) else {
            return;
        };
        let slower = delay.saturating_sub(life.delay_seen);
        life.delay_seen = delay;
        if slower > life.ways.election_min {
            life.suspects_until = now + slower + life.ways.election_max;
        }
    }

    /// Rule *Suspect*: signs of life may be late for no reason at all.
    pub(super) fn suspect(&mut self) {
        let (now, healed) = world::with(|w| (w.now(), w.history.healed_at().is_some()));
        if healed {
            return;
        }
        for member in self.members.values_mut() {
            if let Some(life) = member.life.as_mut() {
                life.suspects_until = now + 2 * life.ways.election_max;
            }
        }
        self.disturbed();
    }

    /// A member that lost its disk asks all others for the newest term that any of them knows.
    fn ask_everyone(&mut self, id: u64) {
        let shut = |member: &Member| member.standing == Standing::Shut && member.life.is_some();
        if !self.members.get(&id).is_some_and(shut) {
            return;
        }
        let mut others = self.voters.iter().filter(|other| **other != id);
        let answers = |other: &u64| {
            let other_up = self.members.get(other).is_some_and(|other| other.life.is_some());
            other_up && self.linked(id, *other)
        };
        if !others.all(answers) {
            return;
        }
        let term = self.members.values().map(|member| member.term).max().unwrap_or(0);
        if let Some(member) = self.members.get_mut(&id) {
            member.standing = Standing::Follows { term, upto: 0 };
        }
    }

    fn await_election(&mut self, id: u64) {
        if self.hears(id) {
            return;
        }
        let Some(member) = self.members.get_mut(&id) else { return };
        let full = member.standing == Standing::Full;
        let Some(life) = member.life.as_mut().filter(|life| full && !life.stands) else { return };
        life.stands = true;
        let number = life.number;
        let after = self.rng.range(life.ways.election_min..=life.ways.election_max);
        later(after, move |all| all.stand(id, number));
    }

    /// Rule *Stand*: after a silence a member asks whether the others would vote for it.
    fn stand(&mut self, id: u64, number: u64) {
        let Some(life) = self.members.get_mut(&id).and_then(|member| member.life(number)) else {
            return;
        };
        life.stands = false;
        if !self.born || self.hears(id) {
            return;
        }
        if self.would_vote(id).len() + 1 < self.majority() {
            // When links change it is tried again; when votes were refused, after a while.
            if self.reaches_majority(id) {
                self.await_election(id);
            }
            return;
        }
        if let Some(life) = self.members.get_mut(&id).and_then(|member| member.life(number)) {
            life.stands = true;
        }
        let others = self.voters.iter().filter(|other| **other != id);
        let rounds = others
            .filter_map(|other| Some(self.crossing(id, *other)? + self.crossing(*other, id)?));
        // One round for the question, one for the votes, which are stored.
        let round = rounds.min().unwrap_or(0);
        let votes = 2 * round + self.sync_time(id);
        later(votes, move |all| all.elect(id, number));
    }

    fn reaches_majority(&self, id: u64) -> bool {
        let others = self.voters.iter().filter(|other| **other != id);
        let up = |other: &u64| self.members.get(other).is_some_and(|other| other.life.is_some());
        others.filter(|other| up(other) && self.linked(id, **other)).count() + 1 >= self.majority()
    }

    /// Who would vote for a member: who hears of no leader and has nothing that it lacks.
    fn would_vote(&self, id: u64) -> Vec<u64> {
        let Some(own) = self.members.get(&id).map(|member| member.entries.last()) else {
            return Vec::new();
        };
        let votes = |other: &Member| {
            let last = other.entries.last();
            other.id != id
                && other.life.is_some()
                && other.standing == Standing::Full
                && (last.term, last.index) <= (own.term, own.index)
                && self.linked(id, other.id)
                && !self.hears(other.id)
        };
        self.members.values().filter(|other| votes(other)).map(|other| other.id).collect()
    }

    /// Rule *Elect*: a majority votes in a term that is new to all of it.
    fn elect(&mut self, id: u64, number: u64) {
        let Some(life) = self.members.get_mut(&id).and_then(|member| member.life(number)) else {
            return;
        };
        life.stands = false;
        let voters = self.would_vote(id);
        let enough = voters.len() + 1 >= self.majority();
        if !enough || self.hears(id) || self.rng.chance(SPLIT) {
            return self.await_election(id);
        }
        let known = |member: &u64| self.members.get(member).map_or(0, |member| member.term);
        let term = 1 + voters.iter().chain([&id]).map(known).max().unwrap_or(0);
        for voter in voters.iter().chain([&id]) {
            if let Some(member) = self.members.get_mut(voter) {
                member.hear_term(term);
            }
            self.publish(*voter);
        }
        flurm_base::sometimes!(term > 1, "light members elected another leader");
        self.begin_term(id, term);
    }
}
