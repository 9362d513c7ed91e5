//! Which faults can be there at the same time, and which of them has to be first.

use e2e::{Service, Way};

use super::{Blow, Fault};
use crate::site::Store;

/// What a fault acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thing {
    /// A process.
    Process(Service, usize),
    /// What time a process takes it to be.
    Clock(Service, usize),
    /// A way out of a process.
    Way(Way, usize),
    /// What a service has stored.
    Data(Service),
}

/// The two in an order in which both can be, if they can: two that act on the same thing cannot, nor two of which each only
/// shows where nothing else fails before it.
pub(super) fn in_order(one: Blow, other: Blow, store: Store) -> Option<(Blow, Blow)> {
    let (things, others) = (acts_on(one, store), acts_on(other, store));
    if things.iter().any(|thing| others.contains(thing)) {
        return None;
    }
    let may_be = |first: Blow, second: Blow| !is_over_at_once(first.fault) && !needs_the_rest(second.fault);
    if may_be(one, other) { Some((one, other)) } else { may_be(other, one).then_some((other, one)) }
}

/// What is over as soon as it was: nothing else can be meanwhile.
const fn is_over_at_once(fault: Fault) -> bool {
    matches!(fault, Fault::CutConnections(_) | Fault::CutClients(_))
}

/// What comes to pass only if everything else does its work: commits, the feed, locks that somebody else holds, and would hold
/// for a while if it was stopped or cut off.
const fn needs_the_rest(fault: Fault) -> bool {
    matches!(fault, Fault::LoseCommits(..) | Fault::DieInTheFeed | Fault::Occupy(_) | Fault::Withhold(_))
}

fn acts_on(blow: Blow, store: Store) -> Vec<Thing> {
    const BOTH: [Service; 2] = [Service::Auth, Service::Users];
    let Blow { fault, replica } = blow;
    let processes = |service| (0..store.replicas()).map(move |number| Thing::Process(service, number));
    match fault {
        Fault::Kill(service) | Fault::Terminate(service) | Fault::Freeze(service) => {
            vec![Thing::Process(service, replica)]
        }
        Fault::KillEverything => BOTH.into_iter().flat_map(processes).collect(),
        Fault::DieInTheFeed => processes(Service::Users).collect(),
        Fault::Link(way, _) => vec![Thing::Way(way, replica)],
        Fault::LoseCommits(service, _) => vec![Thing::Way(Way::ToDatabase(service), replica)],
        Fault::Occupy(service) | Fault::Withhold(service) => vec![Thing::Data(service)],
        // There have to be some: those of the other process, if not of this one.
        Fault::CutConnections(service) => vec![Thing::Data(service), Thing::Process(service, replica)],
        // There has to be somebody to call.
        Fault::CutClients(service) => {
            vec![Thing::Way(Way::FromClients(service), replica), Thing::Process(service, replica)]
        }
        // On SQLite it is a limit that a process has, and another would not have.
        Fault::FullDisk(service) if store == Store::Sqlite => {
            vec![Thing::Data(service), Thing::Process(service, replica)]
        }
        // The server of both.
        Fault::FullDisk(_) | Fault::FullConnectionTable | Fault::CrashDatabase | Fault::FreezeDatabase => {
            BOTH.map(Thing::Data).to_vec()
        }
        Fault::MoveClock(service) => vec![Thing::Clock(service, replica)],
    }
}

#[cfg(test)]
mod tests {
    use e2e::Cut;

    use super::*;
    use crate::nemesis::Trouble;

    fn pair(one: Fault, other: Fault, store: Store) -> Option<(Fault, Fault)> {
        let blow = |fault| Blow { fault, replica: 0 };
        in_order(blow(one), blow(other), store).map(|(first, second)| (first.fault, second.fault))
    }

    #[test]
    fn two_that_act_on_the_same_thing_do_not_overlap() {
        let (auth, users) = (Service::Auth, Service::Users);
        for (one, other) in [
            (Fault::Kill(auth), Fault::Freeze(auth)),
            (Fault::KillEverything, Fault::Terminate(users)),
            (Fault::KillEverything, Fault::CutConnections(auth)),
            (Fault::DieInTheFeed, Fault::Kill(users)),
            (Fault::CrashDatabase, Fault::Withhold(users)),
            (Fault::FreezeDatabase, Fault::CutConnections(auth)),
            (Fault::Link(Way::ToDatabase(auth), Trouble::Reset), Fault::LoseCommits(auth, Cut::Before)),
        ] {
            assert_eq!(pair(one, other, Store::Postgres), None);
            assert_eq!(pair(other, one, Store::Postgres), None);
        }
        assert_eq!(pair(Fault::FullDisk(auth), Fault::Kill(auth), Store::Sqlite), None);
    }

    #[test]
    fn two_that_act_on_different_things_do_in_an_order_in_which_both_show() {
        let (auth, users) = (Service::Auth, Service::Users);
        let cut_off = Fault::Link(Way::ToAuth, Trouble::Partition);
        for (first, second) in [
            (Fault::Kill(auth), cut_off),
            (Fault::FreezeDatabase, Fault::Freeze(auth)),
            (Fault::FullDisk(auth), cut_off),
            (Fault::FullDisk(auth), Fault::Kill(auth)),
        ] {
            assert_eq!(pair(first, second, Store::Postgres), Some((first, second)));
        }
        for (first, second) in [
            (Fault::LoseCommits(users, Cut::Silence), Fault::CutConnections(users)),
            (Fault::DieInTheFeed, Fault::Freeze(auth)),
            (Fault::Occupy(auth), Fault::Kill(auth)),
        ] {
            assert_eq!(pair(first, second, Store::Postgres), Some((first, second)));
            assert_eq!(pair(second, first, Store::Postgres), Some((first, second)));
        }
        let two = [Fault::LoseCommits(users, Cut::Before), Fault::Occupy(auth)];
        assert_eq!(pair(two[0], two[1], Store::Postgres), None, "each needs the rest");
    }

    #[test]
    fn one_of_two_processes_may_be_killed_while_the_other_stands_still() {
        let kill = Blow { fault: Fault::Kill(Service::Auth), replica: 0 };
        let freeze = Blow { fault: Fault::Freeze(Service::Auth), replica: 1 };
        assert_eq!(in_order(kill, freeze, Store::Postgres), Some((kill, freeze)));
        assert_eq!(in_order(kill, Blow { replica: 0, ..freeze }, Store::Postgres), None);
    }
}
